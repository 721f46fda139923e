"""From a region and what is wanted of it to a request, and from the answer to the rewritings a person chooses from.

The language server and the terminal share it. A rewriting starts from the old text, of which a share is noised first
(a warm start); a model that follows instructions has canvases of which nothing is left beside those, in one batch.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from midfill.lsp_server.text.filling import LINE_TOKENS, FilledCandidate, FillPlan, choose, plan_fill
from midfill.lsp_server.text.finishing.finish import normalise_line_endings
from midfill.lsp_server.text.holes import DEFAULT_MARKER, FillError, Span, trimmed
from midfill.lsp_server.text.syntax import language_of
from midfill.lsp_server.text.verbs import region_for
from midfill.model.wire.api import Infill, ModelInfo, Snippet

AGAIN_STRENGTH = 0.6
"""How much of a region is noised where only another version of it is wanted."""
COLD = 1.0
MAX_INSTRUCTION_CHARS = 2000
CHARS_PER_TOKEN = 3
"""Of source code, measured with the embedded tokenizer; only to size the hole of a rewrite."""
CONFIDENCE_STEP = 0.05
"""Confidences that differ by less are a tie, which the smaller change wins."""
_MAX_COMPARED = 1_000_000
"""Pairs of characters: comparing two texts in order takes as many steps where they repeat one character."""


@dataclass(frozen=True)
class Wish:
    """What a person wants of a region: a verb that the model has learnt, a free instruction, or, with neither, another
    version of it. strength: the share of the old text that is noised first, 0 to 1; None: what suits the wish.
    seed: another one brings other candidates. candidates: how many are asked for."""

    verb: str | None = None
    instruction: str | None = None
    strength: float | None = None
    seed: int = 0
    candidates: int = 4

    @property
    def share_noised(self) -> float:
        """A verb was learnt with the old text beside the canvas and nothing of it in it."""
        return self.strength if self.strength is not None else COLD if self.verb else AGAIN_STRENGTH


@dataclass(frozen=True)
class Rewritten:
    """The region as it was, and the versions of it that parse (or cannot be judged) and differ, best first."""

    span: Span
    old: str
    candidates: tuple[FilledCandidate, ...]


def region_of(text: str, span: Span) -> Span:
    """The span without white space at its ends: what a verb knows, and what keeps the indentation where it is. Raises
    FillError where nothing is left."""
    if not text[span.start : span.end].strip():
        raise FillError("the region is empty; select the code to rewrite, or fill it as a hole")
    return trimmed(text, span)


def plan_rewriting(
    text: str,
    span: Span,
    wish: Wish,
    *,
    language_id: str,
    path: str | None,
    info: ModelInfo,
    context: Sequence[Snippet] = (),
    marker: str = DEFAULT_MARKER,
) -> FillPlan:
    """The request for what of a selection the wish is about. Raises FillError when the model of `info` cannot serve
    it."""
    instruction = _checked_instruction(wish, info)
    region = region_of(text, region_for(text, span, wish.verb, language_of(language_id, path)))
    old = normalise_line_endings(text[region.start : region.end])
    needed = len(old) // CHARS_PER_TOKEN + 1
    if needed > info.max_canvas_tokens:
        raise FillError(
            f"the region has {old.count(chr(10)) + 1} lines and {len(old)} characters, and {info.name} rewrites about "
            f"{info.max_canvas_tokens * CHARS_PER_TOKEN} characters at once; select less"
        )
    plan = plan_fill(
        text,
        (region,),
        language_id=language_id,
        path=path,
        info=info,
        candidates=wish.candidates,
        max_tokens=min(max(2 * needed, LINE_TOKENS), info.max_canvas_tokens),
        instruction=instruction,
        drafts={"1": old},
        strength=wish.share_noised,
        context=context,
        marker=marker,
    )
    return dataclasses.replace(plan, request=dataclasses.replace(plan.request, seed=wish.seed))


def canvases_differ(plan: FillPlan, info: ModelInfo) -> bool:
    """Whether the second canvas of a batch begins from nothing, beside the first, which begins from the old text."""
    follows = plan.request.instruction is not None and "instructions" in info.capabilities
    return follows and plan.request.candidates > 1 and plan.request.holes[0].strength < COLD


def rewritten(plan: FillPlan, infill: Infill) -> Rewritten:
    """What came of the request. A part of an answer, cut so that it parses, would drop code: only whole answers count.
    Raises FillError when nothing came that parses and differs."""
    (region,) = plan.spans
    old = plan.text[region.start : region.end]
    found: dict[str, FilledCandidate] = {}
    for candidate in choose(plan, infill):
        (hole,) = candidate.fills
        usable = candidate.is_whole and candidate.parses is not False and bool(hole.fill.strip())
        if usable and _words(hole.fill) != _words(old):
            found.setdefault(hole.fill, candidate)
    if not found:
        raise FillError(
            "the model found no other version that parses, so nothing was changed; "
            "try another strength or seed, or select less"
        )
    return Rewritten(region, old, tuple(sorted(found.values(), key=lambda candidate: _rank(candidate, old))))


def _checked_instruction(wish: Wish, info: ModelInfo) -> str | None:
    if wish.verb is not None and wish.instruction is not None:
        raise FillError("a verb and an instruction exclude each other; give one of them")
    if wish.strength is not None and not 0 < wish.strength <= 1:
        raise FillError(f"a strength of {wish.strength:g} is not possible; give more than 0 and at most 1")
    known = f"its verbs are {', '.join(info.verbs)}" if info.verbs else "it has no verbs; ask for another version"
    if wish.verb is not None and wish.verb not in info.verbs:
        raise FillError(f"{info.name} does not know the verb {wish.verb!r}; {known}")
    if wish.instruction is None:
        return wish.verb
    if "instructions" not in info.capabilities:
        raise FillError(f"{info.name} follows no free instructions; {known}, or choose another model")
    if not wish.instruction.strip():
        raise FillError("the instruction is empty; say what is to become of the region")
    if len(wish.instruction) > MAX_INSTRUCTION_CHARS:
        raise FillError(
            f"the instruction has {len(wish.instruction)} characters and may have {MAX_INSTRUCTION_CHARS}; shorten it"
        )
    return wish.instruction


def _rank(candidate: FilledCandidate, old: str) -> tuple[bool, int, float]:
    likeness = _likeness(old, candidate.fills[0].fill)
    ties = round(candidate.confidence / CONFIDENCE_STEP)
    return candidate.parses is None, -ties, -likeness


def _likeness(old: str, new: str) -> float:
    """0 to 1, of the characters; of two long texts only which characters they have, not in which order."""
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    return matcher.ratio() if len(old) * len(new) <= _MAX_COMPARED else matcher.quick_ratio()


def _words(code: str) -> list[str]:
    """Without what white space alone changes at the ends of lines."""
    return [line.rstrip() for line in code.strip().splitlines()]
