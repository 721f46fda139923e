"""What the model may see of a file: a window around the holes, in characters, that stands still while a person types.

The model encodes the text after the first hole's line before the text in front of it, so both ends of the window are
kept from key to key: its start by an anchor, its end because it is counted from the line after the last hole.
Knows offsets and `str` only; the model makes the final cut in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from midfill.lsp_server.text.holes import FillError, Span
from midfill.model.wire.api import ContextBudget, Hole, HolePart, Snippet, TextPart


@dataclass(frozen=True, slots=True)
class WindowAnchor:
    """Where the last window of a document began, and the text on both sides, to find the place again after edits."""

    start: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Text and holes in document order, hole ids "1" to "n"; the window is `text[start:end]`."""

    parts: tuple[TextPart | HolePart, ...]
    start: int
    end: int
    anchor: WindowAnchor


def build_excerpt(
    text: str,
    spans: Sequence[Span],
    budget: ContextBudget,
    max_tokens: Sequence[int],
    anchor: WindowAnchor | None = None,
) -> Excerpt:
    """The window of `spans` (sorted, apart) as parts, with the longest fill of each. Raises FillError when they do not
    fit one window."""
    apart = _too_far_apart(spans, budget)
    if apart is not None:
        first, chars = apart
        raise FillError(
            f"holes 1 and {first + 1} are {chars} characters apart, and holes filled jointly may span at most "
            f"{budget.joint_chars}; fill them in two requests"
        )
    anchor = anchored_window(text, spans[0].start, budget, anchor)
    end = _window_end(text, spans, budget)
    parts: list[TextPart | HolePart] = []
    position = anchor.start
    for number, (span, most) in enumerate(zip(spans, max_tokens, strict=True), start=1):
        parts.append(TextPart(text[position : span.start]))
        parts.append(HolePart(Hole(id=str(number), max_tokens=most)))
        position = span.end
    parts.append(TextPart(text[position:end]))
    return Excerpt(tuple(parts), anchor.start, end, anchor)


def within_budget(snippets: Sequence[Snippet], num_chars: int) -> tuple[Snippet, ...]:
    """The snippets that fit together, the first ones first; never a part of one: its end would move as others grow."""
    kept: list[Snippet] = []
    for snippet in snippets:
        if len(snippet.text) <= num_chars:
            kept.append(snippet)
            num_chars -= len(snippet.text)
    return tuple(kept)


def group_spans(
    text: str, spans: Sequence[Span], budget: ContextBudget, max_holes: int
) -> tuple[tuple[Span, ...], ...]:
    """The spans in document order as groups that can each be filled in one request."""
    groups: list[tuple[Span, ...]] = []
    for span in sorted(spans):
        grown = (*groups[-1], span) if groups else ()
        if grown and len(grown) <= max_holes and _too_far_apart(grown, budget) is None:
            groups[-1] = grown
        else:
            groups.append((span,))
    return tuple(groups)


def anchored_window(
    text: str, offset: int, budget: ContextBudget, previous: WindowAnchor | None = None
) -> WindowAnchor:
    """Where the window of a hole at `offset` begins: where it began before, as long as the text from there to the hole
    fits the budget and is a quarter of it or more; else at the line start that leaves five eighths of the budget."""
    if previous is not None:
        start = _find_again(text, previous)
        least = 0 if start == 0 else budget.prefix_chars // 4
        if start is not None and least <= offset - start <= budget.prefix_chars:
            return _anchor(text, start)
    if offset <= budget.prefix_chars:
        return _anchor(text, 0)
    target = offset - budget.prefix_chars * 5 // 8
    newline = text.find("\n", target - 1, offset - budget.prefix_chars // 4)
    if newline < 0:  # a long line: take it whole if it fits, else cut it
        newline = text.rfind("\n", offset - budget.prefix_chars, target)
    return _anchor(text, target if newline < 0 else newline + 1)


_REMEMBERED = 160
_SEARCHED = 8192


def _anchor(text: str, start: int) -> WindowAnchor:
    return WindowAnchor(start, text[max(start - _REMEMBERED, 0) : start], text[start : start + _REMEMBERED])


def _find_again(text: str, anchor: WindowAnchor) -> int | None:
    """The anchor's place in an edited text: what stood on one side of it still does, here or moved."""
    start, before, after = anchor.start, anchor.before, anchor.after
    if start == 0:
        return 0
    if start <= len(text) and (text.startswith(after, start) or text.endswith(before, 0, start)):
        return start
    lowest, highest = max(start - _SEARCHED, 0), start + _SEARCHED
    moved = [text.rfind(after, lowest, start + len(after)), text.find(after, start, highest)]
    found = [place for place in moved if place > 0] if len(after) == _REMEMBERED else []
    return min(found, key=lambda place: abs(place - start)) if found else None


def _too_far_apart(spans: Sequence[Span], budget: ContextBudget) -> tuple[int, int] | None:
    """(index, characters): the first span too far from the first one, and the text between, holes not counted."""
    between = 0
    for index in range(1, len(spans)):
        between += spans[index].start - spans[index - 1].end
        if between > budget.joint_chars:
            return index, between
    return None


def _window_end(text: str, spans: Sequence[Span], budget: ContextBudget) -> int:
    """At most a quarter of the suffix budget for the rest of the last hole's line, then whole lines for what is left;
    counted from the next line, so that typing in this line does not move it."""
    last = spans[-1].end
    between = sum(after.start - before.end for before, after in pairwise(spans))
    longest_rest = last + budget.suffix_chars // 4
    newline = text.find("\n", last, longest_rest)
    if newline < 0:
        return min(longest_rest, len(text))
    limit = newline + 1 + max(budget.suffix_chars - budget.suffix_chars // 4 - between, 0)
    if limit >= len(text):
        return len(text)
    return max(text.rfind("\n", newline, limit) + 1, newline + 1)
