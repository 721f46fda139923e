"""From text and spans to a request, and from the answer to edits: what the language server and the terminal share, so
that both give the same results. Knows no position, no connection, no tensor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from midfill.lsp_server.text.blocks import enclosing_block
from midfill.lsp_server.text.excerpt import WindowAnchor, build_excerpt, within_budget
from midfill.lsp_server.text.finishing.broken_characters import has_broken_character
from midfill.lsp_server.text.finishing.finish import (
    finish_fill,
    line_ending_of,
    moved_confidences,
    normalise_line_endings,
    with_line_endings,
)
from midfill.lsp_server.text.finishing.known_words import makes_unknown_word
from midfill.lsp_server.text.finishing.repeats import repeats_neighbour
from midfill.lsp_server.text.finishing.salvage import MAX_CUTS, salvaged
from midfill.lsp_server.text.holes import DEFAULT_MARKER, FillError, Span
from midfill.lsp_server.text.syntax import cursor_place, language_of, parses_in_place
from midfill.model.wire.api import (
    MAX_CANDIDATES,
    Candidate,
    ConfidenceSpan,
    Fill,
    HolePart,
    Infill,
    InfillRequest,
    ModelInfo,
    Snippet,
    TextPart,
)

__all__ = [
    "FillError",
    "FillPlan",
    "FilledCandidate",
    "FilledHole",
    "apply_fills",
    "choose",
    "plan_fill",
]

INLINE_CANDIDATES = 2  # a canvas, and the same hole read from left to right: cheaper than a second canvas
EDIT_CANDIDATES = 4
LINE_TOKENS = 31
BLOCK_TOKENS = 63
"""With the end of the hole, just the canvases of 32 and 64 tokens."""
JUDGED_CHARS = 50_000
"""To either side of the holes: more than a block that is looked at."""
MAX_FILL_CHARS = 16_000
"""Of one hole, about 16 for each token of the longest; a longer answer is no code and would cost seconds to judge."""
SALVAGE_CHARS = 250_000
"""That are parsed to find what of a fill parses: in a long block fewer cuts are tried."""


@dataclass(frozen=True)
class FillPlan:
    """A request, and what is needed to bring its answer back into the text it was made from.

    spans: the holes in document order, hole ids "1" to "n". language: a grammar's name, None when there is none.
    anchor: hand it to the next `plan_fill` of the document. single_line: fills are cut to their first line.
    """

    text: str
    spans: tuple[Span, ...]
    language: str | None
    request: InfillRequest
    window: Span
    anchor: WindowAnchor
    single_line: bool = False
    marker: str = DEFAULT_MARKER


@dataclass(frozen=True)
class FilledHole:
    """`fill` replaces `span` of the text, in the text's own line endings. spans: confidences, offsets into `fill`."""

    span: Span
    id: str
    fill: str
    confidence: float
    spans: tuple[ConfidenceSpan, ...] = ()


@dataclass(frozen=True)
class FilledCandidate:
    """One answer, ready to apply. parses: whether it parses in place, None where no grammar can tell. is_whole: the
    model ended every hole itself, and nothing was cut to make it parse. repeats: a fill says what the line above or
    below it says. makes_unknown_word: a fill continues a complete name to a word that nobody knows.

    At a deadline `fills` holds the holes that closed; the others stay as they are."""

    fills: tuple[FilledHole, ...]
    confidence: float
    parses: bool | None
    is_whole: bool = True
    repeats: bool = False
    makes_unknown_word: bool = False


