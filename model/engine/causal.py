"""The left-to-right readings of a hole: more candidates, from the causal path of the same weights.

A canvas and the causal path err in different places: where both come to the same text it is likely to be right. The
first reading takes the likeliest token each time; some branch off where it was first unsure, the others draw. Knows no
network; this loop is all there is.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midfill.model.engine.canvas import HoleReading
from midfill.model.engine.denoiser import CausalPath, Plan

TEMPERATURE = 0.7
SURE = 0.9
"""A reading branches off at the first token that is less likely than this."""
EXTRA_TOKENS = 12
"""The other readings end at the latest so many tokens after the greedy one."""


@dataclass(slots=True)
class _Row:
    """Tokens that one or several readings have come to, their probabilities, which readings those are, and the text
    that the hole has to begin with there."""

    beginning: str
    ids: list[int]
    probabilities: list[float]
    readers: list[int]


def read_causally(
    path: CausalPath,
    plan: Plan,
    state: Tensor,
    *,
    beginnings: Sequence[str] = (),
    num_branches: int = 0,
    num_drawn: int = 0,
    seed: int = 0,
) -> Generator[None, None, list[HoleReading]]:
    """Readings of the first hole until its end or until its canvas would be full; one forward pass between two yields.

    The first reading is greedy. Of the next `num_branches` the n-th takes the (n + 1)-th likeliest token where the
    first one is not SURE, and is greedy after that; the next `num_drawn` draw at TEMPERATURE; the last ones are greedy
    and each begins with one of `beginnings`. Readings that have come to the same tokens cost one row."""
    limit, end_id = plan.canvas.regions[0].length - 1, plan.canvas.end_id
    readers: list[_Reader] = [_Greedy()]
    readers += [_Branching(rank) for rank in range(1, num_branches + 1)]
    readers += [_Drawing(torch.Generator().manual_seed(seed * 1_000_003 + n + 1)) for n in range(num_drawn)]
    rows, own = [_Row("", [], [], list(range(len(readers))))], None
    for beginning in beginnings:
        rows.append(_Row(beginning, [], [], [len(readers)]))
        readers.append(_Greedy())
    finished: dict[int, HoleReading] = {}
    while rows:
        begun = [(row.beginning, row.ids) for row in rows]
        log_probabilities, own = path.next_log_probabilities(plan, begun, state, own)
        probabilities = log_probabilities.exp().cpu()
        yield None
        following: dict[tuple[int, int], _Row] = {}
        for number, row in enumerate(rows):
            for reader in row.readers:
                token = readers[reader].choose(probabilities[number])
                probability = float(probabilities[number, token])
                if token == end_id:
                    finished[reader] = path.reading(plan, row.ids, [*row.probabilities, probability], closed=True)
                    limit = min(limit, len(row.ids) + EXTRA_TOKENS) if reader == 0 else limit
                    continue
                further = following.setdefault((number, token), _Row(row.beginning, [*row.ids, token], [], []))
                further.probabilities = [*row.probabilities, probability]
                further.readers.append(reader)
        for (number, token), row in list(following.items()):
            if len(row.ids) >= limit:
                finished |= {r: path.reading(plan, row.ids, row.probabilities, closed=False) for r in row.readers}
                del following[number, token]
        own = path.select(own, [number for number, _ in following])
        rows = list(following.values())
    return [finished[reader] for reader in sorted(finished)]


class _Reader(Protocol):
    def choose(self, probabilities: Tensor) -> int:
        """The next token, of probabilities (V,)."""
        ...


class _Greedy:
    def choose(self, probabilities: Tensor) -> int:
        return int(probabilities.argmax())


@dataclass(slots=True)
class _Branching:
    """rank: of the token that is taken once, 0 the likeliest."""

    rank: int

    def choose(self, probabilities: Tensor) -> int:
        if self.rank and float(probabilities.max()) < SURE:
            rank, self.rank = self.rank, 0
            return int(probabilities.topk(rank + 1).indices[-1])
        return int(probabilities.argmax())


@dataclass(frozen=True, slots=True)
class _Drawing:
    generator: torch.Generator

    def choose(self, probabilities: Tensor) -> int:
        tempered = probabilities.pow(1 / TEMPERATURE)
        return int(torch.multinomial(tempered / tempered.sum(), 1, generator=self.generator))
