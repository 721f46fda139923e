"""From the tokens of vLLM's answers to fills and candidates. Asks nothing of vLLM."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any, TypeVar

from midfill.model.engine.confidence import UNCALIBRATED, calibrated
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN
from midfill.model.families.vllm.prompt import CLOSING
from midfill.model.families.vllm.requests import TokenRead
from midfill.model.wire.api import Candidate, ConfidenceSpan, Fill, Hole

T = TypeVar("T")


def turn_of(tokens: Sequence[TokenRead]) -> tuple[str, bool]:
    """What the model has written in its turn, up to the fence that closes it, and whether it has ended it."""
    text = "".join(token.text for token in tokens)
    ends = [text.find(end) for end in (CLOSING, END_OF_TURN) if end in text]
    return (text[: min(ends)], True) if ends else (text, False)


def confidence_of(tokens: Sequence[TokenRead], ends_well: float) -> float:
    """Of a fill's tokens and its end, which counts as much as one of them; 0 for an end that is none."""
    return calibrated(UNCALIBRATED, [*(math.exp(token.log_probability) for token in tokens), ends_well], True)


def fill_of(hole: Hole, text: str, tokens: Sequence[TokenRead], confidence: float, closed: bool) -> Fill:
    """The fill of a hole; of one that is a single line, its first line."""
    if hole.single_line and "\n" in text:
        text, closed = text.partition("\n")[0], False
    return Fill(hole.id, text, round(confidence, 4), _spans(text, tokens), closed)


def candidate_of(fills: Sequence[Fill]) -> Candidate:
    closed = all(fill.closed for fill in fills)
    return Candidate(tuple(fills), min(fill.confidence for fill in fills), "closed" if closed else "length")


async def as_they_come(questions: Sequence[Coroutine[Any, Any, T]]) -> AsyncGenerator[T, None]:
    """Their results, the quickest first. Whoever closes this, or a failure of one, ends those that still run."""
    tasks = [asyncio.create_task(question) for question in questions]
    try:
        for next_one in asyncio.as_completed(tasks):
            yield await next_one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _spans(text: str, tokens: Sequence[TokenRead]) -> tuple[ConfidenceSpan, ...]:
    """Of each token, as far as `text` goes; none where the tokens, decoded one by one, are not the text."""
    if not "".join(token.text for token in tokens).startswith(text):
        return ()
    spans, start = [], 0
    for token in tokens:
        end = min(start + len(token.text), len(text))
        if end > start:
            spans.append(ConfidenceSpan(start, end, round(math.exp(token.log_probability), 4)))
        start = end
    return tuple(spans)
