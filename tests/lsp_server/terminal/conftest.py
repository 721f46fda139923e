"""`midfill` as a person runs it, and one scripted resident (real app, known fills) for all tests of the commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from midfill.lsp_server.cli import main

SCRIPTED_RESIDENT = Path(__file__).parents[2] / "wire" / "scripted_resident.py"


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def midfill(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """`midfill("fill", path)`: exit code, stdout and stderr; not at a terminal."""
    monkeypatch.delenv("MIDFILL_ENDPOINT", raising=False)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@contextmanager
def scripted_resident(socket: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SCRIPTED_RESIDENT), "--socket", str(socket), "--step-ms", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        assert any("ready" in line for line in process.stderr), "the scripted resident ended before it was ready"
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Where the scripted resident listens; a short path, because a socket's may have 103 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="mf"))
    with scripted_resident(directory / "s.sock"):
        yield f"unix:{directory / 's.sock'}"
    shutil.rmtree(directory)


@pytest.fixture
def own_resident(private_places: Path) -> Iterator[subprocess.Popen[str]]:
    """A scripted resident at the place where this person's own would be."""
    from midfill.model.address import resident_socket

    with scripted_resident(resident_socket("embedded")) as process:
        yield process


@pytest.fixture
def private_places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Sockets, locks and logs of this test alone."""
    directory = Path(tempfile.mkdtemp(prefix="mf"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    monkeypatch.setenv("XDG_STATE_HOME", str(directory))
    yield directory
    shutil.rmtree(directory)
