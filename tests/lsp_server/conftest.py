"""A private place for residents, residents with a scripted model that are started as the real one is, and editors:
clients with the recorded capabilities of VS Code and Neovim, which keep their own copy of the document."""

from __future__ import annotations

import asyncio
import json
import os
import re
import runpy
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from lsprotocol import converters, types
from pygls.io_ import run_async
from pytest_lsp import LanguageClient
from pytest_lsp.client import make_test_lsp_client

from midfill.lsp_server import resident
from midfill.lsp_server.server import Server
from midfill.model.address import lock_path, resident_socket
from midfill.model.api import Infill, InfillRequest, ModelInfo

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

        monkeypatch.setattr(resident, "resident_command", command)

    use()
    return use


def resident_pid() -> int:
    """The process id that the running resident left in its lock."""
    return int(lock_path(MODEL).read_text())


def kill_resident() -> None:
    """SIGKILL, as the out-of-memory killer would. Nothing happens if none was started."""
    try:
        os.kill(resident_pid(), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return


@pytest.fixture(name="kill_resident")
def kill_resident_fixture(places: Path) -> Callable[[], None]:
    return kill_resident


@pytest.fixture(name="resident_pid")
def resident_pid_fixture(places: Path) -> Callable[[], int]:
    return resident_pid


async def metric(name: str) -> float:
    """The sum of one of the resident's counters, over its labels."""
    transport = httpx.AsyncHTTPTransport(uds=str(resident_socket(MODEL)))
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
def metric_fixture(places: Path) -> Callable[[str], Awaitable[float]]:
    return metric


class Editor:
    """A client and its copy of one document, with its own way of counting positions."""

    def __init__(self, client: LanguageClient, recorded: str, workspace: Path) -> None:
        self.client = client
        self.recorded = recorded
        self.workspace = workspace
        self.uri, self.text, self.version, self.encoding = "", "", 0, "utf-16"
        self.edits: list[types.WorkspaceEdit] = []
        self.experimental: dict[str, Any] | None = None  # set it before `start`
        client.feature(types.WORKSPACE_APPLY_EDIT)(lambda params: self.on_apply_edit(params))
        client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda params: None)

    async def start(self, options: dict[str, Any] | None = None) -> types.InitializeResult:
        text = (HERE / "clients" / f"{self.recorded}.json").read_text().replace("{workspace}", str(self.workspace))
        params = converters.get_converter().structure(json.loads(text), types.InitializeParams)
        params.initialization_options = options
        params.capabilities.experimental = self.experimental
        result = await self.client.initialize_session(params)
        self.encoding = result.capabilities.position_encoding or "utf-16"
        return result

    async def until_loaded(self) -> None:
        """Wait until the model's progress display ended."""
        async with asyncio.timeout(30):
            while not any(isinstance(report, types.WorkDoneProgressEnd) for report in self.reports()):
                await self.client.wait_for_notification(types.PROGRESS)

    async def until_ready(self) -> None:
        """Wait until the model can be asked, also where it was there before."""
        params = types.ExecuteCommandParams(command="midfill.status", arguments=[])
        async with asyncio.timeout(30):
            while not (await self.client.workspace_execute_command_async(params))["model"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so():  # noqa: ASYNC110 - it is another process's state
                await asyncio.sleep(0.02)

    def reports(self) -> list[Any]:
        return [report for reports in self.client.progress_reports.values() for report in reports]

    def open(self, text: str, name: str = "a.py", language_id: str = "python") -> None:
        self.uri, self.text, self.version = (self.workspace / name).as_uri(), text, 1
        document = types.TextDocumentItem(uri=self.uri, language_id=language_id, version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))

    def replace(self, start: int, end: int, replacement: str) -> None:
        """Type: change the copy and tell the server, in one range."""
        change = types.TextDocumentContentChangePartial(range=self.range_of(start, end), text=replacement)
        self.text = self.text[:start] + replacement + self.text[end:]
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(text_document=document, content_changes=[change])
        )

    async def complete(
        self, offset: int, invoked: bool = False, selected: types.SelectedCompletionInfo | None = None
    ) -> list[types.InlineCompletionItem]:
        kind = types.InlineCompletionTriggerKind.Invoked if invoked else types.InlineCompletionTriggerKind.Automatic
        params = types.InlineCompletionParams(
            text_document=types.TextDocumentIdentifier(uri=self.uri),
            position=self.position_of(offset),
            context=types.InlineCompletionContext(trigger_kind=kind, selected_completion_info=selected),
        )
        answer = await self.client.text_document_inline_completion_async(params)
        assert isinstance(answer, list)
        return answer

    def accept(self, item: types.InlineCompletionItem) -> int:
        """Put an item into the document as an editor does; the cursor is then behind it."""
        start, end = self.offset_of(item.range.start), self.offset_of(item.range.end)
        text = item.insert_text.replace("\n", "\r\n") if "\r\n" in self.text else item.insert_text
        self.replace(start, end, text)
        return start + len(text)

    async def actions(
        self,
        start: int,
        end: int | None = None,
        only: list[str] | None = None,
        diagnostics: Sequence[types.Diagnostic] = (),
    ) -> dict[str, Any]:
        """The code actions at a range, by title."""
        context = types.CodeActionContext(diagnostics=[*diagnostics], only=only)
        params = types.CodeActionParams(
            text_document=types.TextDocumentIdentifier(uri=self.uri),
            range=self.range_of(start, start if end is None else end),
            context=context,
        )
        return {action.title: action for action in await self.client.text_document_code_action_async(params) or []}

    async def command(self, name: str, **argument: Any) -> Any:
        params = types.ExecuteCommandParams(command=name, arguments=[{"uri": self.uri, **argument}])
        return await self.client.workspace_execute_command_async(params)

    def on_apply_edit(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        self.apply(params.edit)
        return types.ApplyWorkspaceEditResult(applied=True)

    def apply(self, edit: types.WorkspaceEdit) -> None:
        """Apply an edit of this document to the copy; it must be for its present version."""
        self.edits.append(edit)
        if edit.document_changes:
            (change,) = edit.document_changes
            assert isinstance(change, types.TextDocumentEdit)
            assert (change.text_document.uri, change.text_document.version) == (self.uri, self.version)
            edits = list(change.edits)
        else:
            edits = list((edit.changes or {})[self.uri])
        for one in sorted(edits, key=lambda one: self.offset_of(one.range.start), reverse=True):
            start, end = self.offset_of(one.range.start), self.offset_of(one.range.end)
            self.text = self.text[:start] + one.new_text + self.text[end:]

    def report_last_edit(self, before: str) -> None:
        """Tell the server of an edit that it made itself, as an editor does after applying it."""
        after, self.text = self.text, before
        self.replace(0, len(before), after)

    def range_of(self, start: int, end: int) -> types.Range:
        return types.Range(start=self.position_of(start), end=self.position_of(end))

    def position_of(self, offset: int) -> types.Position:
        lines = re.split(r"\r\n|\r|\n", self.text[:offset])
        return types.Position(line=len(lines) - 1, character=self._num_units(lines[-1]))

    def offset_of(self, position: types.Position) -> int:
        ends = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text))]
        offset, units = ends[position.line], position.character
        while units > 0:
            units -= self._num_units(self.text[offset])
            offset += 1
        return offset

    def _num_units(self, text: str) -> int:
        width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[self.encoding]
        return len(text.encode({1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}[width])) // width


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


