"""Which spans become holes, in each language, and which lines are drawn more often. Places are marked in the text."""

from __future__ import annotations

import itertools
import random

import pytest

from midfill.model.measuring.languages import LANGUAGES
from midfill.model.measuring.spans import (
    HOLE_SYNTAX,
    KIND_SHARES,
    MAX_HOLE_CHARS,
    TELLING_WEIGHT,
    CharSpan,
    SourceFile,
    draw_holes,
)

PYTHON = """def read(path, mode="r"):
    with open(path, mode) as handle:
        lines = [line.strip() for line in handle if line]
    return {"é": lines, "n": len(lines)}


class Reader:
    def __init__(self, root):
        self.root = root
        self.cache = {}
"""
JAVASCRIPT = """import { open } from "files";

export async function read(path, mode = "é") {
  const handle = await open(path, mode);
  if (!handle) {
    throw new Error(`no ${path}`);
  }
  return { handle, size: handle.size + 1 };
}
"""
TYPESCRIPT = """interface Shape {
  area: number;
  scale(factor: number, origin: Point): Shape;
}

export const grow = (shape: Shape, by: number): Shape => {
  return shape.scale(by as number, { x: 0, y: 0 });
};
"""
TSX = """export function Row({ name, done }: Props) {
  return <li className="row" onClick={() => toggle(name)}>{done ? "x" : name}</li>;
}
"""


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (PYTHON, "python", {'{"é": lines, "n": len(lines)}', "path, mode", "self.cache = {}", "len(lines)"}),
        (PYTHON, "python", {"self.root = root\n        self.cache = {}"}),
        (JAVASCRIPT, "javascript", {"await open(path, mode)", "path, mode", "handle.size + 1", "!handle"}),
        (JAVASCRIPT, "javascript", {"throw new Error(`no ${path}`);", "`no ${path}`", 'path, mode = "é"'}),
        (TYPESCRIPT, "typescript", {"area: number", "factor: number, origin: Point", "by as number", "{ x: 0, y: 0 }"}),
        (TSX, "tsx", {'className="row"', '{done ? "x" : name}', "() => toggle(name)", "toggle(name)"}),
    ],
)
def test_expressions_statements_arguments_and_bodies_are_nodes(text: str, language: str, expected: set[str]) -> None:
    source = SourceFile(text, language)
    found = [text[span.start : span.end] for span in source.nodes]
    assert expected <= set(found)
    assert all(0 < len(content) <= MAX_HOLE_CHARS for content in found)
    assert source.nodes == sorted(source.nodes)


@pytest.mark.parametrize("name", ["path", "handle", "lines"])
def test_a_bare_name_is_no_node(name: str) -> None:
    for text, language in ((PYTHON, "python"), (JAVASCRIPT, "javascript")):
        assert name not in {text[span.start : span.end] for span in SourceFile(text, language).nodes}


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_language_has_its_own_syntax_for_holes(language: str) -> None:
    assert LANGUAGES[language].family in HOLE_SYNTAX


@pytest.mark.parametrize(
    ("text", "language"), [(PYTHON, "python"), (JAVASCRIPT, "javascript"), (TYPESCRIPT, "typescript"), (TSX, "tsx")]
)
def test_holes_are_spans_of_the_text_that_do_not_touch(text: str, language: str) -> None:
    source, rng = SourceFile(text, language), random.Random(0)
    drawn = [draw_holes(source, rng.randrange(len(text)), rng) for _ in range(400)]
    assert {1, 2} <= {len(holes) for holes in drawn} <= {0, 1, 2, 3}
    for holes in drawn:
        assert all(0 <= hole.start <= hole.end <= len(text) for hole in holes)
        assert all(first.end < second.start for first, second in itertools.pairwise(holes))


