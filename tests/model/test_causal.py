"""The left-to-right reading as a candidate: when it is asked for, what it costs, and what agreement counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from midfill.model.api import Infill, InfillRequest
from midfill.model.confidence import FEATURES, Calibration, calibrated
from midfill.model.evaluation.baselines import left_to_right
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.family import Model
from midfill.model.infill import DenoisingModel, ReadCandidate, read_candidates

CODE = "class Box:\n    def add(self, name, value):\n        self.values[name] = ⟨1⟩\n        return self\n"
TWO = CODE.replace("return self", "return ⟨2⟩")

Request = Callable[..., InfillRequest]


class Listening(DenoisingModel):
    """Keeps how its candidates were found."""

    def candidates(self, request: InfillRequest, read, stopped):  # type: ignore[no-untyped-def]
        self.read: list[ReadCandidate] = list(read)
        return super().candidates(request, read, stopped)


@pytest.fixture
def model(shipped: Model) -> Listening:
    assert isinstance(shipped, DenoisingModel)
    return Listening(shipped.denoiser)


def answer(model: DenoisingModel, request: InfillRequest) -> Infill:
    return next(item for item in model.infill(request, time.monotonic()) if isinstance(item, Infill))


def test_of_several_candidates_one_is_read_from_left_to_right(model: Listening, request_of: Request) -> None:
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    request = request_of(CODE, candidates=2)
    expected = left_to_right(model.denoiser, request, with_memory=True).text
    texts = [candidate.fills[0].text for candidate in answer(model, request).candidates]
    assert expected in texts
    assert len(model.read) == 1 + (model.read[-1].found == "left to right only")


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (CODE, {"candidates": 1}),  # asked for one: the canvas alone
        (TWO, {"candidates": 3}),  # the causal path fills the first hole only
    ],
)
def test_when_nothing_is_read(model: Listening, request_of: Request, code: str, changes: dict[str, int]) -> None:
    answer(model, request_of(code, **changes))
    assert {one.found for one in model.read} == {"canvas"}


def test_every_forward_of_a_reading_counts_and_is_a_unit_of_its_own(model: Listening, request_of: Request) -> None:
    """So an engine can serve another request, or cancel, between any two."""
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    alone, both = request_of(CODE, candidates=1), request_of(CODE, candidates=2)
    reading = left_to_right(model.denoiser, both, with_memory=True)
    difference = answer(model, both).usage.forward_passes - answer(model, alone).usage.forward_passes
    assert difference == reading.num_forwards
    units = [item for item in model.infill(both, time.monotonic()) if item is None]
    assert len(units) >= reading.num_forwards


def test_a_deadline_leaves_no_time_to_read(model: Listening, request_of: Request) -> None:
    request = replace(request_of(CODE, candidates=3), deadline_ms=1)
    assert answer(model, request).stop_reason == "deadline"
    assert {one.found for one in model.read} <= {"canvas"}


def test_what_both_ways_came_to_is_one_candidate(model: Listening, request_of: Request) -> None:
    request = request_of(CODE, candidates=1)
    job = list(model.infill(request, time.monotonic()))
    assert isinstance(job[-1], Infill)
    of_canvas = model.read[0].readings["1"]
    rows = [[of_canvas]]
    assert [one.found for one in read_candidates(request, rows, of_canvas)] == ["both ways"]
    other = replace(of_canvas, ids=[*of_canvas.ids, 1])
    assert [one.found for one in read_candidates(request, rows, other)] == ["canvas only", "left to right only"]


def test_agreement_never_makes_a_fill_less_sure() -> None:
    coefficients = [0.0] * len(FEATURES)
    coefficients[FEATURES.index("both ways")] = 0.7
    calibration = Calibration(tuple(coefficients))
    both, alone = (calibrated(calibration, (0.5,), True, found) for found in ("both ways", "canvas"))
    assert both > alone
