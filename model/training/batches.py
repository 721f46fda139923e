"""Rows of training positions: each row packs whole examples, each example is its passages, its context, a
left-to-right branch and canvases.

    passage | … | context (causal) | branch: hole 1, left to right | draw 1: its canvases, full attention | draw 2 | …

Every position predicts the token after it, in the canvases too: each begins with its hole's sentinel, as the branch
does, so what next-token training has learnt carries over to denoising, and one canvas of L tokens has L + 1 positions.
A passage sees itself, and so does the context; the branch and every draw see the passages, the context and themselves,
never each other. `attention_mask` is that sentence as code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from midfill.model.layout import (
    HOLE_POSITIONS,
    canvas_left_ids,
    canvas_starts,
    hole_left_ids,
    left_ids,
    position_ids,
)
from midfill.model.tokenizer import CodeTokenizer
from midfill.model.training.examples import Example, Shards
from midfill.model.training.noise import NoiseSettings, canvas_length, noised_canvas

IdArray = npt.NDArray[np.int64]

CONTEXT, BRANCH, FIRST_DRAW = 0, 1, 2
CAUSAL_LOSS, CANVAS_LOSS = 0, 1
MIN_PREFIX_TOKENS = 40
MIN_SUFFIX_TOKENS = 16
MIN_CONTEXT_TOKENS = 96
FORGOTTEN_SHARE = 0.1
"""Share of the examples that go without their passages."""
NUM_LEFT = 6
"""Tokens to the left of a place by which the pointer may tell it from others."""
POOL_SIZE = 24
"""Examples held back to find one that fits the rest of a row."""


@dataclass(frozen=True, slots=True)
class Batch:
    """All (B, T). segment: which example, -1 is padding; part: CONTEXT, BRANCH, a draw, or a passage, which all are
    below CONTEXT; left: (B, T, NUM_LEFT), of `midfill.model.layout.left_ids`; loss_kind names whose loss
    it is."""

    ids: Tensor
    position_ids: Tensor
    segment: Tensor
    part: Tensor
    targets: Tensor
    weights: Tensor
    loss_kind: Tensor
    left: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))


def attention_mask(segment: Tensor, part: Tensor) -> Tensor:
    """(B, T) and (B, T) to (B, T, T), True where the query (row) may see the key (column)."""
    length = segment.shape[1]
    same_example = segment[:, :, None] == segment[:, None, :]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()
    query, key = part[:, :, None], part[:, None, :]
    to_context = (key <= CONTEXT) & (query > CONTEXT)
    causal = (query <= BRANCH) & (query == key) & earlier
    within_draw = (query >= FIRST_DRAW) & (query == key)
    return same_example & (to_context | causal | within_draw)


def pointer_mask(segment: Tensor, part: Tensor, copyable: Tensor) -> Tensor:
    """(B, T) each to (B, T, T): where the query (row) may copy what follows the key (column).

    copyable: True where a text token of the same context or passage follows. What follows a key must be known to the
    query, so in the context, which sees itself only, the key is one position earlier at least."""
    length = segment.shape[1]
    same_example = segment[:, :, None] == segment[:, None, :]
    before = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril(-1)
    query, key = part[:, :, None], part[:, None, :]
    return same_example & copyable[:, None, :] & ((query > CONTEXT) | ((query == key) & before))


@dataclass(frozen=True, slots=True)
class RowSettings:
    """num_draws: noise draws for each encoded context; 0 trains left to right only.

    short_share: share of the examples whose context is cut to a length between MIN_CONTEXT_TOKENS and its own, so that
    more of a row is canvas."""

    row_length: int
    rows_per_batch: int
    num_draws: int
    context_weight: float
    noise: NoiseSettings
    short_share: float = 0.0


@dataclass
class Rows:
    """Batches from shards in an order fixed by the seed; `state()` is all that a resumed run needs."""

    shards: Shards
    tokenizer: CodeTokenizer
    seed: int
    next_index: int = 0
    pool: list[int] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        return {"next_index": self.next_index, "pool": list(self.pool)}

    def batch(self, settings: RowSettings) -> Batch:
        rows = [self._row(settings) for _ in range(settings.rows_per_batch)]
        columns = zip(*rows, strict=True)
        return Batch(*(torch.from_numpy(np.stack(column)) for column in columns))

    def _row(self, settings: RowSettings) -> tuple[npt.NDArray[Any], ...]:
        pieces: list[_Piece] = []
        room = settings.row_length
        while True:
            while len(self.pool) < POOL_SIZE:
                self.pool.append(self.next_index)
                self.next_index += 1
            chosen = self._first_fitting(settings, room)
            if chosen is None:
                break
            pieces.append(chosen)
            room -= len(chosen.ids)
        return _join(pieces, settings.row_length)

    def _first_fitting(self, settings: RowSettings, room: int) -> _Piece | None:
        for place, index in enumerate(self.pool):
            piece = self._piece(index, settings, room)
            if piece is not None:
                del self.pool[place]
                return piece
            if place == 0 and room == settings.row_length:  # longer than any row: never fits
                del self.pool[0]
                return self._first_fitting(settings, room)
        return None

    def _piece(self, index: int, settings: RowSettings, room: int) -> _Piece | None:
        epoch, within = divmod(index, len(self.shards))
        example = self.shards[_shuffled(len(self.shards), self.seed + epoch)(within)]
        rng = np.random.default_rng((self.seed, index))
        passages = () if rng.random() < FORGOTTEN_SHARE else example.passages
        size = len(example.context) + 1 + len(example.holes[0])
        lengths = [canvas_length(len(hole), rng) for hole in example.holes]
        num_positions = sum(lengths) + len(lengths)
        most_draws = max(settings.row_length // 2 // num_positions, 1)  # long or many holes leave room for a context
        settings = replace(settings, num_draws=min(settings.num_draws, most_draws))
        excess = size + settings.num_draws * num_positions - room
        if excess + sum(map(len, passages)) > _most_excess(example, self.tokenizer):
            passages = ()
        excess += sum(map(len, passages))
        num_context = len(example.context)
        if rng.random() < settings.short_share and num_context > MIN_CONTEXT_TOKENS:
            kept = int(np.exp(rng.uniform(np.log(MIN_CONTEXT_TOKENS), np.log(num_context))))
            excess = max(excess, min(num_context - kept, _most_excess(example, self.tokenizer)))
        context = _shortened(example, excess, self.tokenizer) if excess > 0 else example.context
        if context is None:
            return None
        return make_piece(Example(context, example.holes, passages), lengths, self.tokenizer, settings, rng)


@dataclass(frozen=True, slots=True)
class _Piece:
    ids: npt.NDArray[np.int64]
    position_ids: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float32]
    loss_kind: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]


def make_piece(
    example: Example, lengths: list[int], tokenizer: CodeTokenizer, settings: RowSettings, rng: np.random.Generator
) -> _Piece:
    """One example's positions: passages, context, branch, then `num_draws` draws of all its canvases (`lengths`)."""
    context, first = example.context.astype(np.int64), example.holes[0].astype(np.int64)
    starts = canvas_starts(context.tolist(), tokenizer)
    weights = np.full(len(context), settings.context_weight, np.float32)
    old_text = np.cumsum(np.isin(context, list(tokenizer.verb_ids.values())))
    weights[:-1][old_text[:-1] > 0] = 0.0  # what is to be rewritten is not to be learnt
    branch = np.append(tokenizer.hole_ids[0], first)
    passages = [passage.astype(np.int64) for passage in example.passages]
    ids, position_parts, parts = [*passages], [np.arange(len(passage)) for passage in passages], list[IdArray]()
    for number, passage in enumerate(passages, start=1):
        parts.append(np.full(len(passage), CONTEXT - number))
    all_weights = [np.full(len(passage), settings.context_weight, np.float32) for passage in passages]
    ids += [context, branch]
    position_parts += [position_ids(context.tolist(), tokenizer), starts[0] - 1 + np.arange(len(branch))]
    parts += [np.full(len(context), CONTEXT), np.full(len(branch), BRANCH)]
    all_weights += [weights, np.ones(len(branch), np.float32)]
    all_targets = [np.append(piece[1:], tokenizer.end_id) for piece in ids]
    befores = hole_left_ids(context, NUM_LEFT, tokenizer)
    lefts = [left_ids(piece, NUM_LEFT, tokenizer) for piece in ids[:-1]]
    lefts.append(canvas_left_ids(befores[0], first, NUM_LEFT, tokenizer))
    for targets, its_weights in zip(all_targets[:-1], all_weights[:-1], strict=True):
        its_weights[targets >= tokenizer.num_text_tokens] = 0.0  # where text ends or a hole begins is nobody's guess
    for draw in range(settings.num_draws):
        for number, (hole, start, length) in enumerate(zip(example.holes, starts, lengths, strict=True)):
            canvas = noised_canvas(hole, length, tokenizer, settings.noise, rng)
            ids.append(np.concatenate(([tokenizer.hole_ids[number]], canvas.ids)))
            lefts.append(canvas_left_ids(befores[number], canvas.ids, NUM_LEFT, tokenizer))
            position_parts.append(start - 1 + np.arange(length + 1))
            parts.append(np.full(length + 1, FIRST_DRAW + draw))
            all_targets.append(np.append(canvas.targets, tokenizer.end_id))
            all_weights.append(np.append(canvas.weights, np.float32(0)))
    part = np.concatenate(parts)
    kinds = np.where(part >= FIRST_DRAW, CANVAS_LOSS, CAUSAL_LOSS)
    return _Piece(
        np.concatenate(ids),
        np.concatenate(position_parts),
        part,
        np.concatenate(all_targets),
        np.concatenate(all_weights),
        kinds,
        np.concatenate(lefts),
    )


