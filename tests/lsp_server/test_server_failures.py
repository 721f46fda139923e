"""Cancelling, typing on, dying residents, excluded files, wrong settings and malformed messages: nothing is lost, and
every request has exactly one answer."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

TEXT = "x = <fill>\ny = \n"
CURSOR = TEXT.rindex("\n")
ENDLESS = pytest.mark.resident("--steps", "100000", "--step-ms", "2")
ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)

UntilRunning = Callable[[int], Awaitable[None]]


async def ready(editor: Any, text: str = TEXT, name: str = "a.py", options: dict[str, Any] | None = None) -> None:
    await editor.start(options)
    await editor.until_loaded()
    editor.open(text, name)


async def check_error(work: Awaitable[Any], code: int, sentence: str) -> None:
    with pytest.raises(JsonRpcException) as failed:
        await work
    assert (failed.value.code, failed.value.data) == (code, None)
    assert sentence in failed.value.message
    assert "Traceback" not in failed.value.message


def ask(editor: Any, kind: str) -> asyncio.Future[Any]:
    """A request that a person can cancel; its id is its kind."""
    uri = {"uri": editor.uri}
    method, params = {
        "inline": (
            types.TEXT_DOCUMENT_INLINE_COMPLETION,
            types.InlineCompletionParams(
                text_document=types.TextDocumentIdentifier(**uri),
                position=editor.position_of(CURSOR),
                context=types.InlineCompletionContext(trigger_kind=types.InlineCompletionTriggerKind.Automatic),
            ),
        ),
        "resolve": (types.CODE_ACTION_RESOLVE, types.CodeAction(title="Fill", data={**uri, "version": editor.version})),
        "command": (
            types.WORKSPACE_EXECUTE_COMMAND,
            types.ExecuteCommandParams(command="midfill.fillAllHoles", arguments=[uri]),
        ),
    }[kind]
    return asyncio.ensure_future(editor.client.protocol.send_request_async(method, params, msg_id=kind))


@ENDLESS
@pytest.mark.parametrize("kind", ["inline", "resolve", "command"])
async def test_cancelling_stops_the_model(editor: Any, until_running: UntilRunning, kind: str) -> None:
    await ready(editor)
    answer = ask(editor, kind)
    await until_running(1)
    editor.client.cancel_request(types.CancelParams(id=kind))
    await check_error(answer, -32800, "")
    await until_running(0)
    assert editor.edits == []


@ENDLESS
async def test_a_superseded_request_is_answered_with_nothing(editor: Any, until_running: UntilRunning) -> None:
    await ready(editor)
    first = asyncio.ensure_future(editor.complete(CURSOR))
    await until_running(1)
    second = ask(editor, "inline")
    assert await first == []
    editor.replace(CURSOR, CURSOR, "z")  # typing on: nobody wants the second any more
    assert await second == []
    await until_running(0)


@ENDLESS
async def test_a_killed_resident_is_told_once_and_replaced(
    editor: Any, until_running: UntilRunning, resident_pid: Callable[[], int]
) -> None:
    await ready(editor)
    killed = resident_pid()
    inline, command = asyncio.ensure_future(editor.complete(CURSOR)), ask(editor, "command")
    await until_running(2)
    os.kill(killed, signal.SIGKILL)
    assert await inline == []
    await check_error(command, -32803, "The model stopped while it was answering; it is started again")
    editor.replace(CURSOR, CURSOR, "1")  # typing goes on
    again = ask(editor, "command")
    await until_running(1)
    assert resident_pid() != killed
    editor.client.cancel_request(types.CancelParams(id="command"))
    await check_error(again, -32800, "")
    assert [message.type for message in editor.client.messages] == [types.MessageType.Warning]


@ENDLESS
@ONE_CLIENT
async def test_leaving_ends_what_runs(editor: Any, until_running: UntilRunning) -> None:
    await ready(editor)
    inline, command = ask(editor, "inline"), ask(editor, "command")
    await until_running(2)
    await editor.client.shutdown_session()
    await check_error(inline, -32800, "")
    await check_error(command, -32800, "")
    await until_running(0)


async def test_a_stale_action_gives_no_edit(editor: Any) -> None:
    await ready(editor)
    action = (await editor.actions(0))["Fill this hole"]
    editor.replace(0, 0, "\n")
    await check_error(editor.client.code_action_resolve_async(action), -32801, "The document changed meanwhile")


@pytest.mark.resident("--steps", "40", "--step-ms", "20")
async def test_a_change_during_a_fill_gives_no_edit(editor: Any, until_running: UntilRunning) -> None:
    await ready(editor)
    answer = ask(editor, "command")
    await until_running(1)
    editor.replace(0, 0, "\n")
    await check_error(answer, -32801, "The document changed meanwhile")
    assert editor.edits == []


@pytest.mark.parametrize("name", [".env.local", "deploy.pem", "conf/Secrets.py"])
@ONE_CLIENT
async def test_excluded_files_are_not_sent(editor: Any, name: str, metric: Callable[[str], Awaitable[float]]) -> None:
    await ready(editor, name=name)
    assert await editor.complete(CURSOR, invoked=True) == []
    assert await editor.actions(0) == {}
    await check_error(editor.command("midfill.fillAllHoles"), -32803, "midfill.exclude, so nothing of it was sent")
    assert await metric("midfill_requests_total") == 0


@ONE_CLIENT
async def test_settings_are_taken_over(editor: Any) -> None:
    await ready(editor, "x = ???\n", options={"marker": "???"})
    assert "Fill this hole" in await editor.actions(0)
    assert await editor.complete(7) != []
    editor.client.set_configuration({"exclude": ["*.py"], "inline": False}, section="midfill")
    editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    async with asyncio.timeout(10):
        while await editor.actions(0):
            pass
    editor.open("y = \n", "b.pyi")
    assert await editor.complete(4) == []
    assert await editor.complete(4, invoked=True) != []


@ONE_CLIENT
async def test_wrong_settings_are_named_once(editor: Any) -> None:
    await ready(editor, options={"marker": "", "exclude": "*.py", "keepAlive": "long", "someoneElses": 1})
    assert "Fill this hole" in await editor.actions(0)
    (message,) = editor.client.messages
    assert message.type is types.MessageType.Warning
    assert all(f"midfill.{name} must be" in message.message for name in ("marker", "exclude", "keepAlive"))


@pytest.mark.resident("--fail", "The checkpoint is truncated.")
@ONE_CLIENT
async def test_a_model_that_does_not_load_is_told_once(editor: Any) -> None:
    await editor.start()
    editor.open(TEXT)
    for _ in range(2):
        await check_error(editor.command("midfill.fillAllHoles"), -32803, "The checkpoint is truncated.")
        assert await editor.complete(CURSOR) == []
    assert [message.type for message in editor.client.messages] == [types.MessageType.Error]


@pytest.mark.parametrize(
    ("method", "params", "code", "sentence"),
    [
        ("textDocument/inlineCompletion", {"position": 3}, -32602, "The parameters of textDocument/inlineCompletion"),
        ("workspace/executeCommand", {"command": "rm"}, -32602, "There is no command 'rm' here"),
        ("workspace/executeCommand", {"command": "midfill.fillHole"}, -32602, "needs an object"),
        ("codeAction/resolve", {"title": "Fill", "data": {"uri": "file:///no.py"}}, -32803, "is not open"),
        ("no/such", {}, -32601, "no/such"),
    ],
)
@ONE_CLIENT
async def test_malformed_requests_have_one_answer(
    editor: Any, method: str, params: Any, code: int, sentence: str
) -> None:
    await ready(editor)
    protocol = editor.client.protocol
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    protocol._request_futures["bad"] = answer
    protocol._send_data({"jsonrpc": "2.0", "id": "bad", "method": method, "params": params})
    await check_error(answer, code, sentence)
    assert await editor.actions(0) != {}  # and the server goes on


@ONE_CLIENT
async def test_more_holes_than_the_model_takes_are_filled_in_groups(editor: Any) -> None:
    await ready(editor, "x = <fill>\n" * 17)
    await editor.command("midfill.fillAllHoles")
    assert "<fill>" not in editor.text
    assert editor.text.count("x = filled_") == 17


@ONE_CLIENT
async def test_the_log_never_has_the_documents_text(
    editor: Any, capfd: pytest.CaptureFixture[str], places: Path
) -> None:
    await ready(editor, "password_of_mine = <fill>\n")
    editor.uri = "file:///elsewhere.py"
    editor.replace(0, 0, "password_of_mine")  # a change to a document that is not open
    await check_error(editor.command("midfill.fillAllHoles"), -32803, "is not open")
    assert "did_change failed" in capfd.readouterr().err
    for log in places.rglob("*.log"):  # noqa: ASYNC240
        assert "password" not in log.read_text()
