"""A shipment: a folder of parts, and `manifest.json` with the size and SHA-256 of each, to check what arrives by.

This module does not know what is in the parts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from midfill.model.wire.errors import MidfillModelError

MIB = 2**20
FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 8 * 1024
"""Room to keep for the manifest where a shipment's size is limited."""


class TransportError(MidfillModelError):
    """Something cannot be packed within the limits, or what arrived is not what was packed."""

    title = "The shipment cannot be used"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a shipment. Of a checkpoint's parts, num_examples and num_tokens are 0."""

    name: str
    num_bytes: int
    sha256: str
    num_examples: int = 0
    num_tokens: int = 0


def write_part(path: Path, content: bytes, num_examples: int = 0, num_tokens: int = 0) -> Part:
    path.write_bytes(content)
    return Part(path.name, len(content), sha256(content), num_examples, num_tokens)


def check_parts(folder: Path, parts: Sequence[Part]) -> None:
    """Raise TransportError with the name of every part that is missing, cut short or damaged."""
    complaints = []
    for part in parts:
        path = folder / part.name
        if not path.is_file():
            complaints.append(f"{part.name} is missing")
        elif path.stat().st_size != part.num_bytes:
            complaints.append(f"{part.name} has {path.stat().st_size:,} bytes of {part.num_bytes:,}")
        elif sha256(path.read_bytes()) != part.sha256:
            complaints.append(f"{part.name} is damaged")
    if complaints:
        raise TransportError(f"The shipment {folder} is not whole: {'; '.join(complaints)}. Copy these files again.")


def write_manifest(out: Path, what: str, parts: Sequence[Part], files: Sequence[Part], **more: Any) -> dict[str, Any]:
    """Write what a shipment consists of: `parts` are packed, `files` are what they hold or what lies beside them."""
    lists = {"files": [asdict(file) for file in files], "parts": [asdict(part) for part in parts]}
    manifest = {"format": FORMAT, "what": what, **more, **lists}
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path, what: str) -> tuple[dict[str, Any], list[Part], list[Part]]:
    """The manifest of a shipment of `what`, its parts and its files. Raises TransportError."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if (manifest["format"], manifest["what"]) != (FORMAT, what):
            raise TransportError(
                f"{folder / MANIFEST} is of {manifest['what']!r} in format {manifest['format']}, wanted are {what!r} "
                f"in format {FORMAT}; give the right folder, or pack it with the same midfill."
            )
        return manifest, _parts_of(manifest, "parts"), _parts_of(manifest, "files")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TransportError(f"The manifest {folder / MANIFEST} cannot be read ({error!r}); copy it again.") from error


def _parts_of(manifest: dict[str, Any], name: str) -> list[Part]:
    """The manifest's list `name`. A name that leaves the folder is refused: the manifest came from elsewhere."""
    parts = [Part(**part) for part in manifest[name]]
    strange = [part.name for part in parts if Path(part.name).is_absolute() or ".." in Path(part.name).parts]
    if strange:
        raise TransportError(f"The manifest names files outside its folder ({', '.join(strange)}); do not use it.")
    return parts


def make_empty(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise TransportError(f"{folder} is not empty, and all of a shipment's folder is sent; give a new folder.")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
