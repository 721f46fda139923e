"""The losses of a batch: the frozen tower encodes the contexts, the hole tower reads its branch and its canvases.

The cross-entropy never holds the logits of more than a few hundred positions: with a vocabulary of 49,152 they would be
most of the memory. Its gradient is worked out in the forward pass, chunk by chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill.model.families.embedded.layout import PASSAGE_TOKENS
from midfill.model.families.embedded.network import EmbeddedNetwork
from midfill.model.training.batches import Batch
from midfill.model.training.row_attention import attend_in_rows

CHUNK_POSITIONS = 512


@dataclass(frozen=True, slots=True)
class Losses:
    """Nats. total: the sum over weighted positions, with a gradient; causal, canvas: the same of the branches and of
    the canvases, without; causal_weight, canvas_weight: the sums of their weights."""

    total: Tensor
    causal: float
    canvas: float
    causal_weight: float
    canvas_weight: float


def losses(network: EmbeddedNetwork, batch: Batch) -> Losses:
    past, seen = encoded(network, batch)
    hidden = read(network, batch, past, seen)
    wanted = batch.weights > 0
    weights = batch.weights[wanted]
    head = network.text_table if network.head is None else network.head
    total, each = CrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden[wanted], head, network.special_table, batch.targets[wanted], weights
    )
    is_branch = torch.zeros_like(wanted)
    is_branch[:, 0] = True
    causal = is_branch[wanted].float() * weights
    canvas = weights - causal
    sums = (float(value) for value in ((each * causal).sum(), (each * canvas).sum(), causal.sum(), canvas.sum()))
    return Losses(total, *sums)


def mean_losses(of_batches: Sequence[Losses]) -> tuple[float, float]:
    """The causal and the canvas loss of several batches, each a mean over its weighted positions."""
    return (
        sum(each.causal for each in of_batches) / max(sum(each.causal_weight for each in of_batches), 1e-9),
        sum(each.canvas for each in of_batches) / max(sum(each.canvas_weight for each in of_batches), 1e-9),
    )


def learn_from(network: EmbeddedNetwork, batches: Sequence[Batch]) -> tuple[float, float]:
    """Add the gradient of the mean loss of all batches to the adapter's; the causal and the canvas loss."""
    weight = float(sum(batch.weights.sum() for batch in batches))
    of_batches = []
    for batch in batches:
        of_batch = losses(network, batch)
        (of_batch.total / weight).backward()
        of_batches.append(replace(of_batch, total=of_batch.total.detach()))
    return mean_losses(of_batches)


@torch.no_grad()
def encoded(network: EmbeddedNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """Keys and values (layers, 2, N, KV heads, S, D) of passages and contexts, and (N, S) which of them are real."""
    _, past = network.encode(batch.context.clamp_min(0), batch.context_positions)
    seen = batch.context >= 0
    num_rows, num_passages = batch.passages.shape[:2]
    if num_passages == 0:
        return past, seen
    ids = batch.passages.reshape(num_rows * num_passages, PASSAGE_TOKENS)
    positions = torch.arange(PASSAGE_TOKENS, device=ids.device).unsqueeze(0)
    _, apart = network.encode(ids.clamp_min(0), positions)
    beside = apart.unflatten(2, (num_rows, num_passages)).transpose(3, 4).flatten(4, 5)
    return torch.cat((beside, past), dim=4), torch.cat((batch.passages.flatten(1) >= 0, seen), dim=1)


def read(network: EmbeddedNetwork, batch: Batch, past: Tensor, seen: Tensor) -> Tensor:
    """Hidden states (N, R, L, width) of the hole tower."""
    _, num_rows, length = batch.ids.shape
    x = network.embed(batch.ids)
    kind = torch.stack((network.branch_embedding, *[network.canvas_embedding] * (num_rows - 1)))
    x = (x + kind.unsqueeze(1).to(x.dtype)).flatten(1, 2)
    hidden, _ = network.hole(x, batch.position_ids.flatten(1), attend_in_rows(num_rows, seen), past)
    rows: Tensor = hidden.unflatten(1, (num_rows, length))
    return rows


class CrossEntropy(torch.autograd.Function):
    """The weighted sum of cross-entropies of hidden (N, width) against a frozen head (V, width) and the special tokens'
    rows (K, width), which come after the head's; and each of them (N,), without a gradient."""

    @staticmethod
    def forward(
        context: Any, hidden: Tensor, head: Tensor, special: Tensor, targets: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        table = torch.cat((head, special.to(head.dtype)))
        of_hidden, of_special = torch.empty_like(hidden), torch.zeros_like(special)
        each = torch.empty(len(hidden), device=hidden.device)
        for first in range(0, len(hidden), CHUNK_POSITIONS):
            rows = slice(first, first + CHUNK_POSITIONS)
            log_probability = F.linear(hidden[rows], table).float().log_softmax(dim=-1)
            wanted = targets[rows].unsqueeze(1)
            each[rows] = -log_probability.gather(1, wanted).squeeze(1)
            gradient = log_probability.exp_()
            gradient.scatter_add_(1, wanted, torch.full_like(wanted, -1.0, dtype=gradient.dtype))
            small = gradient.mul_(weights[rows].unsqueeze(1)).to(hidden.dtype)
            of_hidden[rows] = small @ table
            of_special += (small[:, -len(special) :].T @ hidden[rows]).to(special.dtype)
        context.save_for_backward(of_hidden, of_special)
        context.mark_non_differentiable(each)
        return (each * weights).sum(), each

    @staticmethod
    def backward(context: Any, of_total: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_special = context.saved_tensors
        return of_hidden * of_total.to(of_hidden.dtype), None, of_special * of_total, None, None
