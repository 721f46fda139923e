"""How sure a mean or a ratio is: 95 % intervals by bootstrap over tasks, the same on every run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

QUANTILES = (0.025, 0.975)


def bootstrap(values: Sequence[float], num_draws: int = 2000) -> tuple[float, float]:
    """95 % interval of the mean of `values`, one for each task. Raises ValueError if there are none."""
    if not len(values):
        raise ValueError("there are no values to give an interval of; draw at least one task")
    drawn_from = np.asarray(values, float)
    rng = np.random.default_rng(0)
    means = [rng.choice(drawn_from, len(drawn_from)).mean() for _ in range(num_draws)]
    low, high = np.quantile(means, QUANTILES)
    return float(low), float(high)


def paired(first: Sequence[float], second: Sequence[float], num_draws: int = 2000) -> tuple[float, float]:
    """95 % interval of mean(first) - mean(second), drawn by task: `first[i]` and `second[i]` are of the same one.

    Raises ValueError if they are not of equally many tasks, or of none."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} values cannot be paired with {len(second)}; give one of each for every task")
    return bootstrap([a - b for a, b in zip(map(float, first), map(float, second), strict=True)], num_draws)


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], num_draws: int = 2000
) -> tuple[float, float] | None:
    """95 % interval of sum(numerators) / sum(denominators), drawn by task; None if the latter sum to 0."""
    if not sum(denominators):
        return None
    drawn = np.random.default_rng(0).integers(len(numerators), size=(num_draws, len(numerators)))
    above, below = (np.asarray(values, float)[drawn].sum(axis=1) for values in (numerators, denominators))
    low, high = np.quantile(above[below > 0] / below[below > 0], QUANTILES)
    return float(low), float(high)
