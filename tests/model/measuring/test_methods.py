"""Every way to fill a hole that is measured, on a checkpoint that was trained for seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from midfill.model.engine.causal import read_causally
from midfill.model.engine.infill import DenoisingModel
from midfill.model.measuring.baselines import finished
from midfill.model.measuring.methods import METHODS, answer, embedded, run, timed
from midfill.model.wire.api import InfillRequest

CODE = (
    "def add_alpha(alpha, beta):\n    total = ⟨1⟩\n    return total\n\n\ndef add_beta(beta, gamma):\n    total = beta +"
)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers(tiny: DenoisingModel, request_of: Callable[..., InfillRequest], method: str) -> None:
    before, after = CODE.split("⟨1⟩")
    given = answer(tiny, request_of(CODE), method, before, after)
    assert len(given.fills) == 1
    assert given.text == given.fills[0]
    assert 0 <= given.confidence <= 1
    assert given.milliseconds > 0
    assert (given.forwards > 0) == (method.startswith(("diffusion", "left to right")))
    assert given.tokens == 0 or given.text
    assert replace(given, milliseconds=0) == replace(
        answer(tiny, request_of(CODE), method, before, after), milliseconds=0
    ), "another answer to the same question"


def test_an_unknown_method_is_an_error(tiny: DenoisingModel, request_of: Callable[..., InfillRequest]) -> None:
    with pytest.raises(ValueError, match=r"'guessing' is no method; choose from diffusion, "):
        answer(tiny, request_of(CODE), "guessing", "", "")


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("total = beta + gamma\ntotal = ⟨1⟩\n", "beta + gamma"),
        ("f(alpha, beta)\nf(alpha⟨1⟩ beta)\n", ","),  # up to what stands behind the hole
        ("total = ⟨1⟩\n", ""),
        ("⟨1⟩", ""),
    ],
)
def test_the_memory_alone(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest], marked: str, expected: str
) -> None:
    given = answer(tiny, request_of(marked), "memory alone", "", "")
    assert given.text == expected
    assert given.forwards == 0
    assert (given.confidence > 0) == bool(expected)


@pytest.mark.parametrize("method", ["left to right", "diffusion"])
def test_the_memory_is_mixed_in_where_the_method_says_so(
    tiny: DenoisingModel,
    tiny_with: Callable[..., DenoisingModel],
    request_of: Callable[..., InfillRequest],
    method: str,
) -> None:
    marked = "def add_alpha(alpha, beta):\n    total = omega + kappa\n\n\ntotal = ⟨1⟩\n"
    with_memory = "left to right with memory" if method == "left to right" else "diffusion"
    without = "left to right" if method == "left to right" else "diffusion alone"
    model = tiny_with(memory_weights=(0.0, *[0.999] * 8))
    assert answer(model, request_of(marked), with_memory, "", "").text.startswith("omega")
    alone = answer(model, request_of(marked), without, "", "").text
    assert not alone.startswith("omega")
    assert alone == answer(tiny, request_of(marked), with_memory, "", "").text, "a model with no memory has none"


def test_diffusion_is_one_canvas_and_left_to_right_one_greedy_reading(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest]
) -> None:
    """Whatever the request asks for: neither gets other candidates, nor the judge."""
    several = request_of(CODE, candidates=4)
    canvas = run(tiny, request_of(CODE, candidates=1))
    given = answer(tiny, several, "diffusion", "", "")
    assert (given.text, given.forwards, given.tokens) == (
        canvas.candidates[0].fills[0].text,
        canvas.usage.forward_passes,
        canvas.usage.fill_tokens,
    )
    denoiser = embedded(tiny)
    plan = denoiser.plan(several, 1)
    state, _ = denoiser.visible(plan, denoiser.encode(plan.context_ids, 0, None))
    greedy, *drawn = finished(read_causally(denoiser, plan, state, num_drawn=3))
    read = answer(tiny, several, "left to right", "", "")
    assert len(drawn) == 3
    assert (read.text, read.forwards) == (denoiser.decode(greedy.ids)[0][greedy.num_given :], len(greedy.confidence))


def test_what_stands_before_a_hole_is_no_token_of_the_fill(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest]
) -> None:
    """A word that is not finished is given back and written again."""
    asked = request_of("def add_alpha(alpha, beta):\n    omegqxz⟨1⟩\n    return total\n")
    denoiser = embedded(tiny)
    plan = denoiser.plan(asked, 1)
    state, _ = denoiser.visible(plan, denoiser.encode(plan.context_ids, 0, None))
    (greedy,) = finished(read_causally(denoiser, plan, state))
    starts = denoiser.decode(greedy.ids)[1]
    num_before = sum(start < len(" omegqxz") for start in starts)
    assert num_before > 1
    given = answer(tiny, asked, "left to right", "", "")
    assert len(greedy.ids) - num_before <= given.tokens <= len(greedy.ids) - num_before + 1


def test_the_methods_of_diffusion_fill_several_holes(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest]
) -> None:
    asked = request_of("def add_alpha(alpha, beta):\n    total = ⟨1⟩ + ⟨2⟩\n    return ⟨3⟩\n")
    given = answer(tiny, asked, "diffusion", "", "")
    assert len(given.fills) == 3


def test_the_first_draft_comes_before_the_answer(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest]
) -> None:
    given = timed(tiny, request_of(CODE, candidates=4))
    assert 0 < given.first_draft_ms < given.milliseconds
    fills = [candidate.fills[0].text for candidate in given.infill.candidates]
    assert 2 <= len(set(fills)) == len(fills) <= 4


def test_no_answer_is_cheaper_for_an_earlier_one(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest]
) -> None:
    assert [run(tiny, request_of(CODE)).usage.cached_tokens for _ in range(2)] == [0, 0]
