"""The intervals that are printed beside every difference."""

from __future__ import annotations

import random

import pytest

from midfill.model.measuring.intervals import bootstrap, paired, ratio_interval


def shuffled(num_true: int, num_false: int, seed: int) -> list[bool]:
    outcomes = [True] * num_true + [False] * num_false
    random.Random(seed).shuffle(outcomes)
    return outcomes


@pytest.mark.parametrize(
    ("first", "second", "contains_zero"),
    [
        ([True] * 60 + [False] * 40, [True] * 30 + [False] * 70, False),
        ([True] * 30 + [False] * 70, [True] * 60 + [False] * 40, False),
        (shuffled(50, 50, 1), shuffled(50, 50, 2), True),
        ([True] * 3, [False, True, True], True),  # too few to know
        ([0.5, 0.75, 0.5], [0.25, 0.5, 0.25], False),
    ],
)
def test_the_interval_holds_zero_only_where_nothing_is_shown(
    first: list[float], second: list[float], contains_zero: bool
) -> None:
    low, high = paired(first, second)
    difference = (sum(first) - sum(second)) / len(first)
    assert -1 <= low <= difference <= high <= 1
    assert (low <= 0 <= high) == contains_zero
    assert paired(first, second) == (low, high), "not the same from one time to the next"


def test_the_interval_is_paired() -> None:
    """The same outcomes on the same tasks differ by nothing, however much they vary over tasks."""
    outcomes = shuffled(50, 50, 1)
    assert paired(outcomes, outcomes) == (0.0, 0.0)
    better = [*outcomes[:-10], *[True] * 10]
    low, _ = paired(better, [*outcomes[:-10], *[False] * 10])
    assert low > 0.03


def test_an_interval_narrows_with_the_number_of_tasks() -> None:
    widths = [high - low for low, high in (bootstrap(shuffled(n // 2, n // 2, 1)) for n in (20, 80, 320))]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(2 * 1.96 * 0.5 / 20**0.5, abs=0.08)
    assert bootstrap([1.0] * 5) == (1.0, 1.0)


def test_nothing_and_unequal_numbers_have_no_interval() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])
    with pytest.raises(ValueError, match="2 values cannot be paired with 1"):
        paired([1, 2], [1])


def test_a_ratio_has_an_interval_where_there_is_something_to_divide_by() -> None:
    assert ratio_interval([1.0] * 9, [4.0] * 9) == (0.25, 0.25)
    low, high = ratio_interval([10, 10], [100, 300]) or (0, 0)
    assert (low, high) == pytest.approx((10 / 300, 0.1))
    assert ratio_interval([1, 0], [0, 0]) is None
