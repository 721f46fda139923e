"""What a training step computes: its attention and its cross-entropy against the plain ones, and against serving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.adapter import adapter_of, load_adapter, network_for_training
from midfill.model.families.embedded.checkpoint import load_checkpoint
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.embedded.layout import PASSAGE_TOKENS, position_ids
from midfill.model.families.embedded.network import EmbeddedNetwork
from midfill.model.families.embedded.parent import Parent
from midfill.model.training.batches import Batch, Batches, BatchSettings, Piece, join, make_piece
from midfill.model.training.examples import Example, Shards
from midfill.model.training.loss import CHUNK_POSITIONS, CrossEntropy, encoded, learn_from, losses, mean_losses, read
from midfill.model.training.noise import DEFAULT_NOISE
from midfill.model.training.row_attention import RowAttention, attend_in_rows, attend_with_mask

# --- attention of rows


@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(4, 4), (6, 2)])
@pytest.mark.parametrize("num_rows", [2, 5])
@pytest.mark.parametrize("num_padding", [0, 6])
def test_attention_of_rows_and_its_gradients_are_the_masked_ones(
    num_heads: int, num_kv_heads: int, num_rows: int, num_padding: int
) -> None:
    torch.manual_seed(0)
    num_examples, length, num_past, head_dim = 3, 7, 20, 16
    shape = (num_examples, num_heads, num_rows * length, head_dim)
    inputs = [torch.randn(shape), *(torch.randn(num_examples, num_kv_heads, *shape[2:]) for _ in range(2))]
    past = torch.randn(2, num_examples, num_kv_heads, num_past, head_dim)
    seen = torch.ones(num_examples, num_past, dtype=torch.bool)
    seen[0, num_past - num_padding :] = False
    seen[2, : num_padding // 2] = False
    bias = torch.zeros(seen.shape).masked_fill_(~seen, -1e30)[:, None, None, :] if num_padding else None
    of_result = torch.randn(shape)

    def run(which: str) -> list[Tensor]:
        query, key, value = (x.clone().requires_grad_() for x in inputs)
        if which == "masked":
            result = attend_with_mask(query, key, value, past, bias, num_rows)
        elif which == "rows":
            result = RowAttention.apply(query, key, value, past[0], past[1], bias, num_rows)
        else:
            result = attend_in_rows(num_rows, seen)(query, key, value, past)
        result.backward(of_result)
        return [result.detach(), *(x.grad for x in (query, key, value) if x.grad is not None)]

    expected = run("masked")
    assert len(expected) == 4
    for which in ("rows", "as trained"):
        for name, got, wanted in zip(("result", "query", "key", "value"), run(which), expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4, msg=lambda m, name=name: f"{name}: {m}")


def test_what_is_padding_in_a_context_changes_nothing() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, 2, 6, 16) for _ in range(3))
    past, seen = torch.randn(2, 1, 2, 9, 16), torch.arange(9).unsqueeze(0) < 5
    other = past.clone()
    other[:, :, :, 5:] = 100.0
    results = [attend_in_rows(2, seen)(query, key, value, one) for one in (past, other)]
    assert torch.equal(*results)
    cut = attend_in_rows(2, seen[:, :5])(query, key, value, past[:, :, :, :5])
    torch.testing.assert_close(results[0], cut, atol=1e-5, rtol=0)


# --- cross-entropy


@pytest.mark.parametrize("num_positions", [1, 7, CHUNK_POSITIONS + 5])
def test_cross_entropy_and_its_gradients_are_the_plain_ones(num_positions: int) -> None:
    torch.manual_seed(0)
    hidden, head, special = torch.randn(num_positions, 16), torch.randn(40, 16), torch.randn(6, 16)
    targets, weights = torch.randint(0, 46, (num_positions,)), torch.rand(num_positions)

    def gradients(plain: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ours, table = hidden.clone().requires_grad_(), special.clone().requires_grad_()
        if plain:
            each = F.cross_entropy(F.linear(ours, torch.cat((head, table))), targets, reduction="none")
            total = (each * weights).sum()
        else:
            total, each = CrossEntropy.apply(ours, head, table, targets, weights)
        (3 * total).backward()
        assert ours.grad is not None
        assert table.grad is not None
        return total.detach(), each.detach(), ours.grad, table.grad

    for got, expected in zip(gradients(plain=False), gradients(plain=True), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


# --- what is trained is what is served


@pytest.fixture(scope="module")
def trained(tiny_checkpoint: Path, toy_parent: Parent) -> EmbeddedNetwork:
    """The tiny checkpoint as the training program has it: the deltas beside the parent's weights."""
    checkpoint = load_checkpoint(tiny_checkpoint)
    network = network_for_training(toy_parent, checkpoint.config.rank, torch.float32)
    with torch.no_grad():
        load_adapter(network, checkpoint.adapter)
    return network


def pieces_of(shards: Shards, parent: Parent, num_holes: int, num_examples: int = 3) -> list[Piece]:
    """Examples with so many holes, rows alike, contexts and passages of several lengths."""
    rng, pieces = np.random.default_rng(0), list[Piece]()
    for index in range(len(shards)):
        example = shards[index]
        if len(example.holes) >= num_holes:
            text = example.holes[0].tolist() * 40
            passages = tuple(
                np.array([parent.tokenizer.special_ids["<snippet>"], *text][: PASSAGE_TOKENS - 9 * number], np.uint16)
                for number in range(len(pieces))
            )
            example = Example(example.context, example.holes, passages)
            lengths = [16] * len(example.holes)
            if max(map(len, example.holes)) < 16 and len(example.holes) == num_holes:
                pieces.append(make_piece(example, lengths, 4, parent.tokenizer, DEFAULT_NOISE, rng))
        if len(pieces) == num_examples:
            return pieces
    raise AssertionError(f"too few examples with {num_holes} holes: {len(pieces)}")


