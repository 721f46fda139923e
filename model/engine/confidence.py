"""How sure a fill is, as one number: the estimated probability that it is exactly what stands there.

Logistic regression on a few features of the probabilities that a hole's tokens were committed with, the end of the
hole included. The coefficients are fitted by `midfill.model.training.calibrate` and travel in a checkpoint's config.
Knows no token, no text and no tensor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FEATURES = (
    "intercept",
    "log weakest",
    "sum of logs",
    "mean of logs",
    "log(1 + tokens)",
    "not closed",
    "both ways",
    "canvas only",
    "left to right only",
    "log share of readings",
    "log share by the judge",
)
NOT_NEGATIVE = (1, 2, 3, 6, 9, 10)
"""Coefficients that must not be negative: a surer token never makes a fill less sure, nor do a second way to it, more
readings that came to it, or a judge who prefers it."""
NOT_POSITIVE = (5,)
"""Nor does it speak for a fill that the model did not end it."""
Found = Literal["canvas", "both ways", "canvas only", "left to right only"]
"""How a fill was found: on a canvas where nothing else was tried, or, where the hole was also read from left to right,
by both or by one of the two."""
LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a fill beside the probabilities of its tokens.

    reading_share: of all readings of the hole, those that came to this fill; judged_share: of the judge's probability,
    what this fill has among all that were found. Both 1 where there was nothing else."""

    found: Found = "canvas"
    reading_share: float = 1.0
    judged_share: float = 1.0


NO_OTHER_EVIDENCE = Evidence()


_MOST_LOG_ODDS = 13.8
"""Keeps every result between one in a million and one less that."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """coefficients: one for each of FEATURES, nats of log odds for one unit of the feature; empty: not calibrated."""

    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        given = self.coefficients
        if len(given) not in (0, len(FEATURES)):
            raise ValueError(f"coefficients must be {len(FEATURES)} numbers or none, got {len(given)}")
        for name, value in zip(FEATURES, given, strict=False):
            if not math.isfinite(value):
                raise ValueError(f"the coefficient of {name!r} must be a finite number, got {value}")
        if any(given[index] < 0 for index in NOT_NEGATIVE if given):
            raise ValueError(f"the coefficients of {_names(NOT_NEGATIVE)} must not be negative, got {given}")
        if any(given[index] > 0 for index in NOT_POSITIVE if given):
            raise ValueError(f"the coefficient of {_names(NOT_POSITIVE)} must not be positive, got {given}")


UNCALIBRATED = Calibration((3.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""Ranks by the mean log probability, for models of which nobody has measured what that says of correctness."""
JUDGED_TOKENS = 6
"""Where the text behind a hole is pinned, this many of its tokens say whether the hole ends well."""


def calibrated(
    calibration: Calibration, token_confidences: Sequence[float], closed: bool, evidence: Evidence = NO_OTHER_EVIDENCE
) -> float:
    """The confidence of a fill, from its tokens' probabilities with that of the end of the hole where it is `closed`.

    With a calibration the result lies strictly between 0 and 1. Without, it is the judge's share or, where nothing was
    judged, the least certain token's probability, which rank but do not estimate. (A mean would rank a run of one
    repeated token above everything: only its first is uncertain.) Without any token the fill counts as one token of
    probability 0."""
    if not calibration.coefficients:
        return evidence.judged_share if evidence.judged_share < 1 else min(token_confidences, default=0.0)
    values = features(token_confidences, closed, evidence)
    log_odds = sum(weight * value for weight, value in zip(calibration.coefficients, values, strict=True))
    return 1 / (1 + math.exp(-min(max(log_odds, -_MOST_LOG_ODDS), _MOST_LOG_ODDS)))


def features(
    token_confidences: Sequence[float], closed: bool, evidence: Evidence = NO_OTHER_EVIDENCE
) -> tuple[float, ...]:
    """One value for each of FEATURES, all finite."""
    logs = [math.log(min(max(probability, LEAST_PROBABILITY), 1.0)) for probability in token_confidences or (0.0,)]
    ways = (float(evidence.found == name) for name in FEATURES[6:9])
    shares = (math.log(max(share, LEAST_PROBABILITY)) for share in (evidence.reading_share, evidence.judged_share))
    return (1.0, min(logs), sum(logs), sum(logs) / len(logs), math.log1p(len(logs)), float(not closed), *ways, *shares)


def threshold_for_share(confidences: Sequence[float], share: float) -> float:
    """The highest threshold that at least `share` (0 to 1) of the confidences reach; those that tie with the last one
    reach it too. Infinite where none is to be shown."""
    if not 0 <= share <= 1:
        raise ValueError(f"share must be from 0 to 1, got {share}")
    num_shown = math.ceil(share * len(confidences) - 1e-9)
    return sorted(confidences, reverse=True)[num_shown - 1] if num_shown else math.inf


def _names(indices: Sequence[int]) -> str:
    return ", ".join(repr(FEATURES[index]) for index in indices)
