"""Fits the confidence of fills on holes of packages that were not trained on: what was sure, and what was right."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from midfill.model.api import Candidate, Infill, InfillRequest, StopReason
from midfill.model.canvas import HoleReading
from midfill.model.confidence import FEATURES, NOT_NEGATIVE, NOT_POSITIVE, Calibration, Evidence, features
from midfill.model.evaluation.baselines import same
from midfill.model.evaluation.in_domain import Task, request_of
from midfill.model.infill import DenoisingModel, ReadCandidate

CALIBRATED_KINDS = ("end of line", "rest of line", "line", "node")
"""What is suggested unasked; the kinds of `draw_tasks` to fit and to measure on."""
PENALTY = 1.0
"""Of the squared coefficients, each times the standard deviation of its feature, beside the log likelihood's sum."""
_NUM_ROUNDS = 50
_INTERCEPT_PENALTY = 0.01  # so that outcomes that are all alike have a finite fit

Array = npt.NDArray[np.float64]
INLINE_CANDIDATES = 2
"""As a front asks for unasked: a canvas and a left-to-right reading."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One fill: its tokens' confidences with the end of the hole's, whether the model ended it, what else speaks for
    it, and whether it is exactly what stood there."""

    confidences: tuple[float, ...]
    closed: bool
    evidence: Evidence
    exact: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """Of one hole: the canvas as if nothing else had been tried, and what an unasked request brings, each once."""

    alone: Pair
    inline: tuple[Pair, ...]

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return (self.alone, *self.inline)


@dataclass(frozen=True, slots=True)
class ReadFill:
    """What came back first for one hole: the candidate as it is served, and the reading it was made from."""

    candidate: Candidate
    reading: HoleReading


def collect(model: DenoisingModel, tasks: Iterable[Task]) -> Iterator[Collected]:
    """Run the model on tasks as an unasked request does; what it brought for each that it answered."""
    listening = ListeningModel(model)
    for task in tasks:
        request = request_of(task, model)
        alone, inline = listening.read_all(request), listening.read_all(unasked(request))
        if alone and inline:
            yield Collected(_pair(model, alone[0], task), tuple(_pair(model, one, task) for one in inline))


def unasked(request: InfillRequest) -> InfillRequest:
    return replace(request, candidates=INLINE_CANDIDATES)


def _pair(model: DenoisingModel, read: ReadCandidate, task: Task) -> Pair:
    (reading,) = read.readings.values()
    text = model.denoiser.decode(reading.ids)[0][reading.num_given :]
    return Pair(tuple(reading.confidence), reading.closed, read.evidence, same(text, task.truth))


class ListeningModel(DenoisingModel):
    """A model's own serving path, whose readings are kept: the wire rounds confidences and has none of the end."""

    def __init__(self, model: DenoisingModel) -> None:
        super().__init__(model.denoiser, model.sampler)
        self._read: list[ReadCandidate] = []

    def candidates(
        self, request: InfillRequest, read: Sequence[ReadCandidate], stopped: StopReason
    ) -> tuple[Candidate, ...]:
        self._read = list(read)
        return super().candidates(request, read, stopped)

    def read_all(self, request: InfillRequest) -> list[ReadCandidate]:
        """What was read of a request with one hole."""
        self._answer(request)
        return self._read

    def read(self, request: InfillRequest) -> ReadFill | None:
        """The likeliest fill of a request with one hole; None where the model gave none."""
        answer = self._answer(request)
        if not answer.candidates:
            return None
        best = answer.candidates[0]
        readings = [reading for one in self._read for reading in one.readings.values()]
        of_best = next(
            one for one in readings if self.denoiser.decode(one.ids)[0][one.num_given :] == best.fills[0].text
        )
        return ReadFill(best, of_best)

    def _answer(self, request: InfillRequest) -> Infill:
        self._read = []
        return next(item for item in self.infill(request, time.monotonic()) if isinstance(item, Infill))


def fit_calibration(pairs: Iterable[Pair]) -> Calibration:
    """The coefficients of the highest penalised likelihood, by Newton's method (iteratively reweighted least squares).

    A coefficient that comes out with a sign it must not have is set to 0 and the others are fitted again, the worst
    first. Raises ValueError where there is nothing to fit."""
    known = list(pairs)
    if not known:
        raise ValueError("there is no fill to fit the confidence on; draw holes from more or longer files")
    values = np.array([features(pair.confidences, pair.closed, pair.evidence) for pair in known])
    exact = np.array([pair.exact for pair in known], float)
    mean, spread = values.mean(axis=0), values.std(axis=0)
    mean[0], spread[0] = 0.0, 1.0
    spread[spread < 1e-9] = np.inf  # a feature that is the same everywhere tells nothing
    scaled = (values - mean) / spread
    signs = np.zeros(len(FEATURES))
    signs[list(NOT_NEGATIVE)], signs[list(NOT_POSITIVE)] = 1, -1
    used = np.isfinite(spread)
    while True:
        weights = np.zeros(len(FEATURES))
        weights[used] = _fit(scaled[:, used], exact)
        if (weights * signs >= 0).all():
            break
        used[int(np.argmin(weights * signs))] = False
    coefficients = weights / spread
    coefficients[0] -= float(coefficients @ mean)
    return Calibration(tuple(round(float(value), 6) + 0.0 for value in coefficients))


def _fit(values: Array, exact: Array) -> Array:
    """Weights (F,) of values (N, F), whose first column is the intercept."""
    penalty = np.full(values.shape[1], PENALTY)
    penalty[0] = _INTERCEPT_PENALTY
    weights = np.zeros(values.shape[1])
    for _ in range(_NUM_ROUNDS):
        probability = _probability(values, weights)
        gradient = values.T @ (exact - probability) - penalty * weights
        curvature = (values.T * (probability * (1 - probability))) @ values + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while _loss(values, exact, weights + step, penalty) > _loss(values, exact, weights, penalty) + 1e-12:
            step /= 2
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def _probability(values: Array, weights: Array) -> Array:
    result: Array = 1 / (1 + np.exp(-np.clip(values @ weights, -30, 30)))
    return result


def _loss(values: Array, exact: Array, weights: Array, penalty: Array) -> float:
    log_odds = values @ weights
    return float((np.logaddexp(0, log_odds) - exact * log_odds).sum() + (penalty * weights**2).sum() / 2)
