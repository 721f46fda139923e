"""The network: two towers over one cache, a Llama- or Qwen2-shaped stack of layers each.

The context tower is the pretrained parent as it is: causal, so that its keys and values are an exact cache. The hole
tower is the same layers with what was learnt added; it reads the context's keys and values and its own. Both predict
the next token with the parent's head. Attention is whatever `Attend` allows, so training and serving are one forward.
Knows no tokenizer, no layout and no sampler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PROJECTIONS = ("qkv", "out", "gate_up", "down")
"""The linear maps of a layer: queries, keys and values in one, and so the gate and the up projection."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Sizes of a parent, in the words of its own config. qkv_bias: whether queries, keys and values have one, as in
    Qwen2."""

    vocab_size: int
    num_layers: int
    width: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    ff_width: int
    rope_base: float
    norm_epsilon: float
    max_positions: int
    qkv_bias: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "num_layers", "width", "num_heads", "num_kv_heads", "head_dim", "ff_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_heads % self.num_kv_heads:
            raise ValueError(f"num_heads ({self.num_heads}) must be a multiple of num_kv_heads ({self.num_kv_heads})")
        if self.head_dim % 2:
            raise ValueError(f"head_dim must be even for RoPE, got {self.head_dim}")

    def shape_of(self, projection: str) -> tuple[int, int]:
        """(out, in) of one of PROJECTIONS."""
        attention = self.num_heads * self.head_dim
        return {
            "qkv": (attention + 2 * self.num_kv_heads * self.head_dim, self.width),
            "out": (self.width, attention),
            "gate_up": (2 * self.ff_width, self.width),
            "down": (self.width, self.ff_width),
        }[projection]


class Attend(Protocol):
    """softmax(q k^T / sqrt(D) + mask) v of query (B, H, T, D) over past (2, B or 1, KV heads, S, D), which is encoded
    already, and its own key and value (B, KV heads, T, D), to (B, H, T, D)."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, past: Tensor | None) -> Tensor: ...


class Layer(nn.Module):
    """One layer of a tower; its projections are any modules from (..., in) to (..., out)."""

    def __init__(
        self, config: NetworkConfig, projections: Mapping[str, nn.Module], attention_norm: nn.Module, ff_norm: nn.Module
    ) -> None:
        super().__init__()
        self.config = config
        self.qkv, self.out, self.gate_up, self.down = (projections[name] for name in PROJECTIONS)
        self.attention_norm, self.ff_norm = attention_norm, ff_norm

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, attend: Attend, past: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, width) to the same and the layer's new keys and values (2, B, KV heads, T, D)."""
        config = self.config
        batch, length, _ = x.shape
        qkv = self.qkv(self.attention_norm(x))
        heads = qkv.view(batch, length, -1, config.head_dim).transpose(1, 2)  # (B, H + 2 KV, T, D)
        turned = rotate(heads[:, : config.num_heads + config.num_kv_heads], cos, sin)
        query, key = turned.split((config.num_heads, config.num_kv_heads), dim=1)
        value = heads[:, config.num_heads + config.num_kv_heads :]
        attended = attend(query, key, value, past).transpose(1, 2).reshape(batch, length, -1)
        x = x + self.out(attended)
        gate, up = self.gate_up(self.ff_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up), torch.stack((key, value))


