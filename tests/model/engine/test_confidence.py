"""One number for how sure a fill is: what it may be made of, and what it must never do."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict

import pytest

from midfill.model.engine.confidence import (
    FEATURES,
    Calibration,
    Evidence,
    Found,
    calibrated,
    features,
    threshold_for_share,
)
from midfill.model.training.calibrate import (
    Pair,
    fit_calibration,
)

FITTED = Calibration((2.0, 0.5, 0.4, 1.0, -0.3, -1.5, 0.8, -0.6, 0.3, 0.7, 0.9))
CONFIDENCES = [(), (0.0,), (1.0,), (0.9, 0.0, 1.0), (1.0,) * 128, (1e-300,) * 128, (0.5, 0.25)]


@pytest.mark.parametrize("confidences", CONFIDENCES)
@pytest.mark.parametrize("closed", [True, False])
def test_a_confidence_is_a_probability_whatever_comes(confidences: tuple[float, ...], closed: bool) -> None:
    assert all(map(math.isfinite, features(confidences, closed)))
    for coefficients in (FITTED.coefficients, (900.0, *[0] * 10), (-900.0, 90.0, 90.0, 90.0, -90.0, -90.0, *[0] * 5)):
        assert 0 < calibrated(Calibration(coefficients), confidences, closed) < 1
    assert calibrated(Calibration(), confidences, closed) == min(confidences, default=0.0)


def test_what_a_fill_is_measured_by() -> None:
    expected = (1.0, math.log(0.25), math.log(0.125), math.log(0.125) / 2, math.log(3), 1.0, *[0.0] * 5)
    assert features((0.5, 0.25), closed=False) == pytest.approx(expected)
    shares = features((0.5,), True, Evidence("canvas only", 0.5, 0.25))[6:]
    assert shares == pytest.approx((0.0, 1.0, 0.0, math.log(0.5), math.log(0.25)))
    log_odds = sum(a * b for a, b in zip(FITTED.coefficients, expected, strict=True))
    assert calibrated(FITTED, (0.5, 0.25), closed=False) == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_a_surer_token_never_makes_a_fill_less_sure() -> None:
    rng = random.Random(0)
    for _ in range(200):
        tokens = [rng.random() ** 3 for _ in range(rng.randint(1, 9))]
        surer = list(tokens)
        index = rng.randrange(len(tokens))
        surer[index] += rng.random() * (1 - surer[index])
        assert calibrated(FITTED, surer, True) >= calibrated(FITTED, tokens, True)
        assert calibrated(FITTED, tokens, True) >= calibrated(FITTED, tokens, False)


@pytest.mark.parametrize(
    ("coefficients", "said"),
    [
        ((1.0, 2.0), "must be 11 numbers or none, got 2"),
        ((1.0, 0, 0, math.nan, *[0] * 7), "'mean of logs' must be a finite number, got nan"),
        ((1.0, -0.1, *[0] * 9), "must not be negative"),
        ((1.0, 0, 0, 0, 0, 0.1, *[0] * 5), "'not closed' must not be positive"),
        ((1.0, 0, 0, 0, 0, 0, -0.1, *[0] * 4), "must not be negative"),
        ((1.0, *[0] * 8, -0.1, 0), "must not be negative"),
        ((1.0, *[0] * 9, -0.1), "must not be negative"),
    ],
)
def test_a_calibration_that_could_not_be_is_refused(coefficients: tuple[float, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Calibration(coefficients)


def test_a_calibration_travels_as_a_list_of_numbers() -> None:
    assert Calibration(tuple(json.loads(json.dumps(asdict(FITTED)))["coefficients"])) == FITTED


@pytest.mark.parametrize(
    ("confidences", "share", "expected", "num_shown"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], 0.3, 0.8, 3),
        ([0.2, 0.9, 0.5], 0.3, 0.9, 1),
        ([0.5] * 10, 0.3, 0.5, 10),  # who ties is shown too
        ([0.5, 0.5, 0.9, 0.1], 0.5, 0.5, 3),
        ([0.3, 0.2], 1.0, 0.2, 2),
        ([0.3, 0.2], 0.0, math.inf, 0),
        ([], 0.3, math.inf, 0),
    ],
)
def test_threshold_for_share(confidences: list[float], share: float, expected: float, num_shown: int) -> None:
    threshold = threshold_for_share(confidences, share)
    assert threshold == expected
    assert sum(confidence >= threshold for confidence in confidences) == num_shown


def test_a_share_is_no_percentage() -> None:
    with pytest.raises(ValueError, match="from 0 to 1, got 30"):
        threshold_for_share([0.5], 30)


# --- fitting


WAYS: dict[Found, float] = {"canvas": 1.0, "both ways": 1.4, "canvas only": 0.5, "left to right only": 0.7}


def drawn_pairs(num_pairs: int, seed: int) -> list[Pair]:
    """Fills that are right as often as all their tokens are, those that did not end three times out of ten of that, and
    more or less often by how they were found, by how many readings, and by what the judge says."""
    rng = random.Random(seed)
    pairs = []
    for _ in range(num_pairs):
        tokens = tuple(rng.random() ** 0.3 for _ in range(rng.randint(1, 12)))
        closed = rng.random() < 0.8
        found = rng.choice(list(WAYS))
        shares = (1.0, 1.0) if found == "canvas" else (rng.choice([1 / 6, 1 / 3, 1.0]), rng.random())
        likely = WAYS[found] * shares[0] ** 0.3 * shares[1] ** 0.5
        exact = rng.random() < math.prod(tokens) * (1 if closed else 0.3) * likely
        pairs.append(Pair(tokens, closed, Evidence(found, *shares), exact))
    return pairs


def test_a_fitted_confidence_says_how_often_it_is_right() -> None:
    calibration = fit_calibration(drawn_pairs(2000, 0))
    confidences = [
        (calibrated(calibration, pair.confidences, pair.closed, pair.evidence), pair.exact)
        for pair in drawn_pairs(2000, 1)
    ]
    for low, high in ((0, 0.1), (0.1, 0.4), (0.4, 1)):
        part = [(confidence, exact) for confidence, exact in confidences if low <= confidence < high]
        assert len(part) > 100
        mean, share = (sum(column) / len(part) for column in zip(*part, strict=True))
        assert mean == pytest.approx(share, abs=0.06)


def test_it_is_the_likeliest_of_those_near_it() -> None:
    """Of the penalised fit the penalty is small beside 2000 fills: no step in one coefficient explains them better."""
    pairs = drawn_pairs(2000, 0)
    fitted = fit_calibration(pairs).coefficients

    def loss(coefficients: list[float]) -> float:
        total = 0.0
        for pair in pairs:
            values = features(pair.confidences, pair.closed, pair.evidence)
            log_odds = sum(a * b for a, b in zip(coefficients, values, strict=True))
            total += math.log1p(math.exp(log_odds)) - pair.exact * log_odds
        return total

    best = loss(list(fitted))
    for index, name in enumerate(FEATURES):
        for step in (-0.3, 0.3):
            if fitted[index] == 0.0 and step < 0:
                continue  # it must not be negative
            moved = [*fitted]
            moved[index] += step
            assert loss(moved) > best, f"{name} {step:+}"


@pytest.mark.parametrize(
    "pairs",
    [
        [((0.9,), True, False)] * 50 + [((0.1,), True, True)] * 50,  # surer is wronger
        [((0.9,), False, True)] * 50 + [((0.9,), True, False)] * 50,  # what did not end is right
        [((0.9, 0.9), True, True)] * 9,  # all alike
        [((0.9, 0.9), True, False)] * 9,
        [((0.99,), True, True)] * 50 + [((0.01,), True, False)] * 50,  # told apart without a mistake
        [((), False, False)],
    ],
)
def test_no_fit_breaks_the_rules(pairs: list[tuple[tuple[float, ...], bool, bool]]) -> None:
    known = [Pair(tokens, closed, Evidence(), exact) for tokens, closed, exact in pairs]
    calibration = fit_calibration(known)  # a wrong sign would be refused
    share = sum(pair.exact for pair in known) / len(known)
    mean = sum(calibrated(calibration, pair.confidences, pair.closed) for pair in known) / len(known)
    assert mean == pytest.approx(share, abs=0.1)


def test_nothing_to_fit_is_told() -> None:
    with pytest.raises(ValueError, match="no fill to fit"):
        fit_calibration([])
