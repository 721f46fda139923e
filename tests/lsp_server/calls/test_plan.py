"""What changes in a file where a function's header was edited. `◊` is what the model is asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from midfill.lsp_server.calls.plan import CallUpdates, filled, opened, plan_updates
from midfill.lsp_server.lsp.document import Edit
from midfill.lsp_server.text.filling import FilledHole, apply_fills
from midfill.lsp_server.text.finishing.finish import minimal_edit
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.workspace.header_edits import HeaderEdits


class Document:
    """A text that somebody types in, key by key."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.header_edits = HeaderEdits()

    def replace(self, old: str, new: str) -> None:
        assert old in self.text
        self.become(self.text.replace(old, new, 1))

    def become(self, text: str) -> None:
        start, end, replacement = minimal_edit(self.text, text)
        for at in range(end, start, -1):
            self.edit_at_once(at - 1, at, "")
        for number, character in enumerate(replacement):
            self.edit_at_once(start + number, start + number, character)

    def edit_at_once(self, start: int, end: int, replacement: str) -> None:
        after = self.text[:start] + replacement + self.text[end:]
        self.header_edits.changed(Edit(self.text, start, end, after))
        self.text = after

    def updates(self) -> list[CallUpdates]:
        plans = [plan_updates(self.text, header) for header in self.header_edits.changed_headers(self.text)]
        return [plan for plan in plans if plan is not None]

    def updated(self) -> str:
        """The text with the updates of its one changed header."""
        found = self.updates()
        assert len(found) <= 1
        if not found:
            return self.text
        text, places = opened(self.text, found[0])
        for place in reversed(places):
            text = f"{text[: place.span.start]}◊{text[place.span.end :]}"
        return text


def check(text: str, old: str, new: str, expected: str) -> None:
    """text: before a person replaces `old`, in a header, by `new`. expected: what calls become; the header is added."""
    document = Document(text)
    document.replace(old, new)
    assert document.updated() == expected.replace(old, new, 1)


BODY = "    return a\n\n\n"
F = "def f(a, b, c=0):\n" + BODY


