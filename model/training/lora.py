"""Low-rank adaptation of a network's linear layers (Hu et al. 2021): the weights stay, a product of two thin matrices
is learnt beside each of them and added to it in the end. Knows no tokens and no layout."""

from __future__ import annotations

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


class LoraLinear(nn.Module):
    """A linear layer without bias, frozen, and what is learnt beside it: up (out, rank) times down (rank, in)."""

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.randn(rank, base.in_features) * base.in_features**-0.5)
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.base(x) + F.linear(F.linear(x, self.down), self.up)
        return answer

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        self.base.weight += self.up @ self.down
        return self.base


def add_lora(network: nn.Module, rank: int) -> list[nn.Parameter]:
    """Freeze the network and put low-rank matrices beside every linear layer, in place; the matrices."""
    network.requires_grad_(False)
    for parent, name, layer in _layers(network, nn.Linear):
        setattr(parent, name, LoraLinear(layer, rank))
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def merge_lora(network: nn.Module) -> None:
    """Add what was learnt to the weights, in place: the network is again of the layers it had before `add_lora`."""
    for parent, name, layer in _layers(network, LoraLinear):
        setattr(parent, name, layer.merged())


def _layers(network: nn.Module, kind: type[Layer]) -> list[tuple[nn.Module, str, Layer]]:
    return [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, kind)
    ]
