"""From source files to packed training examples: a context and the holes in it, as token ids.

A shard is one `.npz`: `tokens` (uint16, everything end to end) and `lengths` (examples, NUM_COLUMNS: the context's, the
holes', the passages'; -1: no such piece). Noise, batches and epochs are made from shards by the training program, so a
machine without the corpus can train.
"""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midfill.model.layout import ContextTokens, lay_out, passage_ids
from midfill.model.passages import NUM_PASSAGES, find_passages
from midfill.model.tokenizer import MAX_HOLES, CodeTokenizer
from midfill.model.training.spans import CharSpan, SourceFile, draw_holes

CHARS_PER_EXAMPLE = 1200
MAX_HOLE_TOKENS = 127
NUM_COLUMNS = 1 + MAX_HOLES + NUM_PASSAGES
ELSEWHERE_CHARS = 12_000
"""Text to either side of the windows in which passages are looked for: what a front sends."""
FULL_SHARE = 0.35
"""Share of the examples with a window as large as a front's."""
MIN_WINDOW_TOKENS = (64, 24)
"""Of prefix and suffix, where a window is drawn short."""


@dataclass(frozen=True, slots=True)
class ContextSizes:
    """The most tokens of text before and after the holes; what a checkpoint was trained with is what it serves."""

    prefix_tokens: int
    suffix_tokens: int


@dataclass(frozen=True, slots=True)
class Example:
    """context: ids in encoding order; holes: the ids that belong into each hole, hole 1 first, without end-of-hole;
    passages: the ids of each passage from elsewhere in the file."""

    context: npt.NDArray[np.uint16]
    holes: tuple[npt.NDArray[np.uint16], ...]
    passages: tuple[npt.NDArray[np.uint16], ...] = ()

    @property
    def pieces(self) -> tuple[npt.NDArray[np.uint16], ...]:
        return (self.context, *self.holes, *self.passages)

    @property
    def lengths(self) -> list[int]:
        """A row of a shard's `lengths`."""
        holes, passages = [len(hole) for hole in self.holes], [len(passage) for passage in self.passages]
        missing_holes, missing_passages = [-1] * (MAX_HOLES - len(holes)), [-1] * (NUM_PASSAGES - len(passages))
        return [len(self.context), *holes, *missing_holes, *passages, *missing_passages]


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a corpus split (`.jsonl.gz`, one file a line)."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def draw_examples(text: str, tokenizer: CodeTokenizer, sizes: ContextSizes, rng: random.Random) -> Iterator[Example]:
    """Examples that together have about the whole file once as their context."""
    source = SourceFile(text)
    for number in range(max(1, round(len(text) / CHARS_PER_EXAMPLE))):
        near = rng.randint(number * CHARS_PER_EXAMPLE, max((number + 1) * CHARS_PER_EXAMPLE, 1))
        holes = draw_holes(source, min(near, len(text)), rng)
        if holes:
            example = make_example(text, holes, tokenizer, sizes, rng)
            if example is not None:
                yield example


def make_example(
    text: str,
    holes: Sequence[CharSpan],
    tokenizer: CodeTokenizer,
    sizes: ContextSizes,
    rng: random.Random,
    rewriting: Sequence[int] = (),
) -> Example | None:
    """The example of `holes` in `text`, with windows cut as a front cuts them; None if a hole is too long."""
    first = holes[0]
    line_end = text.find("\n", first.end)
    line_end = len(text) if line_end < 0 else line_end
    sizes = _drawn(sizes, rng)
    before, start = _last_lines(tokenizer, text, first.start, sizes.prefix_tokens)
    later, rest_end = list(holes[1:]), line_end
    if later and later[0].start < line_end:  # the second hole stands in the rest of the same line
        rest, later = _with_sentinels(text, first.end, line_end, later, 2, tokenizer)
        if holes[len(holes) - len(later) - 1].end > line_end:
            return None
    else:
        rest = tokenizer.encode(text[first.end : line_end])
    number = 2 + len(holes) - 1 - len(later)
    if later and later[-1].end > line_end + 4 * sizes.suffix_tokens:
        return None
    after, _ = _with_sentinels(text, rest_end + 1, rest_end + 1 + 4 * sizes.suffix_tokens, later, number, tokenizer)
    last_sentinel = max((i for i, token in enumerate(after) if token in tokenizer.hole_ids), default=-1)
    after = after[: max(sizes.suffix_tokens, last_sentinel + 1)]
    contents = [tokenizer.encode(text[hole.start : hole.end]) for hole in holes]
    if max(map(len, contents)) > MAX_HOLE_TOKENS or len(rest) > sizes.suffix_tokens:
        return None
    context = lay_out(ContextTokens(after, before, rest, rewriting), tokenizer).ids
    sentinels = sum(token in tokenizer.hole_ids for token in context)
    if sentinels != len(holes):  # a hole that crosses into the next line of another
        return None
    num_seen = len(tokenizer.decode([token for token in after if token < tokenizer.num_text_tokens]))
    end = max(rest_end + 1 + num_seen + sum(hole.end - hole.start for hole in later), holes[-1].end)
    return Example(
        np.array(context, np.uint16),
        tuple(np.array(ids, np.uint16) for ids in contents),
        tuple(np.array(ids, np.uint16) for ids in _passages(text, start, end, holes, tokenizer)),
    )


