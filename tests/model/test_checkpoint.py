"""A checkpoint comes back as it was saved; one that is broken is refused in a sentence that names the file and the way
out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from midfill.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from midfill.model.errors import CheckpointError
from midfill.model.families.embedded.network import EmbeddedNetwork
from midfill.model.loading import load_model
from midfill.model.tokenizer import train_tokenizer

Damage = Callable[[Path], object]


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def save(folder: Path, checkpoint: Checkpoint) -> Checkpoint:
    save_checkpoint(folder, checkpoint.network, checkpoint.tokenizer, checkpoint.config)
    return load_checkpoint(folder)


def test_it_comes_back_as_it_was_saved(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = load_checkpoint(tiny_checkpoint)
    config = replace(first.config, languages=("python", "lua"), memory_weights=(0.0, 0.25), show_threshold=0.5)
    again = save(tmp_path / "again", replace(first, config=config))
    assert again.config == config
    assert again.revision == first.revision
    assert again.tokenizer.encode("total = alpha\n") == first.tokenizer.encode("total = alpha\n")
    assert not again.network.training
    weights = again.network.state_dict()
    assert weights.keys() == first.network.state_dict().keys()
    for name, value in first.network.state_dict().items():
        assert torch.equal(weights[name], value), name


def test_weights_are_stored_in_half_and_loaded_in_full(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    network = EmbeddedNetwork(checkpoint.config.network)
    again = save(tmp_path, replace(checkpoint, network=network))
    stored = load_file(tmp_path / "weights.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.bfloat16}
    expected = network.embedding.weight.detach().bfloat16().float()
    assert torch.equal(again.network.embedding.weight, expected)


def test_the_revision_is_of_the_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    before = checkpoint.revision
    assert re.fullmatch("[0-9a-f]{12}", before)
    renamed = save(tmp_path / "renamed", replace(checkpoint, config=replace(checkpoint.config, name="another")))
    assert renamed.revision == before
    with torch.no_grad():
        checkpoint.network.canvas_embedding[0] += 1.0
    assert save(tmp_path / "moved", checkpoint).revision != before


# --- what is refused


def edit_config(change: Callable[[dict[str, Any]], object]) -> Damage:
    def damage(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        change(config)
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return damage


def overwrite(name: str, content: bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(content)


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def truncate(name: str, share: float) -> Damage:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: int(len(content) * share)])

    return damage


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "weights.safetensors")
        change(tensors)
        save_file(tensors, folder / "weights.safetensors")

    return damage


def train_another_tokenizer(folder: Path) -> None:
    train_tokenizer(iter(["total = alpha + beta\n"] * 3), 260).save(folder / "tokenizer.json")


REINSTALL, SAME_RUN = "reinstall midfill", "take both from the same training run"
DAMAGES: dict[str, tuple[Damage, str, str]] = {
    # what is done, the file that the sentence names, what it says to do
    "no config": (remove("config.json"), "config.json", "give another folder"),
    "no tokenizer": (remove("tokenizer.json"), "tokenizer.json", "give another folder"),
    "no weights": (remove("weights.safetensors"), "weights.safetensors", "give another folder"),
    "half the weights": (truncate("weights.safetensors", 0.5), "weights.safetensors", REINSTALL),
    "weights that end in their header": (truncate("weights.safetensors", 0.01), "weights.safetensors", REINSTALL),
    "empty weights": (overwrite("weights.safetensors", b""), "weights.safetensors", REINSTALL),
    "weights that are none": (overwrite("weights.safetensors", b"<html>" * 50), "weights.safetensors", REINSTALL),
    "weights of another width": (
        edit_config(lambda config: config["network"].update(head_dim=32)),
        "weights.safetensors",
        SAME_RUN,
    ),
    "weights of another depth": (
        edit_config(lambda config: config["network"].update(num_layers=3)),
        "weights.safetensors",
        SAME_RUN,
    ),
    "weights without a tensor": (
        edit_weights(lambda tensors: tensors.pop("canvas_embedding")),
        "weights.safetensors",
        SAME_RUN,
    ),
    "a tokenizer of another vocabulary": (train_another_tokenizer, "tokenizer", SAME_RUN),
    "half a tokenizer": (truncate("tokenizer.json", 0.5), "tokenizer.json", REINSTALL),
    "an empty tokenizer": (overwrite("tokenizer.json", b""), "tokenizer.json", REINSTALL),
    "a format of the future": (
        edit_config(lambda config: config.update(format=2)),
        "has format 2, this midfill reads format 1",
        "update whichever is older",
    ),
    "half a config": (truncate("config.json", 0.5), "config.json", REINSTALL),
    "a config that is not UTF-8": (overwrite("config.json", b'{"format": "\xff"}'), "config.json", REINSTALL),
    "a config that is a list": (overwrite("config.json", b"[1]"), "config.json", REINSTALL),
    "a config without a format": (edit_config(lambda config: config.pop("format")), "config.json", REINSTALL),
    "a config without a network": (edit_config(lambda config: config.pop("network")), "config.json", REINSTALL),
    "a config without a name": (edit_config(lambda config: config.pop("name")), "config.json", REINSTALL),
    "a config with a word too many": (edit_config(lambda config: config.update(width=64)), "config.json", REINSTALL),
    "no layers": (edit_config(lambda config: config["network"].update(num_layers=0)), "config.json", REINSTALL),
    "a word for a size": (
        edit_config(lambda config: config["network"].update(num_heads="2")),
        "config.json",
        REINSTALL,
    ),
}


@pytest.mark.parametrize(("damage", "named", "way_out"), DAMAGES.values(), ids=DAMAGES)
def test_a_broken_checkpoint_is_refused(folder: Path, damage: Damage, named: str, way_out: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError) as refused:
        load_checkpoint(folder)
    sentence = str(refused.value)
    assert str(folder) in sentence
    assert named in sentence
    assert way_out in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_there_is_no_such_model(tmp_path: Path) -> None:
    for name in ("no-such", str(tmp_path / "nowhere")):
        with pytest.raises(CheckpointError, match=f"no model '{re.escape(name)}'.*see `midfill models`"):
            load_model(name, lambda progress, sentence: None)


def test_loading_says_how_far_it_is(tiny_checkpoint: Path) -> None:
    reported: list[tuple[float, str]] = []
    model = load_model(
        str(tiny_checkpoint), lambda progress, sentence: reported.append((progress, sentence)), "float32"
    )
    assert (model.info.device, model.info.precision) == ("cpu", "float32")
    progress = [share for share, _ in reported]
    assert progress == sorted(progress)
    assert 0 <= progress[0] < progress[-1] <= 1
    assert f"reading {tiny_checkpoint.name}" in [sentence for _, sentence in reported]
