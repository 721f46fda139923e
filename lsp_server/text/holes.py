"""Where to fill: markers, lines and positions as spans of offsets. Knows `str` and code points only."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULT_MARKER = "<fill>"


class HoleError(Exception):
    """What was asked for is not in the text; the message is one sentence for a person."""


class FillError(HoleError):
    """The holes exist, but cannot be filled as asked: too many, too long, too far apart."""


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """Code points [start, end) of a text; empty where something is to be inserted."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(f"a span must have 0 <= start <= end, got {self.start} and {self.end}")


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Where a fill goes: it replaces `span`, behind `lead`, which the text there lacks (a line break and indentation
    after `def f():`, say). needs_code: with nothing to put there, the text is to stay as it is."""

    span: Span
    lead: str = ""
    needs_code: bool = False


def find_markers(text: str, marker: str = DEFAULT_MARKER) -> tuple[Span, ...]:
    """Every marker, in document order. Markers with nothing between them are one hole. Raises HoleError for a marker
    that is blank or longer than a line."""
    if not marker.strip() or "\n" in marker or "\r" in marker:
        raise HoleError(f"the marker must be visible text on one line, got {marker!r}; set another, such as <fill>")
    run = re.compile(f"(?:{re.escape(marker)})+")
    return tuple(Span(*match.span()) for match in run.finditer(text))


def span_at(text: str, offset: int, marker: str = DEFAULT_MARKER) -> Span:
    """The marker that holds or touches `offset`, else the empty span there. Raises HoleError outside the text."""
    if not 0 <= offset <= len(text):
        raise HoleError(f"offset {offset} is outside the text, which has {_count(len(text), 'character')}")
    near = len(marker) * 64
    start = max(offset - near, 0)
    for span in find_markers(text[start : offset + near], marker):
        if span.start + start <= offset <= span.end + start:
            return Span(span.start + start, span.end + start)
    return Span(offset, offset)


def span_at_position(text: str, line: int, column: int, marker: str = DEFAULT_MARKER) -> Span:
    """`span_at` for a line and a column, both from 1, the column in code points; the column after the last character
    is the line's end. Raises HoleError outside the text."""
    start, end = _line_bounds(text, line)
    if not 1 <= column <= end - start + 1:
        raise HoleError(
            f"column {column} is outside line {line}, which has {_count(end - start, 'character')}; "
            f"give a column from 1 to {end - start + 1}"
        )
    return span_at(text, start + column - 1, marker)


def span_of_lines(text: str, first: int, last: int) -> Span:
    """Lines `first` to `last`, from 1 and inclusive, without the last one's line end. Raises HoleError outside the
    text or when `last` comes before `first`."""
    if last < first:
        raise HoleError(f"lines {first}-{last} are no range; give the first line, then the last")
    return Span(_line_bounds(text, first)[0], _line_bounds(text, last)[1])


def trimmed(text: str, span: Span) -> Span:
    """A selection without the white space at its ends, which a fill would have to repeat; of a blank one only its line
    ends at the end go."""
    selected = text[span.start : span.end]
    if not selected.strip():
        return Span(span.start, span.start + len(selected.rstrip("\r\n")))
    return Span(span.start + len(selected) - len(selected.lstrip()), span.start + len(selected.rstrip()))


def lines_around(text: str, span: Span) -> Span:
    """The whole lines that hold `span`, without the last one's line end."""
    start = max(text.rfind("\n", 0, span.start), text.rfind("\r", 0, span.start)) + 1
    end = _LINE_END.search(text, span.end)
    return Span(start, end.start() if end else len(text))


_LINE_END = re.compile(r"\r\n|\r|\n")


def _line_bounds(text: str, line: int) -> tuple[int, int]:
    ends = [match.span() for match in _LINE_END.finditer(text)]
    starts = [0, *(end for _, end in ends)]
    num_lines = len(starts) - 1 if starts[-1] == len(text) and len(starts) > 1 else len(starts)
    if not 1 <= line <= len(starts):
        raise HoleError(
            f"line {line} is outside the file, which has {_count(num_lines, 'line')}; give a line from 1 to {num_lines}"
        )
    return starts[line - 1], ends[line - 1][0] if line <= len(ends) else len(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
