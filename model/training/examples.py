"""From source files to packed training examples: a context and the holes in it, as token ids.

A shard is one `.npz`: `tokens` (uint16, everything end to end) and `lengths` (examples, 1 + MAX_HOLES; -1: no such
hole). Noise, batches and epochs are made from shards by the training program, so a machine without the corpus can
train.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midfill.model.layout import ContextTokens, lay_out
from midfill.model.tokenizer import MAX_HOLES, CodeTokenizer
from midfill.model.training.spans import CharSpan, SourceFile, draw_holes

CHARS_PER_EXAMPLE = 1200
MAX_HOLE_TOKENS = 127


@dataclass(frozen=True, slots=True)
class ContextSizes:
    """The most tokens of text before and after the holes; what a checkpoint was trained with is what it serves."""

    prefix_tokens: int
    suffix_tokens: int


@dataclass(frozen=True, slots=True)
class Example:
    """context: ids in encoding order; holes: the ids that belong into each hole, hole 1 first, without end-of-hole."""

    context: npt.NDArray[np.uint16]
    holes: tuple[npt.NDArray[np.uint16], ...]


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
    # A front keeps a prefix window between 5/8 and all of its budget; beginnings of files are shorter by themselves.
    prefix_tokens = rng.randint(sizes.prefix_tokens * 5 // 8, sizes.prefix_tokens)
    before = _last_lines(tokenizer, text[max(0, first.start - 5 * prefix_tokens) : first.start], prefix_tokens)
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
    context = lay_out(ContextTokens((), after, before, rest, rewriting), tokenizer).ids
    sentinels = sum(token in tokenizer.hole_ids for token in context)
    if sentinels != len(holes):  # a hole that crosses into the next line of another
        return None
    return Example(np.array(context, np.uint16), tuple(np.array(ids, np.uint16) for ids in contents))


def _last_lines(tokenizer: CodeTokenizer, text: str, num_tokens: int) -> list[int]:
    """The ids of the last whole lines of `text` that fit; where even the last line does not, of its end."""
    ids = tokenizer.encode(text)
    while len(ids) > num_tokens and "\n" in text:
        drop = text.find("\n", int(len(text) * (1 - num_tokens / len(ids)))) + 1
        text = text[drop or text.find("\n") + 1 :]
        ids = tokenizer.encode(text)
    return ids[-num_tokens:]


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
    lengths = np.full((len(examples), 1 + MAX_HOLES), -1, np.int16)
    pieces: list[npt.NDArray[np.uint16]] = []
    for row, example in enumerate(examples):
        for column, piece in enumerate((example.context, *example.holes)):
            lengths[row, column] = len(piece)
            pieces.append(piece)
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
        pieces = []
        for length in self._lengths[index].tolist():
            if length >= 0:
                pieces.append(self._tokens[start : start + length])
                start += length
        return Example(pieces[0], tuple(pieces[1:]))