def _drawn(sizes: ContextSizes, rng: random.Random) -> ContextSizes:
    """What one example sees. A front keeps a prefix window between 5/8 and all of its budget; most examples see less,
    since a row of the training program holds less, and then more of the file is elsewhere."""
    if rng.random() < FULL_SHARE:
        return ContextSizes(rng.randint(sizes.prefix_tokens * 5 // 8, sizes.prefix_tokens), sizes.suffix_tokens)
    most = (sizes.prefix_tokens, sizes.suffix_tokens)
    prefix, suffix = (
        round(math.exp(rng.uniform(math.log(min(low, high)), math.log(high))))
        for low, high in zip(MIN_WINDOW_TOKENS, most, strict=True)
    )
    return ContextSizes(prefix, suffix)


def _passages(
    text: str, start: int, end: int, holes: Sequence[CharSpan], tokenizer: CodeTokenizer
) -> list[tuple[int, ...]]:
    """Passages from outside of the window text[start:end], chosen as serving chooses them."""
    elsewhere = (text[max(0, start - ELSEWHERE_CHARS) : start], text[end : end + ELSEWHERE_CHARS])
    bounds = [*(hole.start for hole in holes[1:]), len(text)]
    starts = [0, *(hole.end for hole in holes[:-1])]
    surroundings = [
        (text[max(begin, hole.start - 600) : hole.start], text[hole.end : min(bound, hole.end + 300)])
        for hole, begin, bound in zip(holes, starts, bounds, strict=True)
    ]
    return [passage_ids(passage, tokenizer) for passage in find_passages(elsewhere, surroundings)]


def _last_lines(tokenizer: CodeTokenizer, text: str, end: int, num_tokens: int) -> tuple[list[int], int]:
    """The ids of the last whole lines of text[:end] that fit, and where they begin; where even the last line does not
    fit, of its end."""
    start = max(0, end - 5 * num_tokens)
    ids = tokenizer.encode(text[start:end])
    while len(ids) > num_tokens and "\n" in text[start:end]:
        drop = text.find("\n", start + int((end - start) * (1 - num_tokens / len(ids))), end) + 1
        start = drop or text.find("\n", start, end) + 1
        ids = tokenizer.encode(text[start:end])
    return ids[-num_tokens:], start


def _with_sentinels(
    text: str, start: int, end: int, holes: Sequence[CharSpan], number: int, tokenizer: CodeTokenizer
) -> tuple[list[int], list[CharSpan]]:
    """text[start:end] with the holes in it as sentinels, from hole `number` on; and the holes that begin after
    `end`."""
    ids: list[int] = []
    remaining = list(holes)
    while remaining and remaining[0].start < end:
        hole = remaining.pop(0)
        ids += [*tokenizer.encode(text[start : hole.start]), tokenizer.hole_ids[number - 1]]
        start, number = hole.end, number + 1
    ids += tokenizer.encode(text[start : max(start, end)])
    return ids, remaining


def write_shard(path: Path, examples: Sequence[Example]) -> None:
    lengths = np.array([example.lengths for example in examples], np.int16).reshape(len(examples), NUM_COLUMNS)
    pieces = [piece for example in examples for piece in example.pieces]
    np.savez(path, tokens=np.concatenate(pieces), lengths=lengths)


class Shards:
    """The examples of a folder of shards, addressed by one index."""

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise FileNotFoundError("There are no shards to train on; make them with `midfill train pack`.")
        loaded = [np.load(path) for path in sorted(paths)]
        self._tokens = np.concatenate([shard["tokens"] for shard in loaded])
        self._lengths = np.concatenate([shard["lengths"] for shard in loaded])
        sizes = np.maximum(self._lengths, 0).sum(axis=1, dtype=np.int64)
        self._starts = np.concatenate(([0], np.cumsum(sizes)))

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def num_tokens(self) -> int:
        return len(self._tokens)

    def has_token(self, token_id: int) -> bool:
        return bool((self._tokens == token_id).any())

    def __getitem__(self, index: int) -> Example:
        start = int(self._starts[index])
        lengths = self._lengths[index].tolist()
        pieces: list[npt.NDArray[np.uint16] | None] = []
        for length in lengths:
            pieces.append(self._tokens[start : start + length] if length >= 0 else None)
            start += max(length, 0)
        context, holes, passages = pieces[0], pieces[1 : 1 + MAX_HOLES], pieces[1 + MAX_HOLES :]
        assert context is not None
        return Example(
            context,
            tuple(hole for hole in holes if hole is not None),
            tuple(passage for passage in passages if passage is not None),
        )
