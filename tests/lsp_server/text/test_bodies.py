"""Which bodies are empty, and where their code goes. In the expected texts `⟦lead◊⟧` is the hole, behind what is put in
front of it."""

from __future__ import annotations

import time

import pytest

from midfill.lsp_server.text.bodies import empty_bodies, enclosing_function
from midfill.lsp_server.text.holes import Span


def opened(text: str) -> str:
    """The text with the hole of every empty body shown."""
    for body in reversed(empty_bodies(text, "python")):
        span = body.place.span
        text = f"{text[: span.start]}⟦{body.place.lead}◊⟧{text[span.end :]}"
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n    ...\n", "def f():\n    ⟦◊⟧\n"),
        ("def f():\n    pass\n", "def f():\n    ⟦◊⟧\n"),
        ("def f():\n    raise NotImplementedError\n", "def f():\n    ⟦◊⟧\n"),
        ("async def é():\n    raise NotImplementedError('é')\n", "async def é():\n    ⟦◊⟧\n"),
        ('def f():\n    """Halve."""\n    ...\n', 'def f():\n    """Halve."""\n    ⟦◊⟧\n'),
        ("def f(): ...\n", "def f():⟦\n    ◊⟧\n"),
        ("class A:\n\tdef f(self): pass\n", "class A:\n\tdef f(self):⟦\n\t\t◊⟧\n"),
        ("def f():\n    # TODO: halve\n", "def f():\n    # TODO: halve⟦\n    ◊⟧\n"),
        ("def f():\r\n    # TODO: halve\r\n\r\nx = 1\r\n", "def f():\r\n    # TODO: halve⟦\r\n    ◊⟧\r\n\r\nx = 1\r\n"),
        ("def f():\r    pass\rx = 1\r", "def f():\r    ⟦◊⟧\rx = 1\r"),
        ("def f():\n    # FIXME later\n    pass\n", "def f():\n    # FIXME later\n    ⟦◊⟧\n"),
        ("def f():\n    pass  # TODO: halve\n", "def f():\n    ⟦# TODO: halve\n    ◊⟧\n"),
        ("def f(): pass  # TODO: halve\n", "def f():⟦\n    # TODO: halve\n    ◊⟧\n"),
        ("for x in y:\n    ...\nelse:\n    # TODO\n", "for x in y:\n    ⟦◊⟧\nelse:\n    # TODO⟦\n    ◊⟧\n"),
        ("def f():\n    ...\n\n\ndef g():\n    ...\n", "def f():\n    ⟦◊⟧\n\n\ndef g():\n    ⟦◊⟧\n"),
    ],
)
def test_empty_bodies(text: str, expected: str) -> None:
    assert opened(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "def f():\n    return 1  # TODO: more\n",
        'def f():\n    """Only documented."""\n',
        "class E(Exception):\n    pass\n",
        "try:\n    f()\nexcept OSError:\n    pass\n",
        "if x:\n    raise NotImplementedError\n",
        "x = ...\n",
        "class P(Protocol):\n    def f(self) -> int: ...\n",
        "class A(ABC):\n    @abc.abstractmethod\n    def f(self):\n        raise NotImplementedError\n",
        "@overload\ndef f(x: int) -> int: ...\n",
        "# TODO: everything\n",
    ],
)
def test_what_is_meant_as_it_stands_is_no_empty_body(text: str) -> None:
    assert empty_bodies(text, "python") == ()


def test_other_languages_have_no_empty_bodies_yet() -> None:
    assert empty_bodies("function f() { /* TODO */ }", "javascript") == ()


FUNCTIONS = """x = 1
@cached
def outer(a):
    def inner(b):
        return <fill>

    # why
    return inner
y = 2
"""


@pytest.mark.parametrize(
    ("at", "first_line"),
    [("x = 1", None), ("@cached", "@cached"), ("return <", "    def inner(b):"), ("# why", "@cached"), ("y = 2", None)],
)
def test_the_innermost_function_around_a_place(at: str, first_line: str | None) -> None:
    span = enclosing_function(FUNCTIONS, FUNCTIONS.index(at), "python", "<fill>")
    assert (FUNCTIONS[span.start : span.end].partition("\n")[0] if span else None) == first_line


@pytest.mark.parametrize(
    ("language", "text", "at", "function"),
    [
        ("javascript", "let a = 1;\nfunction f() {\n  return <fill>;\n}\n", 30, Span(11, 44)),
        ("go", "package p\n\nfunc f() int {\n\treturn 1\n}\n", 25, Span(11, 37)),
        (None, "to square :x\nend\n", 5, None),
    ],
)
def test_functions_of_other_languages(language: str | None, text: str, at: int, function: Span | None) -> None:
    assert enclosing_function(text, at, language, "<fill>") == function


def test_a_file_of_50_000_lines_is_not_parsed_whole() -> None:
    filler = "def g(x):\n    return x + 1\n\n\n" * 12_500
    text = f"{filler}def f():\n    ...\n{filler}"
    started_s = time.process_time()
    (body,) = empty_bodies(text, "python")
    assert time.process_time() - started_s < 1.0
    assert text[body.place.span.start : body.place.span.end] == "..."
    assert enclosing_function(text, body.place.span.start, "python", "<fill>") == body.owner


def test_20_000_empty_bodies_are_found_in_a_few_parses() -> None:
    started_s = time.process_time()
    assert len(empty_bodies("def f(): ...\n" * 20_000, "python")) == 20_000
    assert time.process_time() - started_s < 10


def test_a_line_of_1_mb_is_looked_through() -> None:
    text = f"x = [{'1, ' * 350_000}]\ndef f(): ...\n"
    (body,) = empty_bodies(text, "python")
    assert text[body.place.span.start : body.place.span.end] == " ..."
