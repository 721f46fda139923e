"""A private place for residents, residents with a scripted model that are started as the real one is, and editors:
clients with the recorded capabilities of VS Code and Neovim, which keep their own copy of the document."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from pygls.io_ import run_async
from pytest_lsp.client import make_test_lsp_client

from midfill.lsp_server.resident import resident, starting
from midfill.lsp_server.server import Server
from midfill.model.wire.address import lock_path, resident_directory, resident_socket

sys.path.insert(0, str(Path(__file__).parent))

from editor_client import Editor
from wire_client import Wire

HERE = Path(__file__).parent
SCRIPTED_RESIDENT = HERE.parent / "wire" / "scripted_resident.py"
TOLD_RESIDENT = HERE / "told_resident.py"
MODEL = "embedded"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "resident(*options): what the scripted resident of an `editor` is started with")
    config.addinivalue_line("markers", "real_model: the `editor` has `midfill lsp` itself, with the weights that ship")


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run time and state directories of this test alone (short: a socket's path may have 103 bytes). Whatever resident
    lives there at the end is ended."""
    directory = Path(tempfile.mkdtemp(prefix="mf"))
    for variable, name in (("XDG_RUNTIME_DIR", "run"), ("XDG_STATE_HOME", "state")):
        (directory / name).mkdir()
        monkeypatch.setenv(variable, str(directory / name))
    monkeypatch.delenv(resident.ENDPOINT_VARIABLE, raising=False)
    yield directory
    kill_resident()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def scripted(places: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`scripted("--steps", "9")`: from now on a started resident is a scripted one with these options."""

    def use(*options: str) -> None:
        def command(model: str, keep_alive_s: float) -> list[str]:
            idle_exit = ["--idle-exit-s", str(keep_alive_s)]
            return [sys.executable, str(TOLD_RESIDENT), "--model", model, *idle_exit, *options]

        monkeypatch.setattr(starting, "resident_command", command)

    use()
    return use


def resident_pid() -> int:
    """The process id that the running resident left in its lock."""
    return int(lock_path(MODEL).read_text())


def kill_resident() -> None:
    """SIGKILL, as the out-of-memory killer would, for whatever model it has. Nothing happens if none was started."""
    for lock in resident_directory().glob("*.lock"):
        with suppress(ProcessLookupError, ValueError):
            os.kill(int(lock.read_text()), signal.SIGKILL)


@pytest.fixture(name="kill_resident")
def kill_resident_fixture(places: Path) -> Callable[[], None]:
    return kill_resident


@pytest.fixture(name="resident_pid")
def resident_pid_fixture(places: Path) -> Callable[[], int]:
    return resident_pid


async def metric(name: str, model: str = MODEL) -> float:
    """The sum of one of the resident's counters, over its labels."""
    transport = httpx.AsyncHTTPTransport(uds=str(resident_socket(model)))
    async with httpx.AsyncClient(transport=transport, base_url="http://midfill") as client:
        metrics = (await client.get("/metrics")).text
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{.*\}})? (\S+)", metrics, re.MULTILINE))


@pytest.fixture
def until_running(places: Path) -> Callable[[int], Awaitable[None]]:
    """Wait until the resident says that it runs this many requests."""

    async def num_running() -> float | None:
        try:
            return await metric("midfill_running_requests")
        except httpx.TransportError:  # it is being replaced
            return None

    async def wait(num_requests: int) -> None:
        async with asyncio.timeout(20):
            while await num_running() != num_requests:  # noqa: ASYNC110 - it is another process's state
                await asyncio.sleep(0.01)

    return wait


@pytest.fixture(name="metric")
def metric_fixture(places: Path) -> Callable[..., Awaitable[float]]:
    return metric


