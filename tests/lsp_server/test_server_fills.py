"""What a person gets in an editor: ghost text, both code actions, both commands, applied to the editor's own copy."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types

TWO_HOLES = "def area(r):\n    return <fill>  # expect: 3.14 * r\n\n\nx = <fill>\ny = 1\n"
FIRST, SECOND = TWO_HOLES.index("<fill>"), TWO_HOLES.rindex("<fill>")
SECOND_FILLED = TWO_HOLES[:SECOND] + "filled_1" + TWO_HOLES[SECOND + 6 :]
ALL_FILLED = TWO_HOLES.replace("<fill>", "3.14 * r", 1).replace("<fill>", "filled_2")


async def test_what_is_advertised(editor: Any) -> None:
    capabilities = (await editor.start()).capabilities
    assert capabilities.inline_completion_provider is not None
    assert capabilities.code_action_provider.resolve_provider
    assert capabilities.text_document_sync.change is types.TextDocumentSyncKind.Incremental
    assert set(capabilities.execute_command_provider.commands) >= {
        f"midfill.{name}"
        for name in ("fillHole", "fillAllHoles", "fillFunction", "fillSelection", "proposeFill", "completeInline")
    }
    assert editor.encoding == {"vscode": "utf-16", "neovim-0.12": "utf-8"}[editor.recorded]


@pytest.mark.parametrize(
    ("invoked", "num_items"), [(False, {"vscode": 2, "neovim-0.12": 3}), (True, {"vscode": 4, "neovim-0.12": 4})]
)
async def test_ghost_text_can_be_cycled(editor: Any, invoked: bool, num_items: dict[str, int]) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open("é = '𝒳'; total = \nprint(total)\n")
    cursor = editor.text.index("\n")
    items = await editor.complete(cursor, invoked)
    expected = ["filled_1", "filled_1_2", "filled_1_3", "filled_1_4"][: num_items[editor.recorded]]
    assert [item.insert_text for item in items] == expected
    assert all(item.range == editor.range_of(cursor, cursor) for item in items)


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_ghost_text_has_line_feeds_only(editor: Any) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open("def f():\r\n    \r\n    return x  # expect: no\r\n")
    items = await editor.complete(len("def f():\r\n    "), invoked=True)
    assert items
    assert not any("\r" in item.insert_text for item in items)


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
@pytest.mark.parametrize(
    ("text", "language_id"),
    [("x = 1  # so ^\n", "python"), ("x = 'so ^'\n", "python"), ("so ^\n", "markdown")],
    ids=["comment", "string", "unknown language"],
)
async def test_ghost_text_comes_only_when_asked_for(editor: Any, text: str, language_id: str) -> None:
    await editor.start()
    await editor.until_loaded()
    cursor = text.index("^")
    editor.open(text.replace("^", ""), language_id=language_id)
    assert await editor.complete(cursor) == []
    assert await editor.complete(cursor, invoked=True) != []


@pytest.mark.parametrize(
    ("offset", "title"), [(FIRST + 2, "Fill this hole"), (0, None), (SECOND - 4, "Fill this hole")]
)
async def test_which_actions_are_offered(editor: Any, offset: int, title: str | None) -> None:
    await editor.start()
    editor.open(TWO_HOLES)
    actions = await editor.actions(offset)
    assert list(actions) == [*([title] if title else []), "Fill all 2 holes"]
    assert all(action.kind == "refactor.rewrite" and action.edit is None for action in actions.values())
    assert {tuple(action.tags or []) for action in actions.values()} == {
        {"vscode": (types.CodeActionTag.LlmGenerated,), "neovim-0.12": ()}[editor.recorded]
    }
    assert await editor.actions(offset, only=["quickfix"]) == {}
    assert list(await editor.actions(offset, only=["refactor"])) == list(actions)


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_no_actions_without_holes(editor: Any) -> None:
    await editor.start()
    editor.open("x = 1\n")
    assert await editor.actions(0) == {}


@pytest.mark.parametrize(("title", "expected"), [("Fill this hole", SECOND_FILLED), ("Fill all 2 holes", ALL_FILLED)])
async def test_actions_fill(editor: Any, title: str, expected: str) -> None:
    await editor.start()
    editor.open(TWO_HOLES)
    action = (await editor.actions(SECOND))[title]
    resolved = await editor.client.code_action_resolve_async(action)
    assert bool(resolved.edit.document_changes) == (editor.recorded == "vscode")
    editor.apply(resolved.edit)
    assert editor.text == expected


@pytest.mark.parametrize("name", ["midfill.fillHole", "midfill.fillAllHoles"])
async def test_commands_fill(editor: Any, name: str) -> None:
    await editor.start()
    editor.open(TWO_HOLES)
    position = {"line": 4, "character": 0} if name == "midfill.fillHole" else None
    await editor.command(name, version=1, position=position)
    assert editor.text == (SECOND_FILLED if position else ALL_FILLED)


async def test_edits_with_unusual_characters_leave_both_copies_equal(editor: Any) -> None:
    await editor.start()
    editor.open("a = '𝒳'\r\nb\x85 = '\u2028'\r\nc = <fill>  # expect: 1\r\n")
    for index in range(10):
        editor.replace(editor.text.index("b"), editor.text.index("b"), "\f# é\x85𝒳\n")
        start = editor.text.rindex("𝒳")
        editor.replace(start, start + 1, f"{index}\u2029🙂")
        editor.replace(start, start + 3, "𝒳")
    editor.replace(0, 0, "🙂 = <fill>\r\n")
    resolved = await editor.client.code_action_resolve_async((await editor.actions(0))["Fill all 2 holes"])
    expected = editor.text.replace("<fill>", "filled_1", 1).replace("<fill>", "1")
    editor.apply(resolved.edit)
    assert editor.text == expected


@pytest.mark.resident("--load-s", "3")
async def test_typing_goes_on_while_the_model_loads(editor: Any) -> None:
    await editor.start()
    editor.open("x = \ny = <fill>\n")
    assert await editor.complete(4, invoked=True) == []
    assert not any(isinstance(report, types.WorkDoneProgressEnd) for report in editor.reports())
    await editor.command("midfill.fillAllHoles")  # an edit that was asked for waits
    assert editor.text == "x = \ny = filled_1\n"
    percentages = [report.percentage for report in editor.reports() if isinstance(report, types.WorkDoneProgressReport)]
    assert percentages == sorted(percentages)
    assert any(percentages)


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_a_session_without_shutdown_ends_with_1(editor: Any) -> None:
    await editor.start()
    editor.client.exit(None)
    assert await editor.client._server.wait() == 1