@pytest.mark.parametrize(
    ("old", "new", "calls", "expected"),
    [
        # another name
        ("f(a", "g(a", "f(1, 2)", "g(1, 2)"),
        ("f(a", "total(a", "x = [f(1, 2), f(a=1, b=2)]", "x = [total(1, 2), total(a=1, b=2)]"),
        ("f(a", "g(a", "map(f, xs)", "map(g, xs)"),
        ("f(a", "g(a", "'f(1, 2)'  # f(1, 2)", "'f(1, 2)'  # f(1, 2)"),
        ("f(a", "g(a", "x.f(1, 2); f.x = f2(f=1)", "x.f(1, 2); g.x = f2(f=1)"),
        ("f(a", "g(a", "print(f'{f(1, 2)}')", "print(f'{g(1, 2)}')"),
        ("f(a", "g(a", "f(1, 2)(f(3, 4)).f(5)", "g(1, 2)(g(3, 4)).f(5)"),
        # a parameter goes
        ("a, b", "b", "f(1, 2)", "f(2)"),
        ("a, b", "a", "f(1, b=2)", "f(1)"),
        ("a, b", "a", "f(1, 2, c=3)", "f(1, c=3)"),
        (", c=0", "", "f(1, 2, 3); f(1, 2); f(1, 2, c=3)", "f(1, 2); f(1, 2); f(1, 2)"),
        ("a, b, c=0", "", "f(1, 2)", "f()"),
        ("a, b, c=0", "a", "f(\n    1,\n    2,\n    c=3,\n)", "f(\n    1,\n)"),
        ("a, b", "a", "f(\n    1,  # one\n    2,  # two\n    3,  # three\n)", "f(\n    1,  # one\n    3,  # three\n)"),
        ("a, b", "a", "f(1,\r\n  2,\r\n  3)", "f(1,\r\n  3)"),
        # a parameter has another name
        ("b, c", "size, c", "f(1, 2); f(1, b=2); f(b = 1, a=2)", "f(1, 2); f(1, size=2); f(size = 1, a=2)"),
        ("a, b, c", "x, y, c", "f(a=1, b=2)", "f(x=1, y=2)"),
        ("b, c", "size, c", "f(1, **rest); f(*xs, b=2)", "f(1, **rest); f(*xs, size=2)"),
        # another order
        ("a, b", "b, a", "f(1, 2); f(1, b=2); f(b=1, a=2)", "f(2, 1); f(a=1, b=2); f(b=1, a=2)"),
        ("a, b", "b, a", "f(g(1), f(2, 3))", "f(f(3, 2), g(1))"),
        ("a, b", "b, a", "f(\n    1,\n    2,\n)", "f(\n    2,\n    1,\n)"),
        ("a, b", "b, a", "f(*xs)", "f(*xs)"),
        # what goes by position and what by keyword
        ("b, c", "*, b, c", "f(1, 2, 3); f(1, b=2)", "f(1, b=2, c=3); f(1, b=2)"),
        ("a, b", "a, /, b", "f(a=1, b=2)", "f(1, b=2)"),
        ("a, b", "a, d=1, b=2", "f(1, 2, 3)", "f(1, b=2, c=3)"),
        ("a, b, c=0", "*, a, b", "f((x for x in y), (z := 1))", "f(a=(x for x in y), b=(z := 1))"),
        # a default goes or comes
        ("c=0", "c", "f(1, 2); f(1, 2, 3)", "f(1, 2, 0); f(1, 2, 3)"),
        ("c=0", "*, c", "f(1, b=2)", "f(1, b=2, c=0)"),
        ("b, c=0", "b=1, c=0", "f(1, 2)", "f(1, 2)"),
        ("c=0", "c=0, d=1", "f(1, 2)", "f(1, 2)"),
        ("c=0", "c: int = 1", "f(1, 2)", "f(1, 2)"),
        # a new parameter: its value is for the model
        ("a, b", "a, new, b", "f(1, 2)", "f(1, ◊, 2)"),
        ("a, b", "a, new, b", "f(1, b=2)", "f(1, ◊, b=2)"),
        ("b, c", "b, new, c", "f(1, b=2, c=3)", "f(1, b=2, c=3, new=◊)"),
        ("c=0", "c=0, *, new", "f(1, 2)", "f(1, 2, new=◊)"),
        ("c=0", "c=0, *, new", "f(1, 2, **rest)", "f(1, 2, **rest)"),
        ("a, b", "new: str, a, b", "f(f(1, 2), 3)", "f(◊, f(◊, 1, 2), 3)"),
        ("a, b", "a, new, b", "f(\n    1,\n    2,\n)", "f(\n    1,\n    ◊,\n    2,\n)"),
        ("a, b", "a, new, b", "f(\n    1,\n    b=2\n)", "f(\n    1,\n    ◊,\n    b=2\n)"),
        ("b, c=0", "c", "f(1, 2, 3); f(1, 2)", "f(1, 3); f(1, 0)"),
        ("a, b", "a, b: int, k: str", "f(1, 2)", "f(1, 2, ◊)"),
        ("b, c=0", "size: int, c=0", "f(1, 2)", "f(1, ◊)"),
        ("f(a, b", "g(a, new, b", "f(1, 2)", "g(1, ◊, 2)"),
        # calls that never fitted, or that fit now
        ("a, b", "a, new, b", "f(1)", "f(1)"),
        ("a, b", "a, new, b", "f(1, 2, c=3, d=4)", "f(1, 2, c=3, d=4)"),
        ("a, b", "a, new, b", "f(1, 2, 3, 4)", "f(1, 2, 3, 4)"),
        ("a, b", "a, new, b", "f(1, 2, a=3)", "f(1, 2, a=3)"),
    ],
)
def test_calls_follow_the_header(old: str, new: str, calls: str, expected: str) -> None:
    check(F + calls + "\n", old, new, F + expected + "\n")


CASES = (Path(__file__).parents[1] / "cases" / "call_updates.txt").read_text(encoding="utf-8").split("\n## ")[1:]


