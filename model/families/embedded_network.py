"""The embedded network: one stack that encodes context causally and denoises canvases with full attention.

Attention is whatever the mask allows, so training, encoding and denoising are one forward. The network knows no
tokenizer, no layout and no sampler. RMSNorm, QK-norm, RoPE, squared ReLU, tied embedding, soft-capped logits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes of the network; they travel with the checkpoint and stand nowhere else."""

    vocab_size: int
    num_layers: int
    num_heads: int
    head_dim: int = 64
    ff_multiple: int = 4
    rope_base: float = 10_000.0
    logit_cap: float = 15.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "num_heads", "head_dim", "ff_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim must be even for RoPE, got {self.head_dim}")

    @property
    def width(self) -> int:
        return self.num_heads * self.head_dim


class Attend(Protocol):
    """softmax(q k^T + mask) v for q (B, H, T, D) and k, v (B, H, S, D), in any implementation."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class EmbeddedNetwork(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.canvas_embedding = nn.Parameter(torch.zeros(config.width))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)

    def forward(
        self, ids: Tensor, position_ids: Tensor, is_canvas: Tensor, attend: Attend, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states and the new keys and values.

        ids, position_ids, is_canvas: (B, T); past: (layers, 2, B or 1, heads, S, head_dim), already encoded context.
        Returns hidden (B, T, width) and new (layers, 2, B, heads, T, head_dim).
        """
        cos, sin = rope_table(position_ids, self.config)  # (B, 1, T, head_dim / 2)
        x = self.embedding(ids) + is_canvas.unsqueeze(-1) * self.canvas_embedding  # (B, T, width)
        x = normalise(x)
        new = []
        for index, block in enumerate(self.blocks):
            x, key_value = block(x, cos, sin, attend, None if past is None else past[index])
            new.append(key_value)
        return normalise(x), torch.stack(new)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (..., width) to soft-capped float32 logits (..., vocab_size)."""
        cap = self.config.logit_cap
        raw = F.linear(hidden, self.embedding.weight).float()
        return cap * torch.tanh(raw / cap)


class Block(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.num_heads, self.head_dim = config.num_heads, config.head_dim
        width = config.width
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, config.ff_multiple * width, bias=False)
        self.down = nn.Linear(config.ff_multiple * width, width, bias=False)
        self.query_scale = nn.Parameter(torch.full((config.head_dim,), 1.2))
        nn.init.normal_(self.qkv.weight, std=width**-0.5)
        nn.init.normal_(self.up.weight, std=width**-0.5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend, past: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        batch, length, width = x.shape
        qkv = self.qkv(normalise(x)).view(batch, length, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        query = rotate(normalise(query) * self.query_scale, cos, sin)
        key = rotate(normalise(key), cos, sin)
        key_value = torch.stack((key, value))  # (2, B, H, T, D)
        if past is not None:
            earlier = past.expand(-1, batch, -1, -1, -1)
            key, value = torch.cat((earlier, key_value), dim=3)
        attended = attend(query, key, value).transpose(1, 2).reshape(batch, length, width)
        x = x + self.out(attended)
        x = x + self.down(F.relu(self.up(normalise(x))).square())
        return x, key_value


def normalise(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],))


def rope_table(position_ids: Tensor, config: NetworkConfig) -> tuple[Tensor, Tensor]:
    """cos and sin (B, 1, T, head_dim / 2) for positions (B, T) (Su et al. 2021)."""
    half = config.head_dim // 2
    exponents = torch.arange(half, device=position_ids.device, dtype=torch.float32) / half
    angles = position_ids.float().unsqueeze(-1) * config.rope_base**-exponents
    return angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1).to(x.dtype)


def attend_everywhere(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Every query sees every key: a canvas over its context."""
    return F.scaled_dot_product_attention(query, key, value)


def attend_causally(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Query i of T sees the first S - T + i + 1 keys: context that follows context already encoded."""
    length, total = query.shape[-2], key.shape[-2]
    if length == total:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    mask = torch.ones(length, total, dtype=torch.bool, device=query.device).tril(total - length)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def attend_masked(mask: Tensor) -> Attend:
    """Attention limited by a boolean mask (B, T, T), True where the query (row) may see the key (column)."""

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask.unsqueeze(1))

    return attend
