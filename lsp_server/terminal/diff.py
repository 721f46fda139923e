"""A unified diff of known edits, without comparing the whole file: a 5 MB file costs as much as a small one.

Lines end at `\\n` only, as for `patch` and `git apply`, which accept what this makes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from midfill.lsp_server.text.holes import Span

_NUM_CONTEXT_LINES = 3


@dataclass(frozen=True)
class _Change:
    """Old lines [start, end) become `new`."""

    start: int
    end: int
    new: list[str]


def unified_diff(text: str, edits: Sequence[tuple[Span, str]], name: str) -> list[str]:
    """The diff's lines, without line ends. `edits` replace spans of `text` (code points), in order, not overlapping.

    Empty when the edits change nothing."""
    lines = text.split("\n")
    changes = _line_changes(text, lines, edits)
    if not changes:
        return []
    diff = [f"--- a/{name}", f"+++ b/{name}"]
    shift = 0
    for hunk in _hunks(changes):
        diff += _hunk_lines(lines, hunk, shift)
        shift += sum(len(change.new) - (change.end - change.start) for change in hunk)
    return diff


def _num_lines(lines: list[str]) -> int:
    """A last empty piece is no line: the text ends with a line end."""
    return len(lines) - (lines[-1] == "")


def _line_changes(text: str, lines: list[str], edits: Sequence[tuple[Span, str]]) -> list[_Change]:
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    grouped: list[tuple[int, int, list[tuple[Span, str]]]] = []
    for span, fill in edits:
        first, last = (bisect_right(starts, offset) - 1 for offset in (span.start, span.end))
        if grouped and first <= grouped[-1][1]:
            grouped[-1] = (grouped[-1][0], last, [*grouped[-1][2], (span, fill)])
        else:
            grouped.append((first, last, [(span, fill)]))
    changes = []
    for first, last, group in grouped:
        stop = min(starts[last + 1] - 1, len(text))
        new, offset = [], starts[first]
        for span, fill in group:
            new += [text[offset : span.start], fill]
            offset = span.end
        new.append(text[offset:stop])
        changes += _smallest(first, _ended(lines, first, last + 1), _split("".join(new), last == len(lines) - 1))
    return _joined(changes)


def _joined(changes: list[_Change]) -> list[_Change]:
    """Changes that touch as one: all that goes, then all that comes."""
    joined: list[_Change] = []
    for change in changes:
        if joined and joined[-1].end == change.start:
            before = joined.pop()
            change = _Change(before.start, change.end, before.new + change.new)
        joined.append(change)
    return joined


def _ended(lines: list[str], start: int, end: int) -> list[str]:
    """Lines [start, end) with the mark that tells a last line without a line end from one with."""
    return _mark_last(lines[start:end], end == len(lines))


def _split(text: str, is_last: bool) -> list[str]:
    return _mark_last(text.split("\n"), is_last)


def _mark_last(lines: list[str], is_last: bool) -> list[str]:
    if not is_last:
        return lines
    return lines[:-1] if lines[-1] == "" else [*lines[:-1], lines[-1] + "\n\\ No newline at end of file"]


def _smallest(first: int, old: list[str], new: list[str]) -> list[_Change]:
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    return [
        _Change(first + old_start, first + old_end, new[new_start:new_end])
        for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes()
        if tag != "equal"
    ]


def _hunks(changes: list[_Change]) -> list[list[_Change]]:
    hunks: list[list[_Change]] = []
    for change in changes:
        if hunks and change.start - hunks[-1][-1].end <= 2 * _NUM_CONTEXT_LINES:
            hunks[-1].append(change)
        else:
            hunks.append([change])
    return hunks


def _hunk_lines(lines: list[str], hunk: list[_Change], shift: int) -> list[str]:
    start = max(0, hunk[0].start - _NUM_CONTEXT_LINES)
    end = min(_num_lines(lines), hunk[-1].end + _NUM_CONTEXT_LINES)
    old = _ended(lines, start, len(lines)) if end == _num_lines(lines) else lines[start:end]
    body: list[str] = []
    position = start
    for change in hunk:
        body += [" " + line for line in old[position - start : change.start - start]]
        body += ["-" + line for line in old[change.start - start : change.end - start]]
        body += ["+" + line for line in change.new]
        position = change.end
    body += [" " + line for line in old[position - start : end - start]]
    num_new = end - start + sum(len(change.new) - (change.end - change.start) for change in hunk)
    header = f"@@ -{_range(start, end - start)} +{_range(start + shift, num_new)} @@"
    return [header, *(piece for line in body for piece in line.split("\n"))]


def _range(start: int, length: int) -> str:
    """`patch` counts lines from 1, and an empty range names the line before it."""
    return f"{start + 1 if length else start},{length}" if length != 1 else f"{start + 1}"
