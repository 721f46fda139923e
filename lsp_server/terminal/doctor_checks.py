"""The single checks of `midfill doctor`. Each looks at one thing and answers with a Finding. None changes anything, but
the last one starts the resident, as any request would."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from midfill.lsp_server.resident.resident import ENDPOINT_VARIABLE
from midfill.lsp_server.terminal.connection import connected
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.terminal.process import memory_bytes
from midfill.lsp_server.terminal.status import ask
from midfill.lsp_server.text.filling import FillError, choose, plan_fill
from midfill.lsp_server.text.holes import find_markers
from midfill.lsp_server.text.syntax import num_errors
from midfill.model.wire.address import AddressError, lock_path, log_path, resident_directory, resident_socket
from midfill.model.wire.base import BaseModelError, base_file
from midfill.model.wire.install_command import install_command

MODEL = "embedded"
SAMPLE = "def add(left, right):\n    return <fill>\n\n\nprint(add(1, 2))\n"
_BASE = ("pygls", "lsprotocol", "cattrs", "httpx", "typer", "rich", "platformdirs", "pathspec", "tree-sitter")
_LOCAL = ("torch", "numpy", "safetensors", "tokenizers", "gguf", "fastapi", "uvicorn", "prometheus-client")
_LANGUAGES = ("python", "javascript", "typescript", "tsx", "go", "rust", "java", "c", "cpp", "lua")


@dataclass(frozen=True)
class Finding:
    """remedy: what to do, empty when all is well."""

    what: str
    is_well: bool
    detail: str
    remedy: str = ""


def python_version() -> Finding:
    is_well = sys.version_info >= (3, 11)
    detail = f"{sys.version.split()[0]} at {sys.executable}"
    return Finding("Python", is_well, detail, "" if is_well else "Install Python 3.11 or newer, and midfill into it.")


def base_packages() -> Finding:
    return _packages("Packages of the language server", _BASE, f"Run: {install_command()}")


def local_packages() -> Finding:
    return _packages("Packages of the model", _LOCAL, f"Run: {install_command('local')}")


def _packages(what: str, names: tuple[str, ...], remedy: str) -> Finding:
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        return Finding(what, False, f"missing: {', '.join(missing)}", remedy)
    return Finding(what, True, ", ".join(f"{name} {version}" for name, version in versions.items()))


def _version(distribution: str) -> str | None:
    """Without importing it: torch alone would take seconds."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def grammars() -> Finding:
    broken = []
    for language in _LANGUAGES:
        try:
            num_errors("", language)
        except (ImportError, ValueError) as error:  # ValueError: a grammar of another tree-sitter version
            broken.append(f"{language} ({error})")
    if broken:
        remedy = f"Run: {install_command('', '--force-reinstall')}"
        return Finding("Grammars", False, f"cannot be loaded: {'; '.join(broken)}", remedy)
    return Finding("Grammars", True, ", ".join(_LANGUAGES))


def base_model() -> Finding:
    """The pretrained base, by its size and sha256."""
    what = "Base model"
    try:
        path = base_file()
    except BaseModelError as error:
        return Finding(what, False, error.problem, f"Run: {error.command}")
    return Finding(what, True, f"{path} ({path.stat().st_size / 2**20:.1f} MiB, sha256 as expected)")


def weights() -> Finding:
    """The checkpoint in the installed package, by its size only: torch reads it when the resident starts."""
    spec = importlib.util.find_spec("midfill.model.weights")
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*.safetensors"))]
    remedy = f"Run: {install_command('', '--force-reinstall', '--no-deps')}"
    if not files:
        return Finding("Weights", False, f"no checkpoint in {', '.join(folders) or 'midfill.model.weights'}", remedy)
    damaged = [str(path) for path in files if path.stat().st_size != _promised_size(path)]
    if damaged:
        return Finding("Weights", False, f"truncated or damaged: {', '.join(damaged)}", remedy)
    return Finding("Weights", True, ", ".join(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)" for path in files))


def _promised_size(path: Path) -> int | None:
    """Bytes that a safetensors file has by its own header (length in 8 bytes, JSON, tensors); None if unreadable."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, 100_000_000)))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
    return 8 + length + max(ends, default=0)


def private_directory() -> Finding:
    """`resident_directory` refuses what others own or may enter; its sentence says what to do."""
    what = "Private directory"
    try:
        directory = resident_directory()
        resident_socket(MODEL)
    except AddressError as error:
        return Finding(what, False, "cannot be used", str(error))
    return Finding(what, True, f"{directory} (only you may enter)")


async def socket_state() -> Finding:
    """Running, not running, or something in the way: a stale lock or socket is nobody's problem, a foreign one is."""
    what = "Resident"
    socket, lock = resident_socket(MODEL), lock_path(MODEL)
    if running := await ask(socket):
        is_well = running.state != "failed"
        remedy = "" if is_well else f"Its log says why: {log_path(MODEL)}"
        return Finding(what, is_well, f"{running.state}, pid {running.pid}, {socket}", remedy)
    holder = _holder(lock)
    if socket.exists() and not socket.is_socket():
        return Finding(what, False, f"{socket} is not a socket", f"Move it away: mv {socket} {socket}.old")
    if socket.exists() and holder is not None:
        remedy = f"If it stays so for a minute: kill {holder}; its log is {log_path(MODEL)}"
        return Finding(what, False, f"process {holder} holds {lock} and does not answer as midfill", remedy)
    left = f" ({socket} is left over from one that died; the next one removes it)" if socket.exists() else ""
    return Finding(what, True, f"not running; it starts with the first request{left}")


def _holder(lock: Path) -> int | None:
    """The pid in the lock file, if such a process lives."""
    try:
        pid = int(lock.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
    return pid if memory_bytes(pid) is not None else None


def chosen_endpoint(endpoint: str | None) -> str | None:
    """Where the model is when it is not this machine's own resident."""
    return endpoint or os.environ.get(ENDPOINT_VARIABLE) or None


async def small_infill(endpoint: str | None) -> Finding:
    """A real request, with the time it took."""
    what = "A small infill"
    try:
        async with connected(endpoint) as (resident, info):
            started_s = time.perf_counter()
            spans = find_markers(SAMPLE)
            plan = plan_fill(SAMPLE, spans, language_id="python", path=None, info=info)
            candidates = choose(plan, await resident.infill(plan.request))
            took_ms = 1000 * (time.perf_counter() - started_s)
    except (TerminalError, FillError) as error:
        return Finding(what, False, "failed", str(error))
    answer = repr(candidates[0].fills[0].fill) if candidates and candidates[0].fills else "an empty answer"
    where = f"{info.name} ({info.precision} on {info.device})"
    return Finding(what, True, f"{answer} in {took_ms:.0f} ms from {where}")
