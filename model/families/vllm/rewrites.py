"""Regions rewritten by a vLLM: the region and what is wanted are told, and the canvas begins with the old text, of
which a share is noise. Nothing is pinned, so that text may shift; the end of the model's turn tells how long it is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from random import Random

from midfill.model.families.diffusion_gemma.prompt import document_of
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN
from midfill.model.families.vllm.canvases import noise, noised
from midfill.model.families.vllm.prompt import CLOSING, rewrite_prompt
from midfill.model.families.vllm.reading import as_they_come, candidate_of, confidence_of, fill_of, turn_of
from midfill.model.families.vllm.requests import SeededCanvas, TokenRead
from midfill.model.families.vllm.server import VllmServer
from midfill.model.wire.api import Candidate, Hole, InfillRequest

MAX_ROWS = 4
"""The first is warm, the next cold, and so on."""
CLOSING_TOKENS = 8

Show = Callable[[int, int, str], None]
"""Told which row is being written, how many canvases of it have come, and what it says so far."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """One hole with a draft, and its tokens: the prompt, the old text, and what closes the model's turn."""

    request: InfillRequest
    hole: Hole
    prompt: tuple[int, ...]
    old: tuple[int, ...]
    closing: tuple[int, ...]


async def rewriting_of(server: VllmServer, request: InfillRequest) -> Rewriting:
    (hole,) = request.holes
    old = hole.draft or ""
    turns = rewrite_prompt(document_of(request), old, request.instruction)
    answer_tokens = max(hole.max_tokens + CLOSING_TOKENS, server.model.canvas_length)
    prompt = await server.prompt(turns, "", answer_tokens)
    closing = await server.tokens.encode(f"{CLOSING}{END_OF_TURN}")
    return Rewriting(request, hole, prompt, await server.tokens.encode(old), closing)


async def rewrites(server: VllmServer, rewriting: Rewriting, show: Show) -> AsyncGenerator[Candidate, None]:
    """Candidates, as they come."""
    num_rows = min(max(rewriting.request.candidates, 1), MAX_ROWS)
    async for candidate in as_they_come([_row(server, rewriting, row, show) for row in range(num_rows)]):
        if candidate is not None:
            yield candidate


async def _row(server: VllmServer, rewriting: Rewriting, row: int, show: Show) -> Candidate | None:
    hole, canvas_length = rewriting.hole, server.model.canvas_length
    random = Random((rewriting.request.seed or 0) + row)
    canvas = _warm_canvas(server, rewriting, random) if row % 2 == 0 else None
    max_tokens = hole.max_tokens + CLOSING_TOKENS
    if max_tokens <= canvas_length:
        tokens = await server.read(rewriting.prompt, canvas_length, canvas)
    else:
        tokens = await server.write(
            rewriting.prompt,
            max_tokens,
            canvas,
            lambda so_far: show(row, -(-len(so_far) // canvas_length), turn_of(so_far)[0]),
        )
    return _candidate(hole, tokens)


def _warm_canvas(server: VllmServer, rewriting: Rewriting, random: Random) -> SeededCanvas | None:
    """The old text with its share of noise, and the end of the turn; its beginning, where it is longer than the canvas.
    None where nothing of the old text is to be kept."""
    model = server.model
    if rewriting.hole.strength >= 1.0 or not rewriting.old:
        return None
    replacing = noise(len(rewriting.old), model.vocab_size, model.special_ids, random)
    begun = [*noised(rewriting.old, rewriting.hole.strength, replacing, random), *rewriting.closing]
    padding = [model.pad_id] * (model.canvas_length - len(begun))
    return SeededCanvas((*begun, *padding)[: model.canvas_length])


def _candidate(hole: Hole, tokens: Sequence[TokenRead]) -> Candidate | None:
    text, has_ended = turn_of(tokens)
    if not text.strip():
        return None
    kept: list[TokenRead] = []
    length = 0
    for token in tokens:
        if length >= len(text) or len(kept) == hole.max_tokens:
            break
        kept.append(token)
        length += len(token.text)
    return candidate_of([fill_of(hole, text, kept, confidence_of(kept, float(has_ended)), has_ended)])
