"""The embedded family's one layout of context and canvases, for one hole and for several.

    <snippet> a passage | <snippet> another one
    <suffix> text after hole 1, from the next line on, with <hole_2> … <hole_n>
    <prefix> text before hole 1 <rest> rest of the line [<verb_…> old text] <hole_1> | canvas 1 | canvas 2 | …

Passages (`midfill.model.families.embedded.passages`) are encoded each for itself, from position 0, and seen by the
canvases only: which they are changes no other cached state. Suffix before prefix: typing only extends what is cached.
Canvas 1 continues the context's positions; each later sentinel keeps `HOLE_POSITIONS` position ids free behind it for
its own canvas, so no canvas length changes the cached context. Every position predicts the token after it: in front of
a canvas stands its hole's sentinel once more, on the sentinel's position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midfill.model.families.embedded.tokenizer import CodeTokenizer

HOLE_POSITIONS = 128
"""Position ids reserved for one hole: the longest canvas."""
PASSAGE_TOKENS = 40

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Context:
    """Token ids of the context in encoding order, and the position id at which each hole's canvas begins."""

    ids: tuple[int, ...]
    canvas_positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ContextTokens:
    """The pieces of a context, tokenised apart. `after` holds the later holes as their sentinel ids.

    rewriting: the id of a verb and the old text of the hole, for a hole that is to be rewritten."""

    after: Sequence[int]
    before: Sequence[int]
    rest: Sequence[int]
    rewriting: Sequence[int] = ()


def lay_out(tokens: ContextTokens, tokenizer: CodeTokenizer) -> Context:
    special = tokenizer.special_ids
    ids = (
        special["<suffix>"],
        *tokens.after,
        special["<prefix>"],
        *tokens.before,
        special["<rest>"],
        *tokens.rest,
        *tokens.rewriting,
        special["<hole_1>"],
    )
    return Context(ids, canvas_starts(ids, tokenizer))


def passage_ids(text: str, tokenizer: CodeTokenizer) -> tuple[int, ...]:
    """A passage as it is encoded: at most PASSAGE_TOKENS ids."""
    return (tokenizer.special_ids["<snippet>"], *tokenizer.encode(text)[: PASSAGE_TOKENS - 1])


def position_ids(ids: Sequence[int], tokenizer: CodeTokenizer) -> Ids:
    """Position id of each context token: one more than the last, plus the reserve behind a later hole's sentinel."""
    array = np.asarray(ids, dtype=np.int64)
    jumps = np.isin(array, tokenizer.hole_ids[1:]) * HOLE_POSITIONS
    steps = np.ones(len(array), dtype=np.int64)
    steps[1:] += jumps[:-1]
    return np.asarray(np.cumsum(steps) - 1, dtype=np.int64)


def canvas_starts(ids: Sequence[int], tokenizer: CodeTokenizer) -> tuple[int, ...]:
    """First position id of each hole's canvas, hole 1 first; every hole's sentinel stands in `ids` exactly once."""
    positions = position_ids(ids, tokenizer)
    index_of = {token_id: index for index, token_id in enumerate(ids) if token_id in tokenizer.hole_ids}
    return tuple(int(positions[index_of[hole_id]]) + 1 for hole_id in tokenizer.hole_ids if hole_id in index_of)
