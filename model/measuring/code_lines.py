"""The lines of a source file that somebody types as code: no comments, no docstrings, no blank lines."""

from __future__ import annotations

from itertools import accumulate

import tree_sitter

from midfill.model.measuring.languages import LANGUAGES, parse
from midfill.model.measuring.spans import CharSpan, SourceFile

_COMMENTS = frozenset({"comment", "hash_bang_line", "html_comment"})


def code_lines(text: str, language: str = "python") -> list[CharSpan]:
    """The spans (code points, without indentation) of the lines that do not begin in a comment or a docstring.

    language: a grammar of `languages.LANGUAGES`."""
    starts = accumulate((len(line) + 1 for line in text.split("\n")), initial=0)
    rows = {start: row for row, start in enumerate(starts)}
    prose = _prose_rows(text, language)
    lines = SourceFile(text, language).lines
    return [line for line in lines if rows[text.rfind("\n", 0, line.start) + 1] not in prose]


def parses(text: str, language: str = "python") -> bool:
    return not parse(text, language).root_node.has_error


def _prose_rows(text: str, language: str) -> set[int]:
    """The rows, from 0, whose first character that is not blank belongs to a comment or a docstring."""
    is_python = LANGUAGES[language].family == "python"
    lines = text.split("\n")
    found: set[int] = set()
    pending: list[tree_sitter.Node] = [parse(text, language).root_node]
    while pending:
        node = pending.pop()
        if node.type in _COMMENTS or (is_python and _is_docstring(node)):
            (first, column), last = node.start_point, node.end_point.row
            begins_row = not lines[first].encode()[:column].strip()
            found.update(range(first if begins_row else first + 1, last + 1))
        else:
            pending += node.children
    return found


def _is_docstring(node: tree_sitter.Node) -> bool:
    return node.type == "expression_statement" and [child.type for child in node.named_children] == ["string"]
