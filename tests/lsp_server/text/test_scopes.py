"""What "this hole", "this function" and "this file" mean in a text. `‸` is the cursor; holes are shown as `◊`."""

from __future__ import annotations

import pytest

from midfill.lsp_server.text.holes import HoleError, Span
from midfill.lsp_server.text.scopes import Scope, ScopeKind, Source, find_places


def filled(text: str, kind: ScopeKind, path: str = "a.py") -> str:
    """The text with `◊` in the places of a scope; a selection runs from the first cursor to the second."""
    start = text.find("‸")
    text = text.replace("‸", "", 1)
    end = text.find("‸")
    text = text.replace("‸", "", 1)
    scope = Scope(kind, Span(max(start, 0), max(end, start, 0)))
    for place in reversed(find_places(Source(text, "", path), scope)):
        text = f"{text[: place.span.start]}{place.lead}◊{text[place.span.end :]}"
    return text


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("a = <fill>\nb = <f‸ill>\n", "hole", "a = <fill>\nb = ◊\n"),
        ("‸f(<fill>, <fill>)\n", "hole", "f(◊, <fill>)\n"),
        ("f(<fill>, <fill>)‸\n", "hole", "f(<fill>, ◊)\n"),
        ("def ‸f(x):\n    ...\n", "hole", "def f(x):\n    ◊\n"),
        ("def f(x):\n    ...\n\n\nd‸ef g(): pass\n", "hole", "def f(x):\n    ...\n\n\ndef g():\n    ◊\n"),
        ("def f():\n    for x in y:\n        ...‸\n", "hole", "def f():\n    for x in y:\n        ◊\n"),
        ("a = 1\n‸b = 2\n‸c = 3\n", "selection", "a = 1\n◊\nc = 3\n"),
        ("def f():\n‸    b = 2\n    c = 3‸\n", "selection", "def f():\n    ◊\n"),
        ("a = ‸‸\n", "selection", "a = ◊\n"),
        ("a = 1\n‸\n‸b = 2\n", "selection", "a = 1\n◊\nb = 2\n"),
        (
            "x = <fill>\ndef f(a):‸\n    b = <fill>\n    return <fill>\n",
            "function",
            "x = <fill>\ndef f(a):\n    b = ◊\n    return ◊\n",
        ),
        (
            "def f():\n    for x in y:\n        ...\n    if ‸x:\n        ...\n",
            "function",
            "def f():\n    for x in y:\n        ◊\n    if x:\n        ◊\n",
        ),
        ("x = <fill>\ndef f(): ...\n", "file", "x = ◊\ndef f(): ...\n"),
        ("x = 1\ndef f(): ...\ndef g():\n    pass\n", "file", "x = 1\ndef f():\n    ◊\ndef g():\n    ◊\n"),
        ("x = <fill>\ndef f(): ...\n", "bodies", "x = <fill>\ndef f():\n    ◊\n"),
    ],
)
def test_scopes(text: str, kind: ScopeKind, expected: str) -> None:
    assert filled(text, kind) == expected


@pytest.mark.parametrize(
    ("text", "kind", "path", "sentence"),
    [
        ("x = 1‸\ny = <fill>\n", "hole", "a.py", "no <fill> on this line and no empty body around it; write <fill>"),
        ("x = ‸1\n", "function", "a.py", "there is no function around this place"),
        ("def f():\n    return ‸1\n", "function", "a.py", "no <fill> and no empty body in this function"),
        ("x = 1\n", "file", "a.py", "no <fill> and no empty body in this file"),
        ("x = <fill>\n", "bodies", "a.py", "no body in this file that is only"),
        ("def f() -> int: ...\n", "file", "a.pyi", "no <fill> and no empty body in this file"),
    ],
)
def test_what_is_missing_is_said(text: str, kind: ScopeKind, path: str, sentence: str) -> None:
    with pytest.raises(HoleError, match=sentence):
        filled(text, kind, path)
