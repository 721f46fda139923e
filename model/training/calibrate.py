"""Fits the confidence of fills on holes of packages that were not trained on: what was sure, and what was right.

The front asks for each hole, as it does for ghost text that nobody asked for, and decides what of an answer may be
shown; here is what it decides it on."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from midfill.model.engine.canvas import Canvas, HoleReading
from midfill.model.engine.confidence import (
    FEATURES,
    NOT_NEGATIVE,
    NOT_POSITIVE,
    Calibration,
    Evidence,
    features,
    threshold_for_share,
)
from midfill.model.engine.denoiser import Plan
from midfill.model.engine.infill import DenoisingModel, ReadCandidate
from midfill.model.evaluation.in_domain import Task
from midfill.model.measuring.baselines import same
from midfill.model.measuring.front import Front
from midfill.model.wire.api import Candidate, Infill, InfillRequest, Step, StopReason, Usage

CALIBRATED_KINDS = ("end of line", "rest of line", "line", "node")
"""What is suggested unasked; the kinds of `draw_tasks` to fit and to measure on."""
SHARE_SHOWN = 0.3
"""Share of the places where the front asks at which something is sure enough to be shown unasked."""
PENALTY = 1.0
"""Of the squared coefficients, each times the standard deviation of its feature, beside the log likelihood's sum."""
_NUM_ROUNDS = 50
_INTERCEPT_PENALTY = 0.01  # so that outcomes that are all alike have a finite fit

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """One fill: its tokens' confidences with the end of the hole's, whether the model ended it, what else speaks for
    it, and whether it is exactly what stood there."""

    confidences: tuple[float, ...]
    closed: bool
    evidence: Evidence
    exact: bool


@dataclass(frozen=True, slots=True)
class Place:
    """One hole and what was read for it. canvas: the hole as the canvas alone filled it; read: everything that the
    request brought, each text once."""

    task: Task
    request: InfillRequest
    canvas: HoleReading
    read: tuple[ReadCandidate, ...]


def collect(model: DenoisingModel, front: Front, tasks: Iterable[Task]) -> Iterator[Place | None]:
    """What the model reads for each task when the front asks unasked; None where the front does not ask."""
    listening = ListeningModel(model)
    for task in tasks:
        request = front.plan_unasked(task.source, task.span.start, jumped=True)
        yield None if request is None else listening.read(task, request)


def pairs_of(model: DenoisingModel, front: Front, place: Place) -> list[Pair]:
    """Of the fills of one place those that the front may show, each as if it were the only one, and the canvas's once
    more as if nothing else had been tried.

    Exact is what stands in the text in the end, as the front has trimmed and indented it."""
    (hole,) = place.request.holes
    front.plan_unasked(place.task.source, place.task.span.start, jumped=True)
    found = []
    for read in (ReadCandidate({hole.id: place.canvas}), *place.read):
        candidates = model.candidates(place.request, [read], "closed")
        shown = front.show(_answer(candidates), threshold=0.0)
        if shown.fill:
            reading = read.readings[hole.id]
            exact = same(shown.fill, place.task.truth)
            found.append(Pair(tuple(reading.confidence), reading.closed, read.evidence, exact))
    return found


def confidence_shown(model: DenoisingModel, front: Front, place: Place) -> float:
    """The confidence of what the front shows unasked at a place if none were too low; 0 where it shows nothing."""
    front.plan_unasked(place.task.source, place.task.span.start, jumped=True)
    candidates = model.candidates(place.request, place.read, "closed")[: place.request.candidates]
    return front.show(_answer(candidates), threshold=0.0).confidence


def fit_threshold(model: DenoisingModel, front: Front, places: Iterable[Place]) -> float:
    """The confidence from which on SHARE_SHOWN of the places have something to show, rounded down to thousandths.

    model: calibrated. 0 where fewer places than that have anything at all."""
    confidences = [confidence_shown(model, front, place) for place in places]
    return math.floor(threshold_for_share(confidences, SHARE_SHOWN) * 1000) / 1000


def _answer(candidates: tuple[Candidate, ...]) -> Infill:
    return Infill(candidates, "closed", Usage(), "")


class ListeningModel(DenoisingModel):
    """A model's own serving path, whose readings are kept: the wire rounds confidences and has none of the end."""

    def __init__(self, model: DenoisingModel) -> None:
        super().__init__(model.denoiser, model.sampler)
        self._read: tuple[ReadCandidate, ...] = ()
        self._canvases: list[HoleReading] = []

    def read(self, task: Task, request: InfillRequest) -> Place:
        """What is read for a request with one hole."""
        for _ in self.infill(request, time.monotonic()):
            pass
        return Place(task, request, self._canvases[0], self._read)

    def candidates(
        self, request: InfillRequest, read: Sequence[ReadCandidate], stopped: StopReason
    ) -> tuple[Candidate, ...]:
        self._read = tuple(read)
        return super().candidates(request, read, stopped)

    def _denoised(self, request: InfillRequest, plan: Plan, *rest: Any) -> Generator[Step, None, Canvas]:
        canvas = yield from super()._denoised(request, plan, *rest)
        self._canvases = self.denoiser.readings(plan, canvas, 0)
        return canvas


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
