"""What parses where it stands, and what fits at a cursor."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from midfill.lsp_server.text.syntax import cursor_place, language_of, num_errors, parses, parses_in_place

CASES = (Path(__file__).parents[1] / "cases" / "parses_in_place.txt").read_text("utf-8").split("\n## ")[1:]
EVERY_LANGUAGE = {
    "python": "x = 1\n",
    "javascript": "let x = 1;\n",
    "typescript": "let x: number = 1;\n",
    "tsx": "const x = <b/>;\n",
    "go": "package a\n",
    "rust": "fn f() {}\n",
    "java": "class A {}\n",
    "c": "int x;\n",
    "cpp": "class A {};\n",
    "lua": "local x = 1\n",
}


@pytest.mark.parametrize("case", CASES, ids=[case.partition("\n")[0].replace(" ", "_") for case in CASES])
@pytest.mark.parametrize("eol", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_a_fill_parses_in_place(case: str, eol: str) -> None:
    title, _, marked = case.partition("\n")
    expected, language = title.partition(":")[0].split()
    prefix, fill, suffix = re.split("[⟦⟧]", marked.replace("\n", eol))
    text = f"{prefix}<fill>{suffix}"
    verdict = parses_in_place(text, len(prefix), len(prefix) + len("<fill>"), fill, language)
    assert verdict is (expected == "yes")


def test_other_markers_may_be_spelled_otherwise() -> None:
    text = "foo(@@, )\n"
    assert parses_in_place(text, 8, 8, "a", "python", marker="@@")
    assert parses_in_place(text, 8, 8, "a", "python") is False


@pytest.mark.parametrize(
    ("marked", "language", "expected"),
    [
        ("def f():|", "python", "block"),
        ("def f():\n    |\n", "python", "block"),
        ("def f():  # why\n    |\n", "python", "block"),
        ("def f():\n    # what\n    |\n", "python", "block"),
        ("def f():\r\n    |\r\n\r\ndef g():\r\n    pass\r\n", "python", "block"),
        ('def f():\n    """doc"""\n    |\n', "python", "block"),
        ('def f():\n    """doc\n    more\n    """\n    |\n', "python", "block"),
        ("if x:\n    y\nelse:|\n", "python", "block"),
        ("def f():\n    |\n    x = 1\n", "python", "line"),
        ("for x in y:|\n    pass", "python", "line"),
        ("x = |", "python", "line"),
        ("x = {'a': |", "python", "line"),
        ("x = 'ab|c'", "python", "string"),
        ("x = 'abc|'", "python", "string"),
        ("x = 'abc'|", "python", "line"),
        ("x = 'a' |'b'", "python", "line"),
        ("x = foo('a|", "python", "string"),
        ("x = f'{a|}'", "python", "line"),
        ("x = f'{a}b|'", "python", "string"),
        ("'''doc\n|\n'''\ndef f(): pass", "python", "string"),
        ("# what|", "python", "comment"),
        ("x = 1  # what|\ny = 2", "python", "comment"),
        ("# what\n|", "python", "line"),
        ("function f() {|}", "javascript", "block"),
        ("function f() {\n  |\n}\n", "javascript", "block"),
        ("// a|\n", "javascript", "comment"),
        ("/* a| */", "javascript", "comment"),
        ("/* a */ |", "javascript", "line"),
        ("x = `a${b|}`", "javascript", "line"),
        ("x = `a|`", "javascript", "string"),
        ("func f() {\n\t|\n}", "go", "block"),
        ("x := `a|`", "go", "string"),
        ("fn f<'a>(x: &'a str) {\n    |\n}", "rust", "block"),
        ("int main() {\n    int x = |\n}", "c", "line"),
        ('char *s = "a|";', "c", "string"),
        ("function f()\n  |\nend", "lua", "block"),
        ("-- a|\nx = 1", "lua", "comment"),
        ("some text|", None, "line"),
        ("call(\n    |\n)\n", "python", "block"),
        ("x = {\n    |\n}\n", "python", "block"),
        ("call(\n    a,\n    |\n)\n", "python", "line"),
        ("call(|)", "python", "line"),
        ("call(\n    |\n    a,\n)\n", "python", "line"),
        ("call(\n    |\n];\n", "javascript", "line"),
        ("foo(\r\n  |\r\n);\r\n", "javascript", "block"),
    ],
)
def test_what_fits_at_a_cursor(marked: str, language: str | None, expected: str) -> None:
    place = cursor_place(marked.replace("|", "", 1), marked.index("|"), language)
    assert expected == (place.shape if place.kind == "code" else place.kind)


@pytest.mark.parametrize("language", EVERY_LANGUAGE)
def test_every_grammar_tells_right_from_wrong(language: str) -> None:
    assert parses(EVERY_LANGUAGE[language], language) is True
    assert parses(EVERY_LANGUAGE[language] + "((", language) is False
    assert num_errors(EVERY_LANGUAGE[language], language) == 0


def test_without_a_grammar_nobody_can_tell() -> None:
    assert parses("x", None) is None
    assert num_errors("x", "cobol") is None
    assert parses_in_place("x", 0, 1, "y", None) is None


@pytest.mark.parametrize(
    ("language_id", "path", "language"),
    [
        ("python", None, "python"),
        ("typescriptreact", None, "tsx"),
        ("", "/a/b.rs", "rust"),
        ("plaintext", "a.TSX", "tsx"),
        ("markdown", "a.py", None),
        ("", None, None),
        ("", "Makefile", None),
    ],
)
def test_the_language_of_a_file(language_id: str, path: str | None, language: str | None) -> None:
    assert language_of(language_id, path) == language


def test_a_function_of_a_long_file_is_judged_by_itself() -> None:
    functions = [f"def f{number}(a):\n    x = a + {number}\n    return x\n\n\n" for number in range(10_000)]
    functions[100] = "def broken(:\n"
    text = "".join(functions)
    start = text.index("return x", len(text) // 2)
    assert parses_in_place(text, start, start + 8, "return x + 1", "python") is True
    assert parses_in_place(text, start, start + 8, "return (x", "python") is False


def test_deep_nesting_is_no_crash() -> None:
    assert parses_in_place("x = \n", 4, 4, "(" * 5000 + ")" * 5000, "python") in (True, False)


def test_grammars_are_imported_only_when_asked_for() -> None:
    code = (
        "import sys, midfill.lsp_server.text.filling; print([m for m in sys.modules if m.startswith('tree_sitter_')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
