"""What a fill is measured against: the longest match copied from the same file, and the same weights left to right."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from midfill.model.engine.causal import read_causally
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser, hole_memories
from midfill.model.families.request_text import texts_around
from midfill.model.wire.api import InfillRequest

T = TypeVar("T")

_LEXEMES = re.compile(r"\w+|[^\w\s]|\n[ \t]*|[ \t]+")


def copy_from_same_file(before: str, after: str, max_lexemes: int = 12) -> str:
    """What follows, elsewhere in the file, the longest run of lexemes that also stands right before the hole.

    The copy ends at the line's end, or where the rest of the hole's own line begins. Of several places with runs of
    one length the nearest before the hole wins. Returns "" where not even one lexeme recurs.
    """
    rest_of_line = after.partition("\n")[0].strip()
    inside = before[-1:] not in (" ", "\t", "\n", "")
    lexemes = [lexeme for lexeme in _LEXEMES.findall(before[-2000:]) if lexeme.strip(" \t")][-max_lexemes:]
    for length in range(len(lexemes), 0, -1):
        expression = _run(lexemes[-length:], inside)
        for text in (before[: -1 if before else 0], after):
            matches = [match for match in expression.finditer(text) if match.end() < len(text)]
            for match in reversed(matches) if text is not after else matches:
                copied = text[match.end() :].partition("\n")[0]
                if rest_of_line and rest_of_line in copied:
                    copied = copied[: copied.index(rest_of_line)]
                if copied.strip():
                    return copied.rstrip()
    return ""


def _run(lexemes: Sequence[str], inside: bool) -> re.Pattern[str]:
    """Matches the lexemes with any blanks between them and behind them. The first, if it is a word, is a whole one, and
    so is the last, unless the hole may begin `inside` it."""
    first, *others = (re.escape(lexeme) for lexeme in lexemes)
    if re.match(r"\w", lexemes[0]):
        first += rf"(?<!\w{first})"  # behind the word: an expression that begins with plain text is found much faster
    end = "" if inside else r"\b[ \t]*" if re.match(r"\w", lexemes[-1]) else r"[ \t]*"
    return re.compile(r"[ \t]*".join((first, *others)) + end)


@dataclass(frozen=True, slots=True)
class Reading:
    """A hole filled from left to right. confidence: the probability of the weakest token, the end of the hole
    included, 0 where nothing was read; num_tokens: of code, without its end and what stands before the hole."""

    text: str
    confidence: float
    num_forwards: int
    num_tokens: int


def left_to_right(denoiser: EmbeddedDenoiser, request: InfillRequest, *, with_memory: bool = False) -> Reading:
    """The first hole filled greedily by the causal path of the same weights, as far as its canvas would reach.

    with_memory: the workspace memory is mixed into each token's logits with the weights that the canvas uses."""
    denoiser = denoiser if with_memory else denoiser.without_memory()
    plan = denoiser.plan(request, 1)
    state, _ = denoiser.visible(plan, denoiser.encode(plan.context_ids, 0, None))
    (reading,) = finished(read_causally(denoiser, plan, state))
    weakest = min(reading.confidence, default=0.0)
    text, starts = denoiser.decode(reading.ids)
    num_tokens = sum(end > reading.num_given for end in [*starts, len(text)][1:])
    return Reading(text[reading.num_given :], weakest, len(reading.confidence), num_tokens)


def finished(work: Generator[Any, None, T]) -> T:
    """What a generator returns, its yields passed over."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            returned: T = end.value
            return returned


def by_memory(denoiser: EmbeddedDenoiser, request: InfillRequest) -> Reading:
    """The first hole filled by the workspace memory and no network: the likeliest token again and again, until that is
    the end of the hole, until nothing is recalled, or until the canvas would be full."""
    limit = denoiser.plan(request, 1).canvas.regions[0].length - 1
    tokenizer = denoiser.tokenizer
    hole = hole_memories(request, texts_around(request), denoiser.elsewhere(request), tokenizer)[0]
    ids, shares_taken = list[int](), list[float]()
    while len(ids) < limit and (recalled := hole.recall(hole.before + tokenizer.decode(ids))):
        shares = hole.token_shares(recalled, tokenizer.end_id)
        token = max(shares, key=lambda token: shares[token])
        shares_taken.append(shares[token])
        if token == tokenizer.end_id:
            break
        ids.append(token)
    return Reading(denoiser.decode(ids)[0], min(shares_taken, default=0.0), 0, len(ids))


def same(fill: str, truth: str) -> bool:
    """Exact match: white space at the end of a line and around the whole does not count."""
    return _lines(fill) == _lines(truth)


def _lines(text: str) -> Sequence[str]:
    return [line.rstrip() for line in text.strip().split("\n")]
