"""Encoded context of DiffusionGemma as one tensor, and as the cache that transformers' classes read.

The tensor holds the keys and values of every token in every layer, also those that a sliding layer no longer sees, so
it can be cut anywhere and stays exact; the cache is made of views of it. (A transformers cache cannot be cut twice once
it is longer than its window.)
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def cache_keyword() -> str:
    """What transformers calls a cache where it is given: before 5.24, `past_key_values`."""
    from transformers.masking_utils import create_causal_mask

    return "cache" if "cache" in inspect.signature(create_causal_mask).parameters else "past_key_values"


class ContextStates:
    """state (T, width): for each token, layer by layer, its keys (H, D) and then its values (H, D).

    Layers differ in heads and in head size, hence the flat rows."""

    def __init__(self, text_config: Any) -> None:
        self._text_config = text_config
        layers = [text_config.per_layer_config[index] for index in range(text_config.num_hidden_layers)]
        self._shapes = [(layer.num_key_value_heads, layer.head_dim) for layer in layers]
        self.keyword = cache_keyword()
        self.width = sum(2 * num_heads * head_dim for num_heads, head_dim in self._shapes)

    def cache_of(self, state: Tensor | None, num_rows: int = 1) -> Any:
        """A transformers DynamicCache that shows `state` to `num_rows` rows: in sliding layers what the next token
        sees of it. Nothing is copied."""
        from transformers import DynamicCache

        cache: Any = DynamicCache(config=self._text_config)
        if state is None:
            return cache
        length = state.shape[0]
        for layer, (keys, values) in zip(cache.layers, self._by_layer(state), strict=True):
            first = max(0, length - layer.sliding_window + 1) if layer.is_sliding else 0
            seen = (piece[:, first:].expand(num_rows, -1, -1, -1) for piece in (keys, values))
            layer.lazy_initialization(keys[:, :0].unsqueeze(0), values[:, :0].unsqueeze(0))
            layer.keys, layer.values = seen
            if layer.is_sliding:
                layer.cumulative_length = length
        return cache

    def newest(self, cache: Any, num_tokens: int) -> Tensor:
        """(num_tokens, width) of the tokens that a cache, which records its past, was extended by last."""
        pieces = []
        for layer in cache.layers:
            for states in (layer.keys, layer.values):  # (1, H, T, D)
                pieces.append(states[0, :, -num_tokens:].transpose(0, 1).flatten(1))
        return torch.cat(pieces, dim=1)

    def _by_layer(self, state: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Keys and values of each layer as views (H, T, D)."""
        column = 0
        for num_heads, head_dim in self._shapes:
            width = 2 * num_heads * head_dim
            both = state[:, column : column + width].view(-1, 2, num_heads, head_dim)
            keys, values = both.permute(1, 2, 0, 3)
            yield keys, values
            column += width
