"""From source files to packed training examples: a context and the holes in it, as token ids.

A shard is one `.npz`: `tokens` (everything end to end; uint16, or uint32 for more ids than that holds) and `lengths`
(int16, examples by NUM_COLUMNS: the context's, the holes', the passages', where -1 is no such piece; then the number of
the language in `FAMILIES`). Noise, batches and epochs are made from shards by the training program, so a
machine without the corpus can train.
"""

from __future__ import annotations

import gzip
import json
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from midfill.model.families.embedded.healing import healed_text
from midfill.model.families.embedded.layout import ContextTokens, lay_out, passage_ids
from midfill.model.families.embedded.passages import NUM_PASSAGES, find_passages
from midfill.model.families.embedded.tokenizer import MAX_HOLES, CodeTokenizer
from midfill.model.measuring.languages import FAMILIES, LANGUAGES
from midfill.model.measuring.spans import CharSpan, SourceFile, draw_holes

CHARS_PER_EXAMPLE = 1200
MAX_HOLE_TOKENS = 127
MAX_DRAWS = 3
"""How often holes are drawn at a place before it goes without an example."""
NUM_PIECES = 1 + MAX_HOLES + NUM_PASSAGES
NUM_COLUMNS = NUM_PIECES + 1
ELSEWHERE_CHARS = 12_000
"""Text to either side of the windows in which passages are looked for: what a front sends."""
FULL_SHARE = 0.35
"""Share of the examples with a window as large as a front's."""
MIN_WINDOW_TOKENS = (64, 24)
"""Of prefix and suffix, where a window is drawn short."""


TokenIds = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True, slots=True)
class ContextSizes:
    """The most tokens of text before and after the holes; what a checkpoint was trained with is what it serves."""

    prefix_tokens: int
    suffix_tokens: int


@dataclass(frozen=True, slots=True)
class Example:
    """context: ids in encoding order; holes: the ids that belong into each hole, hole 1 first, without end-of-hole;
    passages: the ids of each passage from elsewhere in the file or in other files; language: one of `FAMILIES`."""

    context: TokenIds
    holes: tuple[TokenIds, ...]
    passages: tuple[TokenIds, ...] = ()
    language: str = "python"

    @property
    def pieces(self) -> tuple[TokenIds, ...]:
        return (self.context, *self.holes, *self.passages)

    @property
    def lengths(self) -> list[int]:
        """A row of a shard's `lengths`."""
        holes, passages = [len(hole) for hole in self.holes], [len(passage) for passage in self.passages]
        missing_holes, missing_passages = [-1] * (MAX_HOLES - len(holes)), [-1] * (NUM_PASSAGES - len(passages))
        language = FAMILIES.index(self.language)
        return [len(self.context), *holes, *missing_holes, *passages, *missing_passages, language]


@dataclass(frozen=True, slots=True)
class TrainingFile:
    """A source file: its text, the name of its grammar in `LANGUAGES`, and the texts of other files of its project."""

    text: str
    language: str = "python"
    others: tuple[str, ...] = ()