class Tower(nn.Module):
    """A stack of layers and the norm after the last."""

    def __init__(self, config: NetworkConfig, layers: Sequence[Layer], norm: nn.Module) -> None:
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(layers)
        self.norm = norm

    def forward(
        self, x: Tensor, position_ids: Tensor, attend: Attend, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Hidden states and the new keys and values.

        x: (B, T, width) embeddings; position_ids: (B or 1, T); past: (layers, 2, B or 1, KV heads, S, D), of tokens
        that are encoded. Returns hidden (B, T, width) and new (layers, 2, B, KV heads, T, D)."""
        cos, sin = rope_table(position_ids, self.config, x.dtype)
        new = []
        for index, layer in enumerate(self.layers):
            x, key_value = layer(x, cos, sin, attend, None if past is None else past[index])
            new.append(key_value)
        return self.norm(x), torch.stack(new)


class EmbeddedNetwork(nn.Module):
    """The two towers, the embeddings of text and of midfill's special tokens, and the head.

    text_table: (vocab_size, width); special_table: (special tokens, width), whose ids come after the text's.
    canvas_embedding, branch_embedding: (width,), added at the positions of the hole tower: on a canvas, and where a
    hole is read from left to right. head: (vocab_size, width), None where the text's table is the head."""

    def __init__(
        self,
        context: Tower,
        hole: Tower,
        text_table: Tensor,
        special_table: Tensor,
        canvas_embedding: Tensor,
        branch_embedding: Tensor,
        head: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.config = context.config
        self.context, self.hole = context, hole
        self.text_table = frozen(text_table)
        self.special_table = frozen(special_table)
        self.canvas_embedding = frozen(canvas_embedding)
        self.branch_embedding = frozen(branch_embedding)
        self.head = None if head is None else frozen(head)

    def encode(self, ids: Tensor, position_ids: Tensor, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The context tower over ids (B, T) after `past`: hidden states and new keys and values, as of `Tower`."""
        hidden, new = self.context(self.embed(ids), position_ids, attend_causally, past)
        return hidden, new

    def fill(self, ids: Tensor, position_ids: Tensor, past: Tensor) -> Tensor:
        """The hole tower over canvases (B, T) that see `past` and themselves whole: hidden (B, T, width)."""
        x = self.embed(ids)
        hidden: Tensor = self.hole(x + self.canvas_embedding.to(x.dtype), position_ids, attend_everywhere, past)[0]
        return hidden

    def read_on(self, ids: Tensor, position_ids: Tensor, past: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
        """The hole tower over rows that are read from left to right after `past`, which they share: hidden, and the
        rows' own keys and values (layers, 2, B, KV heads, T, D).

        ids: (B, T) from the beginning, where `own` is None; (B, 1), the next token of each, after that."""
        x = self.embed(ids)
        x = x + self.branch_embedding.to(x.dtype)
        if own is None:
            hidden, new = self.hole(x, position_ids, attend_causally, past)
            return hidden, new
        rows = _OwnPast(own)
        hidden, new = self.hole(x, position_ids, rows.attend, past)
        return hidden, torch.cat((own, new), dim=4)

    def embed(self, ids: Tensor) -> Tensor:
        """ids (B, T) to (B, T, width)."""
        num_text = self.config.vocab_size
        text = F.embedding(ids.clamp_max(num_text - 1), self.text_table)
        special = F.embedding((ids - num_text).clamp_min(0), self.special_table).to(text.dtype)
        return torch.where((ids >= num_text).unsqueeze(-1), special, text)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (..., width) to float32 logits (..., vocab_size + special tokens)."""
        of_text = F.linear(hidden, self.text_table if self.head is None else self.head)
        return torch.cat((of_text, F.linear(hidden, self.special_table.to(hidden.dtype))), dim=-1).float()


class _OwnPast:
    """Attention of rows with a past of their own beside the one that they share; layers come in their order."""

    def __init__(self, own: Tensor) -> None:
        self._layers = iter(own)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, past: Tensor | None) -> Tensor:
        own_key, own_value = next(self._layers)
        return attend_everywhere(query, torch.cat((own_key, key), dim=2), torch.cat((own_value, value), dim=2), past)


class Norm(nn.Module):
    """RMSNorm with a frozen weight (width,)."""

    def __init__(self, weight: Tensor, epsilon: float) -> None:
        super().__init__()
        self.weight, self.epsilon = frozen(weight), epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.epsilon)


class Linear(nn.Linear):
    """A linear map with a given, frozen weight (out, in) and bias (out,)."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        super().__init__(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
        self.weight = frozen(weight)
        if bias is not None:
            self.bias = frozen(bias)


def frozen(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def rope_table(position_ids: Tensor, config: NetworkConfig, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin (B, 1, T, head_dim / 2) for positions (B, T) (Su et al. 2021)."""
    half = config.head_dim // 2
    exponents = torch.arange(half, device=position_ids.device, dtype=torch.float32) / half
    angles = position_ids.float().unsqueeze(-1) * config.rope_base**-exponents
    return angles.cos().unsqueeze(1).to(dtype), angles.sin().unsqueeze(1).to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


def attend_everywhere(query: Tensor, key: Tensor, value: Tensor, past: Tensor | None) -> Tensor:
    """Every query sees every key: a canvas over its context."""
    return attend_beside(query, key, value, past, is_causal=False)


def attend_causally(query: Tensor, key: Tensor, value: Tensor, past: Tensor | None) -> Tensor:
    """Query i of T sees all of the past and the first i + 1 keys: text that follows text that is encoded."""
    return attend_beside(query, key, value, past, is_causal=query.shape[2] > 1)


def attend_beside(query: Tensor, key: Tensor, value: Tensor, past: Tensor | None, *, is_causal: bool) -> Tensor:
    """Attention to a past without a mask, and to one's own keys with a causal one or none.

    On a CPU the two are worked out apart and joined by their log-sum-exps: the past, which all rows of a batch share,
    is neither copied beside their own keys nor repeated for the heads that share it."""
    groups = query.shape[1] // key.shape[1]
    if past is None or query.device.type != "cpu":
        if past is not None:
            key, value = (
                torch.cat((p.expand(len(key), -1, -1, -1), x), dim=2) for p, x in ((past[0], key), (past[1], value))
            )
        key, value = repeated(key, query.shape[1]), repeated(value, query.shape[1])
        length, total = query.shape[2], key.shape[2]
        mask = torch.ones(length, total, dtype=torch.bool, device=query.device).tril(total - length)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask if is_causal else None)
    num_rows = len(query) // len(past[0])  # that share one past
    shared = (
        query.unflatten(0, (-1, num_rows)).unflatten(2, (-1, groups)).transpose(1, 2)
    )  # (P, KV, rows, groups, T, D)
    of_past, past_lse = flash_attention(shared.flatten(2, 4), past[0], past[1])
    of_past = of_past.unflatten(2, shared.shape[2:5]).transpose(1, 2).reshape(query.shape)
    past_lse = past_lse.unflatten(2, shared.shape[2:5]).transpose(1, 2).reshape(query.shape[:3])
    of_own, own_lse = flash_attention(
        query, repeated(key, query.shape[1]), repeated(value, query.shape[1]), is_causal=is_causal
    )
    share = torch.sigmoid(past_lse - own_lse).unsqueeze(-1)  # of all probability, what falls to the past
    return torch.lerp(of_own.float(), of_past.float(), share).to(query.dtype)


flash_attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""The kernel behind `F.scaled_dot_product_attention` on a CPU, which gives the log-sum-exps too: (B, H, T, D) and
(B, H, T)."""


def repeated(x: Tensor, num_heads: int) -> Tensor:
    """Keys or values (B, KV heads, S, D) once for each of `num_heads` query heads."""
    return x if x.shape[1] == num_heads else x.repeat_interleave(num_heads // x.shape[1], dim=1)