def plan_fill(
    text: str,
    spans: Sequence[Span],
    *,
    language_id: str,
    path: str | None,
    info: ModelInfo,
    candidates: int | None = None,
    max_tokens: int | None = None,
    priority: Literal["inline", "edit"] = "edit",
    anchor: WindowAnchor | None = None,
    inline: bool = False,
    single_line: bool = False,
    instruction: str | None = None,
    drafts: Mapping[str, str] | None = None,
    strength: float = 1.0,
    marker: str = DEFAULT_MARKER,
    context: Sequence[Snippet] = (),
) -> FillPlan:
    """A request for all `spans` at once. Raises FillError when the model of `info` cannot serve it.

    inline: one hole at a cursor, whose shape (rest of line or block) the syntax decides. single_line: every hole is
    known to end where its line does. drafts: old text by hole id to
    start denoising from, of which `strength` (0 to 1) is noised first. candidates: None for as many as it takes to find
    one that parses, as a rule. context: texts of other documents, best first, as many as the model has use for beside
    what is elsewhere in this one.
    """
    spans = _checked_spans(text, spans, info)
    language = language_of(language_id, path)
    single_line = single_line or (inline and cursor_place(text, spans[0].start, language).shape == "line")
    if max_tokens is not None and not 1 <= max_tokens <= info.max_canvas_tokens:
        raise FillError(
            f"a hole of {max_tokens} tokens is outside what {info.name} fills at once; "
            f"ask for 1 to {info.max_canvas_tokens}"
        )
    if candidates is None:
        candidates = INLINE_CANDIDATES if inline else EDIT_CANDIDATES
    if not 0 <= candidates <= MAX_CANDIDATES:
        raise FillError(f"{candidates} candidates are not possible; ask for 1 to {MAX_CANDIDATES}")
    if instruction and instruction not in info.verbs and "instructions" not in info.capabilities:
        raise FillError(f"{info.name} follows no instructions; leave the instruction out, or choose another model")
    if drafts and "draft" not in info.capabilities:
        raise FillError(f"{info.name} cannot start from existing text; choose another model")
    if max_tokens is not None:
        sizes = [max_tokens] * len(spans)
    else:
        sizes = [min(_usual_tokens(text, span, single_line), info.max_canvas_tokens) for span in spans]
    excerpt = build_excerpt(text, spans, info.context, sizes, anchor)
    drafts = drafts or {}
    beside = {str(number): _is_beside_code(text, span) for number, span in enumerate(spans, start=1)}
    one_line = {hole for hole, is_beside in beside.items() if single_line or (is_beside and hole not in drafts)}
    window = Span(excerpt.start, excerpt.end)
    elsewhere = _elsewhere(text, window, path, marker, info.context.snippet_chars)
    request = InfillRequest(
        parts=tuple(_for_model(part, marker, drafts, strength, one_line) for part in excerpt.parts),
        language=language or language_id,
        path=path,
        instruction=instruction,
        context=within_budget((*elsewhere, *_without_marker(context, marker)), info.context.snippet_chars),
        candidates=candidates,
        priority=priority,
    )
    return FillPlan(text, spans, language, request, window, excerpt.anchor, single_line, marker)


def choose(plan: FillPlan, infill: Infill, open_texts: Sequence[str] = ()) -> tuple[FilledCandidate, ...]:
    """The answer's candidates, finished, best first: what parses, what repeats no neighbouring line, what is whole,
    then as the model has ranked them. open_texts: other open files, whose words are known too.

    Left out are candidates that change nothing, that hold half a character or a hole's marker or are far too long, and
    repeats of a better one."""
    chosen: dict[tuple[tuple[str, str], ...], FilledCandidate] = {}
    for candidate in infill.candidates:
        if any(_is_unusable(plan, fill) for fill in candidate.fills):
            continue
        filled = _compared(plan, _judged(plan, _finished(plan, candidate)), open_texts)
        key = tuple((hole.id, hole.fill) for hole in filled.fills)
        if not any(fill for _, fill in key):
            continue
        if key in chosen:
            best = min(chosen[key], filled, key=_rank)
            filled = replace(best, confidence=max(chosen[key].confidence, filled.confidence))
        chosen[key] = filled
    return tuple(sorted(chosen.values(), key=_rank))


def _rank(filled: FilledCandidate) -> tuple[bool, bool, bool]:
    return filled.parses is False, filled.repeats, not filled.is_whole