def read_texts(path: Path) -> Iterator[str]:
    """The texts of a corpus split (`.jsonl.gz`, one file a line)."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def draw_examples(
    file: TrainingFile, tokenizer: CodeTokenizer, sizes: ContextSizes, rng: random.Random
) -> Iterator[Example]:
    """Examples that together have about the whole file once as their context."""
    text, source = file.text, SourceFile(file.text, file.language)
    for number in range(max(1, round(len(text) / CHARS_PER_EXAMPLE))):
        near = rng.randint(number * CHARS_PER_EXAMPLE, max((number + 1) * CHARS_PER_EXAMPLE, 1))
        for _ in range(MAX_DRAWS):
            holes = draw_holes(source, min(near, len(text)), rng)
            example = make_example(file, holes, tokenizer, sizes, rng) if holes else None
            if example is not None:
                yield example
                break


def make_example(
    file: TrainingFile,
    holes: Sequence[CharSpan],
    tokenizer: CodeTokenizer,
    sizes: ContextSizes,
    rng: random.Random,
    rewriting: Sequence[int] = (),
) -> Example | None:
    """The example of `holes` in a file, with windows cut as a front cuts them; None if a hole is too long.

    Each hole begins where its text is healed (`midfill.model.families.embedded.healing`), as in serving."""
    text, cursors = file.text, holes
    holes = healed_holes(text, cursors)
    first = holes[0]
    line_end = text.find("\n", first.end)
    line_end = len(text) if line_end < 0 else line_end
    most_after, sizes = sizes.suffix_tokens, _drawn(sizes, rng)
    before, start = _last_lines(tokenizer, text, first.start, sizes.prefix_tokens)
    later, rest_end = list(holes[1:]), line_end
    if later and later[0].start < line_end:  # the second hole stands in the rest of the same line
        rest, later = _with_sentinels(text, first.end, line_end, later, 2, tokenizer)
        if holes[len(holes) - len(later) - 1].end > line_end:
            return None
    else:
        rest = tokenizer.encode(text[first.end : line_end])
    number = 2 + len(holes) - 1 - len(later)
    after_end = max([rest_end + 1 + 4 * sizes.suffix_tokens, *(hole.end for hole in later)])
    after, _ = _with_sentinels(text, rest_end + 1, after_end, later, number, tokenizer)
    last_sentinel = max((i for i, token in enumerate(after) if token in tokenizer.hole_ids), default=-1)
    if last_sentinel >= most_after:  # the last hole is too far behind the first
        return None
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
    dtype = token_dtype(tokenizer.vocab_size)
    return Example(
        np.array(context, dtype),
        tuple(np.array(ids, dtype) for ids in contents),
        tuple(np.array(ids, dtype) for ids in _passages(file, start, end, cursors, tokenizer)),
        LANGUAGES[file.language].family,
    )


def healed_holes(text: str, holes: Sequence[CharSpan]) -> list[CharSpan]:
    """The holes with what is given back of the text before each of them."""
    ends = [0, *(hole.end for hole in holes)]
    return [
        CharSpan(hole.start - len(healed_text(text[max(end, hole.start - 64) : hole.start])), hole.end)
        for end, hole in zip(ends, holes, strict=False)
    ]


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
    file: TrainingFile, start: int, end: int, holes: Sequence[CharSpan], tokenizer: CodeTokenizer
) -> list[tuple[int, ...]]:
    """Passages from other files and from outside of the window text[start:end], chosen as serving chooses them."""
    text = file.text
    elsewhere = (text[max(0, start - ELSEWHERE_CHARS) : start], text[end : end + ELSEWHERE_CHARS], *file.others)
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


def token_dtype(vocab_size: int) -> np.dtype[np.unsignedinteger]:
    """The type of token ids in a shard: uint16 where it holds them all, otherwise uint32."""
    return np.dtype(np.uint16 if vocab_size <= 2**16 else np.uint32)


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
        rows = [shard["lengths"] for shard in loaded]
        if other := [path for path, row in zip(sorted(paths), rows, strict=True) if row.shape[1] != NUM_COLUMNS]:
            raise ValueError(f"{other[0]} was packed by another version of midfill; make it with `midfill train pack`.")
        self._lengths = np.concatenate([row[:, :NUM_PIECES] for row in rows])
        self._language_numbers = np.concatenate([row[:, NUM_PIECES] for row in rows])
        sizes = np.maximum(self._lengths, 0).sum(axis=1, dtype=np.int64)
        self._starts = np.concatenate(([0], np.cumsum(sizes)))

    def __len__(self) -> int:
        return len(self._lengths)

    @property
    def num_tokens(self) -> int:
        return len(self._tokens)

    def check_tokenizer(self, tokenizer: CodeTokenizer) -> None:
        """Raises ValueError if the shards were packed with another tokenizer."""
        first = self[0].context
        if int(first.max()) >= tokenizer.vocab_size or tokenizer.special_ids["<prefix>"] not in first:
            raise ValueError("The shards were packed with another parent's tokenizer; pack them with this parent.")

    @property
    def token_dtype(self) -> np.dtype[np.unsignedinteger]:
        return self._tokens.dtype

    @cached_property
    def languages(self) -> npt.NDArray[np.str_]:
        """The language of each example, (examples,): one of `FAMILIES`."""
        names: npt.NDArray[np.str_] = np.array(FAMILIES)[self._language_numbers]
        return names

    def has_token(self, token_id: int) -> bool:
        return bool((self._tokens == token_id).any())

    def __getitem__(self, index: int) -> Example:
        start = int(self._starts[index])
        lengths = self._lengths[index].tolist()
        pieces: list[TokenIds | None] = []
        for length in lengths:
            pieces.append(self._tokens[start : start + length] if length >= 0 else None)
            start += max(length, 0)
        context, holes, passages = pieces[0], pieces[1 : 1 + MAX_HOLES], pieces[1 + MAX_HOLES :]
        assert context is not None
        return Example(
            context,
            tuple(hole for hole in holes if hole is not None),
            tuple(passage for passage in passages if passage is not None),
            FAMILIES[self._language_numbers[index]],
        )
