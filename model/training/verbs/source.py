"""A parsed Python file whose syntax nodes have offsets in code points, and the pair that a transform makes of it."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

MAX_CHARS = 320
"""The longest region, and the longest draft: what a canvas of 128 tokens holds with some room."""

Node = ast.stmt | ast.expr | ast.arg
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class VerbPair:
    """What `verb` is to make of `draft` is text[start:end] of the file it was found in; offsets in code points."""

    verb: str
    start: int
    end: int
    draft: str


class Source:
    """Raises SyntaxError, ValueError or RecursionError for what `ast.parse` does not take."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = parsed(text)
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._is_ascii = text.isascii()

    def start(self, node: Node) -> int:
        return self._offset(node.lineno, node.col_offset)

    def end(self, node: Node) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._offset(node.end_lineno, node.end_col_offset)

    def of(self, node: Node) -> str:
        """The text of a node; brackets around it belong to its parent."""
        return self.text[self.start(node) : self.end(node)]

    def indentation(self, start: int) -> str | None:
        """The white space before `start` in its line; None where something else stands there."""
        before = self.text[self.text.rfind("\n", 0, start) + 1 : start]
        return before if not before.strip(" \t") else None

    def ends_line(self, end: int) -> bool:
        return not self.text[end:].partition("\n")[0].strip(" \t") if end < len(self.text) else True

    def _offset(self, line: int, column_bytes: int) -> int:
        start = self._line_starts[line - 1]
        head = self.text[start : start + column_bytes]
        if self._is_ascii or head.isascii():
            return start + column_bytes
        return start + len(head.encode()[:column_bytes].decode(errors="ignore"))


def make_pair(source: Source, verb: str, start: int, end: int, draft: str, tail: str = "") -> VerbPair | None:
    """The pair, if region and draft are short, differ, begin a line, and the draft parses where it will stand.

    tail: what makes a statement of a header, without its line break and indentation.
    """
    indentation = source.indentation(start)
    if max(end - start, len(draft)) > MAX_CHARS or indentation is None or draft == source.text[start:end]:
        return None
    return VerbPair(verb, start, end, draft) if parsed_in_block(indentation, draft, tail) else None


def parsed_in_block(indentation: str, code: str, tail: str = "") -> ast.Module | None:
    """`code`, whose first line is without its `indentation`, as a module of its own; None if it does not parse."""
    opening = f"if 1:\n{indentation}" if indentation else ""
    closing = f"\n{indentation} {tail}" if tail else ""
    try:
        return parsed(opening + code + closing + "\n")
    except SyntaxError:
        return None


def parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in somebody's string is not ours to report
        return ast.parse(text)


def shifted(code: str, step: str) -> str:
    """The lines of `code` one step further to the right; the first line is without its indentation."""
    return re.sub(r"\n(?=[ \t]*\S)", "\n" + step, code)


def is_on_lines_of_its_own(source: Source, start: int, end: int) -> bool:
    """Whether whole lines can be moved: no other code beside them, no text inside that indentation would change."""
    code = source.text[start:end]
    return (
        source.indentation(start) is not None
        and source.ends_line(end)
        and not any(mark in code for mark in ('"""', "'''", "\\\n"))
    )


def step_of(source: Source, outer: Node, inner: Node) -> str:
    """The indentation that `inner`, in a block of `outer`, has more than `outer`."""
    indentation, deeper = source.indentation(source.start(outer)), source.indentation(source.start(inner))
    if indentation is None or deeper is None or not deeper.startswith(indentation):
        return "    "
    return deeper[len(indentation) :] or "    "
