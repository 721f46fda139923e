"""AdamW over an adapter: the deltas at one rate, embeddings and norm scales at twice that, one multiplier for both."""

from __future__ import annotations

import torch

from midfill.model.families.embedded.network import EmbeddedNetwork

DELTA_RATE = 8e-4
SCALAR_RATE = 2 * DELTA_RATE


def make_optimiser(network: EmbeddedNetwork) -> torch.optim.Optimizer:
    learnt = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    deltas = [parameter for name, parameter in learnt if ".delta_" in name]
    others = [parameter for name, parameter in learnt if ".delta_" not in name]
    groups = [{"params": deltas, "lr": DELTA_RATE}, {"params": others, "lr": SCALAR_RATE}]
    optimiser = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, foreach=True)
    for group in optimiser.param_groups:
        group["initial_lr"] = group["lr"]
    return optimiser


def set_rate(optimiser: torch.optim.Optimizer, multiplier: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * multiplier
