"""Our canvases, caches and sampling against transformers' own, on random weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.diffusion_gemma.generation_diffusion_gemma import (
    EntropyBoundSampler,
    EntropyBoundSamplerConfig,
    StableAndConfidentStoppingCriteria,
)

from midfill.model.engine.canvas import Canvas, new_canvas
from midfill.model.engine.denoiser import Plan
from midfill.model.engine.infill import DenoisingModel
from midfill.model.engine.sampler import within_budget
from midfill.model.families.diffusion_gemma.denoiser import DiffusionGemmaDenoiser
from midfill.model.families.diffusion_gemma.renoising import RenoisingSampler
from midfill.model.families.hole_lengths import MAX_ROWS, length_suppositions
from midfill.model.wire.errors import RequestError

ONE_HOLE = "def add(alpha, beta):\n    return ⟨⟩ + beta\n"
JOINT = "def add(⟨⟩, beta):\n    return ⟨⟩ + beta\n"
LONG = "def add(alpha, beta):\n    return alpha + beta\n" * 8 + ONE_HOLE
"""Longer than the sliding window."""


def encoded(model: DenoisingModel, ids: Sequence[int], *cuts: int) -> Tensor:
    """The state of a context, encoded in pieces that end at `cuts`."""
    state, done = None, 0
    for end in (*cuts, len(ids)):
        state = model.denoiser.encode(ids[:end], done, state)
        done = end
    assert state is not None
    return state


def model_canvas(plan: Plan, canvas: Canvas, row: int, width: int) -> list[int]:
    """A row written out by hand: each hole as long as the row supposes, then what stands behind it."""
    ids: list[int] = []
    for region, pinned in zip(canvas.regions, plan.pinned, strict=True):
        supposed = plan.canvas.ids[row, region.columns].tolist().index(canvas.end_id)
        ids += [*canvas.ids[row, region.columns].tolist()[:supposed], *pinned]
    return [*ids, *[0] * width][:width]


def is_allowed(logits: Tensor) -> Tensor:
    return logits > -torch.inf


@pytest.mark.parametrize("text", [ONE_HOLE, JOINT, LONG])
def test_logits_are_transformers_own(random_model: DenoisingModel, request_from: Any, text: str) -> None:
    """On the canvases of a run: each row alone, its context encoded afresh by transformers, nothing of ours between."""
    model, denoiser = random_model, random_model.denoiser
    assert isinstance(denoiser, DiffusionGemmaDenoiser)
    plan = denoiser.plan(request_from(text, 3), 1)
    state, places = encoded(model, plan.context_ids, 20), denoiser.layout(plan).places
    canvas, num_compared = plan.canvas, 0
    for steps_left in (48, 47, 46):
        logits = denoiser.denoise(plan, canvas, state)
        for row in range(canvas.ids.shape[0]):
            carried = carried_by_hand(plan, canvas, row)
            ids = model_canvas(plan, canvas, row, denoiser.layout(plan).columns.shape[1])
            reference = denoiser.network(
                input_ids=torch.tensor([plan.context_ids]),
                decoder_input_ids=torch.tensor([ids]),
                self_conditioning_logits=None if carried is None else carried[:, : len(ids)],
            ).logits[0]
            ours = logits[row][places[row] >= 0]
            theirs = reference[places[row][places[row] >= 0]]
            torch.testing.assert_close(ours[is_allowed(ours)], theirs[is_allowed(ours)], atol=1e-4, rtol=1e-4)
            num_compared += len(ours)
        canvas = model.sampler.commit(logits, canvas, steps_left)
    assert num_compared > 9


def carried_by_hand(plan: Plan, canvas: Canvas, row: int) -> Tensor | None:
    """What one row's last step predicted, with certainty where a token is pinned: (1, W, V)."""
    if canvas.processed is None:
        return None
    pieces = []
    for region, pinned in zip(canvas.regions, plan.pinned, strict=True):
        supposed = plan.canvas.ids[row, region.columns].tolist().index(canvas.end_id)
        certain = torch.full((len(pinned) + 48, canvas.processed.shape[-1]), -torch.inf)
        certain[torch.arange(len(certain)), torch.tensor([*pinned, *[0] * 48])] = 0.0
        last = region is canvas.regions[-1]
        pieces += [canvas.processed[row, region.columns][:supposed], certain if last else certain[: len(pinned)]]
    return torch.cat(pieces).unsqueeze(0)


def test_a_token_that_may_not_stand_in_code_is_never_proposed(random_model: DenoisingModel, request_from: Any) -> None:
    denoiser = random_model.denoiser
    assert isinstance(denoiser, DiffusionGemmaDenoiser)
    plan = denoiser.plan(request_from(ONE_HOLE, 3), 1)
    logits = denoiser.denoise(plan, plan.canvas, encoded(random_model, plan.context_ids))
    of_two = plan.canvas.ids[1].tolist()  # the row that supposes two tokens
    assert of_two.index(plan.canvas.end_id) == 2
    assert not is_allowed(logits[1, :2])[:, list(denoiser.tokenizer.special_ids)].any()
    assert is_allowed(logits[1, 2]).nonzero().tolist() == [[plan.canvas.end_id]]