def test_a_fifth_of_the_draws_has_several_holes() -> None:
    text = "\n".join(f"def function_{n}(left_{n}, right_{n}):\n    return left_{n} + right_{n}\n" for n in range(40))
    source, rng = SourceFile(text), random.Random(0)
    numbers = [len(draw_holes(source, rng.randrange(len(text)), rng)) for _ in range(2000)]
    assert 0.17 < sum(number > 1 for number in numbers) / len(numbers) < 0.24
    assert sum(KIND_SHARES.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Behind a header, the whole body; behind another line, the next line.
        ("if x:\n    a()\n    b()\nc()\n", ["    a()\n    b()", "    b()", "c()"]),
        ("if (x) {\n\ta();\n\n\tb();\n}\n", ["\ta();\n\n\tb();"]),
        ("f({\n  key: 1,\n});\n", ["  key: 1,"]),
        # A blank line stands between: nothing was typed there.
        ("a()\n\nb()\n", []),
        # A body that is longer than a hole may be: its first line.
        ("if x:\n" + "    call(argument)\n" * 40, ["    call(argument)"] * 40),
        # `:` at the end and no block behind it.
        ("case 1:\nb()\n", ["b()"]),
    ],
)
def test_what_can_follow_a_new_line(text: str, expected: list[str]) -> None:
    spans = SourceFile(text, "python").new_lines
    assert [text[span.start : span.end] for span, _ in spans] == expected
    for span, indentation in spans:
        assert not text[span.start : span.start + indentation].strip()
        assert text[span.start + indentation].strip()


@pytest.mark.parametrize(
    ("language", "text"),
    [
        # `*` marks the lines whose content is told by what follows.
        ("python", "*total = 0\nprint(total)\nother = 1\n"),
        ("python", "*self.size = 3\nprint(size)\nself.width = 3\nself.height\n"),
        ("python", "*from os import path\n\nfound = None\npath.join()\n"),
        ("python", "*for name, value in pairs:\n    print(value)\n"),
        ("python", "*if ready:\n    stop()\nelse:\n    go()\n"),
        ("python", "*def run(self):\n    pass\n"),
        ("python", "total == 1\ntotal\n"),
        ("python", "key = 1\n" + "other()\n" * 10 + "key\n"),
        ("javascript", "*const { left, right } = pair;\nuse(right);\nlet unused = 1;\n"),
        ("javascript", '*import { open } from "files";\nopen();\n'),
        ("javascript", "*if (ready) {\n  stop();\n}\n"),
        ("javascript", "*items.forEach((item) => {\n  use(item);\n});\n"),
        ("javascript", "*for (const item of items) use(item);\nitem;\n"),
        ("javascript", "const config = {\n  key: 1,\n};\n"),
        ("typescript", "*type Size = number;\nlet size: Size;\n"),
        ("typescript", "*interface Shape {\n  area: number;\n}\n"),
    ],
)
def test_lines_that_the_text_below_tells_are_drawn_more_often(language: str, text: str) -> None:
    clean = text.replace("*", "")
    weights = SourceFile(clean, language).weights
    marked = [line.startswith("*") for line in text.split("\n") if line.strip()]
    assert weights == [TELLING_WEIGHT if mark else 1.0 for mark in marked]


def test_the_weights_of_lines_show_in_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in KIND_SHARES:
        monkeypatch.setitem(KIND_SHARES, kind, float(kind == "line"))
    text = "\n".join(f"total_{n} = {n}\ncall_{n}(total_{n})" for n in range(8))
    source, rng = SourceFile(text), random.Random(0)
    drawn = [text[h.start : h.end] for _ in range(3000) for h in draw_holes(source, len(text) // 2, rng)]
    definitions = sum(" = " in content for content in drawn)
    assert 1.8 < definitions / (len(drawn) - definitions) < 2.2


def test_spans_count_code_points() -> None:
    text = "x = '🙂é'\ny = call(x, 1)\n"
    assert CharSpan(text.index("call"), len(text) - 1) in SourceFile(text).nodes
