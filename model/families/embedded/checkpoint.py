"""A checkpoint of the embedded family: a folder with `adapter.safetensors`, `config.json` and, if it was tuned to a
repository, `repository.json`. Its parent's weights and tokenizer lie elsewhere, and are known by their sha256.

Weights are safetensors and GGUF only: loading one runs no code.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from midfill.model.families.embedded.adapter import Adapter
from midfill.model.families.embedded.parent import Parent, read_parent
from midfill.model.families.embedded.repository import Repository, load_repository
from midfill.model.wire.base import base_file
from midfill.model.wire.errors import CheckpointError

FORMAT = 2
BASE = "base"
"""The name of the parent that midfill installs; any other parent is the path of a file or a folder."""
ADAPTER_NAME = "adapter.safetensors"


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """What a checkpoint says of itself.

    parent: BASE, or a path, relative to the checkpoint's folder or absolute. Context sizes are in tokens;
    chars_per_token is measured on the training text; memory_weights[n] is the share of the workspace memory after a
    match of n tokens (empty: no memory); verbs: the rewriting instructions it was trained for; num_passages: how many
    passages from elsewhere it may see; calibration: of `midfill.model.engine.confidence` (empty: not calibrated)."""

    parent: str
    parent_sha256: str
    rank: int
    prefix_tokens: int
    suffix_tokens: int
    canvas_lengths: tuple[int, ...]
    languages: tuple[str, ...]
    chars_per_token: float
    name: str
    show_threshold: float = 0.0
    memory_weights: tuple[float, ...] = ()
    verbs: tuple[str, ...] = ()
    calibration: tuple[float, ...] = ()
    num_passages: int = 0
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Checkpoint:
    parent: Parent
    adapter: Adapter
    config: EmbeddedConfig
    revision: str
    repository: Repository | None = None


def save_checkpoint(folder: Path, adapter: Adapter, config: EmbeddedConfig, mode: int = 0o644) -> None:
    """Write the folder; the adapter is stored as bfloat16, which halves it. mode: of the adapter's file, at no moment
    wider. Raises OSError.

    The adapter is replaced in one step: whoever reads it while a run saves has the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().to("cpu", torch.bfloat16).contiguous() for name, value in adapter.items()}
    temporary = folder / f"{ADAPTER_NAME}.new"
    temporary.touch(0o600)
    try:
        save_file(tensors, temporary)
    except SafetensorError as error:
        raise OSError(f"{temporary.name}: {error}") from error
    temporary.chmod(mode)
    temporary.replace(folder / ADAPTER_NAME)
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path, dtype: torch.dtype = torch.float32) -> Checkpoint:
    """Read a folder made by `save_checkpoint`, and its parent in `dtype`. Raises CheckpointError that names what is
    wrong."""
    config, adapter, revision = read_adapter(folder)
    parent = read_parent(parent_path(folder, config), dtype)
    if parent.sha256 != config.parent_sha256:
        raise CheckpointError(
            f"The checkpoint {folder} was trained on another parent than {config.parent}: its sha256 is "
            f"{parent.sha256}, not {config.parent_sha256}; give the parent that it was trained on."
        )
    return Checkpoint(parent, adapter, config, revision, load_repository(folder))


def read_adapter(folder: Path) -> tuple[EmbeddedConfig, dict[str, Tensor], str]:
    """A checkpoint's config, its adapter as float32, and its revision, without the parent. Raises CheckpointError."""
    for name in ("config.json", ADAPTER_NAME):
        if not (folder / name).is_file():
            raise CheckpointError(f"The checkpoint {folder} has no {name}; reinstall midfill or give another folder.")
    config = _read_config(folder / "config.json")
    weights = folder / ADAPTER_NAME
    try:
        adapter = {name: value.float() for name, value in load_file(weights).items()}
    except SafetensorError as error:
        raise CheckpointError(
            f"The weights {weights} are truncated or damaged ({error}); reinstall midfill."
        ) from error
    return config, adapter, hashlib.sha256(weights.read_bytes()).hexdigest()[:12]


def parent_path(folder: Path, config: EmbeddedConfig) -> Path:
    """Where the parent of the checkpoint in `folder` lies. Raises CheckpointError if the base is not installed."""
    return base_file() if config.parent == BASE else folder / config.parent


def _read_config(path: Path) -> EmbeddedConfig:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise CheckpointError(
                f"The checkpoint {path.parent} has format {data['format']}, this midfill reads format {FORMAT}; "
                "update whichever is older."
            )
        for name in ("canvas_lengths", "languages", "memory_weights", "verbs", "calibration"):
            data[name] = tuple(data.get(name, ()))
        return EmbeddedConfig(**data)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The configuration {path} cannot be read ({error!r}); reinstall midfill.") from error