@pytest.mark.parametrize("cuts", [(1,), (30, 31), (64, 128), (100,), (63, 64, 65, 66)])
def test_a_cache_that_was_cut_and_extended_equals_encoding_afresh(
    random_model: DenoisingModel, request_from: Any, cuts: tuple[int, ...]
) -> None:
    """Encoded in pieces; then typed on, deleted, and edited in the middle, far behind the sliding window."""
    denoiser = random_model.denoiser
    plan = denoiser.plan(request_from(LONG), 1)
    ids = list(plan.context_ids)
    assert len(ids) > 2 * 64
    fresh = encoded(random_model, ids)
    torch.testing.assert_close(encoded(random_model, ids, *cuts), fresh, atol=1e-5, rtol=1e-4)
    edited = [*ids[:70], 90, *ids[72:]]
    for changed, kept in ((ids[:-40], len(ids) - 40), (edited, 70), ([*ids, 90, 91], len(ids))):
        state = fresh[:kept]
        again = denoiser.encode(changed, kept, state) if kept < len(changed) else state
        torch.testing.assert_close(again, encoded(random_model, changed), atol=1e-5, rtol=1e-4)
        logits = denoiser.denoise(plan, plan.canvas, again)
        expected = denoiser.network(
            input_ids=torch.tensor([changed]),
            decoder_input_ids=denoiser.layout(plan).place(plan.canvas.ids)[:1],
        ).logits[0, 0]
        allowed = is_allowed(logits[0, 0])
        torch.testing.assert_close(logits[0, 0][allowed], expected[allowed], atol=1e-4, rtol=1e-4)


def test_typing_on_encodes_only_what_is_new(random_checkpoint: Path, request_from: Any, run: Any, load: Any) -> None:
    model = load(random_checkpoint)
    text = LONG.replace("⟨⟩", "al⟨⟩")
    first = run(model, request_from(LONG))[1]
    typed = run(model, request_from(text))[1]
    moved = run(model, request_from("def add(x, y):\n    return ⟨⟩\n"))[1]
    assert first.usage.cached_tokens == 0
    assert typed.usage.context_tokens - typed.usage.cached_tokens <= 2
    assert 10 <= moved.usage.cached_tokens < moved.usage.context_tokens  # the prompt before the text
    assert run(load(random_checkpoint), request_from(text))[1].candidates == typed.candidates


def test_what_is_accepted_and_when_a_row_ends_is_as_in_transformers() -> None:
    """The same random predictions through their sampler and stopping rule and through ours."""
    torch.manual_seed(3)
    theirs = EntropyBoundSampler(EntropyBoundSamplerConfig(0.1), 12, 40, 48)
    stopping = StableAndConfidentStoppingCriteria(1, 0.005)
    sampler, canvas = RenoisingSampler(), new_canvas((12,), (0, 1), 0, 39, torch.device("cpu"))
    decided = [torch.randn(2, 12, 40) * 3 + 200.0 * F.one_hot(torch.randint(39, (2, 12)), 40) for _ in range(2)]
    unsure = [torch.randn(2, 12, 40) * scale for scale in (1.0, 4.0, 9.0)]
    mixed = torch.stack((decided[1][0], unsure[2][1]))
    ended = []
    for number, logits in enumerate([*unsure, *decided, mixed, decided[1], decided[1]]):
        logits[..., 39] = -torch.inf
        steps_left = 48 - number
        scaled = logits / (0.4 + 0.4 * steps_left / 48)
        theirs.accept_canvas(canvas.ids, canvas.ids, scaled, steps_left)
        entropy = torch.distributions.Categorical(logits=scaled).entropy()
        assert torch.equal(within_budget(entropy, 0.1), theirs.accepted_token_mask)
        stopped = stopping(scaled.argmax(-1), scaled)
        before = canvas.settled.all(dim=-1)
        canvas = sampler.commit(logits, canvas, steps_left)
        ended.append(canvas.settled.all(dim=-1).tolist())
        assert torch.equal(canvas.settled.all(dim=-1), stopped | before)
    assert ended[4:] == [[False, False], [True, False], [True, False], [True, True]]


def test_the_same_seed_gives_the_same_answer_and_rows_do_not_touch_each_other(
    random_model: DenoisingModel, request_from: Any, run: Any
) -> None:
    twice = [run(random_model, request_from(JOINT, 2, seed=5))[1].candidates for _ in range(2)]
    assert twice[0] == twice[1]
    logits = torch.randn(3, 4, 30)
    together = new_canvas((4,), (7, 8, 9), 0, 29, torch.device("cpu"))
    alone = new_canvas((4,), (8,), 0, 29, torch.device("cpu"))
    sampler = RenoisingSampler()
    assert torch.equal(sampler.commit(logits, together, 40).ids[1:2], sampler.commit(logits[1:2], alone, 40).ids)


@pytest.mark.parametrize(
    ("longest", "expected"),
    [
        ([3], [(1,), (2,), (3,)]),
        ([2, 2], [(1, 1), (1, 2), (2, 1), (2, 2)]),
        ([36], None),
        ([31, 31], None),
        ([31] * 8, None),
    ],
)
def test_lengths_that_are_tried(longest: list[int], expected: list[tuple[int, ...]] | None) -> None:
    tried = length_suppositions(longest)
    assert expected is None or tried == expected
    assert 1 <= len(tried) == len(set(tried)) <= MAX_ROWS
    assert all(1 <= length <= most for lengths in tried for length, most in zip(lengths, longest, strict=True))


@pytest.mark.parametrize(
    ("text", "max_tokens", "changes", "sentence"),
    [
        ("⟨⟩" * 9, 4, {}, "fills at most 8 together; send them in groups"),
        ("⟨⟩", 400, {}, "lower max_tokens or split the hole"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(
    random_model: DenoisingModel, request_from: Any, text: str, max_tokens: int, changes: Any, sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence):
        random_model.denoiser.plan(request_from(text, max_tokens, **changes), 1)
