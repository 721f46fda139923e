"""The left-to-right readings as candidates: when they are asked for, what they cost, and what agreement counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from midfill.model.engine.canvas import HoleReading, new_canvas
from midfill.model.engine.causal import EXTRA_TOKENS, read_causally
from midfill.model.engine.confidence import FEATURES, Calibration, Evidence, calibrated
from midfill.model.engine.denoiser import Plan
from midfill.model.engine.infill import (
    BRANCHES_PER_CANDIDATE,
    DRAWN_PER_CANDIDATE,
    DenoisingModel,
    ReadCandidate,
    read_candidates,
)
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.measuring.baselines import finished, left_to_right
from midfill.model.wire.api import Infill, InfillRequest

CODE = "def add_alpha(alpha, beta):\n    total = ⟨1⟩\n    return total\n"
TWO = CODE.replace("return total", "return ⟨2⟩")

Request = Callable[..., InfillRequest]


class Listening(DenoisingModel):
    """Keeps how its candidates were found."""

    def candidates(self, request: InfillRequest, read, stopped):  # type: ignore[no-untyped-def]
        self.read: list[ReadCandidate] = list(read)
        return super().candidates(request, read, stopped)


@pytest.fixture
def model(tiny: DenoisingModel) -> Listening:
    return Listening(tiny.denoiser)


def embedded(model: DenoisingModel) -> EmbeddedDenoiser:
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    return model.denoiser


def answer(model: DenoisingModel, request: InfillRequest) -> Infill:
    return next(item for item in model.infill(request, time.monotonic()) if isinstance(item, Infill))


def found(model: Listening) -> set[str]:
    return {one.evidence.found for one in model.read}


def test_of_several_candidates_some_are_read_from_left_to_right(model: Listening, request_of: Request) -> None:
    request = request_of(CODE, candidates=8)
    expected = left_to_right(embedded(model), request, with_memory=True).text
    answer(model, request)
    read = [reading for one in model.read for reading in one.readings.values()]
    assert expected in [embedded(model).decode(one.ids)[0][one.num_given :] for one in read]
    assert len(model.read) <= 2 + 8 * (BRANCHES_PER_CANDIDATE + DRAWN_PER_CANDIDATE)
    assert found(model) <= {"both ways", "canvas only", "left to right only"}
    assert sum(one.evidence.reading_share for one in model.read) == pytest.approx(1)
    assert sum(one.evidence.judged_share for one in model.read) == pytest.approx(1)


@pytest.mark.parametrize("num_candidates", [2, 4])
def test_what_the_canvas_came_to_is_judged_with_the_others(
    model: Listening, request_of: Request, num_candidates: int
) -> None:
    """It need not be among the best, but it is compared with them."""
    alone = answer(model, request_of(CODE)).candidates[0].fills[0].text
    answer(model, request_of(CODE, candidates=num_candidates))
    tokenizer = embedded(model).tokenizer
    read = [reading for one in model.read for reading in one.readings.values()]
    assert alone in [tokenizer.decode(reading.ids)[reading.num_given :] for reading in read]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (CODE, {"candidates": 1}),  # asked for one: the canvas alone
        (TWO, {"candidates": 3}),  # the causal path fills the first hole only
    ],
)
def test_when_nothing_is_read(model: Listening, request_of: Request, code: str, changes: dict[str, int]) -> None:
    answer(model, request_of(code, **changes))
    assert found(model) == {"canvas"}


def test_every_forward_of_the_readings_counts_and_is_a_unit_of_its_own(model: Listening, request_of: Request) -> None:
    """So an engine can serve another request, or cancel, between any two."""
    denoiser = embedded(model)
    alone, both = request_of(CODE, candidates=1), request_of(CODE, candidates=2)
    plan = denoiser.plan(both, 1)
    state = denoiser.encode(plan.context_ids, 0, None)
    num_each = (2 * BRANCHES_PER_CANDIDATE, 2 * DRAWN_PER_CANDIDATE)
    num_forwards = len(list(read_causally(denoiser, plan, state, num_branches=num_each[0], num_drawn=num_each[1])))
    num_judged = int(len({tuple(one.ids) for one in readings(denoiser, both)}) > 0)
    difference = answer(model, both).usage.forward_passes - answer(model, alone).usage.forward_passes
    assert difference == num_forwards + num_judged
    units = [item for item in model.infill(both, time.monotonic()) if item is None]
    assert len(units) >= num_forwards


def readings(denoiser: EmbeddedDenoiser, request: InfillRequest, seed: int = 0) -> list[HoleReading]:
    plan = denoiser.plan(request, 1)
    state = denoiser.encode(plan.context_ids, 0, None)
    return finished(read_causally(denoiser, plan, state, num_drawn=8, seed=seed))


def test_readings_are_the_same_for_the_same_seed_and_the_first_is_greedy(model: Listening, request_of: Request) -> None:
    first, again, other = (readings(embedded(model), request_of(CODE), seed) for seed in (1, 1, 2))
    assert first == again
    assert [one.ids for one in first] != [one.ids for one in other]
    greedy = left_to_right(embedded(model), request_of(CODE))
    for of_seed in (first, other):
        assert len(of_seed) == 9
        assert len(of_seed[0].ids) == greedy.num_tokens
        assert embedded(model).tokenizer.decode(of_seed[0].ids)[of_seed[0].num_given :] == greedy.text
    assert len({tuple(one.ids) for one in first}) > 1, "nothing is drawn"


def test_a_deadline_leaves_no_time_to_read(model: Listening, request_of: Request) -> None:
    request = replace(request_of(CODE, candidates=3), deadline_ms=1)
    assert answer(model, request).stop_reason == "deadline"
    assert found(model) <= {"canvas"}


def test_what_both_ways_came_to_is_one_candidate(model: Listening, request_of: Request) -> None:
    request = request_of(CODE, candidates=1)
    answer(model, request)
    of_canvas = model.read[0].readings["1"]
    other = replace(of_canvas, ids=[*of_canvas.ids, 1])

    def evidence(causal: list[HoleReading]) -> list[tuple[str, float]]:
        read = read_candidates(request, [[of_canvas]], causal)
        return [(one.evidence.found, one.evidence.reading_share) for one in read]

    assert evidence([of_canvas]) == [("both ways", 1.0)]
    assert evidence([other]) == [("left to right only", 0.5), ("canvas only", 0.5)]
    assert evidence([other, other, of_canvas]) == [("left to right only", 0.5), ("both ways", 0.5)]


def test_agreement_never_makes_a_fill_less_sure() -> None:
    coefficients = [0.0] * len(FEATURES)
    for name in ("both ways", "log share of readings", "log share by the judge"):
        coefficients[FEATURES.index(name)] = 0.7
    calibration = Calibration(tuple(coefficients))

    def sure(*evidence: object) -> float:
        return calibrated(calibration, (0.5,), True, Evidence(*evidence))  # type: ignore[arg-type]

    assert sure("both ways") > sure("canvas")
    assert sure("canvas", 0.5) > sure("canvas", 0.25)
    assert sure("canvas", 0.5, 0.5) > sure("canvas", 0.5, 0.01) > 0


# --- the loop, on a path whose probabilities are made by hand

END, VOCABULARY = 0, 10
Next = Callable[[tuple[int, ...]], dict[int, float]]


class ScriptedPath:
    """Probabilities of what follows the tokens of a row; `own` is the rows themselves, so that a wrong `select` is
    seen."""

    def __init__(self, probabilities: Next) -> None:
        self.probabilities = probabilities
        self.num_rows: list[int] = []

    def next_log_probabilities(
        self, plan: Plan, rows: Sequence[tuple[str, Sequence[int]]], state: Tensor, own: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        self.num_rows.append(len(rows))
        ids = [row for _, row in rows]
        kept = torch.zeros(len(rows), 0, dtype=torch.int64) if own is None else own
        if own is not None:
            kept = torch.cat((own, torch.tensor([[row[-1]] for row in ids])), dim=1)
        assert kept.tolist() == [list(row) for row in ids], "what was kept belongs to other rows"
        predicted = torch.zeros(len(rows), VOCABULARY)
        for number, row in enumerate(ids):
            for token, probability in self.probabilities(tuple(row)).items():
                predicted[number, token] = probability
        return predicted.log(), kept

    def beginnings(self, plan: Plan) -> tuple[str, ...]:
        return ()

    def select(self, own: Tensor, rows: Sequence[int]) -> Tensor:
        return own[torch.tensor(rows, dtype=torch.int64)]

    def reading(self, plan: Plan, ids: Sequence[int], probabilities: Sequence[float], closed: bool) -> HoleReading:
        return HoleReading(list(ids), [True] * len(ids), list(probabilities), closed, True)


def read(
    probabilities: Next, length: int, num_drawn: int, seed: int = 0, num_branches: int = 0
) -> tuple[list[HoleReading], list[int]]:
    """The readings, and how many rows each forward pass had."""
    path = ScriptedPath(probabilities)
    canvas = new_canvas((length,), (0,), 9, END, torch.device("cpu"))
    plan = Plan((), canvas, torch.arange(length + 1), 1)
    reading = read_causally(path, plan, torch.zeros(0), num_branches=num_branches, num_drawn=num_drawn, seed=seed)
    return finished(reading), path.num_rows


def test_branches_part_where_the_greedy_reading_was_first_unsure_and_are_greedy_after_that() -> None:
    def probabilities(row: tuple[int, ...]) -> dict[int, float]:
        if not row:
            return {1: 1.0}
        if len(row) == 1:
            return {2: 0.5, 3: 0.3, 4: 0.2}
        return {5: 0.6, 6: 0.4} if len(row) == 2 else {END: 1.0}

    found, num_rows = read(probabilities, 16, 0, num_branches=2)
    assert [one.ids for one in found] == [[1, 2, 5], [1, 3, 5], [1, 4, 5]]
    assert num_rows == [1, 1, 3, 3]


def test_readings_that_agree_cost_one_row() -> None:
    found, num_rows = read(lambda row: {len(row) + 1: 1.0} if len(row) < 3 else {END: 1.0}, 16, 6)
    assert [one.ids for one in found] == [[1, 2, 3]] * 7
    assert num_rows == [1, 1, 1, 1]
    assert all(one.closed and one.confidence == [1.0] * 4 for one in found)


def test_readings_that_part_ways_cost_a_row_each_from_there_on() -> None:
    """Two beginnings of equal probability, and one way on from each."""

    def probabilities(row: tuple[int, ...]) -> dict[int, float]:
        return {1: 0.5, 2: 0.5} if not row else {row[0] + 2: 1.0} if len(row) == 1 else {END: 1.0}

    found, num_rows = read(probabilities, 16, 20)
    assert {tuple(one.ids) for one in found} == {(1, 3), (2, 4)}
    assert num_rows == [1, 2, 2]
    assert found[0].ids == [1, 3], "the likeliest, and of equal ones the first, not a drawn one"
    assert found[0].confidence == [0.5, 1.0, 1.0]


def test_a_reading_that_never_ends_is_as_long_as_its_canvas_without_an_end() -> None:
    found, num_rows = read(lambda row: {5: 1.0}, 8, 2)
    assert [(one.ids, one.closed) for one in found] == [([5] * 7, False)] * 3
    assert num_rows == [1] * 7
    assert found[0].confidence == [1.0] * 7


def test_what_is_drawn_ends_soon_after_the_greedy_reading() -> None:
    """It ends after two tokens; a reading that draws another beginning goes on for ever."""

    def probabilities(row: tuple[int, ...]) -> dict[int, float]:
        if not row:
            return {1: 0.6, 2: 0.4}
        return {2: 1.0} if row[0] == 2 else {END: 1.0} if len(row) == 2 else {1: 1.0}

    found, num_rows = read(probabilities, 64, 20)
    assert found[0].ids == [1, 1]
    longer = [one for one in found if one.ids[0] == 2]
    assert longer
    assert {(len(one.ids), one.closed) for one in longer} == {(2 + EXTRA_TOKENS, False)}
    assert len(num_rows) == 2 + EXTRA_TOKENS


def test_what_is_drawn_is_drawn_at_its_temperature() -> None:
    """Probabilities 0.8 and 0.2 at 0.7: the likelier one in 0.88 of the readings."""
    found, _ = read(lambda row: {1: 0.8, 2: 0.2} if not row else {END: 1.0}, 16, 1500)
    share = sum(one.ids == [1] for one in found[1:]) / 1500
    assert share == pytest.approx(0.8 ** (1 / 0.7) / (0.8 ** (1 / 0.7) + 0.2 ** (1 / 0.7)), abs=0.03)