class AtOnce(resident.Resident):
    """The scripted model in this process: what takes time is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.model = runpy.run_path(str(SCRIPTED_RESIDENT))["ScriptedModel"](step_s=0, num_steps=1)

    @property
    def info_if_ready(self) -> ModelInfo:
        return self.model.info  # type: ignore[no-any-return]

    async def connect(self) -> ModelInfo:
        return self.info_if_ready

    async def infill(self, request: InfillRequest) -> Infill:
        await asyncio.sleep(0)
        *_, infill = self.model.infill(request, time.monotonic())
        assert isinstance(infill, Infill)
        return infill


class Wire:
    """A server in this process, without pipes between: JSON in, JSON out; for what an editor would never send."""

    uri = "file:///a.py"

    def __init__(self) -> None:
        self.server = Server()
        self.server.attach(self, with_headers=False)
        self.sent: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        message = json.loads(data)
        self.sent.append(message)
        if message.get("method") == types.WORKSPACE_APPLY_EDIT:  # an editor would apply it
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"applied": True}}
            asyncio.get_running_loop().call_soon(self.server.receive, json.dumps(answer).encode())

    def fill_at_once(self) -> None:
        """From now on the scripted model answers in this process."""
        self.server.session.resident = AtOnce()

    def notify(self, method: str, params: Any = None) -> None:
        self.server.receive(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())

    def ask(self, id_: Any, method: str, params: Any = None) -> None:
        self.server.receive(json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}).encode())

    async def answers(self, num: int) -> dict[Any, Any]:
        """Wait for so many answers; each by its id: the result or the error's code."""
        async with asyncio.timeout(120):
            while len(self._answers()) < num:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)  # a second answer to the same request would come now
        answers = self._answers()
        assert len({answer["id"] for answer in answers}) == len(answers) == num
        return {
            answer["id"]: answer["error"]["code"] if "error" in answer else answer.get("result") for answer in answers
        }

    def _answers(self) -> list[dict[str, Any]]:
        return [message for message in self.sent if "method" not in message]

    async def start(self) -> None:
        self.ask("init", types.INITIALIZE, {"capabilities": {}, "processId": None, "rootUri": None})
        await self.answers(1)
        self.sent.clear()

    def open(self, text: str) -> None:
        document = {"uri": self.uri, "languageId": "python", "version": 0, "text": text}
        self.notify(types.TEXT_DOCUMENT_DID_OPEN, {"textDocument": document})

    def complete(self, id_: Any, line: int, character: int, kind: int = 2) -> None:
        params = {"textDocument": {"uri": self.uri}, "position": {"line": line, "character": character}}
        self.ask(id_, types.TEXT_DOCUMENT_INLINE_COMPLETION, {**params, "context": {"triggerKind": kind}})


@pytest.fixture
async def wire(places: Path, scripted: Callable[..., None]) -> AsyncIterator[Wire]:
    wire = Wire()
    yield wire
    await wire.server.close()
