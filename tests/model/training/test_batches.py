"""Batches of training positions: their order, what is in them, and that a run goes on exactly where it stopped."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from midfill.model.families.embedded.layout import PASSAGE_TOKENS
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.training.batches import (
    BRANCH_WEIGHT,
    CHUNK_EXAMPLES,
    LENGTH_UNIT,
    MIN_CONTEXT_TOKENS,
    STEP_SHARE,
    Batch,
    Batches,
    BatchSettings,
    join,
    make_piece,
    shortened,
)
from midfill.model.training.examples import Example, Shards
from midfill.model.training.noise import DEFAULT_NOISE

SETTINGS = BatchSettings(num_draws=3, max_positions=1000, max_context=160)


def batches(shards: Shards, tokenizer: CodeTokenizer, seed: int = 3, **changes: float) -> Batches:
    return Batches(shards, tokenizer, seed, replace(SETTINGS, **changes))  # type: ignore[arg-type]


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in Batch.__slots__)


def taken(source: Batches, count: int) -> list[Batch]:
    return [source.next() for _ in range(count)]


def test_the_order_is_fixed_by_the_seed(toy_shards: Shards, toy_tokenizer: CodeTokenizer) -> None:
    first, again, other = (taken(batches(toy_shards, toy_tokenizer, seed), 12) for seed in (3, 3, 4))
    assert all(same(*pair) for pair in zip(first, again, strict=True))
    assert not all(same(*pair) for pair in zip(first, other, strict=True))


@pytest.mark.parametrize("num_before", [1, 7, 60, 250])
def test_it_goes_on_exactly_where_it_stopped(toy_shards: Shards, toy_tokenizer: CodeTokenizer, num_before: int) -> None:
    """Over the end of a chunk too, in which the order of lengths is drawn again."""
    source = batches(toy_shards, toy_tokenizer)
    while source.chunk * 200 + source.num_taken < num_before:
        source.next()
    resumed = batches(toy_shards, toy_tokenizer)
    resumed.go_on_from(source.state())
    assert resumed.state() == source.state()
    assert all(same(*pair) for pair in zip(taken(source, 5), taken(resumed, 5), strict=True))


def test_every_example_has_its_turn_in_each_epoch(toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> None:
    source = batches(toy_shards, toy_tokenizer)
    num_examples, batch = 0, source.next()
    while source.chunk == 0:
        num_examples, batch = num_examples + len(batch.context), source.next()
    num_left_out = CHUNK_EXAMPLES - num_examples
    assert 0 <= num_left_out < CHUNK_EXAMPLES / 10, "hardly any example has no room"
    other = batches(toy_shards, toy_tokenizer, seed=4)
    indices = [source._piece(index) for index in range(len(toy_shards))]
    holes = {tuple(piece.targets[0].tolist()) for piece in indices if piece}
    again = {tuple(p.targets[0].tolist()) for p in map(other._piece, range(len(toy_shards))) if p}
    wanted = {tuple(toy_shards[index].holes[0].tolist()) for index in range(len(toy_shards))}
    assert len({hole[: hole.index(toy_tokenizer.end_id)] for hole in holes}) > 0.9 * len(wanted)
    assert {hole[: hole.index(toy_tokenizer.end_id)] for hole in holes | again} <= wanted


def test_what_a_batch_consists_of(toy_shards: Shards, toy_tokenizer: CodeTokenizer) -> None:
    source = batches(toy_shards, toy_tokenizer)
    for batch in islice(iter(source.next, None), 40):
        num_examples, num_rows, length = batch.ids.shape
        assert batch.ids.shape == batch.targets.shape == batch.position_ids.shape == batch.weights.shape
        assert num_rows >= 2
        assert batch.context.shape[1] % LENGTH_UNIT == 0
        assert batch.passages.shape[2] == PASSAGE_TOKENS
        assert (batch.ids[:, :, 0] == toy_tokenizer.hole_ids[0]).all(), "every row begins with the hole's sentinel"
        assert num_examples == 1 or batch.context.numel() + batch.ids.numel() <= SETTINGS.max_positions
        assert ((batch.context >= 0).sum(dim=1) <= SETTINGS.max_context + LENGTH_UNIT).all()
        branch = batch.weights[:, 0]
        assert set(branch.unique().tolist()) <= {0.0, BRANCH_WEIGHT}
        for example in range(num_examples):
            num_read = int((branch[example] > 0).sum())
            assert (branch[example, :num_read] > 0).all(), "padding stands behind"
            assert batch.targets[example, 0, num_read - 1] == toy_tokenizer.end_id
            assert torch.equal(batch.ids[example, 0, 1:num_read], batch.targets[example, 0, : num_read - 1])
        draws = batch.weights[:, 1:]
        assert (draws[:, :, length - 1] == 0).all(), "nothing is predicted behind a canvas"
        sentinels = torch.isin(batch.ids[:, 1:], torch.tensor(toy_tokenizer.hole_ids))
        first_of_each = batch.position_ids[:, 1:][sentinels]
        assert len(first_of_each) >= num_examples * (num_rows - 1)


def test_a_step_has_most_of_its_positions(toy_shards: Shards, toy_tokenizer: CodeTokenizer) -> None:
    source = batches(toy_shards, toy_tokenizer)
    for _ in range(20):
        step = source.next_step()
        sizes = [batch.num_positions for batch in step]
        assert sum(sizes) >= STEP_SHARE * SETTINGS.max_positions
        assert sum(sizes[:-1]) < STEP_SHARE * SETTINGS.max_positions


@pytest.mark.parametrize("num_draws", [1, 2, 30])
def test_long_holes_have_fewer_draws(toy_tokenizer: CodeTokenizer, toy_shards: Shards, num_draws: int) -> None:
    source = batches(toy_shards, toy_tokenizer, num_draws=num_draws, max_positions=10_000)
    for batch in islice(iter(source.next, None), 20):
        _, num_rows, length = batch.ids.shape
        assert num_rows - 1 == min(num_draws, max(288 // length, 1))


def test_short_contexts_are_shorter(toy_shards: Shards, toy_tokenizer: CodeTokenizer) -> None:
    whole, short = (
        [batches(toy_shards, toy_tokenizer, short_share=share)._piece(index) for index in range(len(toy_shards))]
        for share in (0.0, 1.0)
    )
    sizes = [(len(w.context), len(s.context)) for w, s in zip(whole, short, strict=True) if w and s]
    long = [(before, after) for before, after in sizes if before > MIN_CONTEXT_TOKENS + 10]
    assert len(long) > 10
    assert all(MIN_CONTEXT_TOKENS <= after <= before for before, after in long)
    assert sum(after < before for before, after in long) > len(long) / 2
    assert all(before == after for before, after in sizes if before <= MIN_CONTEXT_TOKENS)


def test_what_is_farthest_from_the_hole_goes_first(toy_tokenizer: CodeTokenizer) -> None:
    special = toy_tokenizer.special_ids
    after, before = np.arange(100, 160), np.arange(200, 300)
    parts = [special["<suffix>"], *after, special["<prefix>"], *before, special["<rest>"], 7, special["<hole_1>"]]
    example = Example(np.array(parts, np.uint16), (np.array([5], np.uint16),))
    for excess in (1, 30, 80):
        context = shortened(example, excess, toy_tokenizer).tolist()
        assert len(context) == len(parts) - excess
        kept_after = [token for token in context if 100 <= token < 160]
        kept_before = [token for token in context if 200 <= token < 300]
        assert kept_after == list(range(100, 100 + len(kept_after))), "the suffix loses its end"
        assert kept_before == list(range(300 - len(kept_before), 300)), "the prefix loses its beginning"
        assert context[-3:] == [special["<rest>"], 7, special["<hole_1>"]]
        assert len(kept_after) >= 16
        assert len(kept_before) >= 40
    two = replace(example, holes=(example.holes[0],) * 2)
    kept = shortened(two, 50, toy_tokenizer).tolist()
    assert [token for token in kept if 100 <= token < 160] == after.tolist(), "a later hole stands in the suffix"


def test_contexts_and_passages_are_padded_with_nothing(toy_tokenizer: CodeTokenizer) -> None:
    special = toy_tokenizer.special_ids

    def piece(num_after: int, num_passages: int):  # type: ignore[no-untyped-def]
        after = [9] * num_after
        context = [special["<suffix>"], *after, special["<prefix>"], 8, special["<rest>"], special["<hole_1>"]]
        passages = tuple(np.array([special["<snippet>"], 3, 4], np.uint16) for _ in range(num_passages))
        example = Example(np.array(context, np.uint16), (np.array([5, 6], np.uint16),), passages)
        return make_piece(example, [16], 2, toy_tokenizer, DEFAULT_NOISE, np.random.default_rng(0))

    batch = join([piece(3, 0), piece(40, 2)])
    assert batch.context.shape == (2, 64)
    assert (batch.context >= 0).sum(dim=1).tolist() == [8, 45]
    assert (batch.passages >= 0).sum(dim=(1, 2)).tolist() == [0, 6]
    assert batch.num_positions == 8 + 45 + 6 + batch.ids.numel()
