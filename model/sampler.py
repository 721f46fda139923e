"""Samplers: logits and a canvas in, the next canvas out. They know no model, no text and no positions.

`ConfidenceSampler` commits what is surer than a threshold and revises settled tokens that the model has changed its
mind about; `EntropyBoundSampler` commits as many positions as an entropy budget allows (Ben-Hamu et al. 2025). Both
commit in every hole at least as many positions as are needed to finish within the steps left, so at least one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midfill.model.canvas import Canvas

MAX_REVISIONS = 2
"""How often one position may be revised, so that two neighbours cannot overturn each other for ever."""


class Sampler(Protocol):
    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        """logits (B, L, V), float32, -inf where a token is not allowed."""
        ...


@dataclass(frozen=True, slots=True)
class ConfidenceSampler:
    """threshold: commit what is at least this probable; revision: replace a settled token by another this probable."""

    threshold: float = 0.9
    revision: float = 0.9
    temperature: float = 0.7

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        tokens, confidence = choose_tokens(logits, canvas, self.temperature)
        open_positions = ~canvas.settled
        commit = open_positions & ((confidence >= self.threshold) | surest(confidence, canvas, steps_left))
        best_probability, best = logits.softmax(dim=-1).max(dim=-1)
        changed = canvas.settled & (best != canvas.ids) & (canvas.revisions < MAX_REVISIONS)
        revise = changed & (best_probability >= self.revision) & (best != canvas.end_id) & (canvas.ids != canvas.end_id)
        ids = torch.where(revise, best, torch.where(commit, tokens, canvas.ids))
        kept = torch.where(commit, confidence, canvas.confidence)
        return canvas.commit(ids, canvas.settled | commit, torch.where(revise, best_probability, kept))


@dataclass(frozen=True, slots=True)
class EntropyBoundSampler:
    """bound: nats; a position commits while the entropies of the surer ones before it sum to no more than this."""

    bound: float = 0.1
    temperature: float = 0.7

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        tokens, confidence = choose_tokens(logits, canvas, self.temperature)
        log_probability = logits.log_softmax(dim=-1)
        entropy = -(log_probability.exp() * log_probability.clamp_min(-1e9)).sum(dim=-1)  # (B, L)
        entropy = entropy.masked_fill(canvas.settled, math.inf)
        ordered, order = entropy.sort(dim=-1)
        within = ordered.cumsum(dim=-1) - ordered <= self.bound
        commit = torch.zeros_like(canvas.settled).scatter(-1, order, within) & ~canvas.settled
        commit |= surest(-entropy, canvas, steps_left)
        ids = torch.where(commit, tokens, canvas.ids)
        return canvas.commit(ids, canvas.settled | commit, torch.where(commit, confidence, canvas.confidence))


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