@pytest.mark.parametrize("case", CASES, ids=[case.partition("\n")[0] for case in CASES])
def test_which_calls_are_those_of_the_function(case: str) -> None:
    text, _, expected = case.partition("\n")[2].partition("\n---\n")
    edit = re.search("⟦(.*?)⇒(.*?)⟧", text, re.DOTALL)
    assert edit is not None
    document = Document(text.replace(edit[0], edit[1]))
    document.become(text.replace(edit[0], edit[2]))
    assert document.updated() == expected.rstrip("\n")


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        # the header is again what it was
        ([("(a, b", "(b, a"), ("(b, a", "(a, b")], "f(1, 2)\nf(3, 4)\n"),
        ([("(a, b", "(b, a"), ("0", "1"), ("(b, a", "(a, b")], "f(1, 2)\nf(3, 4)\n"),
        # the body is edited before the calls are
        ([("(a, b", "(b, a"), ("return 0", "return a - b")], "f(2, 1)\nf(4, 3)\n"),
        # a call that was seen to by hand, and one that was written later
        ([("(a, b", "(b, a"), ("f(3, 4)", "f(4, 3)")], "f(2, 1)\nf(4, 3)\n"),
        ([("(a, b", "(b, a"), ("f(3, 4)", "f(3, 4)\nf(5, 6)")], "f(2, 1)\nf(4, 3)\nf(5, 6)\n"),
        # in two steps, with a call written between them
        (
            [("(a, b", "(b, a"), ("f(3", "x = f(5, 6)\nf(3"), ("b, a", "b, a, *, k")],
            "f(2, 1, k=◊)\nx = f(5, 6, k=◊)\nf(4, 3, k=◊)\n",
        ),
        ([("(a, b", "(b"), ("return 0", "return b"), ("f(b", "f(b, new")], "f(2, ◊)\nf(4, ◊)\n"),
        ([("f(a, b", "g(a, b"), ("return 0", "return b"), ("g(a", "h(a")], "h(1, 2)\nh(3, 4)\n"),
        # what is being typed is no header yet
        ([("(a, b):", "(a, b, ")], "f(1, 2)\nf(3, 4)\n"),
        ([("def f(a, b):", "")], "f(1, 2)\nf(3, 4)\n"),
        # lines come above it; it is indented
        ([("(a, b", "(b, a"), ("def", "import os\n\n\ndef")], "f(2, 1)\nf(4, 3)\n"),
        ([("(a, b", "(b, a"), ("def", "async def")], "f(2, 1)\nf(4, 3)\n"),
    ],
)
def test_what_is_remembered_of_a_header(edits: list[tuple[str, str]], expected: str) -> None:
    document = Document("def f(a, b):\n    return 0\n\n\nf(1, 2)\nf(3, 4)\n")
    for old, new in edits:
        document.replace(old, new)
    assert document.updated().endswith(f"\n\n\n{expected}")


def test_a_text_that_is_replaced_as_a_whole_keeps_what_is_known_of_its_headers() -> None:
    """Some clients send whole texts; some formatters replace them."""
    document = Document("def f(a,b): ...\ndef g(): ...\nf(1,2)\n")
    document.replace("a,b", "b,a")
    document.edit_at_once(0, len(document.text), "def f(b, a):\n    ...\n\n\ndef g(): ...\n\n\nf(1, 2)\n")
    assert document.updates() == []  # whoever wrote all anew may have seen to the calls as well, and they fit
    document.replace("b, a", "b, a, new")
    assert document.updated().endswith("f(2, 1, ◊)\n")


def test_a_function_that_is_just_being_written_has_no_signature_before() -> None:
    document = Document("f(1)\n")
    document.become("def f(a):\n    pass\nf(1)\n")
    assert document.updates() == []


def test_a_few_headers_are_remembered_the_latest_ones() -> None:
    document = Document("".join(f"def f{number}(a): ...\nf{number}(1)\n" for number in range(40)))
    for number in range(40):
        document.replace(f"def f{number}(a)", f"def f{number}()")
    assert [plan.name for plan in document.updates()] == [f"f{number}" for number in range(24, 40)]


@pytest.mark.parametrize(
    ("old", "new", "title"),
    [
        ("f(a", "f(b, a", "Update the 2 calls of f in this file"),
        ("f(a", "g(a", "Update the 3 uses of f in this file"),
        ("__init__(self, a", "__init__(self", "Update the call of C in this file"),
        ("f(a", "f(a, b=1", None),
        ("f(a", "f(a: int", None),
    ],
)
def test_what_is_offered(old: str, new: str, title: str | None) -> None:
    document = Document("def f(a): ...\nf(f(1))\nmap(f, x)\nclass C:\n    def __init__(self, a): ...\nC(1)\n")
    document.replace(old, new)
    assert [plan.title for plan in document.updates()] == ([title] if title else [])


@pytest.mark.parametrize(
    ("fill", "expected"),
    [
        ("x", "f(1, x)"),
        ("g(x, [y])", "f(1, g(x, [y]))"),
        ("x, y", "f(1, x)"),
        ("new=x", "f(1, x)"),
        ("lambda: 1", "f(1, lambda: 1)"),
        ("*x", None),
        ("x)", None),
        ("x for x in y", None),
        ("x  # y", None),
        ("", None),
    ],
)
def test_a_fill_is_one_argument_or_the_call_stays_as_it_is(fill: str, expected: str | None) -> None:
    document = Document("def f(a): ...\nf(1)\nf\n")
    document.replace("f(a", "f(a, new")
    (updates,) = document.updates()
    holes = filled(document.text, updates, [FilledHole(Span(0, 0), "1", fill, 0.5)])
    assert apply_fills(document.text, holes) == document.text.replace("f(1)", expected or "f(1)")


def test_the_edits_are_small_and_sure_where_no_model_was_asked() -> None:
    document = Document("def f(a, b): ...\nf(1, 2)\n")
    document.replace("a, b", "a")
    (updates,) = document.updates()
    (hole,) = filled(document.text, updates, [])
    assert (document.text[hole.span.start : hole.span.end], hole.fill, hole.confidence) == (", 2", "", 1.0)
