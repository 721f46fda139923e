"""The prefix cache: what it finds, what it forgets, and against a naive model with random sequences."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch

from midfill.model.engine.prefix_cache import PrefixCache, common_prefix_length

BYTES_PER_ID = 8  # two float32 rows


def state_of(ids: Sequence[int]) -> torch.Tensor:
    """(2, n): column i depends on ids up to i, as causal context does."""
    columns = [hash(tuple(ids[: index + 1])) % 9973 for index in range(len(ids))]
    return torch.tensor([columns, ids], dtype=torch.float32).reshape(2, len(ids))


def filled(max_ids: int, *entries: str) -> PrefixCache:
    cache = PrefixCache(max_ids * BYTES_PER_ID, dim=1)
    for entry in entries:
        cache.put(ids_of(entry), state_of(ids_of(entry)))
    return cache


def ids_of(letters: str) -> list[int]:
    return [ord(letter) for letter in letters]


def check(cache: PrefixCache, query: str, expected: str) -> None:
    length, state = cache.longest_prefix(ids_of(query))
    assert query[:length] == expected
    if not expected:
        assert state is None
    else:
        assert state is not None
        assert torch.equal(state, state_of(ids_of(expected)))


@pytest.mark.parametrize(
    ("entries", "query", "expected"),
    [
        ([], "abc", ""),
        (["abc"], "", ""),
        (["abc"], "xbc", ""),
        (["abc"], "abc", "abc"),
        (["abc"], "abcd", "abc"),  # typing on
        (["abcd"], "ab", "ab"),  # deleting
        (["abcd"], "abxd", "ab"),  # an edit in the middle: the entry is cut where it differs
        (["abx", "abcy", "a"], "abcd", "abc"),  # the longest of several
    ],
)
def test_the_longest_prefix_is_found(entries: list[str], query: str, expected: str) -> None:
    check(filled(100, *entries), query, expected)


@pytest.mark.parametrize(
    ("entries", "num_kept"),
    [
        (["abc", "abc"], 1),
        (["a", "ab", "abc"], 1),  # the chunks of one context
        (["abc", "ab"], 2),  # the longer one is not part of the shorter
        (["abx", "aby"], 2),
    ],
)
def test_a_prefix_of_a_new_entry_is_part_of_it(entries: list[str], num_kept: int) -> None:
    cache = filled(100, *entries)
    assert len(cache) == num_kept
    check(cache, entries[-1], entries[-1])


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = filled(9, "aaa", "bbb", "ccc")
    check(cache, "aaa", "aaa")  # used again: now "bbb" is the oldest
    cache.put(ids_of("ddd"), state_of(ids_of("ddd")))
    check(cache, "bbb", "")
    for entry in ("aaa", "ccc", "ddd"):
        check(cache, entry, entry)
    cache.put(ids_of("eeeee"), state_of(ids_of("eeeee")))  # needs the room of two: "aaa" and "ccc"
    assert len(cache) == 2
    for entry, expected in (("aaa", ""), ("ccc", ""), ("ddd", "ddd"), ("eeeee", "eeeee")):
        check(cache, entry, expected)


def test_bytes_are_bounded_and_what_is_larger_than_all_is_not_kept() -> None:
    cache = filled(4, "aaa")
    assert cache.num_bytes == 3 * BYTES_PER_ID
    cache.put(ids_of("bbbbb"), state_of(ids_of("bbbbb")))
    check(cache, "bbbbb", "")
    check(cache, "aaa", "aaa")
    cache.put(ids_of("aaabb"), state_of(ids_of("aaabb")))
    check(cache, "aaabb", "aaa")  # what it goes on from stays
    cache.put(ids_of("bbbb"), state_of(ids_of("bbbb")))
    check(cache, "aaa", "")
    assert (len(cache), cache.num_bytes) == (1, 4 * BYTES_PER_ID)


def test_a_running_request_keeps_the_state_it_has() -> None:
    cache = filled(3, "abc")
    _, state = cache.longest_prefix(ids_of("ab"))
    cache.put(ids_of("xyz"), state_of(ids_of("xyz")))
    cache.clear()
    assert state is not None
    assert torch.equal(state, state_of(ids_of("ab")))


def test_cleared_it_is_as_new() -> None:
    cache = filled(100, "abc", "xyz")
    cache.clear()
    assert (len(cache), cache.num_bytes) == (0, 0)
    check(cache, "abc", "")
    cache.put(ids_of("abc"), state_of(ids_of("abc")))
    check(cache, "abc", "abc")


def test_a_cache_of_no_bytes_keeps_nothing_and_of_fewer_there_is_none() -> None:
    check(filled(0, "abc"), "abc", "")
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        PrefixCache(-1, dim=1)


class NaiveCache:
    """The same promises with a list, the last used at its end; of equally good entries the oldest is used."""

    def __init__(self, max_ids: int) -> None:
        self.max_ids = max_ids
        self.entries: list[list[int]] = []

    def longest_prefix(self, ids: list[int]) -> int:
        best = max(self.entries, key=lambda entry: common_prefix_length(entry, ids), default=[])
        length = common_prefix_length(best, ids)
        if length:
            self.entries.remove(best)
            self.entries.append(best)
        return length

    def put(self, ids: list[int]) -> None:
        if len(ids) > self.max_ids:
            return
        self.entries = [entry for entry in self.entries if ids[: len(entry)] != entry]
        self.entries.append(ids)
        while sum(map(len, self.entries)) > self.max_ids:
            self.entries.pop(0)


@pytest.mark.parametrize("seed", range(12))
def test_it_does_what_a_naive_cache_does(seed: int) -> None:
    rng = random.Random(seed)
    max_ids = rng.choice([0, 5, 20, 60, 10_000])
    cache, naive = PrefixCache(max_ids * BYTES_PER_ID, dim=1), NaiveCache(max_ids)
    for _ in range(150):
        ids = [rng.randrange(2) for _ in range(rng.randint(1, 14))]
        if rng.random() < 0.5:
            cache.put(ids, state_of(ids))
            naive.put(ids)
        length, state = cache.longest_prefix(ids)
        assert length == naive.longest_prefix(ids)
        assert (state is None) == (length == 0)
        if state is not None:
            assert torch.equal(state, state_of(ids[:length]))
        assert len(cache) == len(naive.entries)
        assert cache.num_bytes == BYTES_PER_ID * sum(map(len, naive.entries)) <= max_ids * BYTES_PER_ID
