"""Fits how much the workspace memory counts beside the network, by the length of the match, on held-out examples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from midfill.model.checkpoint import Checkpoint
from midfill.model.families.embedded import hole_memories
from midfill.model.families.embedded_network import attend_causally
from midfill.model.layout import ContextTokens, canvas_starts, position_ids
from midfill.model.memory import MAX_MATCH, HoleMemory
from midfill.model.tokenizer import CodeTokenizer
from midfill.model.training.examples import Example


def fit_memory_weights(checkpoint: Checkpoint, examples: Iterable[Example], num_rounds: int = 30) -> tuple[float, ...]:
    """weights[n]: the share of the memory after a match of n tokens that makes the true tokens of the holes likeliest.

    The network's side is its left-to-right path with the true tokens before each position; the mixture is fitted by
    expectation maximisation, one weight for each length. A length that never occurred gets the weight of the one below.
    """
    pairs: dict[int, list[tuple[float, float]]] = {length: [] for length in range(1, MAX_MATCH + 1)}
    for example in examples:
        _collect(checkpoint, example, pairs)
    weights = [0.0]
    for length in range(1, MAX_MATCH + 1):
        probabilities = np.array(pairs[length]).reshape(-1, 2)
        weight = 0.3
        for _ in range(num_rounds):
            memory = weight * probabilities[:, 1]
            both = memory + (1 - weight) * probabilities[:, 0]
            weight = float((memory / np.maximum(both, 1e-12)).mean()) if len(both) else weights[-1]
        weights.append(round(weight, 3))
    return tuple(weights)


@torch.inference_mode()
def _collect(checkpoint: Checkpoint, example: Example, pairs: dict[int, list[tuple[float, float]]]) -> None:
    """Add (network's, memory's) probability of each true token of hole 1 and of its end, by the length of the match."""
    tokenizer, network = checkpoint.tokenizer, checkpoint.network
    context, hole = example.context.tolist(), example.holes[0].tolist()
    start = canvas_starts(context, tokenizer)[0]
    ids = torch.tensor([[*context, *hole]])
    positions = np.concatenate((position_ids(context, tokenizer), start + np.arange(len(hole))))
    is_canvas = torch.zeros_like(ids, dtype=torch.bool)
    hidden, _ = network(ids, torch.from_numpy(positions)[None], is_canvas, attend_causally)
    predicted = network.logits(hidden[0, len(context) - 1 :]).softmax(dim=-1)
    first = hole_memories(_pieces(context, tokenizer), tokenizer)[0]
    for index, token in enumerate([*hole, tokenizer.end_id]):
        recalled = first.memory.recall([*first.before, *hole[:index]][-MAX_MATCH:])
        if recalled is not None:
            share = _share(recalled.shares, token, first, tokenizer)
            pairs[recalled.match_length].append((float(predicted[index, token]), share))


def _share(shares: object, token: int, hole: HoleMemory, tokenizer: CodeTokenizer) -> float:
    assert isinstance(shares, dict)
    if token == tokenizer.end_id:
        return float(sum(share for other, share in shares.items() if other in hole.ending)) / 2
    share = float(shares.get(token, 0.0))
    return share / 2 if token in hole.ending else share


def _pieces(context: list[int], tokenizer: CodeTokenizer) -> ContextTokens:
    """A laid-out context taken apart again."""
    suffix, prefix, rest = (context.index(tokenizer.special_ids[n]) for n in ("<suffix>", "<prefix>", "<rest>"))
    return ContextTokens((), context[suffix + 1 : prefix], context[prefix + 1 : rest], context[rest + 1 : -1])
