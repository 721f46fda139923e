"""Where a person's resident models are found: one private directory, one socket per model. Standard library only.

The front and the resident both compute these places, so that they meet without being told.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

VLLM_SCHEME = "vllm:"
"""A model's name that begins so is the address of a `vllm serve` that runs it."""
MAX_SOCKET_PATH_BYTES = 103
"""What a Unix socket's path may take on every system (macOS: 104 bytes with the closing zero)."""


class AddressError(Exception):
    """A place or an endpoint cannot be used; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Address:
    """Where to speak HTTP. With `socket_path` the connection goes there and `url` only fills the header."""

    url: str
    socket_path: str | None = None
    token: str | None = None


def address_of(endpoint: str | None, model: str) -> Address:
    """The address behind a setting: None (the person's own socket for `model`), `unix:/path`, `http://...`, `https://...`.

    The token of an http endpoint is `$MIDFILL_TOKEN`; for a loopback endpoint else the one that the resident generated.
    Raises AddressError for any other form, and for a private directory that cannot be trusted.
    """
    if endpoint is None:
        return Address("http://midfill", str(resident_socket(model)))
    if endpoint.startswith("unix:"):
        return Address("http://midfill", str(_short_enough(Path(endpoint.removeprefix("unix:")))))
    url = urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise AddressError(
            f"{endpoint!r} is no endpoint: write unix:/path.sock, http://host:port or https://host:port."
        )
    return Address(endpoint.rstrip("/"), token=os.environ.get("MIDFILL_TOKEN") or _generated_token(url.hostname, model))


def resident_socket(model: str) -> Path:
    """The Unix socket of this person's resident for `model`. Raises AddressError if the path is too long."""
    return _short_enough(resident_directory() / f"{_file_name(model)}.sock")


def lock_path(model: str) -> Path:
    """The file that the resident keeps locked while it lives; it holds the resident's pid."""
    return resident_directory() / f"{_file_name(model)}.lock"


def token_path(model: str) -> Path:
    """Where a resident on loopback TCP leaves the token it generated."""
    return resident_directory() / f"{_file_name(model)}.token"


def log_path(model: str) -> Path:
    """Where the log of a resident that the front starts goes; the directory is made."""
    directory = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "midfill"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / f"{_file_name(model)}.log"


def resident_directory() -> Path:
    """The directory (mode 0700, made when missing) of this person's sockets and locks.

    `$XDG_RUNTIME_DIR/midfill`, or `<temporary directory>/midfill-<uid>` where there is no such directory of one's own.
    Raises AddressError if something else stands there: another user's, a link, or one that others may enter.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_own_directory(Path(runtime)):
        directory = Path(runtime) / "midfill"
    else:
        directory = Path(tempfile.gettempdir()) / f"midfill-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
    except OSError as error:
        raise AddressError(
            f"The directory {directory} cannot be made: {error.strerror}. Set XDG_RUNTIME_DIR."
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise AddressError(
            f"{directory} is not a directory of yours, so it is not used. Remove it or set XDG_RUNTIME_DIR."
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise AddressError(f"Others may enter {directory}, so it is not used. Run: chmod 700 {directory}")
    return directory


def _is_own_directory(path: Path) -> bool:
    return path.is_dir() and path.stat().st_uid == os.getuid()


def _file_name(model: str) -> str:
    """A short file name for a model's name or checkpoint path; different models get different names."""
    if re.fullmatch(r"[a-z0-9_-]{1,24}", model):
        return model
    if model.startswith((".", "/", "~")):  # a path means the same model from every directory
        model = str(Path(model).expanduser().resolve())
    readable = re.sub(r"[^a-z0-9_-]+", "-", Path(model).name.lower())[:16]
    return f"{readable}.{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def _short_enough(path: Path) -> Path:
    length = len(os.fsencode(path))
    if length > MAX_SOCKET_PATH_BYTES:
        raise AddressError(
            f"The socket path {path} has {length} bytes and may have {MAX_SOCKET_PATH_BYTES}. "
            "Set XDG_RUNTIME_DIR to a shorter directory."
        )
    return path


def _generated_token(host: str, model: str) -> str | None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return None
    path = token_path(model) if loopback else None
    return path.read_text().strip() if path is not None and path.is_file() else None
