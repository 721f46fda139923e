"""What the model sees of a file, and how little of it changes while a person types."""

from __future__ import annotations

from itertools import pairwise

import pytest

from midfill.lsp_server.text.excerpt import Excerpt, WindowAnchor, anchored_window, build_excerpt, group_spans
from midfill.lsp_server.text.holes import FillError, Span
from midfill.model.wire.api import ContextBudget, HolePart, TextPart

BUDGET = ContextBudget(prefix_chars=400, suffix_chars=200, snippet_chars=0, joint_chars=100)
LINES = "".join(f"line_{number:04} = {number}\n" for number in range(1000))


def shown(excerpt: Excerpt) -> str:
    return "".join(part.text if isinstance(part, TextPart) else f"⟦{part.hole.id}⟧" for part in excerpt.parts)


def test_a_small_file_is_seen_whole() -> None:
    excerpt = build_excerpt("a <fill> b\n<fill>", (Span(2, 8), Span(11, 17)), BUDGET, [64] * 2)
    assert shown(excerpt) == "a ⟦1⟧ b\n⟦2⟧"
    assert (excerpt.start, excerpt.end) == (0, 17)
    assert [part.hole.max_tokens for part in excerpt.parts if isinstance(part, HolePart)] == [64, 64]


def test_a_window_is_whole_lines_within_the_budget() -> None:
    offset = LINES.index("500 = ") + 2
    excerpt = build_excerpt(LINES, (Span(offset, offset),), BUDGET, [64])
    before, after = shown(excerpt).split("⟦1⟧")
    assert 200 <= len(before) <= 250, "five eighths of the budget"
    assert before.startswith("line_")
    assert 100 <= len(after) <= 200
    assert after.endswith("\n")
    assert LINES[excerpt.start : excerpt.end] == before + after


@pytest.mark.parametrize("offset", [0, len(LINES)])
def test_a_window_at_the_edge_of_the_file(offset: int) -> None:
    excerpt = build_excerpt(LINES, (Span(offset, offset),), BUDGET, [64])
    before, after = shown(excerpt).split("⟦1⟧")
    assert len(before) <= BUDGET.prefix_chars
    assert len(after) <= BUDGET.suffix_chars
    assert before or after


def test_an_empty_file_is_an_empty_window() -> None:
    assert shown(build_excerpt("", (Span(0, 0),), BUDGET, [64])) == "⟦1⟧"


@pytest.mark.parametrize("offset", [0, 3_000, 5_000_000])
def test_one_endless_line_is_cut(offset: int) -> None:
    excerpt = build_excerpt("x" * 5_000_000, (Span(offset, offset),), BUDGET, [64])
    before, after = shown(excerpt).split("⟦1⟧")
    assert len(before) <= BUDGET.prefix_chars
    assert len(after) <= BUDGET.suffix_chars


def typed(text: str, offset: int, keys: str) -> list[Excerpt]:
    """The windows while `keys` are typed at `offset`, each anchored by the one before."""
    excerpts: list[Excerpt] = []
    anchor: WindowAnchor | None = None
    for key in keys:
        text, offset = text[:offset] + key + text[offset:], offset + 1
        excerpts.append(build_excerpt(text, (Span(offset, offset),), BUDGET, [64], anchor))
        anchor = excerpts[-1].anchor
    return excerpts


def test_typing_leaves_both_ends_of_the_window_where_they_are() -> None:
    offset = LINES.index("line_0500")
    excerpts = typed(LINES, offset, "value = compute(alpha)\n" * 4)
    assert len({excerpt.start for excerpt in excerpts}) == 1
    ends = {excerpt.end - number for number, excerpt in enumerate(excerpts)}
    assert len(ends) == 1


def test_the_window_moves_seldom_and_stays_within_its_budget() -> None:
    offset = LINES.index("line_0500")
    excerpts = typed(LINES, offset, "value = compute(alpha)\n" * 100)
    moves = sum(before.start != after.start for before, after in pairwise(excerpts))
    assert 10 <= moves <= 20
    for excerpt in excerpts:
        assert isinstance(excerpt.parts[0], TextPart)
        assert len(excerpt.parts[0].text) <= BUDGET.prefix_chars


def test_an_edit_above_the_window_moves_the_anchor_with_its_line() -> None:
    offset = LINES.index("line_0500")
    anchor = anchored_window(LINES, offset, BUDGET)
    edited = "import os\n" + LINES
    moved = anchored_window(edited, offset + 10, BUDGET, anchor)
    assert moved.start == anchor.start + 10
    assert edited[moved.start :].startswith(anchor.after)
    removed = anchored_window(edited[10:], offset, BUDGET, moved)
    assert removed.start == anchor.start


def test_an_edit_of_the_windows_first_line_keeps_it() -> None:
    offset = LINES.index("line_0500")
    anchor = anchored_window(LINES, offset, BUDGET)
    edited = LINES[: anchor.start] + "# " + LINES[anchor.start :]
    assert anchored_window(edited, offset + 2, BUDGET, anchor).start == anchor.start


@pytest.mark.parametrize("line", ["line_0100", "line_0900", "line_0000"])
def test_a_cursor_jump_makes_a_new_window(line: str) -> None:
    anchor = anchored_window(LINES, LINES.index("line_0500"), BUDGET)
    offset = LINES.index(line)
    assert anchored_window(LINES, offset, BUDGET, anchor) == anchored_window(LINES, offset, BUDGET)


def test_a_jump_to_the_windows_first_lines_brings_back_what_is_above() -> None:
    anchor = anchored_window(LINES, LINES.index("line_0500"), BUDGET)
    jumped = anchored_window(LINES, anchor.start + 20, BUDGET, anchor)
    assert anchor.start + 20 - jumped.start > 200


def test_an_anchor_of_another_text_does_no_harm() -> None:
    anchor = anchored_window(LINES, LINES.index("line_0500"), BUDGET)
    assert anchored_window("short\n", 6, BUDGET, anchor).start == 0


def test_holes_too_far_apart_are_named_and_can_be_grouped() -> None:
    starts = [LINES.index(f"line_{number:04}") for number in (10, 12, 50, 51, 52)]
    spans = [Span(start, start) for start in starts]
    with pytest.raises(
        FillError, match="holes 1 and 3 are 600 characters apart, and holes filled jointly may span at most 100"
    ):
        build_excerpt(LINES, spans, BUDGET, [64] * len(spans))
    assert group_spans(LINES, spans, BUDGET, 8) == (tuple(spans[:2]), tuple(spans[2:]))
    assert group_spans(LINES, spans[::-1], BUDGET, 2) == (tuple(spans[:2]), tuple(spans[2:4]), (spans[4],))
    assert group_spans(LINES, (), BUDGET, 2) == ()
    for group in group_spans(LINES, spans, BUDGET, 8):
        excerpt = build_excerpt(LINES, group, BUDGET, [64] * len(group))
        after_first_hole = "".join(part.text for part in excerpt.parts[1:] if isinstance(part, TextPart))
        assert len(after_first_hole) <= BUDGET.suffix_chars


def test_a_hole_may_hold_much_text() -> None:
    start = LINES.index("line_0100")
    excerpt = build_excerpt(LINES, (Span(start, start + 5000), Span(start + 5010, start + 5010)), BUDGET, [64] * 2)
    assert len(shown(excerpt)) < 700
