"""7. Protocol hygiene: every request has exactly one answer, whenever and however it comes, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

INITIALIZE = {"capabilities": {}, "processId": None, "rootUri": None}
URI = "file:///a.py"
INVOKED, AUTOMATIC = 1, 2
NUM_LINES, NUM_CHANGES, NUM_COMPLETIONS = 20, 50_000, 5_000


STATUS = {"command": "midfill.status"}


async def test_7_requests_before_initialize_are_refused_and_notifications_dropped(wire: Any) -> None:
    wire.open("x")
    wire.ask(1, types.WORKSPACE_EXECUTE_COMMAND, STATUS)
    wire.ask(2, types.SHUTDOWN)
    wire.ask(3, "no/such")
    assert await wire.answers(3) == {1: -32002, 2: -32002, 3: -32002}
    assert URI not in wire.server.session.documents
    wire.sent.clear()
    await wire.start()


async def test_7_requests_before_initialized_are_answered(wire: Any) -> None:
    await wire.start()
    wire.open("x = <fill>\n")
    wire.ask(1, types.WORKSPACE_EXECUTE_COMMAND, STATUS)
    wire.complete(2, 0, 0, kind=INVOKED)
    answers = await wire.answers(2)
    assert answers[1]["kind"] == "Inactive"
    assert answers[2] == []


async def test_7_initialize_comes_once(wire: Any) -> None:
    await wire.start()
    wire.ask(1, types.INITIALIZE, INITIALIZE)
    assert await wire.answers(1) == {1: -32600}


async def test_7_requests_after_shutdown_are_refused(wire: Any) -> None:
    await wire.start()
    wire.ask(1, types.SHUTDOWN)
    wire.ask(2, types.WORKSPACE_EXECUTE_COMMAND, STATUS)
    wire.ask(3, types.SHUTDOWN)
    assert await wire.answers(3) == {1: None, 2: -32600, 3: -32600}
    wire.notify(types.EXIT)
    assert wire.server.left.is_set()


@pytest.mark.parametrize(
    ("body", "id_", "code"),
    [
        (b"{", None, -32700),
        (b"\xff\xfe", None, -32700),
        (b"[" * 100_000, None, -32700),
        (b"[]", None, -32600),
        (b"3", None, -32600),
        (b'{"id": 7, "method": "shutdown"}', 7, -32600),
        (b'{"jsonrpc": "2.0"}', None, -32600),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": 3}', 7, -32602),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand"}', 7, -32602),
        (
            b'{"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": '
            b'{"command": "midfill.pause", "arguments": [[]]}}',
            7,
            -32602,
        ),
        (
            b'{"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": '
            b'{"command": "midfill.stats", "arguments": [{}, {}]}}',
            7,
            -32602,
        ),
        (
            b'{"jsonrpc": "2.0", "id": 7, "method": "workspace/executeCommand", "params": '
            b'{"command": "no.such", "arguments": [{"jsonrpc": "2.0", "id": 8, "method": "shutdown"}]}}',
            7,
            -32602,
        ),
    ],
)
async def test_7_what_is_no_message_has_one_answer(wire: Any, body: bytes, id_: Any, code: int) -> None:
    await wire.start()
    wire.server.receive(body)
    assert await wire.answers(1) == {id_: code}
    wire.ask("after", types.WORKSPACE_EXECUTE_COMMAND, STATUS)
    assert "after" in await wire.answers(2)


@pytest.mark.parametrize(
    "body",
    [
        b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {"id": "unknown"}}',
        b'{"jsonrpc": "2.0", "method": "$/cancelRequest", "params": {}}',
        b'{"jsonrpc": "2.0", "method": "no/such", "params": {"a": 1}}',
        b'{"jsonrpc": "2.0", "method": "textDocument/didChange", "params": {"textDocument": 3}}',
        b'{"jsonrpc": "2.0", "id": "unknown", "result": 3}',
        b'{"jsonrpc": "2.0", "id": "unknown", "error": {"code": 1, "message": "no"}}',
    ],
)
async def test_7_what_is_no_request_has_no_answer(wire: Any, body: bytes) -> None:
    await wire.start()
    wire.server.receive(body)
    wire.ask("after", types.WORKSPACE_EXECUTE_COMMAND, STATUS)
    assert list(await wire.answers(1)) == ["after"]


@pytest.mark.parametrize(("encoding", "character"), [("utf-8", 18), ("utf-16", 15), ("utf-32", 14)])
async def test_7_every_edit_has_its_version_and_counts_in_the_clients_units(
    wire: Any, encoding: str, character: int
) -> None:
    workspace = {"applyEdit": True, "workspaceEdit": {"documentChanges": True}}
    capabilities = {"general": {"positionEncodings": [encoding]}, "workspace": workspace}
    wire.ask("init", types.INITIALIZE, {**INITIALIZE, "capabilities": capabilities})
    await wire.answers(1)
    wire.fill_at_once()
    wire.open("# first\r\ns = '𝒳é'; x = <fill>\r\n")
    await wire.server.session.resident.connect()
    place = {"start": {"line": 1, "character": character}, "end": {"line": 1, "character": character + len("<fill>")}}
    argument = {"uri": URI, "position": place["start"]}
    wire.ask(1, types.WORKSPACE_EXECUTE_COMMAND, {"command": "midfill.fillHole", "arguments": [argument]})
    await wire.answers(2)
    (asked,) = (message for message in wire.sent if message.get("method") == types.WORKSPACE_APPLY_EDIT)
    (change,) = asked["params"]["edit"]["documentChanges"]
    assert change["textDocument"] == {"uri": URI, "version": 0}
    assert [(edit["range"], edit["newText"]) for edit in change["edits"]] == [(place, "filled_1")]


async def test_7_a_hundred_requests_in_flight_have_a_hundred_answers(wire: Any, scripted: Callable[..., None]) -> None:
    scripted("--steps", "2", "--step-ms", "5")
    await wire.start()
    wire.open("x = <fill>\n" * 8)
    await wire.server.session.resident.connect()
    for number in range(100):
        match number % 4:
            case 0:
                wire.complete(number, number % 8, 4, kind=1 + number % 8 // 4)
            case 1:
                argument = {"uri": URI, "position": {"line": number % 8, "character": 5}}
                params = {"command": "midfill.fillHole", "arguments": [argument]}
                wire.ask(number, types.WORKSPACE_EXECUTE_COMMAND, params)
            case 2:
                wire.ask(number, types.WORKSPACE_EXECUTE_COMMAND, STATUS)
            case 3:
                wire.ask(number, "no/such")
    for number in range(0, 100, 5):
        wire.notify(types.CANCEL_REQUEST, {"id": number})
    answers = await wire.answers(100)
    assert set(answers) == set(range(100))
    assert all(answers[number] == -32601 for number in range(3, 100, 4))
    assert all(answers[number]["kind"] == "Normal" for number in range(2, 100, 4) if number % 5)
    assert wire.server.protocol._request_futures == {}


NOTIFICATIONS: list[tuple[str, Any]] = [
    (types.SET_TRACE, {"value": "off"}),
    (types.WINDOW_WORK_DONE_PROGRESS_CANCEL, {"token": "gone"}),
    (types.WORKSPACE_DID_CHANGE_CONFIGURATION, {"settings": None}),
    (types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, {"event": {"added": [], "removed": []}}),
    (types.CANCEL_REQUEST, {"id": 1}),
    ("no/such", None),
]


@pytest.mark.parametrize(("method", "params"), NOTIFICATIONS, ids=[method for method, _ in NOTIFICATIONS])
async def test_7_a_notification_leaves_nothing_behind(wire: Any, method: str, params: Any) -> None:
    await wire.start()
    for _ in range(20):
        wire.notify(method, params)
    await asyncio.sleep(0.01)
    assert wire.server.protocol._request_futures == {}
    assert wire.server.protocol._result_types == {}
    assert wire.server.protocol.progress.tokens == {}
    assert wire.sent == []


def resident_set_bytes() -> int:
    """What this process occupies in memory; where the system does not say, the most it ever did."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def test_7_nothing_grows_over_a_long_session(wire: Any) -> None:
    """50,000 changes and 5,000 completions, as fast as they go; after a warm-up memory grows by less than 20 MB, and
    no task is left over."""
    wire.fill_at_once()
    await wire.start()
    wire.open("value = 1\n" * NUM_LINES)
    num_tasks = len(asyncio.all_tasks())
    before = 0
    for number in range(NUM_CHANGES):
        turn, line = divmod(number, NUM_LINES)
        is_typed = turn % 2 == 0  # a digit at the end of the line comes, and goes in the next turn
        end = {"line": line, "character": 9 if is_typed else 10}
        change = {"range": {"start": {"line": line, "character": 9}, "end": end}, "text": "2" if is_typed else ""}
        document = {"uri": URI, "version": number + 1}
        wire.notify(types.TEXT_DOCUMENT_DID_CHANGE, {"textDocument": document, "contentChanges": [change]})
        if number % (NUM_CHANGES // NUM_COMPLETIONS) == 0:
            wire.sent.clear()
            wire.complete(number, line, 10 if is_typed else 9, kind=INVOKED)
            async with asyncio.timeout(60):
                while not wire.sent:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            assert wire.sent[0]["result"], number
        if number == NUM_CHANGES // 10:
            gc.collect()
            before = resident_set_bytes()
    wire.server.session.forget(URI)
    async with asyncio.timeout(60):
        while len(asyncio.all_tasks()) > num_tasks:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    gc.collect()
    assert resident_set_bytes() - before < 20 * 2**20
    assert wire.server.protocol._request_futures == {}
    assert wire.server.session._inline == {}