def _shortened(example: Example, excess: int, tokenizer: CodeTokenizer) -> npt.NDArray[np.uint16] | None:
    """The context without `excess` tokens, the farthest of prefix and suffix in proportion; None if too little is
    left."""
    context = example.context
    prefix, from_prefix, from_suffix = _spare(example, tokenizer)
    if excess > from_prefix + from_suffix:
        return None
    from_suffix = min(from_suffix, round(excess * from_suffix / max(from_prefix + from_suffix, 1)))
    from_prefix = excess - from_suffix
    kept_suffix = context[: prefix - from_suffix]
    return np.concatenate((kept_suffix, context[prefix : prefix + 1], context[prefix + 1 + from_prefix :]))


def _most_excess(example: Example, tokenizer: CodeTokenizer) -> int:
    _, from_prefix, from_suffix = _spare(example, tokenizer)
    return from_prefix + from_suffix


def _spare(example: Example, tokenizer: CodeTokenizer) -> tuple[int, int, int]:
    """Where the prefix begins, and how many tokens of the prefix and of the suffix a row can do without."""
    context = example.context
    suffix, prefix, rest = (
        int(np.argmax(context == tokenizer.special_ids[name])) for name in ("<suffix>", "<prefix>", "<rest>")
    )
    from_suffix = 0 if len(example.holes) > 1 else max(prefix - suffix - 1 - MIN_SUFFIX_TOKENS, 0)
    return prefix, max(rest - prefix - 1 - MIN_PREFIX_TOKENS, 0), from_suffix


