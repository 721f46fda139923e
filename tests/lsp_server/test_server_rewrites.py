"""Rewriting a region, as the two recorded editors get it: actions, commands, drafts, confirmation, refusals."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from midfill.lsp_server.lsp import errors

ONE_CLIENT = pytest.mark.parametrize("editor", ["vscode"], indirect=True)
KNOWS_VERBS = pytest.mark.resident("--verbs", "rename,docstring,f_string")
FOLLOWS = pytest.mark.resident("--instructions")
TEXT = "def f(a):\r\n    b = a + 1  # 𝒳\r\n    return b\r\n\r\n\r\nx = f(1)\r\n"
START, END = TEXT.index("    b"), TEXT.index("\r\n\r\n\r\n")
REWRITTEN = TEXT.replace(TEXT[START + 4 : END], "filled_1")


async def opened(editor: Any, text: str = TEXT, **options: Any) -> None:
    await editor.start(**options)
    await editor.until_ready()
    editor.open(text)


@KNOWS_VERBS
async def test_the_actions_of_a_selection(editor: Any) -> None:
    """Another version, and of the verbs those that could change it."""
    await opened(editor)
    actions = await editor.actions(0, END)
    assert list(actions) == [
        "Fill the selection",
        "Write the selection again",
        "Give the names more meaning",
        "Write a docstring",
    ]
    assert list(await editor.actions(START)) == []


@KNOWS_VERBS
@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Write the selection again", REWRITTEN),
        ("Give the names more meaning", TEXT.replace(TEXT[START + 4 : END], "did_rename")),
    ],
)
async def test_an_action_rewrites(editor: Any, title: str, expected: str) -> None:
    await opened(editor)
    action = (await editor.actions(START, END))[title]
    if action.command is not None:
        await editor.client.workspace_execute_command_async(
            types.ExecuteCommandParams(command=action.command.command, arguments=action.command.arguments)
        )
    else:
        editor.apply((await editor.client.code_action_resolve_async(action)).edit)
    assert editor.text == expected
    (edit,) = editor.edits
    confirmed = {note.needs_confirmation for note in (edit.change_annotations or {}).values()}
    assert confirmed == ({True} if editor.recorded == "vscode" else set())


@KNOWS_VERBS
async def test_a_command_rewrites_by_a_verb(editor: Any) -> None:
    """Of a selected function a verb of headers takes the header."""
    text = TEXT.replace("def f(a):", "def f(a):  # expect: def g(a):")
    await opened(editor, text)
    await editor.command("midfill.rewriteRegion", range=editor.range_of(0, END), verb="docstring")
    assert editor.text == text.replace("def f(a):", "def g(a):", 1)


@FOLLOWS
@ONE_CLIENT
async def test_proposals_apply_nothing_and_another_seed_brings_others(editor: Any) -> None:
    await opened(editor)
    asked = {"range": editor.range_of(START, END), "version": editor.version, "instruction": "make it shorter"}
    first = await editor.command("midfill.proposeRewrite", **asked, candidates=2)
    other = await editor.command("midfill.proposeRewrite", **asked, candidates=2, seed=2)
    assert editor.text == TEXT
    assert first["oldText"] == TEXT[START + 4 : END]
    assert (first["uri"], first["version"]) == (editor.uri, 1)
    assert [one["newText"] for one in first["candidates"]] == ["did_make_it_shorter", "did_make_it_shorter_2"]
    assert [one["newText"] for one in other["candidates"]] == ["did_make_it_shorter_3", "did_make_it_shorter_4"]
    assert all(0 < one["confidence"] <= 1 for one in first["candidates"])
    start = editor.position_of(START + 4)
    assert first["range"]["start"] == {"line": start.line, "character": start.character}


@ONE_CLIENT
@pytest.mark.resident("--instructions", "--steps", "40", "--step-ms", "5")
@pytest.mark.parametrize(("wish", "canvases"), [({"instruction": "shorter"}, {0, 1}), ({}, {0})])
async def test_drafts_are_told_under_the_clients_token(editor: Any, wish: dict[str, Any], canvases: set[int]) -> None:
    """A model that follows instructions denoises a warm and a cold canvas; both are told, 20 times a second at most."""
    await opened(editor)
    drafts: list[tuple[float, Any]] = []
    loop = asyncio.get_running_loop()
    editor.client.feature("midfill/draft")(lambda params: drafts.append((loop.time(), params)))
    asked_s = loop.time()
    await editor.command("midfill.proposeRewrite", range=editor.range_of(START, END), draftsToken="t", **wish)
    assert {params.token for _, params in drafts} == {"t"}
    assert {params.canvas for _, params in drafts} == canvases
    assert all(params.step >= 1 and params.pieces for _, params in drafts)
    assert {(params.range.start.line, params.range.start.character) for _, params in drafts} == {(1, 4)}
    assert len(drafts) <= 20 * (loop.time() - asked_s) + len(canvases)
    assert len(drafts) >= 2


@KNOWS_VERBS
@ONE_CLIENT
@pytest.mark.parametrize(
    ("wish", "code", "sentence"),
    [
        ({"verb": "polish"}, errors.REQUEST_FAILED, "does not know the verb 'polish'; its verbs are rename"),
        ({"instruction": "shorter"}, errors.REQUEST_FAILED, "follows no free instructions"),
        ({"verb": "rename", "instruction": "x"}, errors.REQUEST_FAILED, "exclude each other"),
        ({"strength": 0}, errors.REQUEST_FAILED, "strength of 0 is not possible"),
        ({"strength": "much"}, errors.INVALID_PARAMS, "`strength`"),
        ({"version": 7}, errors.CONTENT_MODIFIED, "changed meanwhile"),
        ({"draftsToken": {}}, errors.INVALID_PARAMS, "`draftsToken`"),
        ({"range": None}, errors.INVALID_PARAMS, "`range`"),
    ],
)
async def test_what_is_refused_leaves_the_text_alone(
    editor: Any, wish: dict[str, Any], code: int, sentence: str
) -> None:
    await opened(editor)
    argument = {"range": editor.range_of(START, END), **wish}
    with pytest.raises(JsonRpcException) as refusal:
        await editor.command("midfill.proposeRewrite", **argument)
    assert (refusal.value.code, editor.text) == (code, TEXT)
    assert sentence in refusal.value.message


@ONE_CLIENT
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n" * 40, "The region is empty"),
        ("x = 1\n" * 2000, "The region has 2000 lines and 11999 characters"),
    ],
)
async def test_a_region_that_cannot_be_written_again(editor: Any, text: str, sentence: str) -> None:
    await opened(editor, text)
    with pytest.raises(JsonRpcException, match=sentence):
        await editor.command("midfill.rewriteRegion", range=editor.range_of(0, len(text)))


@ONE_CLIENT
@pytest.mark.resident("--steps", "100", "--step-ms", "10")
async def test_an_edit_while_it_runs_ends_it_with_nothing(editor: Any) -> None:
    await opened(editor)
    running = asyncio.ensure_future(
        editor.command("midfill.rewriteRegion", range=editor.range_of(START, END), candidates=1)
    )
    await asyncio.sleep(0.2)
    editor.replace(START + 4, START + 5, "c")
    with pytest.raises(JsonRpcException) as refusal:
        await running
    assert refusal.value.code == errors.CONTENT_MODIFIED
    assert editor.edits == []


@ONE_CLIENT
@pytest.mark.resident("--steps", "20", "--step-ms", "10")
async def test_two_at_once_are_both_answered_and_what_comes_after_an_edit_is_stale(editor: Any) -> None:
    await opened(editor)
    asked = {"range": editor.range_of(START, END), "version": editor.version}
    first, second = await asyncio.gather(
        *(editor.command("midfill.proposeRewrite", **asked, seed=seed, candidates=1) for seed in (0, 1))
    )
    assert [answer["candidates"][0]["newText"] for answer in (first, second)] == ["filled_1", "filled_1_2"]
    assert {answer["version"] for answer in (first, second)} == {1}
    editor.replace(START + 4, END, first["candidates"][0]["newText"])
    with pytest.raises(JsonRpcException) as refusal:
        await editor.command("midfill.rewriteRegion", **asked)
    assert refusal.value.code == errors.CONTENT_MODIFIED
    assert editor.edits == []


@ONE_CLIENT
async def test_an_excluded_file_is_not_sent(editor: Any) -> None:
    await editor.start()
    await editor.until_ready()
    editor.open(TEXT, name=".env.py")
    assert await editor.actions(START, END) == {}
    with pytest.raises(JsonRpcException, match="nothing of it was sent"):
        await editor.command("midfill.proposeRewrite", range=editor.range_of(START, END))
