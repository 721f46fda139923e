"""Fits how much the workspace memory counts beside the network, by the length of the match, on held-out holes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from midfill.model.families.embedded.denoiser import EmbeddedDenoiser, hole_memories
from midfill.model.families.embedded.memory import MAX_MATCH
from midfill.model.families.embedded.request_tokens import read_request
from midfill.model.wire.api import InfillRequest


def fit_memory_weights(
    denoiser: EmbeddedDenoiser, holes: Iterable[tuple[InfillRequest, str]], num_rounds: int = 30
) -> tuple[float, ...]:
    """weights[n]: the share of the memory after a match of n lexemes that makes the true tokens of the holes likeliest.

    holes: requests with one hole, and what stood there: of a hole that ends where its line does, only that line counts.
    The network's side is its left-to-right path with the true
    tokens before each position; the mixture is fitted by expectation maximisation, one weight for each length. A length
    that never occurred gets the weight of the one below.
    """
    pairs: dict[int, list[tuple[float, float]]] = {length: [] for length in range(1, MAX_MATCH + 1)}
    for request, truth in holes:
        for length, of_network, of_memory in _probabilities(denoiser, request, truth):
            pairs[length].append((of_network, of_memory))
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
def _probabilities(denoiser: EmbeddedDenoiser, request: InfillRequest, truth: str) -> list[tuple[int, float, float]]:
    """(length of the match, network's, memory's probability) of each true token and of the end, where any matched."""
    tokenizer, network = denoiser.tokenizer, denoiser.network
    plan = denoiser.plan(request, 1)
    read = read_request(request, denoiser.config, tokenizer)
    truth = truth.partition("\n")[0] if plan.single_line[0] else truth
    true_ids = tokenizer.encode(read.healed[0] + truth)[: plan.canvas.regions[0].length - 1]
    state, _ = denoiser.visible(plan, denoiser.encode(plan.context_ids, 0, None))
    ids = torch.tensor([[tokenizer.hole_ids[0], *true_ids]])
    positions = int(plan.canvas_positions[0]) + torch.arange(ids.shape[1]).unsqueeze(0)
    hidden, _ = network.read_on(ids, positions, state, None)
    predicted = denoiser.rules.allowed(network.logits(hidden[0]).log_softmax(dim=-1))
    predicted = (denoiser.rules.ending_lines(predicted) if plan.single_line[0] else predicted).exp()
    hole = hole_memories(request, read.texts, denoiser.elsewhere(request), tokenizer)[0]
    found = []
    for index, token in enumerate([*true_ids, tokenizer.end_id]):
        recalled = hole.recall(hole.before + tokenizer.decode(true_ids[:index]))
        if recalled is not None:
            memory = hole.token_shares(recalled, tokenizer.end_id).get(token, 0.0)
            found.append((recalled.match_length, float(predicted[index, token]), memory))
    return found
