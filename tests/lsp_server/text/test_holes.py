"""Where to fill, as a person says it."""

from __future__ import annotations

import pytest

from midfill.lsp_server.text.holes import HoleError, Span, find_markers, span_at, span_at_position, span_of_lines


@pytest.mark.parametrize(
    ("text", "marker", "found"),
    [
        ("", "<fill>", []),
        ("a <fill> b", "<fill>", ["<fill>"]),
        ("<fill>\n<fill>\r\n😀<fill>", "<fill>", ["<fill>"] * 3),
        ("<fill><fill> x <fill>", "<fill>", ["<fill><fill>", "<fill>"]),
        ("<<fill>>", "<fill>", ["<fill>"]),
        ("aXXXb", "XX", ["XX"]),
        ("f(.*)", ".*", [".*"]),
        ("# TODO: fill\n", "# TODO: fill", ["# TODO: fill"]),
        ("<FILL>", "<fill>", []),
    ],
)
def test_markers(text: str, marker: str, found: list[str]) -> None:
    assert [text[span.start : span.end] for span in find_markers(text, marker)] == found


@pytest.mark.parametrize("marker", ["", "  ", "a\nb", "a\rb"])
def test_a_marker_must_be_visible(marker: str) -> None:
    with pytest.raises(HoleError, match="visible text on one line"):
        find_markers("x", marker)


@pytest.mark.parametrize(
    ("first", "last", "lines"), [(1, 1, "a"), (1, 2, "a\r\nb"), (2, 3, "b\nc"), (3, 3, "c"), (4, 4, "")]
)
def test_lines_come_without_their_last_line_end(first: int, last: int, lines: str) -> None:
    text = "a\r\nb\nc\n"
    span = span_of_lines(text, first, last)
    assert text[span.start : span.end] == lines


def test_a_form_feed_ends_no_line() -> None:
    assert span_of_lines("a\fb\u2028c\nd", 2, 2) == Span(6, 7)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (0, 1, "line 0 is outside the file, which has 2 lines; give a line from 1 to 2"),
        (1, 9, "line 9 is outside the file, which has 2 lines; give a line from 1 to 2"),
        (2, 1, "lines 2-1 are no range; give the first line, then the last"),
    ],
)
def test_lines_outside_the_file(first: int, last: int, message: str) -> None:
    with pytest.raises(HoleError, match=f"^{message}$"):
        span_of_lines("a\nb\n", first, last)


def test_a_position_is_a_hole_or_the_marker_there() -> None:
    text = "ab\ncd <fill> e\n"
    assert span_at_position(text, 1, 3) == Span(2, 2)
    assert span_at_position(text, 2, 4) == span_at_position(text, 2, 10) == Span(6, 12)
    assert span_at(text, 12) == Span(6, 12)
    assert span_at(text, 14) == Span(14, 14)
    assert span_at("x" * 5000 + "<fill>", 5003) == Span(5000, 5006)


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        (9, 1, "line 9 is outside the file, which has 2 lines"),
        (1, 4, "column 4 is outside line 1, which has 2 characters; give a column from 1 to 3"),
        (1, 0, "column 0 is outside line 1"),
        (2, 3, "column 3 is outside line 2, which has 1 character;"),
    ],
)
def test_a_position_outside_the_file(line: int, column: int, message: str) -> None:
    with pytest.raises(HoleError, match=message):
        span_at_position("ab\nc", line, column)


def test_an_offset_outside_the_text() -> None:
    with pytest.raises(HoleError, match="offset 3 is outside the text, which has 2 characters"):
        span_at("ab", 3)


@pytest.mark.parametrize(("start", "end"), [(-1, 0), (2, 1)])
def test_a_span_runs_forward(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="0 <= start <= end"):
        Span(start, end)