def _is_unusable(plan: FillPlan, fill: Fill) -> bool:
    is_hole = bool(plan.marker.strip()) and plan.marker in fill.text
    return is_hole or len(fill.text) > MAX_FILL_CHARS or has_broken_character(fill.text, plan.text)


def apply_fills(text: str, holes: Sequence[FilledHole]) -> str:
    """The text with the fills in place; holes are in document order and do not overlap."""
    pieces, end = [], 0
    for hole in holes:
        pieces += [text[end : hole.span.start], hole.fill]
        end = hole.span.end
    return "".join([*pieces, text[end:]])


def _checked_spans(text: str, spans: Sequence[Span], info: ModelInfo) -> tuple[Span, ...]:
    ordered = tuple(sorted(spans))
    if not ordered:
        raise FillError(f"there is nothing to fill; put {DEFAULT_MARKER} where code is missing")
    if len(ordered) > info.max_holes:
        raise FillError(f"{len(ordered)} holes are too many for {info.name}, which fills {info.max_holes} at once")
    if ordered[-1].end > len(text):
        raise FillError(f"the hole ends at {ordered[-1].end}, outside the text, which has {len(text)} characters")
    for before, after in pairwise(ordered):
        if after.start < before.end or after == before:
            raise FillError(f"the holes at {before.start} and {after.start} overlap; fill one of them")
    return ordered


def _usual_tokens(text: str, span: Span, single_line: bool) -> int:
    return LINE_TOKENS if single_line or _is_beside_code(text, span) else BLOCK_TOKENS


def _is_beside_code(text: str, span: Span) -> bool:
    """A hole beside other code on its line is a part of a line; one that stands alone may be a block."""
    line_start, line_end = text.rfind("\n", 0, span.start) + 1, text.find("\n", span.end)
    beside = text[line_start : span.start] + text[span.end : line_end if line_end >= 0 else len(text)]
    return bool(beside.strip())


def _for_model(
    part: TextPart | HolePart, marker: str, drafts: Mapping[str, str], strength: float, one_line: Collection[str]
) -> TextPart | HolePart:
    """A part as the model reads it: `\\n` line ends, no unfilled markers of other holes, drafts in place."""
    if isinstance(part, TextPart):
        return TextPart(normalise_line_endings(part.text).replace(marker, ""))
    hole = replace(part.hole, single_line=part.hole.id in one_line)
    draft = drafts.get(hole.id)
    return HolePart(hole if draft is None else replace(hole, draft=draft, strength=strength))


def _elsewhere(text: str, window: Span, path: str | None, marker: str, num_chars: int) -> tuple[Snippet, ...]:
    """The text of the same file on both sides of the window, as much as the model has use for."""
    half = num_chars // 2
    before, after = text[max(window.start - half, 0) : window.start], text[window.end : window.end + half]
    pieces = [normalise_line_endings(piece).replace(marker, "") for piece in (before, after)]
    return tuple(Snippet(path or "", piece) for piece in pieces if piece)


def _without_marker(snippets: Sequence[Snippet], marker: str) -> Iterator[Snippet]:
    """Other files without the holes in them, which a model would copy."""
    for snippet in snippets:
        text = snippet.text.replace(marker, "")
        yield snippet if text == snippet.text else replace(snippet, text=text)


def _finished(plan: FillPlan, candidate: Candidate) -> FilledCandidate:
    eol = line_ending_of(plan.text)
    fills = {fill.id: fill for fill in candidate.fills}
    holes: list[FilledHole] = []
    prefix, position = "", plan.window.start
    for number, span in enumerate(plan.spans, start=1):
        prefix += normalise_line_endings(plan.text[position : span.start])
        position = span.end
        fill = fills.get(str(number))
        if fill is None:
            continue
        following = plan.spans[number].start if number < len(plan.spans) else plan.window.end
        suffix = normalise_line_endings(plan.text[position:following])
        finished = finish_fill(fill.text, prefix, suffix, single_line=plan.single_line)
        prefix += finished
        holes.append(_filled_hole(span, fill, with_line_endings(finished, eol)))
    is_whole = all(fill.closed for fill in candidate.fills)
    return FilledCandidate(tuple(holes), candidate.confidence, None, is_whole)


