"""Which spans of a source file become holes: what people will ask for, in the shares of `KIND_SHARES`.

Knows text and offsets in code points only. Spans may begin and end inside a token: so do cursors.
"""

from __future__ import annotations

import ast
import random
import re
import warnings
from dataclasses import dataclass
from functools import cached_property

MAX_HOLE_CHARS = 320
KIND_SHARES = {"line": 0.17, "rest_of_line": 0.20, "node": 0.25, "block": 0.14, "random": 0.12, "several": 0.12}


@dataclass(frozen=True, slots=True, order=True)
class CharSpan:
    """Code points [start, end)."""

    start: int
    end: int


class SourceFile:
    """A parsed Python file from which holes are drawn."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[CharSpan]:
        """The span of each line that is not blank, without its indentation and line end."""
        return [
            CharSpan(match.start(1), match.end(1)) for match in re.finditer(r"^[ \t]*(\S.*?)[ \t]*$", self.text, re.M)
        ]

    @cached_property
    def nodes(self) -> list[CharSpan]:
        """The spans of the expressions and statements that are no longer than a hole may be."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            tree = ast.parse(self.text)
        return [span for node in ast.walk(tree) for span in self._spans_of(node)]

    def _spans_of(self, node: ast.AST) -> list[CharSpan]:
        spans = []
        if isinstance(node, (ast.expr, ast.stmt)) and not isinstance(node, (ast.Load, ast.Import, ast.ImportFrom)):
            # A bare name or constant is one token: only some of them are worth asking for.
            spans.append(self._span(node, node))
        if isinstance(node, ast.Call) and len(node.args) + len(node.keywords) > 1:
            arguments = sorted([*node.args, *(k.value for k in node.keywords)], key=lambda n: (n.lineno, n.col_offset))
            spans.append(self._span(arguments[0], arguments[-1]))
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.stmt) and len(body) > 1:
            spans.append(self._span(body[0], body[-1]))
        return [span for span in spans if 1 <= span.end - span.start <= MAX_HOLE_CHARS]

    def _span(self, first: ast.AST, last: ast.AST) -> CharSpan:
        start = self._offset(first.lineno, first.col_offset)  # type: ignore[attr-defined]
        return CharSpan(start, self._offset(last.end_lineno, last.end_col_offset))  # type: ignore[attr-defined]

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer(r"\n|\f", self.text) if match.group() == "\n")]

    def _offset(self, line: int, column_bytes: int) -> int:
        start = self._line_starts[line - 1]
        head = self.text[start : start + column_bytes]
        return start + (column_bytes if head.isascii() else len(self._line_bytes(line)[:column_bytes].decode("utf-8")))

    def _line_bytes(self, line: int) -> bytes:
        ends = [*self._line_starts[1:], len(self.text)]
        return self.text[self._line_starts[line - 1] : ends[line - 1]].encode()


def draw_holes(source: SourceFile, near: int, rng: random.Random) -> tuple[CharSpan, ...]:
    """One to four holes, in document order and not touching, around the offset `near`; empty if nothing fits there."""
    kind = rng.choices(list(KIND_SHARES), list(KIND_SHARES.values()))[0]
    if kind != "several":
        span = _draw(source, kind, near, rng)
        return (span,) if span else ()
    kinds = rng.choices(["line", "rest_of_line", "node"], k=rng.randint(2, 4))
    holes: list[CharSpan] = []
    for one_kind in kinds:
        span = _draw(source, one_kind, near + rng.randint(0, 700), rng)
        if span and span.start < span.end and all(span.end < hole.start or hole.end < span.start for hole in holes):
            holes.append(span)
    return tuple(sorted(holes))


def _draw(source: SourceFile, kind: str, near: int, rng: random.Random) -> CharSpan | None:
    if kind == "random":
        start = min(max(0, near + rng.randint(-100, 100)), len(source.text))
        length = 0 if rng.random() < 0.1 else rng.randint(1, 160)
        return CharSpan(start, min(start + length, len(source.text)))
    spans = source.nodes if kind == "node" else source.lines
    close = [span for span in spans if abs(span.start - near) < 400]
    if not close:
        return None
    if kind == "node":
        close = [span for span in close if span.end - span.start > 3] or close
        return rng.choice(close)
    index = rng.randrange(len(close))
    if kind == "block":
        last = min(index + rng.randint(1, 7), len(close) - 1)
        return _limited(CharSpan(close[index].start, close[last].end))
    if kind == "line":
        return _limited(close[index])
    return _limited(_rest_of_line(source.text, close[index], rng))


def _rest_of_line(text: str, line: CharSpan, rng: random.Random) -> CharSpan:
    """From a cursor inside the line to its end, or to the brackets that an editor has closed behind the cursor."""
    cursor = rng.randint(line.start, line.end)
    closers = re.search(r"[)\]}'\":,]+$", text[cursor : line.end])
    end = cursor + closers.start() if closers and rng.random() < 0.4 else line.end
    return CharSpan(cursor, end)


def _limited(span: CharSpan) -> CharSpan | None:
    return span if span.end - span.start <= MAX_HOLE_CHARS else None
