"""Batches of training positions: contexts, which the frozen tower encodes, and what the hole tower reads over them.

    passages | context (causal), each by itself        branch: hole 1, left to right
                                                       draw 1: its canvases
                                                       draw 2: …

Every position predicts the token after it, in the canvases too: each begins with its hole's sentinel, as the branch
does, so the parent's head works from the first step. The branch and every draw are a row each: it sees the passages,
the context and itself, and no other row. The examples of a batch have rows of one length and equally many of them, so
that hardly anything is padding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from midfill.model.families.embedded.layout import HOLE_POSITIONS, PASSAGE_TOKENS, canvas_starts, position_ids
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.training.examples import Example, Shards
from midfill.model.training.noise import DEFAULT_NOISE, NoiseSettings, canvas_length, noised_canvases

IdArray = npt.NDArray[np.int64]

BRANCH_WEIGHT = 2.0
"""Of a token of the branch against one of a canvas: a context has one branch and several draws."""
MIN_PREFIX_TOKENS = 40
MIN_SUFFIX_TOKENS = 16
MIN_CONTEXT_TOKENS = 96
FORGOTTEN_SHARE = 0.3
"""Share of the examples that go without their passages."""
MAX_DRAWN_POSITIONS = 288
"""Positions of one example's draws, about as many as its context has: long holes have fewer draws."""
MAX_ROW_POSITIONS = 300
"""Longer rows, of several long holes, are left out."""
CHUNK_EXAMPLES = 1024
"""Examples that are sorted by length and cut into batches together."""
STEP_SHARE = 0.6
LENGTH_UNIT = 32
"""Lengths are padded to multiples of this, so that a compiled step sees few shapes."""


@dataclass(frozen=True, slots=True)
class Batch:
    """passages (N, K, PASSAGE_TOKENS) and context (N, S) ids, -1 where there is none, and the context's position_ids.

    ids, position_ids, targets, weights: (N, R, L), of R rows for each example; the first row is the branch, padded with
    weight 0, the others are draws."""

    passages: Tensor
    context: Tensor
    context_positions: Tensor
    ids: Tensor
    position_ids: Tensor
    targets: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(*(getattr(self, name).to(device, non_blocking=True) for name in self.__slots__))

    @property
    def num_positions(self) -> int:
        """Of passages and contexts without their padding, and of the rows."""
        return int((self.passages >= 0).sum() + (self.context >= 0).sum()) + self.ids.numel()


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """num_draws: noise draws for each encoded context; max_positions: of a batch, padding included.

    max_context: tokens; longer contexts lose what is farthest from the hole. short_share: share of the examples whose
    context is cut to a length between MIN_CONTEXT_TOKENS and its own."""

    num_draws: int
    max_positions: int
    max_context: int
    noise: NoiseSettings = DEFAULT_NOISE
    short_share: float = 0.0


