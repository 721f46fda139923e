"""Canvases for vLLM: what stands where on each, and what an answer says of the holes.

    a row that supposes two tokens      a b ) \\n x        a and b are noise, the rest is pinned
    what the model gives back           1 2 ) \\n x        the hole is 1 2, and the model agrees with what follows

An answer replaces the pinned text as well; it is laid over again, and where the model would have put something else
there, the hole has another length or another content: that lowers the confidence. Knows ids, no text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from midfill.model.engine.confidence import JUDGED_TOKENS, LEAST_PROBABILITY
from midfill.model.families.vllm.requests import SeededCanvas, TokenRead

HEAD_TOKENS = 32
"""Text behind the last hole that is pinned, where the canvas is wide enough."""
LEAST_HEAD_TOKENS = 6


@dataclass(frozen=True, slots=True)
class ClampedRow:
    """A canvas with the text behind each hole pinned. holes: the positions of each hole; behind: of what follows it."""

    canvas: SeededCanvas
    holes: tuple[range, ...]
    behind: tuple[range, ...]


@dataclass(frozen=True, slots=True)
class HoleRead:
    """A hole of an answer. ends_well: what the model would have put behind it is what stands there, as a probability;
    agrees: whether most of the tokens right behind it are the model's own choice too."""

    tokens: tuple[TokenRead, ...]
    ends_well: float
    agrees: bool


def clamped_row(lengths: Sequence[int], inside: Sequence[Sequence[int]], behind: Sequence[Sequence[int]]) -> ClampedRow:
    """inside: what each hole starts from, as many ids as its length; behind: what stands behind each."""
    ids: list[int] = []
    holes, follows = [], []
    for length, begun, after in zip(lengths, inside, behind, strict=True):
        holes.append(range(len(ids), len(ids) + length))
        ids += begun
        follows.append(range(len(ids), len(ids) + len(after)))
        ids += after
    pinned = tuple(position for positions in follows for position in positions)
    return ClampedRow(SeededCanvas(tuple(ids), pinned), tuple(holes), tuple(follows))


def heads(behind: Sequence[Sequence[int]], num_hole_tokens: int, canvas_length: int) -> list[tuple[int, ...]]:
    """What of the text behind each hole stands on the canvas: all of it between two holes, of the last as much as helps
    and fits."""
    between = sum(len(ids) for ids in behind[:-1])
    room = min(HEAD_TOKENS, canvas_length - between - num_hole_tokens)
    return [*(tuple(ids) for ids in behind[:-1]), tuple(behind[-1][: max(0, room)])]


def read_row(row: ClampedRow, answer: Sequence[TokenRead]) -> list[HoleRead]:
    """Raises IndexError where the answer is shorter than the canvas."""
    read = []
    for hole, follows in zip(row.holes, row.behind, strict=True):
        judged = [(row.canvas.ids[position], answer[position]) for position in follows[:JUDGED_TOKENS]]
        logs = [math.log(_probability_of(pinned_id, token)) for pinned_id, token in judged]
        ends_well = math.exp(sum(logs) / len(logs)) if logs else 1.0
        num_disagreeing = sum(pinned_id != token.id for pinned_id, token in judged)
        tokens = tuple(answer[position] for position in hole)
        read.append(HoleRead(tokens, ends_well, 2 * num_disagreeing <= len(judged)))
    return read


def noise(num_ids: int, vocab_size: int, special_ids: frozenset[int], random: Random) -> list[int]:
    """Random ids, none of which means anything to the family."""
    ids: list[int] = []
    while len(ids) < num_ids:
        drawn = random.randrange(vocab_size)
        if drawn not in special_ids:
            ids.append(drawn)
    return ids


def noised(ids: Sequence[int], strength: float, noise_ids: Sequence[int], random: Random) -> list[int]:
    """`ids` with a share of them replaced by those of `noise_ids` at the same places."""
    replaced = set(random.sample(range(len(ids)), round(strength * len(ids))))
    return [noise_ids[place] if place in replaced else token_id for place, token_id in enumerate(ids)]


def _probability_of(pinned_id: int, token: TokenRead) -> float:
    """What the model gave a pinned token: told for its first choice, else at most what the first choice left."""
    first = math.exp(token.log_probability)
    return max(first if token.id == pinned_id else min(first, 1 - first), LEAST_PROBABILITY)
