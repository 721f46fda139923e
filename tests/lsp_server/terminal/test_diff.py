"""The diff of known edits is one that `patch` takes, and says the same as the edits."""

from __future__ import annotations

import random
import re

import pytest

from midfill.lsp_server.terminal.diff import unified_diff
from midfill.lsp_server.text.holes import Span


def patched(text: str, diff: list[str]) -> str:
    """What `patch` does, strictly: every context and removed line must stand exactly where the hunk says."""
    old = re.findall(r"[^\n]*\n|[^\n]+", text)
    new: list[str] = []
    position = 0
    body = diff[2:]
    for index, line in enumerate(body):
        if header := re.fullmatch(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line):
            start, num_old = int(header[1]), int(header[2] or 1)
            first = start - 1 if num_old else start
            new += old[position:first]
            position = first
            assert len(new) + (header[4] != "0") == int(header[3]), "the new line number is wrong"
            continue
        if line.startswith("\\"):
            continue
        is_last = index + 1 < len(body) and body[index + 1].startswith("\\")
        content = line[1:] + ("" if is_last else "\n")
        if line[0] in " -":
            assert old[position] == content
            position += 1
        if line[0] in " +":
            new.append(content)
    return "".join([*new, *old[position:]])


def check(text: str, edits: list[tuple[Span, str]]) -> None:
    diff = unified_diff(text, edits, "f.py")
    expected = text
    for span, fill in reversed(edits):
        expected = expected[: span.start] + fill + expected[span.end :]
    assert patched(text, diff) == expected
    assert bool(diff) == (text != expected)


@pytest.mark.parametrize(
    ("text", "edits"),
    [
        ("", [(Span(0, 0), "a")]),
        ("", [(Span(0, 0), "a\n")]),
        ("a", [(Span(0, 1), "")]),
        ("a\n", [(Span(2, 2), "b\n")]),
        ("a\n", [(Span(1, 2), "")]),
        ("a\nb", [(Span(3, 3), "\n")]),
        ("a\nb\n", [(Span(0, 1), "a")]),
        ("a b c\n", [(Span(0, 1), "x"), (Span(2, 3), "y\nz"), (Span(4, 5), "")]),
        ("a\r\nb\r\n", [(Span(3, 4), "c\r\nd")]),
        ("a\x0cb\u2028c\n", [(Span(2, 3), "x")]),
    ],
)
def test_edges(text: str, edits: list[tuple[Span, str]]) -> None:
    check(text, edits)


def test_random_edits() -> None:
    source = random.Random(7)
    for _ in range(2000):
        text = "".join(source.choices("ab\n\n", k=source.randrange(60)))
        ends = sorted(source.sample(range(len(text) + 1), k=min(len(text) + 1, 2 * source.randrange(1, 4))) or [0, 0])
        spans = [Span(start, end) for start, end in zip(ends[0::2], ends[1::2], strict=False)]
        check(text, [(span, "".join(source.choices("abc\n", k=source.randrange(6)))) for span in spans])
