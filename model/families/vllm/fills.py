"""Holes filled by a vLLM: clamped rows of several lengths beside one on which the model writes freely.

A clamped row tells how well a fill of that length ends, since the text behind stands on the canvas; the free one finds
a length that no row supposes, and what is longer than a canvas.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from random import Random

from midfill.model.families.diffusion_gemma.prompt import Document, document_of
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN
from midfill.model.families.hole_lengths import length_suppositions
from midfill.model.families.vllm.canvases import (
    HEAD_TOKENS,
    LEAST_HEAD_TOKENS,
    clamped_row,
    heads,
    noise,
    read_row,
)
from midfill.model.families.vllm.prompt import CLOSING, fill_prompt
from midfill.model.families.vllm.reading import as_they_come, candidate_of, confidence_of, fill_of, turn_of
from midfill.model.families.vllm.requests import TokenRead
from midfill.model.families.vllm.server import MAX_PARALLEL, VllmServer
from midfill.model.wire.api import Candidate, Hole, InfillRequest
from midfill.model.wire.errors import RequestError

NUM_CLAMPED_ROWS = MAX_PARALLEL - 1
HEAD_CHARS = 16 * HEAD_TOKENS
NEEDLE_CHARS = 24
"""So much of what stands behind a hole must the model have written to have come to it."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and its tokens: the prompt up to the first hole, and of what stands behind each hole those that may
    stand on a canvas."""

    request: InfillRequest
    document: Document
    prompt: tuple[int, ...]
    behind: tuple[tuple[int, ...], ...]


async def question_of(server: VllmServer, request: InfillRequest) -> Question:
    document = document_of(request)
    prompt, *behind = await asyncio.gather(
        server.prompt(fill_prompt(document), document.before, _num_written(request, server.model.canvas_length)),
        *(server.tokens.encode(text) for text in document.behind[:-1]),
        server.tokens.encode(_head(document.behind[-1])),
    )
    return Question(request, document, prompt, tuple(behind))


async def fills(server: VllmServer, question: Question) -> AsyncGenerator[Candidate, None]:
    """Candidates, as they come. Raises RequestError where the holes do not fit a canvas together."""
    holes = question.request.holes
    each = _room(server, question) // len(holes)
    longest = [min(hole.max_tokens, each) for hole in holes]
    lengths = length_suppositions(longest, NUM_CLAMPED_ROWS) if each > 0 else []
    rows = [_clamped(server, question, row, seed) for seed, row in enumerate(lengths, question.request.seed or 0)]
    async for candidate in as_they_come([_written(server, question), *rows]):
        if candidate is not None and len(candidate.fills) == len(holes):
            yield candidate


async def _clamped(
    server: VllmServer,
    question: Question,
    lengths: Sequence[int],
    seed: int,
    begun: Sequence[Sequence[int]] | None = None,
) -> Candidate | None:
    """Of holes of these lengths; begun: what they start from, noise if None."""
    model, holes = server.model, question.request.holes
    random = Random(seed)
    inside = begun or [noise(length, model.vocab_size, model.special_ids, random) for length in lengths]
    row = clamped_row(lengths, inside, heads(question.behind, sum(lengths), model.canvas_length))
    read = read_row(row, await server.read(question.prompt, len(row.canvas.ids), row.canvas))
    fills = []
    for hole, of_hole in zip(holes, read, strict=True):
        if any(token.id in model.special_ids for token in of_hole.tokens):
            return None
        text = await server.tokens.decode([token.id for token in of_hole.tokens])
        confidence = confidence_of(of_hole.tokens, of_hole.ends_well)
        fills.append(fill_of(hole, text, of_hole.tokens, confidence, of_hole.agrees))
    return candidate_of(fills)


async def _written(server: VllmServer, question: Question) -> Candidate | None:
    """What the model writes behind the prompt. Where it comes to the text behind every hole, the lengths are known, and
    it is judged on a clamped canvas if it fits one."""
    model, holes = server.model, question.request.holes
    max_tokens = _num_written(question.request, model.canvas_length)
    if max_tokens == model.canvas_length:
        tokens = await server.read(question.prompt, max_tokens)
    else:
        tokens = await server.write(question.prompt, max_tokens)
    text, has_ended = turn_of(tokens)
    gaps = gaps_of(text, question.document.behind, has_ended)
    if gaps is not None:
        ids = await asyncio.gather(*(server.tokens.encode(gap) for gap in gaps))
        lengths = [len(one) for one in ids]
        fits = all(length <= hole.max_tokens for length, hole in zip(lengths, holes, strict=True))
        if fits and sum(lengths) <= _room(server, question):
            return await _clamped(server, question, lengths, 0, ids)
    if len(holes) > 1:
        return None
    return await _free_candidate(server, holes[0], tokens, text if gaps is None else gaps[0], gaps is not None)


async def _free_candidate(
    server: VllmServer, hole: Hole, tokens: Sequence[TokenRead], text: str, closed: bool
) -> Candidate | None:
    """A fill without a clamped row: one longer than a canvas, or one that never came to the text behind."""
    ids = (await server.tokens.encode(text))[: hole.max_tokens + 1]
    if len(ids) > hole.max_tokens:
        ids, closed = ids[:-1], False
        text = await server.tokens.decode(ids)
    if not text.strip():
        return None
    kept = tokens[: len(ids)]
    return candidate_of([fill_of(hole, text, kept, confidence_of(kept, float(closed)), closed)])


def gaps_of(text: str, behind: Sequence[str], has_ended: bool) -> list[str] | None:
    """What `text` has before each piece of `behind`; None where it does not come to all of them. Behind the last hole
    its beginning is enough, and where nothing stands there, that the model has ended."""
    gaps: list[str] = []
    position = 0
    for index, piece in enumerate(behind):
        is_last = index == len(behind) - 1
        needle = piece[:NEEDLE_CHARS].rstrip() if is_last else piece
        if is_last and not needle:
            return [*gaps, text[position:].rstrip()] if has_ended else None
        found = text.find(needle, position)
        if found < 0:
            return None
        gaps.append(text[position:found])
        position = found + len(needle)
    return gaps if any(gap.strip() for gap in gaps) else None


def _room(server: VllmServer, question: Question) -> int:
    """Tokens that all holes together may take on one canvas, with the text between them; for a single hole that may be
    none, and then it is only written freely. Raises RequestError where several holes have none."""
    num_holes, canvas_length = len(question.request.holes), server.model.canvas_length
    room = canvas_length - sum(len(ids) for ids in question.behind[:-1]) - LEAST_HEAD_TOKENS
    if room < num_holes > 1:
        raise RequestError(
            f"The text between the {num_holes} holes leaves no room on {server.model.name}'s canvas of "
            f"{canvas_length} tokens; fill them in smaller groups."
        )
    return room


def _num_written(request: InfillRequest, canvas_length: int) -> int:
    """Tokens for the holes and the head of what follows, in whole canvases."""
    wanted = sum(hole.max_tokens for hole in request.holes) + HEAD_TOKENS
    return -(-wanted // canvas_length) * canvas_length


def _head(behind: str) -> str:
    """Of the text behind the last hole, what a canvas may show; where that is all of it, with the end of the turn."""
    return behind[:HEAD_CHARS] if len(behind) > HEAD_CHARS else f"{behind}{CLOSING}{END_OF_TURN}"
