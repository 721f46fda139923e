"""Encoded context, kept by its token ids and reused up to the first token that differs.

Exact: causal context does not depend on what follows it. Bounded in bytes; what was used longest ago goes first.
Knows no model: a state is whatever a family encodes, as one tensor whose `dim` is the token axis. States are never
written again, so a running request keeps the one it has.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor


class PrefixCache:
    """From token ids to encoded context."""

    def __init__(self, max_bytes: int, dim: int) -> None:
        if max_bytes < 0:
            raise ValueError(f"max_bytes must not be negative, got {max_bytes}")
        self.max_bytes, self.dim = max_bytes, dim
        self._entries: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()
        self.num_bytes = 0

    def longest_prefix(self, ids: Sequence[int]) -> tuple[int, Tensor | None]:
        """How many leading ids are encoded already, and their state; (0, None) if none are."""
        best: tuple[int, tuple[int, ...]] = (0, ())
        for key in self._entries:
            shared = common_prefix_length(key, ids)
            if shared > best[0]:
                best = (shared, key)
        length, key = best
        if length == 0:
            return 0, None
        self._entries.move_to_end(key)
        return length, self._entries[key].narrow(self.dim, 0, length)

    def put(self, ids: Sequence[int], state: Tensor) -> None:
        """Keep `state` (ids along `dim`); entries that it begins with are dropped, they are part of it."""
        new = tuple(ids)
        size = _num_bytes(state)
        if size > self.max_bytes:
            return
        for key in [key for key in self._entries if common_prefix_length(key, new) == len(key)]:
            self._drop(key)
        while self.num_bytes + size > self.max_bytes:
            self._drop(next(iter(self._entries)))
        self._entries[new] = state
        self.num_bytes += size

    def clear(self) -> None:
        self._entries.clear()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: tuple[int, ...]) -> None:
        self.num_bytes -= _num_bytes(self._entries.pop(key))


def common_prefix_length(first: Sequence[int], second: Sequence[int]) -> int:
    for index, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return index
    return min(len(first), len(second))


def _num_bytes(state: Tensor) -> int:
    return state.numel() * state.element_size()
