"""Fill, as the two recorded editors get it: every scope as an action and as a command, review hole by hole, fallbacks.

The names say which requirement a test is for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)
TEXT = """def area(r):
    a = <fill>
    return <fill>


def half(x):
    # TODO: halve x


y = <fill>
"""
FILLED = TEXT.replace("<fill>", "filled_1", 1).replace("<fill>", "filled_2", 1).replace("<fill>", "filled_3", 1)
FUNCTION_FILLED = TEXT.replace("<fill>", "filled_1", 1).replace("<fill>", "filled_2", 1)
BODY_FILLED = TEXT.replace("halve x\n", "halve x\n    filled_1\n")
SELECTION_FILLED = TEXT.replace("return <fill>", "filled_1")
LINE_3 = {"start": {"line": 2, "character": 4}, "end": {"line": 3, "character": 0}}
SELECTED = (TEXT.index("return"), TEXT.index("return") + len("return <fill>\n"))


@pytest.mark.parametrize(
    ("start", "end", "titles"),
    [
        (TEXT.index("a ="), None, ["Fill this hole", "Fill the 2 holes of this function", "Fill all 3 holes"]),
        (TEXT.index("half"), None, ["Fill this empty body", "Fill all 3 holes"]),
        (TEXT.index("y ="), None, ["Fill this hole", "Fill all 3 holes"]),
        (*SELECTED, ["Fill this hole", "Fill the selection", "Fill the 2 holes of this function", "Fill all 3 holes"]),
    ],
)
@ONE_CLIENT
async def test_actions_for_the_hole_the_selection_the_body_the_function_and_the_file(
    editor: Any, start: int, end: int | None, titles: list[str]
) -> None:
    await editor.start()
    editor.open(TEXT)
    actions = await editor.actions(start, end)
    assert list(actions) == titles
    assert all(list(action.tags) == [types.CodeActionTag.LlmGenerated] for action in actions.values())
    assert all(action.kind == "refactor.rewrite" and action.edit is None for action in actions.values())


async def test_every_action_resolves_to_its_edit(editor: Any) -> None:
    await editor.start()
    for number, (place, title, expected) in enumerate(
        [
            ((TEXT.index("half"), None), "Fill this empty body", BODY_FILLED),
            (SELECTED, "Fill the selection", SELECTION_FILLED),
            ((TEXT.index("area"), None), "Fill the 2 holes of this function", FUNCTION_FILLED),
            ((0, None), "Fill all 3 holes", FILLED),
        ]
    ):
        editor.open(TEXT, f"{number}.py")
        action = (await editor.actions(*place))[title]
        editor.apply((await editor.client.code_action_resolve_async(action)).edit)
        assert editor.text == expected


async def test_every_fill_command_applies_its_edit(editor: Any) -> None:
    await editor.start()
    for number, (name, place, expected) in enumerate(
        [
            ("fillHole", {"position": {"line": 6, "character": 0}}, BODY_FILLED),
            ("fillSelection", {"range": LINE_3}, SELECTION_FILLED),
            ("fillFunction", {"position": {"line": 0, "character": 0}}, FUNCTION_FILLED),
            ("fillAllHoles", {}, FILLED),
        ]
    ):
        editor.open(TEXT, f"{number}.py")
        assert await editor.command(f"midfill.{name}", version=1, **place) is None
        assert editor.text == expected


async def test_a_file_without_markers_has_its_empty_bodies_filled_jointly(editor: Any) -> None:
    await editor.start()
    editor.open("def f(): ...\n\n\ndef g():\n    pass\n")
    action = (await editor.actions(0))["Fill all 2 empty bodies"]
    editor.apply((await editor.client.code_action_resolve_async(action)).edit)
    assert editor.text == "def f():\n    filled_1\n\n\ndef g():\n    filled_2\n"


async def test_several_holes_are_confirmed_one_by_one_where_the_client_can(editor: Any) -> None:
    await editor.start()
    editor.open("x = <fill>\nf(<fill>, <fill>)\ndef g():\n    <fill>  # expect: a = 1\\n    return a\n")
    await editor.command("midfill.fillAllHoles", version=1)
    (edit,) = editor.edits
    if editor.recorded == "neovim-0.12":  # recorded without versioned edits, so it is asked nothing
        assert (edit.document_changes, edit.change_annotations) == (None, None)
        return
    assert all(annotation.needs_confirmation for annotation in edit.change_annotations.values())
    assert [edit.change_annotations[one.annotation_id].label for one in edit.document_changes[0].edits] == [
        "line 1: x = filled_1",
        "line 2: f(filled_2, filled_3)",
        "line 2, hole 2: f(filled_2, filled_3)",
        "line 4: a = 1 (and 1 more line)",
    ]


@ONE_CLIENT
async def test_a_single_hole_is_applied_directly(editor: Any) -> None:
    await editor.start()
    editor.open("x = <fill>\n")
    await editor.command("midfill.fillAllHoles", version=1)
    assert editor.edits[0].change_annotations is None
    assert not hasattr(editor.edits[0].document_changes[0].edits[0], "annotation_id")


@pytest.mark.parametrize(("text", "is_error"), [("x = <fill>\ny = <fill>\n", False), ("x = <fill>\n", True)])
@ONE_CLIENT
async def test_declining_a_review_is_no_error_but_an_edit_that_was_lost_is(
    editor: Any, text: str, is_error: bool
) -> None:
    await editor.start()
    editor.open(text)
    editor.on_apply_edit = lambda params: types.ApplyWorkspaceEditResult(applied=False)
    if is_error:
        with pytest.raises(JsonRpcException, match="The editor did not apply the edit"):
            await editor.command("midfill.fillAllHoles")
    else:
        assert await editor.command("midfill.fillAllHoles") is None
    assert editor.text == text


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, FILLED),
        ({"scope": "file"}, FILLED),
        ({"scope": "function", "position": {"line": 1, "character": 0}}, FUNCTION_FILLED),
        ({"position": {"line": 5, "character": 0}}, BODY_FILLED),
        ({"range": {"start": {"line": 2, "character": 4}, "end": {"line": 2, "character": 17}}}, SELECTION_FILLED),
    ],
)
@ONE_CLIENT
async def test_propose_fill_returns_the_holes_and_applies_nothing(
    editor: Any, where: dict[str, Any], expected: str
) -> None:
    await editor.start()
    editor.open(TEXT)
    answer = await editor.command("midfill.proposeFill", version=1, **where)
    assert (answer["uri"], answer["version"]) == (editor.uri, 1)
    assert [hole["id"] for hole in answer["holes"]] == [str(number) for number in range(1, len(answer["holes"]) + 1)]
    assert all(0 <= hole["confidence"] <= 1 for hole in answer["holes"])
    text = TEXT
    for hole in reversed(answer["holes"]):
        start, end = (editor.offset_of(types.Position(**hole["range"][name])) for name in ("start", "end"))
        text = text[:start] + hole["newText"] + text[end:]
    assert text == expected
    assert (editor.text, editor.edits) == (TEXT, [])


@ONE_CLIENT
async def test_complete_inline_is_reachable_as_a_command(editor: Any) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open("total = \n")
    items = await editor.command("midfill.completeInline", position={"line": 0, "character": 8})
    asked = await editor.complete(8, invoked=True)
    assert [item["insertText"] for item in items] == [item.insert_text for item in asked]
    assert items[0]["insertText"] == "filled_1"
    assert items[0]["range"]["start"] == {"line": 0, "character": 8}
    editor.replace(0, 8, "# word ")
    assert await editor.command("midfill.completeInline", position={"line": 0, "character": 7}, triggerKind=2) == []


@pytest.mark.parametrize("is_on", [True, False])
async def test_completion_items_are_a_fallback_that_is_set(editor: Any, is_on: bool) -> None:
    await editor.start({"completionItems": is_on})
    await editor.until_loaded()
    editor.open("é = 1\nresult = tot\n")
    cursor = editor.text.rindex("\n")
    params = types.CompletionParams(types.TextDocumentIdentifier(uri=editor.uri), editor.position_of(cursor))
    answer = await editor.client.text_document_completion_async(params)
    if not is_on:
        assert list(answer.items) == []
        return
    item = answer.items[0]
    assert answer.is_incomplete
    assert item.text_edit.new_text == item.filter_text == "totfilled_1"
    assert item.text_edit.range == editor.range_of(cursor - 3, cursor)


@pytest.mark.resident("--step-ms", "20")
async def test_a_fill_in_groups_shows_its_progress_and_ends_it(editor: Any) -> None:
    await editor.start()
    await editor.until_loaded()
    before = len(editor.reports())
    editor.open("x = <fill>\n" * 40)
    await editor.command("midfill.fillAllHoles")
    begin, *reports, end = editor.reports()[before:]
    assert begin.cancellable
    assert begin.title == "Fill all holes"
    assert [report.message for report in reports] == ["16 of 40 holes", "32 of 40 holes", "40 of 40 holes"]
    assert [report.percentage for report in reports] == [40, 80, 100]
    assert isinstance(end, types.WorkDoneProgressEnd)


@pytest.mark.resident("--steps", "100000", "--step-ms", "2")
@pytest.mark.parametrize("kind", ["command", "resolve"])
async def test_cancelling_in_the_progress_display_stops_the_model(editor: Any, until_running: Any, kind: str) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open(TEXT)
    known = set(editor.client.progress_reports)
    if kind == "command":
        work = editor.command("midfill.fillAllHoles", version=1)
    else:
        work = editor.client.code_action_resolve_async((await editor.actions(0))["Fill all 3 holes"])
    running = asyncio.ensure_future(work)
    await until_running(1)
    async with asyncio.timeout(30):
        while not (new := set(editor.client.progress_reports) - known):
            await editor.client.wait_for_notification(types.PROGRESS)
    (token,) = new
    editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token=token))
    with pytest.raises(JsonRpcException) as failed:
        await running
    assert failed.value.code == -32800
    await until_running(0)
    assert editor.reports()[-1].message == "Cancelled."
    assert (editor.text, editor.edits) == (TEXT, [])


@pytest.mark.resident("--step-ms", "20")
@ONE_CLIENT
async def test_progress_on_the_clients_own_token(editor: Any) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open("x = <fill>\ny = <fill>\n")
    params = types.ExecuteCommandParams(
        command="midfill.proposeFill", arguments=[{"uri": editor.uri}], work_done_token="mine"
    )
    await editor.client.workspace_execute_command_async(params)
    assert [report.kind for report in editor.client.progress_reports["mine"]] == ["begin", "report", "end"]
