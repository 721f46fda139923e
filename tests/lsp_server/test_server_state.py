"""6. State that people can see: loading that can be cancelled, the status notification, pauses, files that stay out,
settings pushed and pulled, several folders, counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

TEXT = "x = <fill>\ny = \n"
CURSOR = TEXT.rindex("\n")
ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)
SLOW_LOAD = pytest.mark.resident("--load-s", "60")
WITH_STATUS = {"midfill": {"status": True}}
UntilRunning = Callable[[int], Awaitable[None]]


def listen(editor: Any) -> list[dict[str, Any]]:
    """The statuses that the server sends from now on."""
    statuses: list[dict[str, Any]] = []
    editor.client.feature("midfill/didChangeStatus")(lambda status: statuses.append(plain(status)))
    return statuses


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def ready(editor: Any, text: str = TEXT, name: str = "a.py", **start: Any) -> None:
    await editor.start(**start)
    await editor.until_loaded()
    editor.open(text, name)


async def run(editor: Any, command: str, **argument: Any) -> Any:
    params = types.ExecuteCommandParams(command=command, arguments=[argument])
    return await editor.client.workspace_execute_command_async(params)


def plain(value: Any) -> Any:
    """What pygls makes of the JSON of a method that it does not know, as dictionaries again."""
    if hasattr(value, "_asdict"):
        return {name: plain(one) for name, one in value._asdict().items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


async def check_error(answer: Awaitable[Any], code: int, sentence: str) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(JsonRpcException) as failure:
            await answer
    assert failure.value.code == code
    assert sentence in failure.value.message


@pytest.mark.resident("--load-s", "1", "--steps", "100", "--step-ms", "10")
async def test_6_the_status_goes_from_loading_to_ready_to_busy(editor: Any) -> None:
    editor.experimental = WITH_STATUS
    statuses = listen(editor)
    await ready(editor)
    await until(lambda: bool(statuses) and "is ready on" in statuses[-1]["message"])
    loading = [status for status in statuses if status["message"].startswith("Loading the model")]
    assert all(status["busy"] and status["kind"] == "Normal" for status in loading)
    assert loading
    await editor.command("midfill.fillAllHoles")
    await until(lambda: [status["busy"] for status in statuses[-2:]] == [True, False])
    assert all(set(status) >= {"busy", "message", "kind"} for status in statuses)


@ONE_CLIENT
async def test_6_only_a_client_that_wants_the_status_gets_it(editor: Any) -> None:
    statuses = listen(editor)
    await ready(editor)
    await run(editor, "midfill.pause", scope="global")
    assert statuses == []


@pytest.mark.resident("--fail", "The checkpoint is truncated.")
@ONE_CLIENT
async def test_6_a_failure_is_a_status_with_a_way_out(editor: Any) -> None:
    editor.experimental = WITH_STATUS
    statuses = listen(editor)
    await editor.start()
    await until(lambda: bool(statuses) and statuses[-1]["kind"] == "Error")
    assert "The checkpoint is truncated." in statuses[-1]["message"]
    assert statuses[-1]["command"]["command"] == "midfill.restartResident"


@SLOW_LOAD
async def test_6_loading_can_be_cancelled(editor: Any) -> None:
    editor.experimental = WITH_STATUS
    statuses = listen(editor)
    await editor.start()
    editor.open(TEXT)
    fill = asyncio.ensure_future(editor.command("midfill.fillAllHoles"))
    await until(lambda: any(isinstance(report, types.WorkDoneProgressBegin) for report in editor.reports()))
    (token,) = editor.client.progress_reports
    assert editor.reports()[0].cancellable
    editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token=token))
    await check_error(fill, -32803, "stopped while it was loading")
    await until(lambda: statuses[-1]["kind"] == "Inactive")
    assert isinstance(editor.reports()[-1], types.WorkDoneProgressEnd)
    assert await editor.complete(CURSOR) == []  # typing on does not load it behind a person's back
    assert statuses[-1]["kind"] == "Inactive"


@pytest.mark.parametrize(
    "argument",
    [{"scope": "global"}, {"scope": "language", "language": "python"}, {"scope": "workspace"}, {}],
    ids=["everywhere", "a language", "the workspace", "without arguments"],
)
async def test_6_paused_nothing_is_sent(editor: Any, argument: dict[str, Any], metric: Any) -> None:
    await ready(editor)
    await run(editor, "midfill.pause", **argument)
    assert await editor.complete(CURSOR, invoked=True) == []
    assert await editor.actions(0) == {}
    await check_error(editor.command("midfill.fillAllHoles"), -32803, "run midfill.resume")
    assert await metric("midfill_requests_total") == 0
    await run(editor, "midfill.resume", **argument)
    assert await editor.complete(CURSOR, invoked=True) != []


@ONE_CLIENT
async def test_6_a_pause_of_another_language_or_folder_changes_nothing_here(editor: Any) -> None:
    await ready(editor)
    await run(editor, "midfill.pause", scope="language", language="go")
    paused = await run(editor, "midfill.pause", scope="workspace", folder="file:///elsewhere")
    assert paused == {"global": False, "languages": ["go"], "folders": ["/elsewhere"]}
    assert await editor.complete(CURSOR, invoked=True) != []
    await run(editor, "midfill.resume", scope="global")
    assert (await run(editor, "midfill.status"))["paused"] == {"global": False, "languages": [], "folders": []}


@pytest.mark.resident("--steps", "100000", "--step-ms", "2")
@ONE_CLIENT
async def test_6_pausing_ends_what_runs_unasked(editor: Any, until_running: UntilRunning) -> None:
    await ready(editor)
    answer = asyncio.ensure_future(editor.complete(CURSOR))
    await until_running(1)
    await run(editor, "midfill.pause", scope="global")
    assert await answer == []
    await until_running(0)


@ONE_CLIENT
async def test_6_files_that_git_ignores_are_not_sent(editor: Any, metric: Any) -> None:
    (editor.workspace / ".git").mkdir()
    (editor.workspace / ".gitignore").write_text("generated/\n")
    await ready(editor, name="generated/a.py")
    assert await editor.complete(CURSOR, invoked=True) == []
    await check_error(editor.command("midfill.fillAllHoles"), -32803, "Git ignores this file (generated/ in ")
    document = (await run(editor, "midfill.status", uri=editor.uri))["document"]
    assert document["inline"] == "off"
    assert "generated/" in document["reason"]
    assert await metric("midfill_requests_total") == 0
    editor.client.set_configuration({"respectGitignore": False}, section="midfill")
    editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    async with asyncio.timeout(30):
        while (await run(editor, "midfill.status", uri=editor.uri))["document"]["reason"]:
            pass
    assert await editor.complete(CURSOR, invoked=True) != []


@ONE_CLIENT
async def test_6_disabled_languages_are_not_sent(editor: Any) -> None:
    await ready(editor, options={"disabledLanguages": ["python"]})
    assert await editor.complete(CURSOR, invoked=True) == []
    await check_error(editor.command("midfill.fillAllHoles"), -32803, "one of midfill.disabledLanguages")


@ONE_CLIENT
async def test_6_each_workspace_folder_has_its_settings(editor: Any) -> None:
    folders = [editor.workspace / "open", editor.workspace / "closed"]
    editor.client.set_configuration({"exclude": ["*.py"]}, section="midfill", scope_uri=folders[1].as_uri())
    editor.client.set_configuration({"marker": "???"}, section="midfill", scope_uri=folders[0].as_uri())
    editor.client.set_configuration({"marker": "!!!"}, section="midfill")
    await ready(editor, "x = ???\n", name="closed/a.py")
    added = [types.WorkspaceFolder(uri=folder.as_uri(), name=folder.name) for folder in folders]
    event = types.WorkspaceFoldersChangeEvent(added=added, removed=[])
    editor.client.workspace_did_change_workspace_folders(types.DidChangeWorkspaceFoldersParams(event=event))
    async with asyncio.timeout(30):
        while not (await run(editor, "midfill.status", uri=editor.uri))["document"]["reason"]:
            pass
    editor.open("x = ???\n", name="open/a.py")
    assert "Fill this hole" in await editor.actions(0)


@ONE_CLIENT
async def test_6_a_bad_setting_is_told_once_however_often_it_comes(editor: Any) -> None:
    await ready(editor, options={"keepAlive": "long"})
    for _ in range(3):
        editor.client.set_configuration({"keepAlive": "long"}, section="midfill")
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        await run(editor, "midfill.status")
    editor.client.set_configuration({"keepAlive": "long", "marker": ""}, section="midfill")
    editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
    await until(lambda: len(editor.client.messages) >= 2)
    first, second = (message.message for message in editor.client.messages)
    assert "midfill.keepAlive must be a number of seconds from 1, got 'long'" in first
    assert "midfill.marker" in second
    assert "keepAlive" not in second


@ONE_CLIENT
async def test_6_the_counters_are_kept_over_sessions(editor: Any, places: Path) -> None:
    await ready(editor)
    assert await run(editor, "midfill.accepted", id="unknown") is None
    before = await run(editor, "midfill.stats")
    assert before == {"shown": 0, "accepted": 0, "kept": 0, "since": None, "counting": True}
    (places / "state" / "midfill" / "stats.json").write_text(
        '{"shown": 3, "accepted": 2, "kept": 1, "since": "2026-01-31"}'
    )
    after = await run(editor, "midfill.stats")
    assert after == {"shown": 3, "accepted": 2, "kept": 1, "since": "2026-01-31", "counting": True}


async def test_6_an_accepted_suggestion_is_counted_and_what_stayed_too(editor: Any, places: Path) -> None:
    await ready(editor)
    item = (await editor.complete(CURSOR))[0]
    editor.replace(CURSOR, CURSOR, item.insert_text)
    await editor.client.workspace_execute_command_async(
        types.ExecuteCommandParams(command=item.command.command, arguments=item.command.arguments)
    )
    document = types.TextDocumentIdentifier(uri=editor.uri)
    editor.client.text_document_did_close(types.DidCloseTextDocumentParams(text_document=document))
    counts = await run(editor, "midfill.stats")
    assert (counts["shown"], counts["accepted"], counts["kept"]) == (1, 1, 1)
    written = (places / "state" / "midfill" / "stats.json").read_text()
    assert item.insert_text not in written
    assert "a.py" not in written


@ONE_CLIENT
async def test_6_without_stats_nothing_is_counted(editor: Any, places: Path) -> None:
    await ready(editor, options={"stats": False})
    assert (await editor.complete(CURSOR))[0].command is None
    assert (await run(editor, "midfill.stats"))["shown"] == 0
    assert not (places / "state" / "midfill" / "stats.json").exists()


async def test_6_the_model_can_be_restarted(editor: Any, resident_pid: Callable[[], int]) -> None:
    await ready(editor)
    before = resident_pid()
    status = await run(editor, "midfill.restartResident")
    assert status["model"]["name"] == "embedded"
    assert resident_pid() != before
    assert await editor.complete(CURSOR, invoked=True) != []
    assert editor.client.messages == []


@pytest.mark.parametrize(
    ("command", "argument", "sentence"),
    [
        ("midfill.pause", {"scope": "house"}, "must be global, workspace or language, got 'house'"),
        ("midfill.pause", {"scope": "language"}, "give its identifier as `language`"),
        ("midfill.resume", {"scope": "workspace", "folder": 3}, "must be the URI of a workspace folder"),
        ("midfill.resume", {"scope": "workspace", "folder": "untitled:1"}, "must be the URI of a workspace folder"),
        ("midfill.accepted", {}, "needs `id`, a string"),
        ("midfill.status", {"uri": 3}, "needs `uri`, a string"),
    ],
)
@ONE_CLIENT
async def test_6_wrong_arguments_are_named(editor: Any, command: str, argument: Any, sentence: str) -> None:
    await editor.start()
    await check_error(run(editor, command, **argument), -32602, sentence)
