"""Fills that are asked for wrongly, or of unusual documents: the right error, or the right place, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

pytestmark = pytest.mark.parametrize("editor", ["vscode"], indirect=True)

INVALID, REFUSED, STALE = -32602, -32803, -32801
FILL_COMMANDS = ("fillHole", "fillFunction", "fillSelection", "fillAllHoles", "proposeFill", "completeInline")


def range_of(first: int, last: int) -> dict[str, Any]:
    return {"start": {"line": first, "character": 0}, "end": {"line": last, "character": 0}}


async def check_refused(editor: Any, name: str, argument: Any, code: int, sentence: str) -> None:
    params = types.ExecuteCommandParams(command=f"midfill.{name}", arguments=argument)
    with pytest.raises(JsonRpcException) as failed:
        await editor.client.workspace_execute_command_async(params)
    assert failed.value.code == code, failed.value.message
    assert sentence in failed.value.message


async def test_bad_arguments_have_the_right_code_and_change_nothing(editor: Any) -> None:
    await editor.start()
    text = "x = <fill>\ny = <fill>\n"
    editor.open(text)
    uri = {"uri": editor.uri}
    here = {"line": 0, "character": 0}
    for name, argument, code, sentence in [
        *((name, None, INVALID, "needs an object with the document's `uri`") for name in FILL_COMMANDS),
        *((name, [7], INVALID, "needs an object with the document's `uri`") for name in FILL_COMMANDS),
        *((name, [{"uri": 7}], INVALID, "needs an object with the document's `uri`") for name in FILL_COMMANDS),
        ("fillAllHoles", [{**uri, "version": "1"}], INVALID, "the document's version, a whole number"),
        ("fillAllHoles", [{**uri, "version": True}], INVALID, "the document's version, a whole number"),
        ("fillAllHoles", [{**uri, "version": 2}], STALE, "The document changed meanwhile"),
        ("fillAllHoles", [{"uri": "file:///no.py"}], REFUSED, "file:///no.py is not open"),
        ("fillHole", [uri], INVALID, "needs the `position` of a hole"),
        ("fillHole", [{**uri, "position": 3}], INVALID, "`line` and `character`, whole numbers from 0"),
        ("fillHole", [{**uri, "position": {"line": 0}}], INVALID, "`line` and `character`"),
        ("fillHole", [{**uri, "position": {"line": -1, "character": 0}}], INVALID, "whole numbers from 0"),
        ("fillHole", [{**uri, "position": {"line": 0.5, "character": 0}}], INVALID, "whole numbers from 0"),
        ("fillHole", [{**uri, "position": {"line": 99, "character": 0}}], INVALID, "Line 99 is outside the document"),
        ("fillHole", [{**uri, "position": {"line": 2, "character": 0}}], REFUSED, "There is no <fill> on this line"),
        ("fillFunction", [uri], INVALID, "needs a `position`"),
        ("fillFunction", [{**uri, "position": here}], REFUSED, "There is no function around this place"),
        ("fillSelection", [{**uri, "position": here}], INVALID, "needs the `range`"),
        ("fillSelection", [{**uri, "range": range_of(1, 0)}], INVALID, "must not end before it starts"),
        ("fillSelection", [{**uri, "range": range_of(0, 99)}], INVALID, "Line 99 is outside the document"),
        ("fillSelection", [{**uri, "range": []}], INVALID, "`start` and `end`"),
        ("proposeFill", [{**uri, "scope": "workspace"}], INVALID, '"file" or "function"'),
        ("proposeFill", [{**uri, "scope": "function"}], INVALID, "needs a `position`"),
        ("completeInline", [uri], INVALID, "`line` and `character`"),
        ("completeInline", [{**uri, "position": here, "triggerKind": 9}], INVALID, "must be 1 (asked for) or 2"),
        ("fillEverything", [uri], INVALID, "There is no command 'midfill.fillEverything' here"),
    ]:
        await check_refused(editor, name, argument, code, sentence)
    assert (editor.text, editor.edits) == (text, [])
    outside = types.Range(types.Position(99, 0), types.Position(99, 0))
    params = types.CodeActionParams(
        types.TextDocumentIdentifier(editor.uri), outside, types.CodeActionContext(diagnostics=[])
    )
    assert not await editor.client.text_document_code_action_async(params)
    unknown = types.TextDocumentIdentifier("file:///no.py")
    params = types.CodeActionParams(unknown, editor.range_of(0, 0), types.CodeActionContext(diagnostics=[]))
    assert not await editor.client.text_document_code_action_async(params)
    await editor.command("midfill.fillAllHoles", version=1)  # and the server goes on
    assert editor.text == "x = filled_1\ny = filled_2\n"


@pytest.mark.resident("--steps", "40", "--step-ms", "20")
@pytest.mark.parametrize("name", ["fillSelection", "proposeFill"])
async def test_a_change_between_request_and_answer_gives_nothing(editor: Any, until_running: Any, name: str) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open("x = 1\ny = 2\n")
    answer = asyncio.ensure_future(editor.command(f"midfill.{name}", range=range_of(0, 1)))
    await until_running(1)
    editor.replace(0, 0, "\n")
    with pytest.raises(JsonRpcException) as failed:
        await answer
    assert (failed.value.code, editor.edits) == (STALE, [])


async def test_a_document_that_is_closed_while_it_is_filled_gives_nothing(editor: Any) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open("x = <fill>\n")
    answer = asyncio.ensure_future(editor.command("midfill.fillAllHoles"))
    await asyncio.sleep(0)
    document = types.TextDocumentIdentifier(editor.uri)
    editor.client.text_document_did_close(types.DidCloseTextDocumentParams(document))
    with pytest.raises(JsonRpcException) as failed:
        await answer
    assert failed.value.code in (STALE, REFUSED)
    assert editor.edits == []


FUNCTION = "def f(x):\n    return x + 1\n\n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{FUNCTION * 12_500}x = <fill>\n{FUNCTION * 10}", f"{FUNCTION * 12_500}x = filled_1\n{FUNCTION * 10}"),
        (f"a = '{'x' * 1_000_000}' + <fill>\n", f"a = '{'x' * 1_000_000}' + filled_1\n"),
        ("a = 1\r\nb = <fill>\nc = 2\rd = <fill>\r\n", "a = 1\r\nb = filled_1\nc = 2\rd = filled_2\r\n"),
        ("a = '\u2028'\fb = <fill>\x85\n", "a = '\u2028'\fb = filled_1\x85\n"),
    ],
    ids=["50,000 lines", "one line of 1 MB", "mixed line ends", "characters that end no line"],
)
async def test_unusual_documents_are_filled_in_the_right_place(editor: Any, text: str, expected: str) -> None:
    await editor.start()
    await editor.until_loaded()
    editor.open(text)
    assert "Fill this hole" in await editor.actions(text.index("<fill>"))
    await editor.command("midfill.fillAllHoles", version=1)
    assert editor.text == expected
