"""An adapter: merged it is what it is beside the parent's weights, new it changes nothing, and it fits one parent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toy_parent import NUM_TEXT_TOKENS, save_parent, toy_qwen2, train_bpe

from midfill.model.families.embedded.adapter import (
    adapter_of,
    load_adapter,
    merged_network,
    network_for_training,
    new_special_table,
)
from midfill.model.families.embedded.checkpoint import load_checkpoint, read_adapter, save_checkpoint
from midfill.model.families.embedded.network import EmbeddedNetwork
from midfill.model.families.embedded.parent import Parent, read_parent
from midfill.model.families.embedded.tokenizer import SPECIAL_TOKENS
from midfill.model.wire.errors import CheckpointError

RANK = 4
TEXT = "def add_alpha(alpha, beta):\n    total = "


@pytest.fixture(scope="module")
def toy_qwen_parent(tmp_path_factory: pytest.TempPathFactory) -> Parent:
    folder = tmp_path_factory.mktemp("qwen2")
    save_parent(folder, toy_qwen2(), train_bpe([TEXT], NUM_TEXT_TOKENS))
    return read_parent(folder)


def random_adapter(parent: Parent) -> dict[str, Tensor]:
    """Nothing of it is zero or one."""
    torch.manual_seed(1)
    new = adapter_of(network_for_training(parent, RANK, torch.float32))
    return {name: value + 0.1 * torch.randn(value.shape) for name, value in new.items()}


def hidden_states(network: EmbeddedNetwork, parent: Parent) -> dict[str, Tensor]:
    """Of the context, of a canvas over it, and of a hole that is read over it in two pieces."""
    tokenizer = parent.tokenizer
    ids = torch.tensor([[tokenizer.special_ids["<prefix>"], *tokenizer.encode(TEXT)]])
    length = ids.shape[1]
    hole = torch.tensor([[tokenizer.hole_ids[0], *tokenizer.encode("alpha +"), tokenizer.mask_id, tokenizer.end_id]])
    positions = (length + torch.arange(hole.shape[1])).unsqueeze(0)
    with torch.no_grad():
        context, past = network.encode(ids, torch.arange(length).unsqueeze(0))
        first, own = network.read_on(hole[:, :-1], positions[:, :-1], past, None)
        last, _ = network.read_on(hole[:, -1:], positions[:, -1:], past, own)
        canvas = network.fill(hole, positions, past)
    return {"context": context, "canvas": canvas, "branch": torch.cat((first, last), dim=1)}


@pytest.mark.parametrize("which", ["toy_parent", "toy_qwen_parent"])
def test_merged_it_is_what_it_is_beside_the_parents_weights(request: pytest.FixtureRequest, which: str) -> None:
    parent: Parent = request.getfixturevalue(which)
    adapter = random_adapter(parent)
    apart = network_for_training(parent, RANK, torch.float32)
    with torch.no_grad():
        load_adapter(apart, adapter)
    merged, new = merged_network(parent, adapter, torch.float32), network_for_training(parent, RANK, torch.float32)
    expected, got, before = (hidden_states(network, parent) for network in (apart, merged, new))
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(
            merged.logits(got[name]), apart.logits(value), atol=1e-3, rtol=1e-3, msg=f"logits of the {name}"
        )
    assert all(float((before[name] - value).abs().max()) > 0.1 for name, value in expected.items()), "nothing is learnt"
    assert not any(parameter.requires_grad for parameter in merged.parameters())
    assert not merged.training


@pytest.mark.parametrize("which", ["toy_parent", "toy_qwen_parent"])
@torch.no_grad()
def test_a_new_adapter_changes_nothing(request: pytest.FixtureRequest, which: str) -> None:
    """A text that is read as a branch, and as a canvas of which nothing is to the right, is read as the parent reads
    it."""
    parent: Parent = request.getfixturevalue(which)
    network = network_for_training(parent, RANK, torch.float32)
    ids = torch.tensor([parent.tokenizer.encode(TEXT + "alpha + beta\n")])
    positions = torch.arange(ids.shape[1]).unsqueeze(0)
    expected, past = network.encode(ids, positions)
    start = 7
    before = past[:, :, :, :, :start]
    branch, _ = network.read_on(ids[:, start:], positions[:, start:], before, None)
    torch.testing.assert_close(network.logits(branch), network.logits(expected[:, start:]), atol=1e-4, rtol=0)
    canvas = network.fill(ids[:, -1:], positions[:, -1:], past[:, :, :, :, :-1])
    torch.testing.assert_close(canvas, expected[:, -1:], atol=1e-4, rtol=0)


def test_only_the_adapter_is_learnt(toy_parent: Parent) -> None:
    network = network_for_training(toy_parent, RANK, torch.float32)
    config = toy_parent.config
    sizes = [sum(config.shape_of(name)) * RANK for name in ("qkv", "out", "gate_up", "down")]
    num_vectors = 2 * config.num_layers + 1 + 2  # norm scales, and the embeddings of canvas and branch
    expected = config.num_layers * sum(sizes) + (num_vectors + len(SPECIAL_TOKENS)) * config.width
    assert sum(value.numel() for value in adapter_of(network).values()) == expected
    assert all(value.dtype == torch.float32 for value in adapter_of(network).values())


def test_special_tokens_begin_like_the_parents_control_tokens(toy_parent: Parent) -> None:
    special, table = new_special_table(toy_parent), toy_parent.tensors["embed_tokens.weight"]
    end_of_text = table[toy_parent.tokenizer.control_ids["<|endoftext|>"]]
    like_it = {name for name, row in zip(SPECIAL_TOKENS, special, strict=True) if torch.equal(row, end_of_text)}
    assert like_it == {"<end>", "<suffix>", "<snippet>"}
    others = [row for name, row in zip(SPECIAL_TOKENS, special, strict=True) if name not in like_it]
    assert len({tuple(row.tolist()) for row in others}) == len(others)
    assert torch.equal(special, new_special_table(toy_parent))


def test_training_in_bfloat16_keeps_the_adapter_in_float32(toy_parent: Parent) -> None:
    network = network_for_training(toy_parent, RANK, torch.bfloat16)
    assert {value.dtype for value in adapter_of(network).values()} == {torch.float32}
    frozen = {value.dtype for value in network.parameters() if not value.requires_grad}
    assert frozen == {torch.bfloat16}


# --- of which parent

Change = Callable[[dict[str, Tensor]], object]
MISFITS: dict[str, tuple[Change, str]] = {
    "a layer more": (lambda a: a.update({"hole.layers.2.qkv.delta_in": torch.zeros(RANK, 64)}), "hole.layers.2."),
    "a layer less": (lambda a: [a.pop(n) for n in list(a) if n.startswith("hole.layers.1.")], "has no hole.layers.1."),
    "no canvas": (lambda a: a.pop("canvas_embedding"), "has no canvas_embedding"),
    "another width": (lambda a: a.update({"hole.layers.0.qkv.delta_in": torch.zeros(RANK, 32)}), "hole.layers.0.qkv"),
    "two ranks": (lambda a: a.update({"hole.layers.1.out.delta_out": torch.zeros(64, 3)}), "hole.layers.1.out"),
    "another number of special tokens": (lambda a: a.update(special_table=torch.zeros(3, 64)), "special_table"),
    "another width of its embeddings": (lambda a: a.update(branch_embedding=torch.zeros(32)), "branch_embedding"),
    "one number for a whole vector": (lambda a: a.update({"hole.norm.scale": torch.ones(1)}), "hole.norm.scale"),
    "one number for an embedding": (lambda a: a.update(canvas_embedding=torch.zeros(1)), "canvas_embedding"),
}


@pytest.mark.parametrize("to_train", [True, False], ids=["to train", "to serve"])
@pytest.mark.parametrize(("change", "sentence"), MISFITS.values(), ids=MISFITS)
def test_an_adapter_of_another_parent_is_refused(
    toy_parent: Parent, change: Change, sentence: str, to_train: bool
) -> None:
    adapter = random_adapter(toy_parent)
    change(adapter)
    network = network_for_training(toy_parent, RANK, torch.float32)
    with pytest.raises(CheckpointError) as refused, torch.no_grad():
        load_adapter(network, adapter) if to_train else merged_network(toy_parent, adapter, torch.float32)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_checkpoint_with_another_parent_than_its_own_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    config, adapter, _ = read_adapter(tiny_checkpoint)
    save_checkpoint(tmp_path, adapter, dataclasses.replace(config, parent_sha256="0" * 64))
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(tmp_path)
    assert "trained on another parent" in str(refused.value)
    assert config.parent_sha256 in str(refused.value)
