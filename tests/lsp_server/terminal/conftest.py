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
def scripted_resident(socket: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SCRIPTED_RESIDENT), "--socket", str(socket), "--step-ms", "1", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        awaited = {"ready", "Started server process"}  # on a slow machine a while passes between the two
        while awaited:
            line = process.stderr.readline()
            assert line, "the scripted resident ended before it was ready"
            awaited = {words for words in awaited if words not in line}
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """Where the scripted resident listens; it knows two verbs and follows no instructions."""
    with listening("--verbs", "rename,docstring") as address:
        yield address


@pytest.fixture(scope="session")
def following_endpoint() -> Iterator[str]:
    """Where another one listens, which follows instructions and knows no verb."""
    with listening("--instructions") as address:
        yield address


@pytest.fixture
def slow_endpoint() -> Iterator[str]:
    """Where one listens that takes its time, for who wants to break off."""
    with listening("--step-ms", "150", "--steps", "60") as address:
        yield address


@contextmanager
def listening(*options: str) -> Iterator[str]:
    """The address of a resident of its own; a short path, because a socket's may have 103 bytes."""
    directory = Path(tempfile.mkdtemp(prefix="mf"))
    with scripted_resident(directory / "s.sock", *options):
        yield f"unix:{directory / 's.sock'}"
    shutil.rmtree(directory)


@pytest.fixture
def refused() -> Callable[[Ran, int, str], None]:
    """`refused(ran, code, sentence)`: the command failed with one sentence."""
    return _check_refused


def _check_refused(ran: Ran, code: int, sentence: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert sentence in ran.err
    assert ran.err.count("\n") == 1, f"one sentence, not {ran.err!r}"
    assert "Traceback" not in ran.err


@pytest.fixture
def own_resident(private_places: Path) -> Iterator[subprocess.Popen[str]]:
    """A scripted resident at the place where this person's own would be."""
    from midfill.model.wire.address import resident_socket

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