@pytest.mark.parametrize("num_holes", [1, 2])
@torch.no_grad()
def test_what_is_trained_is_what_is_served(
    trained: EmbeddedNetwork, tiny: DenoisingModel, toy_parent: Parent, toy_shards: Shards, num_holes: int
) -> None:
    """Each row of a batch has the hidden states that the serving path gives: its context in chunks, passages each by
    itself, the branch token by token, the canvas alone."""
    denoiser = tiny.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    pieces = pieces_of(toy_shards, toy_parent, num_holes)
    batch = join(pieces)
    assert not bool((batch.context >= 0).all()), "no context is padded"
    hidden = read(trained, batch, *encoded(trained, batch))
    for number, piece in enumerate(pieces):
        ids = piece.context.tolist()
        half = len(ids) // 2
        state = denoiser.encode(ids[:half], 0, None)
        state = denoiser.encode(ids, half, state)
        passages = [denoiser.encode(passage.tolist(), 0, None) for passage in piece.passages]
        state = torch.cat([*passages, state], dim=denoiser.state_dim)
        rows, positions = torch.from_numpy(piece.ids), torch.from_numpy(piece.position_ids)
        num_read = int((piece.weights[0] > 0).sum())
        own, read_on = None, []
        for column in range(num_read):
            part = slice(column, column + 1)
            one, own = denoiser.network.read_on(rows[:1, part], positions[:1, part], state, own)
            read_on.append(one)
        served = torch.cat(read_on, dim=1)[0]
        torch.testing.assert_close(hidden[number, 0, :num_read], served, atol=1e-3, rtol=1e-3)
        canvases = denoiser.network.fill(rows[1:], positions[1:], state)
        torch.testing.assert_close(hidden[number, 1:], canvases, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("num_holes", [1, 2])
@torch.no_grad()
def test_an_example_is_laid_out_as_a_request_is(
    tiny: DenoisingModel, toy_parent: Parent, toy_shards: Shards, num_holes: int
) -> None:
    """Positions of context and canvases, sentinels in front of each: as `plan` and `denoise` have them."""
    (piece,) = pieces_of(toy_shards, toy_parent, num_holes, 1)
    tokenizer, context = toy_parent.tokenizer, piece.context.tolist()
    assert piece.context_positions.tolist() == position_ids(context, tokenizer).tolist()
    sentinels = [int(np.flatnonzero(piece.ids[1] == hole_id)[0]) for hole_id in tokenizer.hole_ids[:num_holes]]
    assert sentinels == [17 * number for number in range(num_holes)]
    for number, column in enumerate(sentinels):
        at = context.index(tokenizer.hole_ids[number])
        first = int(piece.context_positions[at])
        assert piece.position_ids[1][column : column + 17].tolist() == list(range(first, first + 17))
    assert piece.ids[0][0] == tokenizer.hole_ids[0]
    assert piece.position_ids[0][0] == piece.context_positions[context.index(tokenizer.hole_ids[0])]


# --- sums and means


def small_batches(shards: Shards, parent: Parent) -> Batches:
    return Batches(shards, parent.tokenizer, 3, BatchSettings(2, 700, 160))


def test_a_step_of_several_batches_is_one_of_all_of_them(
    trained: EmbeddedNetwork, toy_parent: Parent, toy_shards: Shards
) -> None:
    """The mean over all weighted positions, however they are cut into batches."""
    pieces = pieces_of(toy_shards, toy_parent, 1, 4)

    def gradients(batches: list[Batch]) -> tuple[tuple[float, float], dict[str, Tensor]]:
        trained.zero_grad()
        means = learn_from(trained, batches)
        named = dict(trained.named_parameters())
        return means, {name: named[name].grad.clone() for name in adapter_of(trained) if named[name].grad is not None}

    means, together = gradients([join(pieces)])
    means_apart, apart = gradients([join(pieces[:1]), join(pieces[1:])])
    assert means_apart == pytest.approx(means, rel=1e-4)
    assert together.keys() == adapter_of(trained).keys()
    for name, value in together.items():
        torch.testing.assert_close(apart[name], value, atol=1e-5, rtol=1e-3)


@torch.no_grad()
def test_the_losses_are_means_over_weighted_positions(
    trained: EmbeddedNetwork, toy_parent: Parent, toy_shards: Shards
) -> None:
    batch = small_batches(toy_shards, toy_parent).next()
    found = losses(trained, batch)
    hidden = read(trained, batch, *encoded(trained, batch))
    each = F.cross_entropy(trained.logits(hidden).flatten(0, 2), batch.targets.flatten(), reduction="none")
    weighted = each.view(batch.weights.shape) * batch.weights
    branch, canvases = weighted[:, 0].sum(), weighted[:, 1:].sum()
    assert float(found.total) == pytest.approx(float(branch + canvases), rel=1e-4)
    expected = (float(branch / batch.weights[:, 0].sum()), float(canvases / batch.weights[:, 1:].sum()))
    assert mean_losses([found]) == pytest.approx(expected, rel=1e-4)
