"""A source file as a person has it: read without loss, written back atomically or not at all.

Knows nothing of holes or models. `text` is the decoded file without a byte order mark and with its line endings as they
are, so offsets in it are code points of the file as an editor shows it.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from midfill.lsp_server.terminal.errors import TerminalError, bad_input

_NOTEBOOK = ".ipynb"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class SourceFile:
    """`path` is what the person typed, `target` the file it leads to (symbolic links followed), `data` its bytes."""

    path: Path
    target: Path
    data: bytes
    text: str


def read_source(path: Path) -> SourceFile:
    """Raises TerminalError for anything that is not a readable text file of code; never changes the file."""
    try:
        target = path.resolve(strict=True)
        mode = target.stat().st_mode
        if stat.S_ISDIR(mode):
            raise bad_input(f"{path} is a directory; name a source file in it.")
        if not stat.S_ISREG(mode):
            raise bad_input(f"{path} is not a regular file; name a source file.")
        data = target.read_bytes()
    except FileNotFoundError:
        raise bad_input(f"There is no file {path}; check the path.") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: a symbolic link that leads to itself
        raise TerminalError(f"{path} cannot be read: {_reason(error)}.") from None
    if target.suffix.lower() == _NOTEBOOK:
        raise bad_input(
            f"{path} is a notebook: its code stands in JSON strings, which a fill would break. Fill its cells in an "
            "editor."
        )
    if b"\0" in data:
        raise bad_input(f"{path} is binary (it holds a NUL byte); midfill fills text files in UTF-8.")
    try:
        text = data.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise bad_input(
            f"{path} is not UTF-8 (byte 0x{error.object[error.start]:02x} in line {line}) and was left untouched; "
            "convert it to UTF-8 first."
        ) from None
    return SourceFile(path, target, data, text)


def require_writable(source: SourceFile) -> None:
    """Raises TerminalError when the file could not be replaced; asked before the model works for nothing."""
    read_only = not stat.S_IMODE(source.target.stat().st_mode) & 0o222
    if read_only or not os.access(source.target, os.W_OK):
        raise TerminalError(f"{source.path} is read-only and was left untouched; change its permissions (chmod u+w).")
    if not os.access(source.target.parent, os.W_OK):
        raise TerminalError(
            f"The directory {source.target.parent} is not writable, so {source.path} cannot be replaced safely; "
            "it was left untouched."
        )


def write_source(source: SourceFile, text: str) -> None:
    """Replace the file's text in one step; mode, owner and byte order mark stay, line endings are those of `text`.

    Raises TerminalError, with the file as it was, when it is read-only, changed since it was read, or the disk fails.
    """
    require_writable(source)
    mark = _BYTE_ORDER_MARK if source.data.startswith(_BYTE_ORDER_MARK) else b""
    try:
        _replace(source, mark + text.encode("utf-8"))
    except OSError as error:
        raise TerminalError(f"{source.path} cannot be written ({_reason(error)}) and was left untouched.") from None


def _replace(source: SourceFile, data: bytes) -> None:
    directory = source.target.parent
    handle, name = tempfile.mkstemp(prefix=f".{source.target.name[:100]}.", suffix=".midfill", dir=directory)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        before = source.target.stat()
        temporary.chmod(stat.S_IMODE(before.st_mode))
        if hasattr(os, "chown"):
            with contextlib.suppress(PermissionError):  # only root can give a file away
                os.chown(temporary, before.st_uid, before.st_gid)
        if source.target.read_bytes() != source.data:
            raise TerminalError(
                f"{source.path} changed while it was being filled and was left untouched; run it again."
            )
        temporary.replace(source.target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the new name must survive a power cut as well
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).lower()