@pytest.fixture
def resident_options(places: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`resident_options("--steps", "9")`: what a resident that the server starts from now on is given. Call it before
    the server starts."""

    def use(*options: str) -> None:
        monkeypatch.setenv("SCRIPTED_RESIDENT", json.dumps([sys.executable, str(TOLD_RESIDENT), *options]))

    use()
    return use


@pytest.fixture(params=["vscode", "neovim-0.12"])
async def editor(
    request: pytest.FixtureRequest, places: Path, resident_options: Callable[..., None]
) -> AsyncIterator[Editor]:
    """An editor whose server is running, not yet initialized. At the end it leaves, and the server must have
    taken its leave properly."""
    for options in request.node.iter_markers("resident"):
        resident_options(*options.args)
    client = make_test_lsp_client()
    real = request.node.get_closest_marker("real_model")
    server = ["-P", "-m", "midfill.lsp_server", "lsp"] if real else [str(HERE / "scripted_server.py")]
    await client.start_io(sys.executable, *server, "--stdio")
    workspace = places / "workspace"
    workspace.mkdir()
    yield Editor(client, request.param, workspace)
    if client._server is not None and client._server.returncode is None:
        async with asyncio.timeout(10):
            await client.shutdown_session()
        assert client._server.returncode == 0
    await client.stop()


@pytest.fixture
async def nearby(places: Path) -> AsyncIterator[tuple[Editor, Server]]:
    """A VS Code whose server runs in the test's own process, so that both copies of a document can be compared. Its
    resident is the real one, unless `scripted` is used as well."""
    server, client = Server(), make_test_lsp_client()
    (places / "workspace").mkdir()

    server_end, client_end = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=server_end)
    server.protocol.set_writer(writer)
    serving = asyncio.create_task(run_async(threading.Event(), reader, server.protocol))
    client_reader, client_writer = await asyncio.open_connection(sock=client_end)
    client.protocol.set_writer(client_writer)
    listening = asyncio.create_task(run_async(threading.Event(), client_reader, client.protocol))
    yield Editor(client, "vscode", places / "workspace"), server
    await client.shutdown_async(None)
    for task, end in ((listening, client_writer), (serving, writer)):
        task.cancel()
        end.close()


class Recorded:
    """What was sent to a resident so far, oldest first."""

    def __init__(self, endpoint: str, resident: Path) -> None:
        self.endpoint = endpoint
        self._resident = resident
        self._bytes: list[bytearray] = []

    def requests(self) -> list[dict[str, Any]]:
        decoder, found = json.JSONDecoder(), []
        for sent in self._bytes:
            text = sent.decode("utf-8", "replace")
            at = text.find('{"parts"')
            while at >= 0:
                with suppress(ValueError):  # the rest of it is still on its way
                    found.append(decoder.raw_decode(text, at)[0])
                at = text.find('{"parts"', at + 1)
        return found

    def texts(self) -> list[str]:
        """What each request shows of the document, with `◊` for its holes."""
        return ["".join(part.get("text", "◊") for part in request["parts"]) for request in self.requests()]

    def contexts(self) -> list[dict[str, str]]:
        """The snippets of other documents in each request, by file name."""
        return [
            {Path(snippet["path"]).name: snippet["text"] for snippet in request["context"]}
            for request in self.requests()
        ]

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = bytearray()
        self._bytes.append(sent)
        to, back = await asyncio.open_unix_connection(self._resident)

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, seen: bytearray) -> None:
            with suppress(ConnectionError):
                while data := await source.read(65536):
                    seen += data
                    target.write(data)
                    await target.drain()
            target.close()

        await asyncio.gather(copy(reader, back, sent), copy(to, writer, bytearray()))


@pytest.fixture
async def recorded(places: Path) -> AsyncIterator[Recorded]:
    """A pass-through in front of a scripted resident: what the model was sent is a fact that no answer shows."""
    socket, front = places / "s.sock", places / "r.sock"
    command = [sys.executable, str(SCRIPTED_RESIDENT), "--socket", str(socket), "--step-ms", "1"]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    while b"ready" not in (line := await process.stderr.readline()):
        assert line, "the scripted resident ended before it was ready"
    recorded = Recorded(f"unix:{front}", socket)
    server = await asyncio.start_unix_server(recorded.pass_on, front)
    yield recorded
    server.close()
    process.terminate()
    await process.communicate()


@pytest.fixture
async def wire(places: Path, scripted: Callable[..., None]) -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    await wire.server.close()
