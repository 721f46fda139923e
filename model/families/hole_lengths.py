"""Which lengths of its holes a clamped canvas supposes, for models that have no token that ends a hole.

Knows numbers only."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

MAX_ROWS = 16
"""Suppositions about the holes' lengths that are tried together."""


def length_suppositions(longest: Sequence[int], max_rows: int = MAX_ROWS) -> list[tuple[int, ...]]:
    """Lengths to try for holes of at most `longest` tokens: all, where they are few, else some of each, closer together
    where they are short, in all combinations."""
    each = max_rows
    while each > 1 and _num_combinations(longest, each) > max_rows:
        each -= 1
    return list(itertools.product(*(_spread(length, each) for length in longest)))[:max_rows]


def _num_combinations(longest: Sequence[int], each: int) -> int:
    count = 1
    for length in longest:
        count *= min(length, each)
    return count


def _spread(longest: int, num_lengths: int) -> list[int]:
    """At most `num_lengths` lengths from 1 to `longest`, as a geometric series where not all of them fit."""
    if longest <= num_lengths:
        return list(range(1, longest + 1))
    if num_lengths == 1:
        return [max(1, round(longest**0.5))]
    series = [longest ** (index / (num_lengths - 1)) for index in range(num_lengths)]
    return sorted({round(length) for length in series})
