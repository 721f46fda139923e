"""The same weights read from left to right, token by token, as fast as transformers' classes allow: the comparison.

DiffusionGemma's encoder is causal and shares its weights with the decoder, so one token of it with the output layer is
what a left-to-right model of this shape does.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from midfill.model.bench.subject import Subject
from midfill.model.bench.timing import median_ms

NUM_TOKENS = 24
_ROOM = 64


class LeftToRight:
    """`num_rows` texts of the subject's context length, continued by one token at a time over a static cache."""

    def __init__(self, subject: Subject, num_rows: int, is_compiled: bool) -> None:
        from transformers import StaticCache
        from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

        self._device = subject.device
        self._text_model: Any = subject.network.model.encoder.language_model
        self._head: Any = subject.network.lm_head
        config = subject.network.config.get_text_config(decoder=True)
        context = torch.tensor([subject.context_ids], device=subject.device).expand(num_rows, -1)
        cache = StaticCache(config=config, max_cache_len=context.shape[1] + _ROOM)
        self._cached = {subject.denoiser.states.keyword: cache}
        with torch.inference_mode():
            self._text_model(input_ids=context, **self._cached)
        self._ids = context[:, -1:].clone()
        self._positions = torch.full((1, 1), context.shape[1], device=subject.device)
        shape = torch.empty((num_rows, 1, 0), dtype=subject.network.dtype, device=subject.device)
        arguments = {
            "config": config,
            "inputs_embeds": shape,
            "attention_mask": None,
            "position_ids": self._positions,
            **self._cached,
        }
        # Made once: which positions they show changes nothing about the time.
        self._masks = {
            "full_attention": create_causal_mask(**arguments),
            "sliding_attention": create_sliding_window_causal_mask(**arguments),
        }
        self._forward = torch.compile(self._next, mode="reduce-overhead") if is_compiled else self._next

    def token_ms(self) -> float:
        return median_ms(self._device, self._step, num_rounds=NUM_TOKENS, num_unmeasured=4)

    @torch.inference_mode()
    def _step(self) -> None:
        torch.compiler.cudagraph_mark_step_begin()
        self._ids = self._forward(self._ids).clone()

    def _next(self, ids: Tensor) -> Tensor:
        """(B, 1) of the likeliest next tokens."""
        hidden = self._text_model(
            input_ids=ids, attention_mask=self._masks, position_ids=self._positions, **self._cached
        ).last_hidden_state
        likeliest: Tensor = self._head(hidden).argmax(dim=-1)
        return likeliest
