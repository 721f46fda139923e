"""Which part of a suggestion is left after edits, and what is remembered of the typing in a document."""

from __future__ import annotations

import asyncio

import pytest

from midfill.lsp_server.workspace.suggestions import Moment, Suggested, Typing


def moment(marked: str) -> Moment:
    return Moment(marked.replace("^", "", 1), marked.index("^"))


@pytest.mark.parametrize(
    ("then", "fills", "now", "left"),
    [
        ("x = ^\n", ("f(a)",), "x = ^\n", ("f(a)",)),
        ("x = ^\n", (), "x = ^\n", ()),
        ("x = ^\n", ("f(a)",), "x = f^\n", ("(a)",)),
        ("x = ^\n", ("f(a)",), "x = f(^)\n", ("a",)),
        ("x = ^\n", ("f(a).b",), "x = f(a).^\n", ("b",)),
        ("x = ^\n", ("f(a)",), "x = f(a)^\n", None),
        ("x = ^\n", ("f(a)",), "x = g^\n", None),
        ("x = ^\n", ("f", "g(a)"), "x = g^\n", ("(a)",)),
        ("x = ^\n", ("f(a)", "f(b)"), "x = f^\n", ("(a)", "(b)")),
        ("x = ^\n", ("f(a)",), "y = f^\n", None),
        ("x = ^\n", ("f(a)",), "x = f^\ny\n", None),
        ("x = f^\n", ("(a)",), "x = ^\n", None),
        ("x = ^\n", ("f(a)",), "x = f^oo\n", None),
        ("x = ^\n", ('"a"',), 'x = "^"\n', ("a",)),
        ("x = ^\n", ("{'a': [1]}",), "x = {'a': [^]}\n", ("1",)),
        ("f(^)\n", ("a)",), "f(a^)\n", (")",)),
        ("def f():^\n", ("\n    a\n    b",), "def f():\n    ^\n", ("a\n    b",)),
        ("def f():\r\n    ^\r\n", ("a\r\n    b",), "def f():\r\n    a\r\n    ^\r\n", ("b",)),
    ],
)
def test_what_is_left_of_a_suggestion(
    then: str, fills: tuple[str, ...], now: str, left: tuple[str, ...] | None
) -> None:
    assert Suggested(moment(then), fills).still_open_at(moment(now)) == left


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        ("ab^", "a^", True),
        ("a b^\n", "a ^\n", True),
        ("a^", "ab^", False),
        ("foo^", "x^", False),
        ("ab\ncd^", "a\ncd^", False),
        ("a^", "a^", False),
    ],
)
def test_what_follows_a_deletion(before: str, after: str, follows: bool) -> None:
    typing, now = Typing(), moment(after)
    typing.changed(moment(before).text, now.text)
    assert typing.follows_deletion(now) is follows
    typing.changed(now.text, now.text + "!")
    assert not typing.follows_deletion(now)


def test_who_asks_for_more_gets_only_what_was_asked_for_in_that_way() -> None:
    typing, now = Typing(), moment("x = ^\n")
    typing.remember(Suggested(now, ("a",)))
    assert typing.recall(now) == ("a",)
    assert typing.recall(now, invoked=True) is None
    typing.remember(Suggested(now, ("a", "b", "c"), invoked=True))
    assert typing.recall(now) == typing.recall(now, invoked=True) == ("a", "b", "c")


@pytest.mark.parametrize(
    ("after", "goes_on"),
    [("x = f\n", True), ("x = f()\n", True), ("x = f(a)\n", True), ("x = g\n", False), ("y = \n", False)],
)
async def test_idle_work_goes_on_while_the_edits_lead_to_what_it_is_for(after: str, goes_on: bool) -> None:
    typing, now = Typing(), moment("x = ^\n")
    work = asyncio.ensure_future(asyncio.sleep(60))
    typing.think(work, now.accepted("f(a)"))
    typing.changed(now.text, after)
    await asyncio.sleep(0)
    assert work.cancelled() is not goes_on
    typing.rest()