def _compared(plan: FillPlan, filled: FilledCandidate, open_texts: Sequence[str]) -> FilledCandidate:
    """The candidate with what its fills, in their places, have in common with the text around them."""
    repeats = unknown = False
    before, position = "", 0
    for hole in filled.fills:
        before += normalise_line_endings(plan.text[position : hole.span.start])
        position = hole.span.end
        fill, after = normalise_line_endings(hole.fill), normalise_line_endings(plan.text[position:])
        repeats = repeats or repeats_neighbour(before, fill, after)
        unknown = unknown or makes_unknown_word(before, fill, after, plan.language, open_texts)
        before += fill
    return replace(filled, repeats=repeats, makes_unknown_word=unknown)


def _filled_hole(span: Span, fill: Fill, finished: str) -> FilledHole:
    return FilledHole(span, fill.id, finished, fill.confidence, moved_confidences(fill.spans, fill.text, finished))


def _judged(plan: FillPlan, filled: FilledCandidate) -> FilledCandidate:
    """The candidate with its verdict. Of a fill that does not parse, what parses is kept."""
    verdicts = _verdicts(plan, filled)
    if False in verdicts:
        kept = [hole if ok else _kept_of(plan, hole) for hole, ok in zip(filled.fills, verdicts, strict=True)]
        confidence = filled.confidence * _share(kept, filled.fills)
        filled = replace(
            filled, fills=tuple(kept), confidence=confidence, is_whole=filled.is_whole and tuple(kept) == filled.fills
        )
        verdicts = _verdicts(plan, filled)
    return replace(filled, parses=None if None in verdicts or not verdicts else all(verdicts))


def _kept_of(plan: FillPlan, hole: FilledHole) -> FilledHole:
    """The longest part of a fill that parses in its place, the other holes left open; the hole itself if none does."""
    first, last = max(hole.span.start - JUDGED_CHARS, 0), hole.span.end + JUDGED_CHARS
    text, start, end = plan.text[first:last], hole.span.start - first, hole.span.end - first
    if parses_in_place(text, start, end, hole.fill, plan.language, plan.marker):
        return hole  # it was another hole's fault
    block_start, block_end = enclosing_block(text, start, end, plan.language or "")
    max_cuts = min(MAX_CUTS, max(SALVAGE_CHARS // (block_end - block_start + 1), 1))
    for part in salvaged(hole.fill, max_cuts):
        if parses_in_place(text, start, end, part, plan.language, plan.marker):
            spans = tuple(replace(span, end=min(span.end, len(part))) for span in hole.spans if span.start < len(part))
            return replace(hole, fill=part, spans=spans)
    return hole


def _share(kept: Sequence[FilledHole], filled: Sequence[FilledHole]) -> float:
    """How much of the fills is left, in characters, at most 1: what was cut counts against a candidate's rank."""
    before, after = (max(sum(len(hole.fill) for hole in holes), 1) for holes in (filled, kept))
    return min(after / before, 1.0)


def _verdicts(plan: FillPlan, filled: FilledCandidate) -> list[bool | None]:
    """For every fill, whether it parses in place, with the other fills in theirs."""
    first, last = max(plan.spans[0].start - JUDGED_CHARS, 0), plan.spans[-1].end + JUDGED_CHARS
    verdicts: list[bool | None] = []
    pieces, moved, end = [], -first, first
    for hole in filled.fills:
        pieces += [plan.text[end : hole.span.start], hole.fill]
        end = hole.span.end
    text = "".join([*pieces, plan.text[end:last]])
    for hole in filled.fills:
        start = hole.span.start + moved
        moved += len(hole.fill) - (hole.span.end - hole.span.start)
        end = hole.span.end + moved
        verdicts.append(parses_in_place(text, start, end, hole.fill, plan.language, plan.marker))
    return verdicts
