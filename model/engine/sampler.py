"""Samplers: logits and a canvas in, the next canvas out. They know no model, no text and no positions.

`FrontierSampler` settles each hole from its left end and wherever the model is surer than a threshold, and revises
settled tokens that the model has changed its mind about; `EntropyBoundSampler` commits as many positions as an entropy
budget allows (Ben-Hamu et al. 2025). Both commit in every hole at least as many positions as are needed to finish
within the steps left, so at least one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas

MAX_REVISIONS = 2
"""How often one position may be revised, so that two neighbours cannot overturn each other for ever."""


class Sampler(Protocol):
    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        """logits (B, L, V), float32, -inf where a token is not allowed."""
        ...


@dataclass(frozen=True, slots=True)
class FrontierSampler:
    """Each hole settles from its left end, and wherever a token is surer than `threshold`.

    The position behind settled text is the one that a small model predicts best, and the first end-of-hole that it
    reaches closes the hole, so no forward is spent on what would stand behind it. Row k > 0 is a branch: at its first
    frontier that is not sure it takes the (k + 1)-th likeliest token and goes on as row 0 does."""

    threshold: float = 0.9
    revision: float = 0.9

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        probability = logits.softmax(dim=-1)
        best_probability, best = probability.max(dim=-1)
        open_positions = ~canvas.settled
        frontier = leftmost(best, canvas, steps_left)
        sure = open_positions & (best_probability >= self.threshold)
        tokens, confidence, seeds = self._branched(probability, best, best_probability, frontier, canvas)
        commit = frontier | sure
        changed = canvas.settled & (best != canvas.ids) & (canvas.revisions < MAX_REVISIONS)
        revise = changed & (best_probability >= self.revision) & (best != canvas.end_id) & (canvas.ids != canvas.end_id)
        ids = torch.where(revise, best, torch.where(commit, tokens, canvas.ids))
        kept = torch.where(commit, confidence, canvas.confidence)
        committed = canvas.commit(ids, canvas.settled | commit, torch.where(revise, best_probability, kept))
        return replace(committed, seeds=seeds)

    def _branched(
        self, probability: Tensor, best: Tensor, best_probability: Tensor, frontier: Tensor, canvas: Canvas
    ) -> tuple[Tensor, Tensor, tuple[int, ...]]:
        """Tokens (B, L), their probabilities, and the seeds: 0 for a row that has branched now."""
        tokens, confidence, seeds = best.clone(), best_probability.clone(), list(canvas.seeds)
        for row, seed in enumerate(seeds):
            unsure = (frontier[row] & (best_probability[row] < self.threshold)).nonzero()
            if seed == 0 or len(unsure) == 0:
                continue
            column = int(unsure[0])
            ranked = probability[row, column].topk(min(seed + 1, probability.shape[-1]))
            tokens[row, column], confidence[row, column] = ranked.indices[-1], ranked.values[-1]
            seeds[row] = 0
        return tokens, confidence, tuple(seeds)


@dataclass(frozen=True, slots=True)
class EntropyBoundSampler:
    """bound: nats; a position commits while the entropies of the surer ones before it sum to no more than this."""

    bound: float = 0.1
    temperature: float = 0.7

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        tokens, confidence = choose_tokens(logits, canvas, self.temperature)
        entropy = entropy_of(logits.log_softmax(dim=-1)).masked_fill(canvas.settled, math.inf)
        commit = within_budget(entropy, self.bound) & ~canvas.settled
        commit |= surest(-entropy, canvas, steps_left)
        ids = torch.where(commit, tokens, canvas.ids)
        return canvas.commit(ids, canvas.settled | commit, torch.where(commit, confidence, canvas.confidence))


def entropy_of(log_probability: Tensor) -> Tensor:
    """(B, L) nats, of log probabilities (B, L, V) of which some may be -inf."""
    return -(log_probability.exp() * log_probability.clamp_min(-1e9)).sum(dim=-1)


def within_budget(entropy: Tensor, bound: float) -> Tensor:
    """(B, L) True at the positions of least entropy (B, L) before which entropies sum to no more than `bound`."""
    ordered, order = entropy.sort(dim=-1)
    return torch.zeros_like(entropy, dtype=torch.bool).scatter(-1, order, ordered.cumsum(dim=-1) - ordered <= bound)


def choose_tokens(logits: Tensor, canvas: Canvas, temperature: float) -> tuple[Tensor, Tensor]:
    """Token (B, L) and its probability (B, L): the likeliest where the seed is 0, else drawn at `temperature`.

    A row's draw depends on its seed and on what is open in it, not on the rows beside it: a candidate alone equals
    itself in a batch."""
    probability = logits.softmax(dim=-1)
    best_probability, tokens = probability.max(dim=-1)
    for row, seed in enumerate(canvas.seeds):
        if seed == 0:
            continue
        generator = torch.Generator().manual_seed(seed * 1_000_003 + int(canvas.settled[row].sum()))
        uniform = torch.rand(logits.shape[1:], generator=generator).to(logits.device).clamp(1e-9, 1 - 1e-9)
        tokens[row] = (logits[row] / temperature - (-uniform.log()).log()).argmax(dim=-1)
        best_probability[row] = probability[row].gather(-1, tokens[row].unsqueeze(-1)).squeeze(-1)
    return tokens, best_probability


def surest(score: Tensor, canvas: Canvas, steps_left: int) -> Tensor:
    """(B, L) True at the open positions of highest score (B, L), in every hole as many as it must commit now to be
    closed within `steps_left`; at least one where any is open."""
    chosen = torch.zeros_like(canvas.settled)
    for region in canvas.regions:
        open_positions = ~canvas.settled[:, region.columns]
        needed = -(-open_positions.sum(dim=-1, keepdim=True) // max(steps_left, 1))  # (B, 1)
        ranked = score[:, region.columns].masked_fill(~open_positions, -math.inf)
        rank = ranked.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        chosen[:, region.columns] = open_positions & (rank < needed)
    return chosen


def leftmost(tokens: Tensor, canvas: Canvas, steps_left: int) -> Tensor:
    """(B, L) True at the first open positions of every hole: as many as must commit now for the hole to be closed
    within `steps_left`, if it ends where `tokens` (B, L) say; at least one where any is open."""
    chosen = torch.zeros_like(canvas.settled)
    for region in canvas.regions:
        open_positions = ~canvas.settled[:, region.columns]
        ends = open_positions & (tokens[:, region.columns] == canvas.end_id)
        expected = open_positions & (ends.cumsum(dim=-1) - ends.int() == 0)  # up to the first end of the hole
        needed = -(-expected.sum(dim=-1, keepdim=True) // max(steps_left, 1))  # (B, 1)
        rank = open_positions.cumsum(dim=-1) - 1
        everything = steps_left <= 1
        chosen[:, region.columns] = open_positions & ((rank < needed) | everything)
    return chosen
