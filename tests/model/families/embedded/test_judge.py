"""The judge, which is the parent in natural order; and what the cost of an answer counts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest
import torch

from midfill.model.engine.canvas import HoleReading
from midfill.model.engine.infill import DenoisingModel, ReadCandidate
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser, EmbeddedPlan
from midfill.model.families.embedded.parent import Parent
from midfill.model.wire.api import Infill, InfillRequest

RequestOf = Callable[..., InfillRequest]
FUNCTION = "def add_gamma(gamma, delta):\n    total = gamma + delta\n    return total\n\n\n"
CODE = FUNCTION + "def add_alpha(alpha, beta):\n    total = ⟨1⟩\n    return total\n\n\n" + FUNCTION


def denoiser_of(model: DenoisingModel) -> EmbeddedDenoiser:
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    return model.denoiser


def judged(denoiser: EmbeddedDenoiser, request: InfillRequest, fills: list[str]) -> list[float]:
    plan = denoiser.plan(request, 1)
    state = denoiser.encode(denoiser.judged_context(plan), 0, None)
    healed = plan.healed[0]
    return denoiser.judge_fills(plan, [denoiser.tokenizer.encode(healed + fill) for fill in fills], state)


@torch.inference_mode()
def plainly(denoiser: EmbeddedDenoiser, parent: Parent, context: list[int], row: list[int]) -> float:
    """The sum of the log probabilities of `row` after `context`, all in one pass of the parent's own tower."""
    ids = torch.tensor([[*context, *row]])
    hidden, _ = denoiser.network.encode(ids, torch.arange(ids.shape[1]).unsqueeze(0))
    predicted = denoiser.network.logits(hidden)[0].log_softmax(dim=-1)
    return sum(float(predicted[len(context) - 1 + i, token]) for i, token in enumerate(row))


@pytest.mark.parametrize("code", [CODE, "x = ⟨1⟩", "⟨1⟩", "⟨1⟩\nreturn total\n"])
def test_a_fill_is_as_likely_as_the_parent_says_of_it_and_what_follows(
    tiny: DenoisingModel, toy_parent: Parent, request_of: RequestOf, code: str
) -> None:
    denoiser, fills = denoiser_of(tiny), ["alpha + beta", "x", "theta\n    total = total"]
    plan = denoiser.plan(request_of(code), 1)
    assert isinstance(plan, EmbeddedPlan)
    context = list(plan.natural_ids) or [denoiser.tokenizer.special_ids["<prefix>"]]
    found = judged(denoiser, request_of(code), fills)
    for fill, nats in zip(fills, found, strict=True):
        row = denoiser.tokenizer.encode(plan.healed[0] + fill + plan.following)
        assert nats == pytest.approx(plainly(denoiser, toy_parent, context, row), abs=1e-3)


def test_what_follows_is_the_rest_of_the_line_and_the_next_lines(tiny: DenoisingModel, request_of: RequestOf) -> None:
    plan = denoiser_of(tiny).plan(request_of("x = f(⟨1⟩) + 1\n\n    \ny = 2\nz = 3\nw = 4\nv = 5\n"), 1)
    assert isinstance(plan, EmbeddedPlan)
    assert plan.following == ") + 1\ny = 2\nz = 3\nw = 4"


def test_longer_fills_beside_it_change_nothing(tiny: DenoisingModel, request_of: RequestOf) -> None:
    """Rows are padded to the longest."""
    denoiser, short = denoiser_of(tiny), ["alpha + beta", "x"]
    alone = [judged(denoiser, request_of(CODE), [fill])[0] for fill in short]
    together = judged(denoiser, request_of(CODE), [*short, "theta + " * 12 + "omega"])
    assert together[:2] == pytest.approx(alone, abs=1e-4)


def test_the_judge_tells_right_from_wrong_in_a_language_that_it_knows(
    tiny: DenoisingModel, request_of: RequestOf
) -> None:
    right, wrong, ill = judged(denoiser_of(tiny), request_of(CODE), ["alpha + beta", "alpha +", "return"])
    assert right > wrong
    assert right > ill


def test_what_the_judge_prefers_comes_first(tiny_with: Callable[..., DenoisingModel], request_of: RequestOf) -> None:
    """With a calibration that listens to nothing else, and with the shares that were served."""
    model = tiny_with(calibration=(*[0.0] * 10, 1.0))
    read = list[ReadCandidate]()

    class Listening(DenoisingModel):
        def candidates(self, request, found, stopped):  # type: ignore[no-untyped-def]
            read.extend(found)
            return super().candidates(request, found, stopped)

    request = request_of(CODE, candidates=6)
    job = Listening(model.denoiser).infill(request, time.monotonic())
    (answer,) = (item for item in job if isinstance(item, Infill))
    denoiser = denoiser_of(model)

    def text(reading: HoleReading) -> str:
        return denoiser.tokenizer.decode(reading.ids)[reading.num_given :]

    texts = [text(one.readings["1"]) for one in read]
    assert len(set(texts)) > 1
    nats = judged(denoiser, request, texts)
    most = max(nats)
    weights = [math.exp(each - most) for each in nats]
    for one, weight in zip(read, weights, strict=True):
        assert one.evidence.judged_share == pytest.approx(weight / sum(weights), abs=1e-3)
    best = max(zip(nats, texts, strict=True))[1]
    assert answer.candidates[0].fills[0].text == best


# --- what is counted


@pytest.mark.parametrize("num_candidates", [1, 2, 6])
@pytest.mark.parametrize(
    "code", [CODE, CODE.replace("return total\n\n\ndef add_gamma", "return ⟨2⟩\n\n\ndef add_gamma")]
)
def test_fill_tokens_are_those_of_the_best_candidate(
    tiny: DenoisingModel, request_of: RequestOf, code: str, num_candidates: int
) -> None:
    """What was tried beside it is no answer."""
    model = DenoisingModel(tiny.denoiser)
    job = model.infill(request_of(code, candidates=num_candidates), time.monotonic())
    (answer,) = (item for item in job if isinstance(item, Infill))
    tokenizer, best = denoiser_of(tiny).tokenizer, answer.candidates[0]
    num_spans = sum(len(fill.spans) for fill in best.fills)
    assert answer.usage.fill_tokens == num_spans
    most = sum(len(fill.text.encode()) for fill in best.fills)
    assert num_spans <= most
    if best.fills[0].text:
        assert num_spans >= 1
        assert num_spans <= 2 * sum(len(tokenizer.encode(fill.text)) for fill in best.fills) + len(best.fills)


def test_an_answer_of_nothing_has_no_tokens(tiny: DenoisingModel, request_of: RequestOf) -> None:
    job = DenoisingModel(tiny.denoiser).infill(request_of(CODE, candidates=0), time.monotonic())
    (answer,) = (item for item in job if isinstance(item, Infill))
    assert answer.usage.fill_tokens == 0
