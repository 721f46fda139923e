"""Calls that follow a changed header, as the two recorded editors get it: an action, a command, a review."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)
TEXT = """é = '𝒳'


def area(width, height):
    return width * height


print(area(2, 3), area(width=4, height=5))  # area(6, 7)
small = [area(8, 9)]
"""
NAMED = TEXT.replace("height)", "height, unit)")
FILLED = NAMED.replace("(2, 3)", "(2, 3, filled_1)").replace("height=5)", "height=5, unit=filled_2)")
FILLED = FILLED.replace("(8, 9)", "(8, 9, filled_3)")
RENAMED = TEXT.replace("area(", "size(").replace("# size", "# area")
HEADER = TEXT.index("width, height")
CALL = TEXT.index("area(2") + 2


async def typed(editor: Any, old: str, new: str, name: str = "a.py") -> None:
    """Open the text and change its header, key by key."""
    editor.open(TEXT, name)
    start = editor.text.index(old)
    for _ in old:
        editor.replace(start, start + 1, "")
    for number, character in enumerate(new):
        editor.replace(start + number, start + number, character)


async def offered(editor: Any, offset: int) -> dict[str, Any]:
    actions = await editor.actions(offset)
    return {title: action for title, action in actions.items() if title.startswith("Update")}


async def check_error(work: Awaitable[Any], code: int, sentence: str) -> None:
    with pytest.raises(JsonRpcException, match=sentence) as failed:
        await work
    assert failed.value.code == code


@pytest.mark.parametrize("place", ["width, height", "return", "2, 3"])
async def test_a_new_parameters_values_are_found_jointly(editor: Any, place: str) -> None:
    await editor.start()
    await typed(editor, "height)", "height, unit)")
    (action,) = (await offered(editor, editor.text.index(place))).values()
    assert (action.title, action.kind) == ("Update the 3 calls of area in this file", "refactor.rewrite")
    assert (action.edit, list(action.tags or [])) == (
        None,
        {"vscode": [types.CodeActionTag.LlmGenerated], "neovim-0.12": []}[editor.recorded],
    )
    editor.apply((await editor.client.code_action_resolve_async(action)).edit)
    assert editor.text == FILLED


@pytest.mark.resident("--fail", "The checkpoint is truncated.")
async def test_another_name_needs_no_model(editor: Any) -> None:
    await editor.start()
    await typed(editor, "area", "size")
    (action,) = (await offered(editor, CALL)).values()
    assert (action.title, action.tags) == ("Update the 3 calls of area in this file", None)
    editor.apply((await editor.client.code_action_resolve_async(action)).edit)
    assert editor.text == RENAMED


async def test_the_command_applies_and_the_calls_are_confirmed_one_by_one(editor: Any) -> None:
    await editor.start()
    await typed(editor, "height)", "height, unit)")
    position = {"line": 4, "character": 0}
    assert await editor.command("midfill.updateCalls", version=editor.version, position=position) is None
    assert editor.text == FILLED
    (edit,) = editor.edits
    if editor.recorded == "vscode":
        assert [one.label for one in edit.change_annotations.values()] == [
            "line 8: print(area(2, 3, filled_1), area(width=4, height=5, unit=fi…",
            "line 8, hole 2: print(area(2, 3, filled_1), area(width=4, height=5, unit=fi…",
            "line 9: small = [area(8, 9, filled_3)]",
        ]
        assert all(one.needs_confirmation for one in edit.change_annotations.values())


@ONE_CLIENT
async def test_calls_that_were_accepted_are_not_offered_again_and_declined_ones_are(editor: Any) -> None:
    await editor.start()
    await typed(editor, "width, height)", "height, width)")
    assert list(await offered(editor, HEADER)) == ["Update the 2 calls of area in this file"]
    accepted = editor.text.index("2, 3")
    editor.replace(accepted, accepted + 4, "3, 2")
    (action,) = (await offered(editor, HEADER)).values()
    assert action.title == "Update the call of area in this file"
    editor.replace(HEADER, HEADER + len("height, width"), "width, height")
    assert await offered(editor, HEADER) == {}


@ONE_CLIENT
async def test_what_is_remembered_ends_with_the_document(editor: Any) -> None:
    await editor.start()
    await typed(editor, "area", "size")
    assert await offered(editor, HEADER)
    editor.client.text_document_did_close(types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(editor.uri)))
    editor.open(editor.text)
    assert await offered(editor, HEADER) == {}
    position = {"line": 3, "character": 0}
    await check_error(editor.command("midfill.updateCalls", position=position), -32803, "no calls to update")


async def test_a_stale_action_and_a_stale_command_change_nothing(editor: Any) -> None:
    await editor.start()
    await typed(editor, "height)", "height, unit)")
    (action,) = (await offered(editor, HEADER)).values()
    version, position = editor.version, {"line": 3, "character": 0}
    editor.replace(0, 0, "\n")
    await check_error(editor.client.code_action_resolve_async(action), -32801, "changed meanwhile")
    work = editor.command("midfill.updateCalls", version=version, position=position)
    await check_error(work, -32801, "changed meanwhile")
    assert editor.edits == []


@pytest.mark.resident("--steps", "40", "--step-ms", "20")
@ONE_CLIENT
async def test_a_change_while_the_model_works_gives_no_edit(
    editor: Any, until_running: Callable[[int], Awaitable[None]]
) -> None:
    await editor.start()
    await editor.until_loaded()
    await typed(editor, "height)", "height, unit)")
    (action,) = (await offered(editor, HEADER)).values()
    params = types.CodeAction(title=action.title, data=action.data)
    answer = editor.client.protocol.send_request_async(types.CODE_ACTION_RESOLVE, params)
    resolved = asyncio.ensure_future(answer)
    await until_running(1)
    editor.replace(0, 0, "\n")
    await check_error(resolved, -32801, "changed meanwhile")


@ONE_CLIENT
async def test_an_excluded_file_is_left_alone(editor: Any, metric: Callable[[str], Awaitable[float]]) -> None:
    await editor.start()
    await editor.until_loaded()
    await typed(editor, "height)", "height, unit)", "conf/secrets.py")
    assert await editor.actions(HEADER) == {}
    position = {"line": 3, "character": 0}
    await check_error(editor.command("midfill.updateCalls", position=position), -32803, "midfill.exclude")
    assert await metric("midfill_requests_total") == 0


@ONE_CLIENT
async def test_the_model_sees_the_new_header_however_far_away(editor: Any, recorded: Any) -> None:
    await editor.start({"endpoint": recorded.endpoint})
    far = "# far\n" * 800
    editor.open(f"def area(width):\n    pass\n{far}print(area(1))\n{far}")
    editor.replace(editor.text.index(")"), editor.text.index(")"), ", unit: str")
    await editor.command("midfill.updateCalls", position={"line": 0, "character": 4})
    (request,) = recorded.requests()
    assert request["context"][0]["text"] == "def area(width, unit: str):"
    assert "print(area(1, ◊))" in recorded.texts()[0]
    assert "print(area(1, filled_1))" in editor.text


@ONE_CLIENT
async def test_more_calls_than_the_model_takes_at_once(editor: Any) -> None:
    await editor.start()
    editor.open("def f(a):\n    pass\n" + "f(1)\n" * 20)
    editor.replace(6, 7, "a, b")
    await editor.command("midfill.updateCalls", position={"line": 0, "character": 4})
    assert editor.text.count("f(1, filled_") == 20
