"""The left-to-right readings of a hole: more candidates, from the causal path of the same weights.

A canvas and the causal path err in different places: where both come to the same text it is likely to be right. One
reading takes the likeliest token each time, the others draw. Knows no network; this loop is all there is.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill.model.canvas import HoleReading
from midfill.model.families.denoiser import CausalPath, Plan

TEMPERATURE = 0.7
EXTRA_TOKENS = 12
"""A reading that draws ends at the latest so many tokens after the one that does not."""


@dataclass(slots=True)
class _Row:
    """Tokens that one or several readings have come to, their probabilities, and which readings those are."""

    ids: list[int]
    probabilities: list[float]
    readers: list[int]


def read_causally(
    path: CausalPath, plan: Plan, state: Tensor, *, num_drawn: int = 0, seed: int = 0
) -> Generator[None, None, list[HoleReading]]:
    """Readings of the first hole until its end or until its canvas would be full; one forward pass between two yields.

    The first reading is greedy, the next `num_drawn` draw at TEMPERATURE; readings that have come to the same tokens
    cost one row."""
    limit, end_id = plan.canvas.regions[0].length - 1, plan.canvas.end_id
    generators = [torch.Generator().manual_seed(seed * 1_000_003 + reader) for reader in range(1, num_drawn + 1)]
    rows, own = [_Row([], [], list(range(num_drawn + 1)))], None
    finished: dict[int, HoleReading] = {}
    while rows:
        log_probabilities, own = path.next_log_probabilities(plan, [row.ids for row in rows], state, own)
        probabilities = log_probabilities.softmax(dim=-1).cpu()
        yield None
        following: dict[tuple[int, int], _Row] = {}
        for number, row in enumerate(rows):
            for reader in row.readers:
                token = _choose(probabilities[number], generators[reader - 1] if reader else None)
                probability = float(probabilities[number, token])
                if token == end_id:
                    finished[reader] = path.reading(plan, row.ids, [*row.probabilities, probability], closed=True)
                    limit = min(limit, len(row.ids) + EXTRA_TOKENS) if reader == 0 else limit
                    continue
                further = following.setdefault((number, token), _Row([*row.ids, token], [*row.probabilities], []))
                further.probabilities = [*row.probabilities, probability]
                further.readers.append(reader)
        for (number, token), row in list(following.items()):
            if len(row.ids) >= limit:
                finished |= {r: path.reading(plan, row.ids, row.probabilities, closed=False) for r in row.readers}
                del following[number, token]
        own = path.select(own, [number for number, _ in following])
        rows = list(following.values())
    return [finished[reader] for reader in sorted(finished)]


def _choose(probabilities: Tensor, generator: torch.Generator | None) -> int:
    if generator is None:
        return int(probabilities.argmax())
    tempered = probabilities.pow(1 / TEMPERATURE)
    return int(torch.multinomial(tempered / tempered.sum(), 1, generator=generator))
