"""What a quick fix writes again around a diagnostic, and what is offered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lsprotocol import types

from midfill.lsp_server.text.filling import FilledHole
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.workspace.repair import Repairs, regions_around, title_of


@pytest.mark.parametrize(
    ("marked", "regions"),
    [
        ("x = a - «c»\n", ["a - c", "x = a - c"]),
        ("def f():\n    return g(«a».b, 1)\n", ["a.b", "return g(a.b, 1)"]),
        ("é = 1\nif «a» == 1:\n    b = 2\n    c = 3\n", ["a == 1", "if a == 1:"]),
        ("for x in range(«len(xs)»):\n    pass\n", ["len(xs)", "for x in range(len(xs)):"]),
        ("def f(«a», b=1):\n    return a\n", ["(a, b=1)", "def f(a, b=1):"]),
        ("x = (1,\n«y = 2»\n", ["y = 2"]),  # does not parse: its line
        ("x = «»a + b\n", ["a + b", "x = a + b"]),
        ("«import os»\n", ["import os"]),
        ("«x»\n", ["x"]),
        ("«»\n", []),
        ("x = {\n" + "    1: «a»,\n" + "    2: b,\n" * 9 + "}\n", ["1: a"]),  # the statement is too long
    ],
)
def test_the_smallest_expression_then_the_statement(marked: str, regions: list[str]) -> None:
    start, end = marked.index("«"), marked.index("»") - 1
    text = marked.replace("«", "").replace("»", "")
    found = regions_around(text, Span(start, end), "python")
    assert [text[span.start : span.end] for span in found] == regions


def test_without_a_grammar_its_line() -> None:
    assert regions_around("a\n  b c\n", Span(4, 5), None) == (Span(4, 7),)


def test_titles_say_what_changes() -> None:
    text = "x = a - c\n"
    assert title_of(text, FilledHole(Span(4, 9), "1", "a - b", 0.5)) == "Replace `a - c` with `a - b`"
    assert title_of(text, FilledHole(Span(4, 9), "1", "a\n- b", 0.5)) == "Replace `a - c` with `a…`"


async def test_what_takes_long_is_there_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midfill.lsp_server.workspace.repair.WAIT_S", 0.01)
    may_go, repairs, found = asyncio.Event(), Repairs(), (FilledHole(Span(0, 1), "1", "b", 0.5),)
    looks = 0

    async def look() -> tuple[FilledHole, ...]:
        nonlocal looks
        looks += 1
        await may_go.wait()
        return found

    assert await repairs.found("a", Span(0, 1), look) == ()
    may_go.set()
    await asyncio.sleep(0)
    assert await repairs.found("a", Span(0, 1), look) == found
    assert looks == 1
    repairs.forget("a")
    assert await repairs.found("a", Span(0, 1), look) == found
    assert looks == 2


TEXT = "def f(a, b):\n    return a - c\n"
AT = TEXT.index("c\n")


def problem(editor: Any, **more: Any) -> types.Diagnostic:
    return types.Diagnostic(range=editor.range_of(AT, AT + 1), message="c is not defined", **more)


async def fixes(editor: Any, diagnostic: types.Diagnostic) -> list[types.CodeAction]:
    """The quick fixes at a diagnostic, once they are known."""
    async with asyncio.timeout(60):
        while True:
            actions = await editor.actions(AT, AT + 1, only=["quickfix"], diagnostics=[diagnostic])
            if actions:
                return list(actions.values())


async def test_a_quick_fix_comes_with_its_edit(editor: Any) -> None:
    await editor.start()
    await editor.until_ready()
    editor.open(TEXT)
    diagnostic = problem(editor, severity=types.DiagnosticSeverity.Error)
    actions = await fixes(editor, diagnostic)
    assert [action.title for action in actions] == [
        "Replace `a - c` with `filled_1`",
        "Replace `a - c` with `filled_1_2`",
        "Replace `a - c` with `filled_1_3`",
    ]
    assert [(action.kind, *action.diagnostics) for action in actions] == [("quickfix", diagnostic)] * 3
    editor.apply(actions[1].edit)
    assert editor.text == TEXT.replace("a - c", "filled_1_2")


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {"severity": types.DiagnosticSeverity.Hint}),
        ({}, {"source": "midfill"}),
        ({"repair": False}, {}),
    ],
)
async def test_when_nothing_is_looked_for(editor: Any, options: dict[str, Any], more: dict[str, Any]) -> None:
    await editor.start(options)
    await editor.until_ready()
    editor.open(TEXT)
    for _ in range(3):
        assert await editor.actions(AT, AT + 1, only=["quickfix"], diagnostics=[problem(editor, **more)]) == {}


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
@pytest.mark.resident("--load-s", "2")
async def test_who_asked_before_the_model_was_loaded_gets_it_later(editor: Any) -> None:
    await editor.start()
    editor.open(TEXT)
    assert await editor.actions(AT, AT + 1, only=["quickfix"], diagnostics=[problem(editor)]) == {}
    await editor.until_ready()
    assert await fixes(editor, problem(editor))


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_an_edit_forgets_what_was_found(editor: Any) -> None:
    await editor.start()
    await editor.until_ready()
    editor.open(TEXT)
    await fixes(editor, problem(editor))
    editor.replace(AT, AT + 1, "d")
    first = (await fixes(editor, problem(editor)))[0]
    assert first.title == "Replace `a - d` with `filled_1`"
    assert first.edit.document_changes[0].text_document.version == 2