@dataclass
class Batches:
    """Batches from shards in an order fixed by the seed; `state()` is all that a resumed run needs."""

    shards: Shards
    tokenizer: CodeTokenizer
    seed: int
    settings: BatchSettings
    chunk: int = 0
    num_taken: int = 0
    _batches: list[list[Piece]] | None = None

    def state(self) -> dict[str, Any]:
        return {"chunk": self.chunk, "num_taken": self.num_taken}

    def go_on_from(self, state: dict[str, Any]) -> None:
        self.chunk, self.num_taken, self._batches = int(state["chunk"]), int(state["num_taken"]), None

    def next_step(self) -> list[Batch]:
        """Batches that have most of `max_positions` together: rows of a rare shape make a small batch, which would
        weigh too much as a step of its own."""
        batches = [self.next()]
        while sum(batch.num_positions for batch in batches) < STEP_SHARE * self.settings.max_positions:
            batches.append(self.next())
        return batches

    def next(self) -> Batch:
        while True:
            if self._batches is None:
                self._batches = self._chunk_batches(self.chunk)
            if self.num_taken < len(self._batches):
                self.num_taken += 1
                return join(self._batches[self.num_taken - 1])
            self.chunk, self.num_taken, self._batches = self.chunk + 1, 0, None

    def _chunk_batches(self, chunk: int) -> list[list[Piece]]:
        first = chunk * CHUNK_EXAMPLES
        made = (self._piece(index) for index in range(first, first + CHUNK_EXAMPLES))
        pieces = sorted((piece for piece in made if piece), key=lambda piece: (piece.ids.shape, len(piece.context)))
        batches = list(_cut(pieces, self.settings.max_positions))
        order = np.random.default_rng((self.seed, chunk)).permutation(len(batches))
        return [batches[number] for number in order]

    def _piece(self, index: int) -> Piece | None:
        """None for an example whose holes leave no room."""
        epoch, within = divmod(index, len(self.shards))
        example = self.shards[_shuffled(len(self.shards), self.seed + epoch)(within)]
        rng = np.random.default_rng((self.seed, index))
        settings = self.settings
        passages = () if rng.random() < FORGOTTEN_SHARE else example.passages
        lengths = [canvas_length(len(hole), rng) for hole in example.holes]
        num_positions = sum(lengths) + len(lengths)
        if num_positions > MAX_ROW_POSITIONS:
            return None
        num_draws = min(settings.num_draws, max(MAX_DRAWN_POSITIONS // num_positions, 1))
        num_context, most = len(example.context), settings.max_context
        if rng.random() < settings.short_share and num_context > MIN_CONTEXT_TOKENS:
            most = min(most, int(np.exp(rng.uniform(np.log(MIN_CONTEXT_TOKENS), np.log(num_context)))))
        excess = min(max(num_context - most, 0), _most_excess(example, self.tokenizer))
        context = shortened(example, excess, self.tokenizer) if excess > 0 else example.context
        if len(context) > settings.max_context + LENGTH_UNIT:
            return None
        shorter = replace(example, context=context, passages=passages)
        return make_piece(shorter, lengths, num_draws, self.tokenizer, settings.noise, rng)


@dataclass(frozen=True, slots=True)
class Piece:
    """One example of a batch: as in `Batch`, without the first dimension and without padding of the context."""

    passages: tuple[IdArray, ...]
    context: IdArray
    context_positions: IdArray
    ids: IdArray
    position_ids: IdArray
    targets: IdArray
    weights: npt.NDArray[np.float32]


def make_piece(
    example: Example,
    lengths: Sequence[int],
    num_draws: int,
    tokenizer: CodeTokenizer,
    noise: NoiseSettings,
    rng: np.random.Generator,
) -> Piece:
    """One example's positions: the branch over its first hole, then `num_draws` draws of all canvases (`lengths`)."""
    context, first = example.context.astype(np.int64), example.holes[0].astype(np.int64)
    starts = canvas_starts(context.tolist(), tokenizer)
    padding = sum(lengths) + len(lengths) - len(first) - 1
    rows: list[tuple[npt.NDArray[Any], ...]] = [
        (
            np.pad(np.append(tokenizer.hole_ids[0], first), (0, padding), constant_values=tokenizer.end_id),
            starts[0] - 1 + np.arange(len(first) + 1 + padding),
            np.pad(np.append(first, tokenizer.end_id), (0, padding), constant_values=tokenizer.end_id),
            np.pad(np.full(len(first) + 1, BRANCH_WEIGHT, np.float32), (0, padding)),
        )
    ]
    canvases = [
        noised_canvases(hole, length, num_draws, tokenizer, noise, rng)
        for hole, length in zip(example.holes, lengths, strict=True)
    ]
    for draw in zip(*canvases, strict=True):
        columns = [
            (
                np.append(hole_id, canvas.ids),
                start - 1 + np.arange(len(canvas.ids) + 1),
                np.append(canvas.targets, tokenizer.end_id),
                np.append(canvas.weights, np.float32(0)),
            )
            for hole_id, start, canvas in zip(tokenizer.hole_ids, starts, draw, strict=False)
        ]
        rows.append(tuple(np.concatenate(column) for column in zip(*columns, strict=True)))
    return Piece(
        tuple(passage.astype(np.int64) for passage in example.passages),
        context,
        position_ids(context.tolist(), tokenizer),
        *(np.stack(column) for column in zip(*rows, strict=True)),
    )


def join(pieces: Sequence[Piece]) -> Batch:
    """The pieces, whose rows are alike, as one batch; contexts are padded."""
    longest = _padded(max(len(piece.context) for piece in pieces))

    def padded(values: Sequence[IdArray], padding: int) -> Tensor:
        return torch.from_numpy(
            np.stack([np.pad(value, (0, longest - len(value)), constant_values=padding) for value in values])
        )

    passages = np.full((len(pieces), max(len(p.passages) for p in pieces), PASSAGE_TOKENS), -1, np.int64)
    for row, piece in enumerate(pieces):
        for number, passage in enumerate(piece.passages):
            passages[row, number, : len(passage)] = passage
    return Batch(
        torch.from_numpy(passages),
        padded([piece.context for piece in pieces], -1),
        padded([piece.context_positions for piece in pieces], 0),
        *(
            torch.from_numpy(np.stack([getattr(piece, name) for piece in pieces]))
            for name in ("ids", "position_ids", "targets", "weights")
        ),
    )


def shortened(example: Example, excess: int, tokenizer: CodeTokenizer) -> npt.NDArray[Any]:
    """The context without `excess` tokens, the farthest of prefix and suffix in proportion."""
    context = example.context
    prefix, from_prefix, from_suffix = _spare(example, tokenizer)
    from_suffix = min(from_suffix, round(excess * from_suffix / max(from_prefix + from_suffix, 1)))
    from_prefix = excess - from_suffix
    kept_suffix = context[: prefix - from_suffix]
    return np.concatenate((kept_suffix, context[prefix : prefix + 1], context[prefix + 1 + from_prefix :]))


def _most_excess(example: Example, tokenizer: CodeTokenizer) -> int:
    _, from_prefix, from_suffix = _spare(example, tokenizer)
    return from_prefix + from_suffix


def _spare(example: Example, tokenizer: CodeTokenizer) -> tuple[int, int, int]:
    """Where the prefix begins, and how many tokens of the prefix and of the suffix an example can do without."""
    context = example.context
    suffix, prefix, rest = (
        int(np.argmax(context == tokenizer.special_ids[name])) for name in ("<suffix>", "<prefix>", "<rest>")
    )
    from_suffix = 0 if len(example.holes) > 1 else max(prefix - suffix - 1 - MIN_SUFFIX_TOKENS, 0)
    return prefix, max(rest - prefix - 1 - MIN_PREFIX_TOKENS, 0), from_suffix


def _cut(pieces: Sequence[Piece], max_positions: int) -> Iterator[list[Piece]]:
    """Runs of pieces with rows alike, of at most `max_positions` once their contexts are padded; at least one each."""
    batch: list[Piece] = []
    for piece in pieces:  # sorted by length: the last context of a batch is its longest
        size = _padded(len(piece.context)) + sum(map(len, piece.passages)) + piece.ids.size
        if batch and (piece.ids.shape != batch[0].ids.shape or (len(batch) + 1) * size > max_positions):
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def _padded(length: int) -> int:
    return -(-length // LENGTH_UNIT) * LENGTH_UNIT


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
