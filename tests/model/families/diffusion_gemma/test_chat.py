"""Infilling as chat: what is asked, how an answer is read while it settles, and how one goes on in the next canvas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from midfill.model.engine.canvas import HoleReading
from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.diffusion_gemma.chat import (
    ChatPlan,
    continuations,
    plan_chat,
    read_answer,
    remaining_draft,
)
from midfill.model.families.diffusion_gemma.denoiser import DiffusionGemmaDenoiser
from midfill.model.families.diffusion_gemma.prompt import chat_prompt, document_of
from midfill.model.families.diffusion_gemma.tokenizer import GemmaTokenizer
from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

JOINT = "def add(⟨⟩, beta):\n    return ⟨⟩ + beta\n"


@pytest.fixture
def tokenizer(random_model: DenoisingModel) -> GemmaTokenizer:
    assert isinstance(random_model.denoiser, DiffusionGemmaDenoiser)
    return random_model.denoiser.tokenizer


def plan_of(request: InfillRequest, tokenizer: GemmaTokenizer, canvas_length: int = 48) -> ChatPlan:
    return plan_chat(request, tokenizer, canvas_length, 48, torch.device("cpu"))


def answered(plan: ChatPlan, text: str, tokenizer: GemmaTokenizer) -> list[HoleReading]:
    """The readings of a finished canvas on which `text` stands, padded."""
    width = plan.canvas.ids.shape[1]
    ids = [*tokenizer.encode(text), *[tokenizer.pad_id] * width][:width]
    probabilities = torch.linspace(0.9, 0.5, width).unsqueeze(0)
    canvas = replace(plan.canvas, ids=torch.tensor([ids]), settled=plan.canvas.settled | True, confidence=probabilities)
    return read_answer(plan, canvas, 0, tokenizer)


@pytest.mark.parametrize(
    ("text", "answer", "fills"),
    [
        (JOINT, "alpha\n```\n```python\nbeta\n```<turn|>", [("alpha", True), ("beta", True)]),
        (JOINT, "alpha\n```\nNow:\n```python\nbeta\n```\nDone.<turn|>", [("alpha", True), ("beta", True)]),
        (JOINT, "alpha\n```<turn|>", [("alpha", True), ("", False)]),  # the second one is missing
        ("a ⟨⟩", "alpha<turn|>", [("alpha", True)]),  # the fence is missing
        ("a ⟨⟩", "\n```<turn|>", [("", True)]),
        ("a ⟨⟩", "    x\n\n\n```<turn|>", [("    x\n\n", True)]),
        ("a ⟨⟩", "alpha\n" * 40, [("alpha\n" * 18, False)]),  # it fills the canvas and has no end
    ],
)
def test_an_answer_is_read(
    request_from: Any, tokenizer: GemmaTokenizer, text: str, answer: str, fills: list[tuple[str, bool]]
) -> None:
    readings = answered(plan_of(request_from(text, 36 - 5), tokenizer), answer, tokenizer)
    assert [(tokenizer.decode(reading.ids), reading.closed) for reading in readings] == fills
    for reading in readings:
        assert len(reading.confidence) == len(reading.ids) + reading.closed


def test_a_fill_of_one_line_ends_with_it(tokenizer: GemmaTokenizer) -> None:
    parts = (TextPart("x = "), HolePart(Hole("1", 31, single_line=True)), TextPart("\n"))
    (reading,) = answered(plan_of(InfillRequest(parts), tokenizer), "alpha\ny = beta\n```<turn|>", tokenizer)
    assert (tokenizer.decode(reading.ids), reading.closed) == ("alpha", True)


def test_each_token_keeps_its_own_probability(request_from: Any, tokenizer: GemmaTokenizer) -> None:
    (reading,) = answered(plan_of(request_from("a ⟨⟩", 12), tokenizer), "alpha_beta\n```<turn|>", tokenizer)
    assert reading.confidence == sorted(reading.confidence, reverse=True)
    assert len(set(reading.confidence)) == len(reading.confidence)


def test_code_with_fences_and_marks_of_its_own_is_told_apart(request_from: Any) -> None:
    request = request_from('"""\n````\n<hole_1>\n````\n"""\nx = ⟨⟩\n')
    asked, answer = chat_prompt(document_of(request), request.holes, None)
    assert "`````python\n" in asked
    assert "x = <hole__1>\n" in asked
    assert asked.endswith("belongs at <hole__1>.")
    assert answer.read("a\n```\nb\n`````") == [(0, len("a\n```\nb"), True)]


def rewriting(draft: str, strength: float, candidates: int = 4, instruction: str | None = None) -> InfillRequest:
    parts = (HolePart(Hole("1", 31, draft, strength)), TextPart("\n"))
    return InfillRequest(parts, candidates=candidates, instruction=instruction, seed=3)


def test_what_a_rewriting_is_told() -> None:
    request = rewriting("alpha", 0.5, instruction="use beta")
    asked, _ = chat_prompt(document_of(request), request.holes, request.instruction)
    assert "At <hole_1> stood:\n```python\nalpha\n```\n" in asked
    assert asked.endswith("Do this: use beta")
    again, _ = chat_prompt(document_of(request), request.holes, None)
    assert again.endswith("in another version.")


def test_warm_and_cold_canvases_stand_in_one_batch(tokenizer: GemmaTokenizer) -> None:
    draft = "def add(alpha, beta):\n    return alpha + beta"
    whole = torch.tensor(tokenizer.encode(draft + "\n```<turn|>"))
    kept = []
    for strength in (0.2, 0.7):
        ids = plan_of(rewriting(draft, strength), tokenizer).canvas.ids[:, : len(whole)]
        assert len(ids) == 4
        kept.append((ids == whole).float().mean(dim=1).tolist())
    for row in (0, 2):
        assert 0.6 < kept[0][row] < 0.95
        assert 0.1 < kept[1][row] < 0.55
    for row in (1, 3):
        assert kept[0][row] < 0.1


def test_what_is_left_of_an_old_text() -> None:
    old = list("abcdefghij")
    cases = (("", "abcdefghij"), ("abc", "defghij"), ("abXYc", "defghij"), ("XYZ", "abcdefghij"), ("abcdefghij", ""))
    for written, left in cases:
        assert remaining_draft([ord(c) for c in old], [ord(c) for c in written]) == [ord(c) for c in left]


def test_an_answer_that_has_no_end_yet_goes_on_in_the_next_canvas(request_from: Any, tokenizer: GemmaTokenizer) -> None:
    plan = plan_of(request_from("a ⟨⟩", 80, candidates=2), tokenizer, canvas_length=32)
    ended = tokenizer.encode("alpha\n```<turn|>")
    ids = torch.tensor([tokenizer.encode("beta_" * 16), [*ended, *[tokenizer.pad_id] * (32 - len(ended))]])
    canvas = replace(plan.canvas, ids=ids, settled=torch.ones_like(ids, dtype=torch.bool))
    (following,) = continuations(plan, canvas, tokenizer)
    assert following.first_row == 0
    assert following.context_ids == (*plan.context_ids, *ids[0].tolist())
    (unfinished,) = read_answer(following, following.canvas, 0, tokenizer)
    assert tokenizer.decode(unfinished.ids).startswith("beta_" * 16)
    assert sum(p.canvas.ids.shape[1] for p in (plan, following)) < plan.tokens_left
    assert not continuations(replace(plan, tokens_left=32), canvas, tokenizer)  # it may get no longer


def test_random_weights_write_until_they_may_no_longer(
    random_checkpoint: Any, request_from: Any, run: Any, load: Any
) -> None:
    model = load(random_checkpoint, "chat")
    steps, infill = run(model, request_from("x = ⟨⟩\n", 100, candidates=2))
    assert infill.usage.canvas_tokens > 2 * 48
    assert {step.candidate for step in steps} == {0, 1}
    assert {candidate.stop_reason for candidate in infill.candidates} <= {"length", "closed"}


def test_logits_are_transformers_own(
    random_model: DenoisingModel, request_from: Any, tokenizer: GemmaTokenizer
) -> None:
    """On the canvases of a run, in the first and in the second canvas of an answer, its context encoded afresh."""
    denoiser = random_model.denoiser
    assert isinstance(denoiser, DiffusionGemmaDenoiser)
    plan = plan_of(request_from("x = ⟨⟩\n", 80, candidates=2), tokenizer)
    allowed = ~denoiser.forbidden | denoiser.ending
    while True:
        state, canvas = denoiser.encode(plan.context_ids, 0, None), plan.canvas
        for steps_left in (48, 47, 46):
            logits = denoiser.denoise(plan, canvas, state)
            reference = denoiser.network(
                input_ids=torch.tensor([plan.context_ids] * len(canvas.ids)),
                decoder_input_ids=canvas.ids,
                self_conditioning_logits=canvas.processed,
            ).logits
            torch.testing.assert_close(logits[..., allowed], reference[..., allowed], atol=1e-4, rtol=1e-4)
            assert (logits[..., ~allowed] == -torch.inf).all()
            canvas = random_model.sampler.commit(logits, canvas, steps_left)
        if plan.written:
            return
        text = replace(canvas, ids=torch.full_like(canvas.ids, tokenizer.encode("alpha")[0]))
        plan = denoiser.continuations(plan, text)[0]  # type: ignore[assignment]
