"""The prefix cache: exact prefixes, bounded bytes, the longest unused goes first."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from midfill.model.prefix_cache import PrefixCache, common_prefix_length

BYTES_PER_ID = 4


def state_of(ids: list[int]) -> Tensor:
    """A state that says which ids it encodes, so that a wrong one is seen."""
    return torch.tensor(ids, dtype=torch.float32).unsqueeze(0)


def cache_of(*entries: list[int], max_ids: int = 100) -> PrefixCache:
    cache = PrefixCache(max_ids * BYTES_PER_ID, dim=1)
    for ids in entries:
        cache.put(ids, state_of(ids))
    return cache


@pytest.mark.parametrize(
    ("entries", "asked", "shared"),
    [
        ([[1, 2, 3]], [1, 2, 3, 4], 3),
        ([[1, 2, 3]], [1, 2, 9], 2),
        ([[1, 2, 3]], [9], 0),
        ([[1, 2], [1, 5, 6]], [1, 5, 6, 7], 3),
        ([], [1], 0),
    ],
)
def test_the_longest_prefix_comes_back(entries: list[list[int]], asked: list[int], shared: int) -> None:
    length, state = cache_of(*entries).longest_prefix(asked)
    assert length == shared
    assert (state is None) == (shared == 0)
    if state is not None:
        assert state[0].tolist() == asked[:shared]


def test_an_entry_that_a_new_one_begins_with_is_part_of_it() -> None:
    cache = cache_of([1, 2], [1, 2, 3])
    assert (len(cache), cache.num_bytes) == (1, 3 * BYTES_PER_ID)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = cache_of([1, 1], [2, 2], max_ids=5)
    cache.longest_prefix([1, 1])
    cache.put([3, 3], state_of([3, 3]))
    assert cache.longest_prefix([2, 2])[0] == 0
    assert cache.longest_prefix([1, 1])[0] == 2


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = cache_of([1], max_ids=2)
    cache.put([5, 6, 7], state_of([5, 6, 7]))
    assert cache.longest_prefix([5, 6, 7]) == (0, None)
    assert cache.num_bytes <= cache.max_bytes


def test_cleared_it_knows_nothing() -> None:
    cache = cache_of([1, 2])
    cache.clear()
    assert (len(cache), cache.num_bytes, cache.longest_prefix([1, 2])) == (0, 0, (0, None))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes must not be negative, got -1"):
        PrefixCache(-1, dim=0)


def test_it_never_answers_with_another_texts_state() -> None:
    rng = random.Random(0)
    cache = cache_of(max_ids=60)
    for _ in range(500):
        ids = [rng.randrange(3) for _ in range(rng.randint(1, 12))]
        length, state = cache.longest_prefix(ids)
        known = [] if state is None else state[0].tolist()
        assert known == ids[:length]
        cache.put(ids, state_of(ids))
        assert cache.num_bytes <= cache.max_bytes
        assert cache.longest_prefix(ids)[0] == len(ids)
    assert common_prefix_length([1, 2, 3], [1, 2]) == 2