def _join(pieces: list[_Piece], row_length: int) -> tuple[npt.NDArray[Any], ...]:
    def column(name: str, padding: int = 0) -> npt.NDArray[Any]:
        values = np.concatenate([getattr(piece, name) for piece in pieces])
        missing = [(0, row_length - len(values)), *[(0, 0)] * (values.ndim - 1)]
        return np.pad(values, missing, constant_values=padding)

    segment = np.full(row_length, -1, np.int64)
    segment[: sum(len(piece.ids) for piece in pieces)] = np.repeat(range(len(pieces)), [len(p.ids) for p in pieces])
    return (
        column("ids"),
        column("position_ids"),
        segment,
        column("part"),
        column("targets"),
        column("weights"),
        column("loss_kind"),
        column("left", padding=-1),
    )


_ORDERS: dict[tuple[int, int], npt.NDArray[np.int64]] = {}


def _shuffled(count: int, seed: int) -> Callable[[int], int]:
    """The order of one epoch. Only the present and the next epoch's orders are kept."""
    order = _ORDERS.get((count, seed))
    if order is None:
        while len(_ORDERS) > 1:
            _ORDERS.pop(next(iter(_ORDERS)))
        order = _ORDERS[(count, seed)] = np.random.default_rng(seed).permutation(count)
    return lambda index: int(order[index])


assert HOLE_POSITIONS >= 128, "a canvas must fit the positions that a sentinel reserves"
