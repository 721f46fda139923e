"""Filling and rewriting as chat: the model is asked for the code of every hole and answers in code blocks.

The canvas is the answer; where its turn ends says how long it is, and what is longer than a canvas goes on in the next.

A rewriting begins from the old text, of which a share is random tokens, beside canvases of nothing but noise: nothing
is pinned, so that text can shift. Knows ids and text, no network.
"""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from midfill.model.engine.canvas import Canvas, HoleReading, new_canvas
from midfill.model.engine.denoiser import Plan
from midfill.model.families.diffusion_gemma.prompt import Answer, chat_prompt, document_of
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN, GemmaTokenizer
from midfill.model.wire.api import MAX_HOLE_TOKENS, InfillRequest

MAX_CANVASES = 5
NO_END = -1
"""The end of a turn closes no column behind it, as in transformers: it is read when a canvas is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPlan(Plan):
    """written and confidence: of the canvases before this one, which are in the context too; begun_ids: the whole turn
    as it would be if nothing changed, where a rewriting is to begin from it; tokens_left: how long the answer may still
    get, this canvas included."""

    request: InfillRequest
    answer: Answer
    begun_ids: tuple[int, ...]
    tokens_left: int
    canvas_length: int
    written: tuple[int, ...] = ()
    confidence: tuple[float, ...] = ()


def longest_hole(canvas_length: int) -> int:
    """Tokens, so that the answer fits the most canvases that it may have."""
    return min(MAX_CANVASES * canvas_length - canvas_length // 4, MAX_HOLE_TOKENS)


def plan_chat(
    request: InfillRequest, tokenizer: GemmaTokenizer, canvas_length: int, max_steps: int, device: torch.device
) -> ChatPlan:
    """As many rows as candidates are wanted. Of a rewriting every other one is cold, the first is warm."""
    user, answer = chat_prompt(document_of(request), request.holes, request.instruction)
    drafts = [hole.draft or "" for hole in request.holes]
    ending = tokenizer.encode(answer.written([""] * len(drafts)) + END_OF_TURN)
    begun = tokenizer.encode(answer.written(drafts) + END_OF_TURN) if any(drafts) else []
    num_tokens = len(ending) + sum(hole.max_tokens for hole in request.holes)
    num_tokens = max(num_tokens, len(begun) * 5 // 4)
    first = request.seed or 0
    plan = ChatPlan(
        context_ids=tuple(tokenizer.prompt(user, answer.opening)),
        canvas=new_canvas((1,), (0,), 0, NO_END, device),
        canvas_positions=torch.arange(0),
        max_steps=max_steps,
        request=request,
        answer=answer,
        begun_ids=tuple(begun),
        tokens_left=min(num_tokens, MAX_CANVASES * canvas_length),
        canvas_length=canvas_length,
    )
    strength = min((hole.strength for hole in request.holes if hole.draft), default=1.0)
    seeds = range(first, first + max(request.candidates, 1))
    shares = [strength if row % 2 == 0 else 1.0 for row in range(len(seeds))]
    return replace(plan, canvas=_canvas(plan, seeds, shares, tokenizer, device))


def continuations(plan: ChatPlan, canvas: Canvas, tokenizer: GemmaTokenizer) -> tuple[ChatPlan, ...]:
    """For each row whose answer has not come to its end, and may get longer, the plan of its next canvas."""
    width = canvas.ids.shape[1]
    tokens_left = plan.tokens_left - width
    if tokens_left <= 0:
        return ()
    strength = min((hole.strength for hole in plan.request.holes if hole.draft), default=1.0)
    following = []
    for row, ids in enumerate(canvas.ids.tolist()):
        if all(reading.closed for reading in read_answer(plan, canvas, row, tokenizer)) or _turn(ids, tokenizer) != ids:
            continue
        next_plan = replace(
            plan,
            context_ids=(*plan.context_ids, *ids),
            first_row=plan.first_row + row,
            tokens_left=tokens_left,
            written=(*plan.written, *ids),
            confidence=(*plan.confidence, *canvas.confidence[row].tolist()),
        )
        share = strength if (plan.first_row + row) % 2 == 0 else 1.0
        begun = _canvas(next_plan, (canvas.seeds[row],), (share,), tokenizer, canvas.ids.device)
        following.append(replace(next_plan, canvas=begun))
    return tuple(following)


def read_answer(plan: ChatPlan, canvas: Canvas, row: int, tokenizer: GemmaTokenizer) -> list[HoleReading]:
    """What the answer has for each hole so far; for one that it has not come to, nothing that is settled."""
    on_canvas = canvas.ids[row].tolist()
    turn = _turn(on_canvas, tokenizer)
    ids = [*plan.written, *turn]
    settled = [True] * len(plan.written) + canvas.settled[row].tolist()
    confidence = [*plan.confidence, *canvas.confidence[row].tolist()]
    text, ended = tokenizer.decode(ids), len(turn) < len(on_canvas)
    holes = plan.request.holes
    readings = []
    for hole, (start, end, closed) in zip(holes, plan.answer.read(text), strict=False):
        line_end = text.find("\n", start, end) if hole.single_line else -1
        closed, end = (True, line_end) if line_end >= 0 else (closed or ended, end)
        first, last = _token_at(ids, start, tokenizer), _token_at(ids, end, tokenizer)
        is_apart = tokenizer.decode(ids[first:last]) == text[start:end]
        behind = last + closed if is_apart else last + 1
        piece = ids[first:last] if is_apart else tokenizer.encode(text[start:end])
        sure = confidence[first:behind] if is_apart else [min(confidence[first:behind])] * (len(piece) + closed)
        stands = settled[first:last] if is_apart else [all(settled[first:behind])] * len(piece)
        stands_all = all(settled[first:behind])
        readings.append(HoleReading(piece, stands, sure, closed and stands_all, stands_all))
    return readings + [HoleReading([], [], [], False, False)] * (len(holes) - len(readings))


def remaining_draft(old: Sequence[int], written: Sequence[int]) -> list[int]:
    """What of `old` is left to be rewritten once `written` stands: all behind the last run that both have."""
    blocks = difflib.SequenceMatcher(None, old, written, autojunk=False).get_matching_blocks()
    last = max((block.a + block.size for block in blocks if block.size), default=0)
    return list(old[last:])


def _canvas(
    plan: ChatPlan, seeds: Sequence[int], shares: Sequence[float], tokenizer: GemmaTokenizer, device: torch.device
) -> Canvas:
    """Rows of noise; one with a share below one begins from what the turn would be, and only that share is noise."""
    width = min(plan.tokens_left, plan.canvas_length)
    begun = remaining_draft(plan.begun_ids, plan.written)[:width]
    begun += [tokenizer.pad_id] * (width - len(begun))
    rows = []
    for seed, share in zip(seeds, shares, strict=True):
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randint(tokenizer.vocab_size, (width,), generator=generator)
        is_noise = torch.rand(width, generator=generator) < (share if plan.begun_ids else 1.0)
        rows.append(torch.where(is_noise, noise, torch.tensor(begun)))
    canvas = new_canvas((width,), tuple(seeds), 0, NO_END, device)
    return replace(canvas, ids=torch.stack(rows).to(device))


def _turn(ids: Sequence[int], tokenizer: GemmaTokenizer) -> list[int]:
    """The ids before the end of the turn."""
    return list(takewhile(lambda index: index not in (tokenizer.end_id, tokenizer.pad_id), ids))


def _token_at(ids: Sequence[int], offset: int, tokenizer: GemmaTokenizer) -> int:
    """How many of the ids lie before `offset` of their text as a whole."""
    return bisect.bisect_right(range(len(ids) + 1), offset, key=lambda count: len(tokenizer.decode(ids[:count]))) - 1
