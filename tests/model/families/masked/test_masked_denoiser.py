"""What a masked diffusion model reads, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from midfill.model.families.masked.text import RequestIds, fitting_ids
from midfill.model.families.on_transformers.checkpoint import check_memory
from midfill.model.wire.api import Snippet
from midfill.model.wire.catalogue import MASKED, MASKED_CELLS, masked_logits_bytes
from midfill.model.wire.errors import CheckpointError, RequestError

LINE_BREAK = 9


@pytest.mark.parametrize(
    ("before", "behind", "snippets", "room", "fitting", "fitting_behind"),
    [
        ([1, 9, 2], [[3, 9, 4]], [], 7, [0, 1, 9, 2], [[3, 9, 4]]),
        ([1, 9, 2], [[3, 9, 4]], [[7, 9]], 8, [0, 1, 9, 2], [[3, 9, 4]]),  # no half snippet
        ([1, 9, 2], [[3, 9, 4]], [[7, 9]], 9, [0, 7, 9, 1, 9, 2], [[3, 9, 4]]),
        ([1, 9, 2], [[3, 9, 4]], [], 6, [0, 1, 9, 2], [[3, 9]]),  # whole lines behind
        ([1, 1, 9, 2, 2], [[3, 9, 4]], [], 7, [0, 2, 2], [[3, 9]]),  # and before
        ([1], [[5, 5], [3]], [], 5, [0, 1], [[5, 5], [3]]),
        ([1], [[5, 5], [3]], [], 3, [0], [[5, 5], []]),  # what is between the holes has to stay
    ],
)
def test_what_fits_is_nearest_the_holes(
    before: list[int],
    behind: list[list[int]],
    snippets: list[list[int]],
    room: int,
    fitting: list[int],
    fitting_behind: list[list[int]],
) -> None:
    ids = RequestIds(0, tuple(map(tuple, snippets)), tuple(before), tuple(map(tuple, behind)), frozenset({LINE_BREAK}))
    found = fitting_ids(ids, room)
    assert found is not None
    assert (list(found.before), [list(ids) for ids in found.behind]) == (fitting, fitting_behind)


def test_text_between_the_holes_that_has_no_room() -> None:
    assert fitting_ids(RequestIds(0, (), (1,), ((5, 5), (3,)), frozenset()), 2) is None


def test_it_reads_snippets_and_both_sides_and_takes_special_tokens_in_code_for_text(
    load: Any, request_from: Any
) -> None:
    denoiser = load("dream").denoiser
    request = request_from("x = '<|mask|>' + ⟨⟩\ny = 2\n", context=(Snippet("/home/ada/shop/a.py", "z = 3\n"),))
    plan = denoiser.plan(request, 1)
    assert denoiser.decode(plan.context_ids)[0] == "<|beginoftext|># shop/a.py\nz = 3\n\nx = '<|mask|>' + "
    assert denoiser.decode(plan.pinned[0])[0] == "\ny = 2\n<|endoftext|>"
    assert denoiser.tokenizer.mask_id not in plan.context_ids


@pytest.mark.parametrize("kind", ["dream", "open-dcoder"])
def test_a_row_does_not_depend_on_the_rows_beside_it(kind: str, load: Any, request_from: Any) -> None:
    """They differ in length, so the shorter ones are padded."""
    denoiser = load(kind).denoiser
    plan = denoiser.plan(request_from("def add(⟨⟩, beta):\n    return ⟨⟩ + beta\n", 3), 1)
    state = denoiser.encode(plan.context_ids, 0, None)
    together = denoiser.denoise(plan, plan.canvas, state)
    for row in (0, 3, 8):
        rows = slice(row, row + 1)
        canvas = replace(plan.canvas, ids=plan.canvas.ids[rows], settled=plan.canvas.settled[rows])
        torch.testing.assert_close(denoiser.denoise(plan, canvas, state)[0], together[row], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "num_holes", "max_tokens", "num_rows"),
    [
        ("dream", 1, 128, 15),
        ("dream", 2, 64, 16),
        ("dream", 2, 128, 4),
        ("dream", 4, 64, 1),
        ("dreamon", 1, 128, 16),
        ("dreamon", 3, 128, 5),
    ],
)
def test_a_canvas_takes_no_more_memory_than_was_asked_for(
    kind: str, num_holes: int, max_tokens: int, num_rows: int, load: Any, request_from: Any
) -> None:
    canvas = load(kind).denoiser.plan(request_from("⟨⟩ " * num_holes, max_tokens), 16).canvas
    assert canvas.ids.numel() <= MASKED_CELLS
    assert len(canvas.ids) == num_rows


def test_logits_are_counted_before_weights_are_loaded() -> None:
    weights_bytes, logits_bytes = 2 * 7_615_616_512, masked_logits_bytes(152_064)
    with pytest.raises(CheckpointError, match=r"need 22.8 GB with their contexts .* 2.8 GB are missing"):
        check_memory(Path("dream"), weights_bytes, 20 * 10**9, "cuda:0", logits_bytes)


def test_text_behind_a_hole_counts(load: Any, request_from: Any) -> None:
    denoiser = load("dream").denoiser

    def logits(text: str) -> torch.Tensor:
        plan = denoiser.plan(request_from(text, 1), 1)
        found: torch.Tensor = denoiser.denoise(plan, plan.canvas, denoiser.encode(plan.context_ids, 0, None))
        return found[:, 0]

    assert not torch.allclose(logits("x = ⟨⟩ + alpha\n"), logits("x = ⟨⟩ + beta\n"), atol=0.1)


def test_a_hole_of_one_line_has_no_line_break(load: Any, request_from: Any) -> None:
    denoiser = load("dream").denoiser
    request = request_from("x = ⟨⟩\n", 2)
    hole = replace(request.parts[1].hole, single_line=True)
    parts = (request.parts[0], replace(request.parts[1], hole=hole), request.parts[2])
    plan = denoiser.plan(replace(request, parts=parts), 1)
    logits = denoiser.denoise(plan, plan.canvas, denoiser.encode(plan.context_ids, 0, None))
    assert (logits[..., list(denoiser.tokenizer.line_break_ids)] == -torch.inf).all()


@pytest.mark.parametrize(
    ("text", "changes", "sentence"),
    [
        ("⟨⟩", {"instruction": "shorter"}, "neither rewrites nor follows instructions here"),
        ("⟨⟩ " * 9, {}, "The request has 9 holes, toy-dream fills at most 8 together"),
        ("⟨⟩" + "alpha " * 600 + "⟨⟩", {}, "leaves no room in the 512 tokens that toy-dream reads"),
    ],
)
def test_refusals(text: str, changes: dict[str, str], sentence: str, load: Any, request_from: Any) -> None:
    with pytest.raises(RequestError) as refused:
        load("dream").denoiser.plan(request_from(text, 3, **changes), 1)
    assert sentence in str(refused.value)


def test_the_catalogue_counts_the_released_models_as_their_configurations_do() -> None:
    """Sizes from each config.json: Qwen2.5-Coder's for Dream's family and Open-dCoder, LLaDA's own."""
    dream = Qwen2Config(
        vocab_size=152_064,
        hidden_size=3584,
        intermediate_size=18_944,
        num_hidden_layers=28,
        num_attention_heads=28,
        num_key_value_heads=4,
    )
    open_dcoder = Qwen2Config(
        vocab_size=151_936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    llada = LlamaConfig(
        vocab_size=126_464,
        hidden_size=4096,
        intermediate_size=12_288,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
    )
    with torch.device("meta"):
        networks = (Qwen2ForCausalLM(open_dcoder), Qwen2ForCausalLM(dream), LlamaForCausalLM(llada))
    small, seven, eight = (sum(p.numel() for p in network.parameters()) for network in networks)
    assert [model.num_parameters for model in MASKED] == [small, seven, seven, seven, eight]
