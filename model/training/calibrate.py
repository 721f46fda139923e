"""Fits the confidence of fills on holes of packages that were not trained on: what was sure, and what was right."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from midfill.model.api import Candidate, Infill, InfillRequest
from midfill.model.canvas import Canvas, HoleReading
from midfill.model.confidence import FEATURES, NOT_NEGATIVE, NOT_POSITIVE, Calibration, features
from midfill.model.evaluation.baselines import same
from midfill.model.evaluation.in_domain import Task, request_of
from midfill.model.infill import DenoisingModel
from midfill.model.sampler import Sampler

CALIBRATED_KINDS = ("end of line", "rest of line", "line", "node")
"""What is suggested unasked; the kinds of `draw_tasks` to fit and to measure on."""
PENALTY = 1.0
"""Of the squared coefficients, each times the standard deviation of its feature, beside the log likelihood's sum."""
_NUM_ROUNDS = 50
_INTERCEPT_PENALTY = 0.01  # so that outcomes that are all alike have a finite fit

Array = npt.NDArray[np.float64]
Pair = tuple[tuple[float, ...], bool, bool]
"""(token confidences with the end of the hole's, closed, exact) of one fill."""


@dataclass(frozen=True, slots=True)
class ReadFill:
    """What came back for one hole: the candidate as it is served, and the reading it was made from."""

    candidate: Candidate
    reading: HoleReading


def collect(model: DenoisingModel, tasks: Iterable[Task]) -> Iterator[Pair]:
    """Run the model on tasks; a fill and its confidences for each that it answered."""
    listening = ListeningModel(model)
    for task in tasks:
        answer = listening.read(request_of(task, model))
        if answer is not None:
            exact = same(answer.candidate.fills[0].text, task.truth)
            yield tuple(answer.reading.confidence), answer.reading.closed, exact


class ListeningModel:
    """A model's own serving path, whose last canvas is kept: the wire rounds confidences and has none of the end."""

    def __init__(self, model: DenoisingModel) -> None:
        self._sampler = _ListeningSampler(model.sampler)
        self._model = DenoisingModel(model.denoiser, self._sampler)

    def read(self, request: InfillRequest) -> ReadFill | None:
        """The likeliest fill of a request with one hole; None where the model gave none."""
        job = self._model.infill(request, time.monotonic())
        answer = next(item for item in job if isinstance(item, Infill))
        canvas = self._sampler.canvas
        if not answer.candidates or canvas is None:
            return None
        return ReadFill(answer.candidates[0], canvas.hole(0, canvas.regions[0]))


class _ListeningSampler:
    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self.canvas: Canvas | None = None

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        self.canvas = self._sampler.commit(logits, canvas, steps_left)
        return self.canvas


def fit_calibration(pairs: Iterable[Pair]) -> Calibration:
    """The coefficients of the highest penalised likelihood, by Newton's method (iteratively reweighted least squares).

    A coefficient that comes out with a sign it must not have is set to 0 and the others are fitted again, the worst
    first. Raises ValueError where there is nothing to fit."""
    known = list(pairs)
    if not known:
        raise ValueError("there is no fill to fit the confidence on; draw holes from more or longer files")
    values = np.array([features(confidences, closed) for confidences, closed, _ in known])
    exact = np.array([exact for _, _, exact in known], float)
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
