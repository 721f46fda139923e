"""Passages: which places elsewhere are found for a hole, how they are encoded, and that they change no other state."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.denoiser import KEPT_PASSAGES, EmbeddedDenoiser, EmbeddedPlan
from midfill.model.families.embedded.layout import PASSAGE_TOKENS
from midfill.model.families.embedded.passages import LINES_APART, NUM_PASSAGES, find_passages
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.measuring.spans import CharSpan
from midfill.model.training.batches import Batches, BatchSettings
from midfill.model.training.examples import ContextSizes, Shards, TrainingFile, make_example
from midfill.model.wire.api import Infill, InfillRequest, Snippet

ELSEWHERE = """
import json
from pathlib import Path


def read_settings(path):
    with open(path) as source:
        return json.load(source)


class Inventory:
    def remove(self, name, count):
        self.counts[name] -= count
        self.changed = True

    def report(self, stream):
        stream.write(str(len(self.rows)))
        for unrelated in range(10):
            stream.write("-")


def unrelated_to_all():
    return 17
"""

FOUND = [
    # before the hole, behind it, what the best passage must hold
    ("    def add(self, name, count):\n        self.counts[name] += ", "\n", "self.counts[name] -= count"),
    ("def read_rows(path):\n    with open(path) as sou", "\n", "with open(path) as source:\n        return json.load"),
    ("x = 1\n", "\n        stream.write(str(len(self.rows)))\n", "def report(self, stream)"),  # by what stands behind
]


@pytest.mark.parametrize(("before", "behind", "expected"), FOUND)
def test_the_best_passage(before: str, behind: str, expected: str) -> None:
    assert expected in find_passages([ELSEWHERE], [(before, behind)])[0]


def test_nothing_in_common_is_no_passage() -> None:
    assert find_passages([ELSEWHERE], [("qqq zzz", "www")]) == []
    assert find_passages([], [("self.counts", "")]) == []
    assert find_passages([""], [("self.counts", "")]) == []


def test_passages_of_one_text_stand_apart() -> None:
    text = "\n".join(f"value_{number} = compute(alpha, beta)" for number in range(30))
    found = find_passages([text], [("value_99 = compute(alpha, ", "")])
    firsts = sorted(int(passage.partition("value_")[2].split(" ")[0]) for passage in found)
    assert len(found) == NUM_PASSAGES
    assert all(later - earlier >= LINES_APART - 1 for earlier, later in itertools.pairwise(firsts))


def test_every_hole_has_its_best_passage() -> None:
    counts, settings = FOUND[0][:2], FOUND[1][:2]
    found = find_passages([ELSEWHERE], [counts, settings])
    assert "self.counts[name] -= count" in found[0]
    assert "json.load(source)" in found[1]


def test_a_place_is_found_in_a_large_file_in_milliseconds() -> None:
    text = "\n".join(f"def function_{n}(argument_{n}):\n    return helper_{n % 7}(argument_{n})" for n in range(400))
    find_passages([text], [("x", "")])  # indexed once
    started = time.perf_counter()
    find_passages([text], [("def other(argument_17):\n    return helper_3(", ")\n")])
    assert time.perf_counter() - started < 0.5  # some 5 ms; the bound is for a busy machine


def test_what_stands_in_the_hole_is_in_no_passage(toy_tokenizer: CodeTokenizer) -> None:
    """Training text on both sides of the windows is searched, never the windows or the holes themselves."""
    blocks = [
        f"def add_{n}(alpha, beta):\n    total = alpha + beta + {n}{n}\n    return total\n" for n in range(30, 60)
    ]
    text = "\n\n".join(blocks)
    answer = "alpha + beta + 4545"
    start = text.index(answer)
    for seed in range(20):
        example = make_example(
            TrainingFile(text),
            [CharSpan(start, start + len(answer))],
            toy_tokenizer,
            ContextSizes(96, 48),
            random.Random(seed),
        )
        assert example is not None
        assert len(example.passages) == NUM_PASSAGES
        assert all(len(passage) <= PASSAGE_TOKENS for passage in example.passages)
        assert not any("4545" in toy_tokenizer.decode([i for i in p if i < 320]) for p in example.passages)


def test_a_shard_gives_back_the_passages(toy_shards: Shards, toy_tokenizer: CodeTokenizer) -> None:
    examples = [toy_shards[index] for index in range(len(toy_shards))]
    with_passages = [example for example in examples if example.passages]
    assert with_passages, "the toy files are longer than the toy windows"
    snippet = toy_tokenizer.special_ids["<snippet>"]
    assert all(passage[0] == snippet for example in with_passages for passage in example.passages)
    source = Batches(toy_shards, toy_tokenizer, 1, BatchSettings(2, 2000, 160))
    assert any(bool((source.next().passages == snippet).any()) for _ in range(20))


@pytest.fixture
def denoiser(tiny_with: Callable[..., DenoisingModel]) -> EmbeddedDenoiser:
    denoiser = tiny_with().denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    return denoiser


CODE = "def add_alpha(alpha, beta):\n    total = ⟨1⟩\n    return total\n"
SNIPPET = Snippet("", "def add_beta(beta, gamma):\n    total = beta + gamma\n    return total\n")


@torch.inference_mode()
def test_passages_change_what_is_predicted_and_not_the_context(
    denoiser: EmbeddedDenoiser, request_of: Callable[..., InfillRequest]
) -> None:
    bare, beside = denoiser.plan(request_of(CODE), 1), denoiser.plan(request_of(CODE, context=(SNIPPET,)), 1)
    assert bare.context_ids == beside.context_ids
    assert bare.passages == ()
    assert len(beside.passages) >= 1
    state = denoiser.encode(bare.context_ids, 0, None)
    assert denoiser.visible(bare, state)[0] is state
    together, num_kept = denoiser.visible(beside, state)
    assert num_kept == 0
    assert together.shape[denoiser.state_dim] == beside.num_context_tokens
    alone = denoiser.denoise(bare, bare.canvas, state)
    assert not torch.allclose(alone, denoiser.denoise(beside, beside.canvas, together))


@torch.inference_mode()
def test_an_encoded_passage_is_kept_and_is_the_same(
    denoiser: EmbeddedDenoiser, request_of: Callable[..., InfillRequest]
) -> None:
    plan = denoiser.plan(request_of(CODE, context=(SNIPPET,)), 1)
    state = denoiser.encode(plan.context_ids, 0, None)
    first, _ = denoiser.visible(plan, state)
    again, num_kept = denoiser.visible(plan, state)
    assert num_kept == sum(map(len, plan.passages))
    assert torch.equal(first, again)
    for number in range(KEPT_PASSAGES + 8):
        denoiser.visible(replace(plan, passages=((5, number + 6),)), state)
    _, num_kept = denoiser.visible(plan, state)
    assert num_kept == 0, "what was used longest ago is dropped"


def test_a_checkpoint_that_was_trained_without_gets_none(
    tiny_with: Callable[..., DenoisingModel], request_of: Callable[..., InfillRequest]
) -> None:
    plan = tiny_with(num_passages=0).denoiser.plan(request_of(CODE, context=(SNIPPET,)), 1)
    assert isinstance(plan, EmbeddedPlan)
    assert plan.passages == ()


def test_usage_counts_passages(
    tiny_with: Callable[..., DenoisingModel],
    run: Callable[..., tuple[list[object], Infill]],
    request_of: Callable[..., InfillRequest],
) -> None:
    model = tiny_with()
    _, bare = run(model, request_of(CODE))
    _, first = run(model, request_of(CODE, context=(SNIPPET,)))
    _, again = run(model, request_of(CODE, context=(SNIPPET,)))
    assert first.usage.context_tokens > bare.usage.context_tokens == first.usage.cached_tokens
    assert again.usage.cached_tokens == again.usage.context_tokens
