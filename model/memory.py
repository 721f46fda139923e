"""Workspace memory: what followed, elsewhere in the text, the tokens that stand before a canvas position.

A count-based predictor over the context of one request, mixed into the logits of those positions whose left neighbours
are settled. It adapts at once to the names and habits of a file, costs well under a forward pass, and knows no model:
token ids in, a mixed distribution out. How much it counts for depends on how long a run of tokens recurred; the weights
are fitted on held-out text and travel with the checkpoint.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill.model.canvas import Canvas, Region

MAX_MATCH = 8


@dataclass(frozen=True, slots=True)
class Recall:
    """Token ids that followed the longest recurring run, with their shares (they sum to 1), and the run's length."""

    shares: Mapping[int, float]
    match_length: int


class WorkspaceMemory:
    """Runs of token ids, in which no run reaches over a special token."""

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        self._texts = [list(text) for text in texts]
        self._places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for number, text in enumerate(self._texts):
            for index, token in enumerate(text[:-1]):
                self._places[token].append((number, index))

    def recall(self, left: Sequence[int]) -> Recall | None:
        """What followed the longest run that `left` ends with (at most `MAX_MATCH` ids); None if its last id is new."""
        if not left:
            return None
        longest, following = 0, list[int]()
        for number, index in self._places.get(left[-1], ()):
            text = self._texts[number]
            length = 1
            while length < min(MAX_MATCH, len(left), index + 1) and text[index - length] == left[-1 - length]:
                length += 1
            if length > longest:
                longest, following = length, []
            if length == longest:
                following.append(text[index + 1])
        if not following:
            return None
        counts = Counter(following)
        return Recall({token: count / len(following) for token, count in counts.items()}, longest)


@dataclass(frozen=True, slots=True)
class HoleMemory:
    """The memory as one hole sees it: the ids before the hole, and those that would be the text behind it already:
    to recall one of them may be to recall that the hole ends."""

    memory: WorkspaceMemory
    before: tuple[int, ...]
    ending: frozenset[int]


def mix(logits: Tensor, canvas: Canvas, holes: Sequence[HoleMemory], weights: Sequence[float]) -> Tensor:
    """logits (B, L, V) with the memory mixed in where it applies; `weights[n]` is its share after a match of n ids."""
    mixed = logits.clone()
    for row in range(canvas.ids.shape[0]):
        for region, hole in zip(canvas.regions, holes, strict=True):
            for column, left in _frontier(canvas, row, region, hole.before):
                recalled = hole.memory.recall(left)
                weight = weights[min(recalled.match_length, len(weights) - 1)] if recalled else 0.0
                if recalled and weight > 0:
                    mixed[row, column] = _mixed(logits[row, column], recalled, weight, hole.ending, canvas.end_id)
    return mixed


def _frontier(canvas: Canvas, row: int, region: Region, before: tuple[int, ...]) -> list[tuple[int, list[int]]]:
    """The open columns whose left neighbour is settled (or is the text before the hole), with the ids to their left."""
    ids = canvas.ids[row, region.columns].tolist()
    settled = canvas.settled[row, region.columns].tolist()
    found: list[tuple[int, list[int]]] = []
    run = list(before[-MAX_MATCH:])
    for index in range(region.length):
        if settled[index]:
            run.append(ids[index])
        else:
            if run:
                found.append((region.start + index, run[-MAX_MATCH:]))
            run = []
    return found


def _mixed(logits: Tensor, recalled: Recall, weight: float, ending: frozenset[int], end_id: int) -> Tensor:
    """(V,) log of (1 - weight) model + weight memory; what would begin the text behind counts half as the end."""
    shares = dict(recalled.shares)
    for token in ending & shares.keys():
        shares[token] /= 2
        shares[end_id] = shares.get(end_id, 0.0) + shares[token]
    probability = (1 - weight) * logits.softmax(dim=-1)
    tokens = torch.tensor(list(shares), device=logits.device)
    probability[tokens] += weight * torch.tensor(list(shares.values()), device=logits.device, dtype=probability.dtype)
    return probability.log()
