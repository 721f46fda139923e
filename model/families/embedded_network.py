"""The embedded network: one stack that encodes context causally and denoises canvases with full attention.

Attention is whatever the mask allows, so training, encoding and denoising are one forward. The network knows no
tokenizer, no layout and no sampler. RMSNorm, QK-norm, RoPE, squared ReLU, tied embedding, soft-capped logits, and a
pointer that copies what followed a similar place of the context (Merity et al. 2016): a small network learns to repeat
the names of a file from millions of tokens, not billions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes of the network; they travel with the checkpoint and stand nowhere else.

    width 0 stands for num_heads * head_dim; attention may be narrower than the stream, its cost on a CPU is not.
    matched_tokens: how many equal tokens to the left of two places the pointer counts; 0: it counts none."""

    vocab_size: int
    num_layers: int
    num_heads: int
    head_dim: int = 64
    ff_multiple: int = 4
    width: int = 0
    rope_base: float = 10_000.0
    logit_cap: float = 15.0
    matched_tokens: int = 0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "num_heads", "head_dim", "ff_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim must be even for RoPE, got {self.head_dim}")
        if self.width < 0:
            raise ValueError(f"width must be 0 or more, got {self.width}")
        if self.width == 0:
            object.__setattr__(self, "width", self.attention_width)

    @property
    def attention_width(self) -> int:
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
        self.pointer = Pointer(config)
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)

    def forward(
        self, ids: Tensor, position_ids: Tensor, is_canvas: Tensor, attend: Attend, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states and the new keys and values.

        ids, position_ids, is_canvas: (B, T); past: (layers + 1, 2, B or 1, heads, S, head_dim), encoded context.
        Returns hidden (B, T, width) and new (layers + 1, 2, B, heads, T, head_dim); the last layer's are the pointer's.
        """
        cos, sin = rope_table(position_ids, self.config)  # (B, 1, T, head_dim / 2)
        x = self.embedding(ids) + is_canvas.unsqueeze(-1) * self.canvas_embedding  # (B, T, width)
        x = normalise(x)
        new = []
        for index, block in enumerate(self.blocks):
            x, key_value = block(x, cos, sin, attend, None if past is None else past[index])
            new.append(key_value)
        hidden = normalise(x)
        new.append(self.pointer.keys(hidden).to(new[-1].dtype))
        return hidden, torch.stack(new)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (..., width) to soft-capped float32 logits (..., vocab_size), the pointer apart."""
        cap = self.config.logit_cap
        raw = F.linear(hidden, self.embedding.weight).float()
        return cap * torch.tanh(raw / cap)

    def log_probabilities(self, hidden: Tensor, past: Tensor, next_ids: Tensor, equal: Tensor | None = None) -> Tensor:
        """hidden (B, T, width) over an encoded context to log probabilities (B, T, vocab_size), the pointer mixed in.

        past: as in `forward`, S tokens; next_ids: (S,) the token after each, -1 where none may be copied; equal: of
        `equal_runs` between the T and the S places."""
        of_vocabulary = self.logits(hidden).softmax(dim=-1)
        may_copy = next_ids >= 0
        if not bool(may_copy.any()):
            return of_vocabulary.log()
        scores = self.pointer.scores(hidden, past[-1], equal).masked_fill(~may_copy, -torch.inf)  # (B, T, S)
        longest = None if equal is None else (equal & may_copy).any(dim=-1)
        log_gate, log_rest = self.pointer.log_gates(hidden, longest)
        shares = scores.softmax(dim=-1) * log_gate.exp()
        mixed = of_vocabulary * log_rest.exp()
        return mixed.scatter_add_(-1, next_ids.clamp_min(0).expand_as(shares), shares).log()


class Block(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.num_heads, self.head_dim = config.num_heads, config.head_dim
        width = config.width
        self.qkv = nn.Linear(width, 3 * config.attention_width, bias=False)
        self.out = nn.Linear(config.attention_width, width, bias=False)
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
        batch, length, _ = x.shape
        qkv = self.qkv(normalise(x)).view(batch, length, 3, self.num_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, H, T, D)
        query = rotate(normalise(query) * self.query_scale, cos, sin)
        key = rotate(normalise(key), cos, sin)
        key_value = torch.stack((key, value))  # (2, B, H, T, D)
        if past is not None:
            earlier = past.expand(-1, batch, -1, -1, -1)
            key, value = torch.cat((earlier, key_value), dim=3)
        attended = attend(query, key, value).transpose(1, 2).reshape(batch, length, -1)
        x = x + self.out(attended)
        x = x + self.down(F.relu(self.up(normalise(x))).square())
        return x, key_value


class Pointer(nn.Module):
    """Which place of the context goes on like this one, and how far to trust it against the vocabulary.

    Two places are alike by their hidden states, and by how many tokens to the left of both are equal: what a small
    network would need many layers and much text to learn is counted for it (n-gram heads, Akyürek et al. 2024)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.shape = (2, config.num_heads, config.head_dim)  # as a layer's keys and values, so that they cache alike
        size = 2 * config.attention_width
        self.query = nn.Linear(config.width, size, bias=False)
        self.key = nn.Linear(config.width, size, bias=False)
        self.log_scale = nn.Parameter(torch.tensor([2.0]))
        self.gate = nn.Parameter(torch.zeros(config.width))
        self.gate_bias = nn.Parameter(torch.tensor([-1.5]))
        if config.matched_tokens:
            self.run_steps = nn.Parameter(torch.full((config.matched_tokens,), 0.5 / STEP_SCALE))
            self.gate_steps = nn.Parameter(torch.zeros(config.matched_tokens))
        nn.init.normal_(self.query.weight, std=config.width**-0.5)
        self.key.weight.data.copy_(self.query.weight)  # to begin with, places alike are places that recur

    def keys(self, hidden: Tensor) -> Tensor:
        """hidden (B, T, width) to (2, B, heads, T, head_dim)."""
        keys = F.normalize(self.key(hidden).float(), dim=-1)
        return keys.view(*keys.shape[:2], *self.shape).permute(2, 0, 3, 1, 4)

    def scores(self, hidden: Tensor, keys: Tensor, equal: Tensor | None = None) -> Tensor:
        """hidden (B, T, width) and keys (2, B or 1, heads, S, head_dim) to scores (B, T, S), float32: scaled cosines,
        and a step for each further token of a run that is equal (`equal_runs`)."""
        query = F.normalize(self.query(hidden).float(), dim=-1)
        flat = keys.permute(1, 3, 0, 2, 4).flatten(2).to(query.dtype)  # (B, S, 2 * heads * head_dim)
        scores = self.log_scale.exp() * (query @ flat.mT).float()
        if equal is None:
            return scores
        for length, step in enumerate(self.run_steps.float()):
            scores = scores + STEP_SCALE * step * equal[length]
        return scores

    def log_gates(self, hidden: Tensor, longest: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Log of the share that is copied and of the share that is not, each (..., 1). longest: (runs, ...), whether
        any place that may be copied has a run of that many equal tokens."""
        opening = (hidden.float() * self.gate).sum(dim=-1, keepdim=True) + self.gate_bias
        if longest is not None:
            for length, step in enumerate(self.gate_steps.float()):
                opening = opening + (STEP_SCALE * step * longest[length]).unsqueeze(-1)
        return F.logsigmoid(opening), F.logsigmoid(-opening)


STEP_SCALE = 10.0
"""The pointer's steps are learnt so many times faster than other scalars: they are nats, and few."""


def equal_runs(left: Tensor, other_left: Tensor) -> Tensor:
    """Where the last 1, 2, … runs tokens to the left of two places are equal: (runs, B, T, S).

    left: (B, T, runs) token ids before and at each place, the nearest first, -1 where there is none, which equals
    nothing; other_left: (B or 1, S, runs)."""
    runs: list[Tensor] = []
    for length in range(left.shape[-1]):
        here, there = left[..., length].unsqueeze(-1), other_left[..., length].unsqueeze(-2)
        same = (here == there) & (here >= 0)
        runs.append(runs[-1] & same if runs else same)
    return torch.stack(runs)


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
