"""Attention of a batch's rows: each sees its example's context and itself, and the first row of an example, the branch,
itself from left to right.

A dense mask over all rows would be nearly all empty, and on a CPU half of a step. Here context and row are attended to
apart, each without a mask over positions, and joined by their log-sum-exps, as ring attention joins its blocks (Liu et
al. 2023); the gradients come from the same kernels, given the joined result.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from midfill.model.families.embedded.network import Attend, flash_attention, repeated

_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


def attend_in_rows(num_rows: int, seen: Tensor) -> Attend:
    """seen (N, S): which keys of each example's past are there. Queries are (N, H, num_rows * L, D)."""
    on_cpu = seen.device.type == "cpu"
    hidden = None if bool(seen.all()) else torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, -1e30)

    def attend(query: Tensor, key: Tensor, value: Tensor, past: Tensor | None) -> Tensor:
        assert past is not None
        bias = None if hidden is None else hidden.to(query.dtype)[:, None, None, :]
        if on_cpu:
            attended: Tensor = RowAttention.apply(  # type: ignore[no-untyped-call]
                query, key, value, past[0], past[1], bias, num_rows
            )
            return attended
        return attend_with_mask(query, key, value, past, bias, num_rows)

    return attend


def attend_with_mask(
    query: Tensor, key: Tensor, value: Tensor, past: Tensor, bias: Tensor | None, num_rows: int
) -> Tensor:
    """The same in one call with a dense mask: what a GPU does, and what `RowAttention` is held equal to."""
    num_positions = query.shape[2]
    row = torch.arange(num_positions, device=query.device) // (num_positions // num_rows)
    earlier = torch.ones(num_positions, num_positions, dtype=torch.bool, device=query.device).tril()
    own = (row[:, None] == row[None, :]) & ((row[:, None] > 0) | earlier)
    shape = (query.shape[0], 1, num_positions, past.shape[3])
    of_past = torch.zeros(shape, dtype=query.dtype, device=query.device) if bias is None else bias.expand(shape)
    of_own = torch.zeros(own.shape, dtype=query.dtype, device=query.device).masked_fill_(~own, -1e30)
    mask = torch.cat((of_past, of_own.expand(shape[0], 1, -1, -1)), dim=3)
    keys = repeated(torch.cat((past[0], key), dim=2), query.shape[1])
    values = repeated(torch.cat((past[1], value), dim=2), query.shape[1])
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)


class RowAttention(torch.autograd.Function):
    """query (N, H, R * L, D), key and value (N, KV heads, R * L, D), past_key and past_value (N, KV heads, S, D),
    which get no gradient, and bias (N, 1, 1, S) or None, to (N, H, R * L, D)."""

    @staticmethod
    def forward(
        context: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        past_key: Tensor,
        past_value: Tensor,
        bias: Tensor | None,
        num_rows: int,
    ) -> Tensor:
        groups = query.shape[1] // key.shape[1]
        of_past, past_lse = flash_attention(_folded(query, groups), past_key, past_value, attn_mask=bias)
        past_lse = past_lse.reshape(query.shape[:3])
        rows = _Rows(num_rows, groups)
        own = [rows.cut(x) for x in (query, repeated(key, query.shape[1]), repeated(value, query.shape[1]))]
        parts = [
            flash_attention(*columns, is_causal=causal) for causal, *columns in zip((True, False), *own, strict=True)
        ]
        of_own = rows.join([part[0] for part in parts])
        own_lse = rows.join([part[1].unsqueeze(-1) for part in parts]).squeeze(-1)
        lse = torch.logaddexp(past_lse, own_lse)
        shares = (torch.exp(each - lse).unsqueeze(-1) for each in (past_lse, own_lse))
        result = sum(o.reshape(query.shape).float() * share for o, share in zip((of_past, of_own), shares, strict=True))
        assert isinstance(result, Tensor)
        result = result.to(query.dtype)
        context.save_for_backward(query, key, value, past_key, past_value, bias, result, lse)
        context.rows = rows
        return result

    @staticmethod
    def backward(context: Any, of_result: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, past_key, past_value, bias, result, lse = context.saved_tensors
        rows: _Rows = context.rows
        folded = [_folded(x, rows.groups) for x in (of_result, query, result)]
        folded_lse = lse.reshape(folded[1].shape[:3])
        of_query, _, _ = _flash_backward(
            folded[0], folded[1], past_key, past_value, folded[2], folded_lse, 0.0, False, attn_mask=bias
        )
        keys, values = (repeated(x, query.shape[1]) for x in (key, value))
        cut = [rows.cut(x) for x in (of_result, query, keys, values, result, lse.unsqueeze(-1))]
        parts = [
            _flash_backward(*columns[:5], columns[5].squeeze(-1), 0.0, causal)
            for causal, *columns in zip((True, False), *cut, strict=True)
        ]
        own_query, of_key, of_value = (rows.join([part[index] for part in parts]) for index in range(3))
        shared = key.shape[1]
        of_key, of_value = (x.unflatten(1, (shared, -1)).sum(dim=2) for x in (of_key, of_value))
        return of_query.reshape(query.shape) + own_query, of_key, of_value, None, None, None, None


class _Rows:
    """Cuts (N, heads, R * L, X) into the branches (N, H, L, X) and the draws (N * (R - 1), H, L, X), and back."""

    def __init__(self, num_rows: int, groups: int) -> None:
        self.num_rows, self.groups = num_rows, groups

    def cut(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows = x.unflatten(2, (self.num_rows, -1))  # (N, heads, R, L, X)
        branch, draws = rows[:, :, 0], rows[:, :, 1:].transpose(1, 2).flatten(0, 1)
        return branch, draws

    def join(self, parts: list[Tensor]) -> Tensor:
        branch, draws = parts
        rows = draws.unflatten(0, (-1, self.num_rows - 1)).transpose(1, 2)
        return torch.cat((branch.unsqueeze(2), rows), dim=2).flatten(2, 3)


def _folded(query: Tensor, groups: int) -> Tensor:
    """(N, H, T, D) to (N, KV heads, groups * T, D): queries that share keys in one."""
    folded: Tensor = query.unflatten(1, (-1, groups)).flatten(2, 3)
    return folded
