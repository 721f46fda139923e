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

from midfill.model.families.embedded.checkpoint import (
    ADAPTER_NAME,
    Checkpoint,
    load_checkpoint,
    parent_path,
    read_adapter,
    save_checkpoint,
)
from midfill.model.families.loading import embedded_folder, load_model
from midfill.model.wire.base import BASE_SHA256, base_file
from midfill.model.wire.errors import CheckpointError

Damage = Callable[[Path], object]


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def save(folder: Path, checkpoint: Checkpoint) -> Checkpoint:
    save_checkpoint(folder, checkpoint.adapter, checkpoint.config)
    return load_checkpoint(folder)


def test_it_comes_back_as_it_was_saved(tiny_checkpoint: Path, tmp_path: Path) -> None:
    first = load_checkpoint(tiny_checkpoint)
    config = replace(first.config, languages=("python", "lua"), memory_weights=(0.0, 0.25), show_threshold=0.5)
    again = save(tmp_path / "again", replace(first, config=config))
    assert again.config == config
    assert again.revision == first.revision
    assert again.parent.sha256 == first.parent.sha256
    assert again.adapter.keys() == first.adapter.keys()
    for name, value in first.adapter.items():
        assert torch.equal(again.adapter[name], value), name


def test_adapters_are_stored_in_half_and_loaded_in_full(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    adapter = {name: value + 1e-5 for name, value in checkpoint.adapter.items()}
    again = save(tmp_path, replace(checkpoint, adapter=adapter))
    assert {value.dtype for value in load_file(tmp_path / ADAPTER_NAME).values()} == {torch.bfloat16}
    for name, value in adapter.items():
        assert torch.equal(again.adapter[name], value.bfloat16().float()), name


def test_the_revision_is_of_the_adapter(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    before = checkpoint.revision
    assert re.fullmatch("[0-9a-f]{12}", before)
    renamed = save(tmp_path / "renamed", replace(checkpoint, config=replace(checkpoint.config, name="another")))
    assert renamed.revision == before
    moved = {**checkpoint.adapter, "canvas_embedding": checkpoint.adapter["canvas_embedding"] + 1}
    assert save(tmp_path / "moved", replace(checkpoint, adapter=moved)).revision != before


def test_a_parent_is_found_from_the_checkpoints_folder(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A path relative to it, so that both can be moved together; and the installed base by its name."""
    first = load_checkpoint(tiny_checkpoint)
    shutil.copytree(first.config.parent, tmp_path / "parent")
    again = save(tmp_path / "checkpoint", replace(first, config=replace(first.config, parent="../parent")))
    assert again.parent.sha256 == first.parent.sha256
    assert parent_path(tmp_path, replace(first.config, parent="base")) == base_file()


def test_the_shipped_checkpoint_belongs_to_the_installed_base() -> None:
    config, _, _ = read_adapter(embedded_folder())
    assert (config.parent, config.parent_sha256) == ("base", BASE_SHA256)


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


REINSTALL = "reinstall midfill"
DAMAGES: dict[str, tuple[Damage, str, str]] = {
    # what is done, the file that the sentence names, what it says to do
    "no config": (remove("config.json"), "config.json", "give another folder"),
    "no adapter": (remove(ADAPTER_NAME), ADAPTER_NAME, "give another folder"),
    "half the adapter": (truncate(ADAPTER_NAME, 0.5), ADAPTER_NAME, REINSTALL),
    "an adapter that ends in its header": (truncate(ADAPTER_NAME, 0.01), ADAPTER_NAME, REINSTALL),
    "an empty adapter": (overwrite(ADAPTER_NAME, b""), ADAPTER_NAME, REINSTALL),
    "an adapter that is none": (overwrite(ADAPTER_NAME, b"<html>" * 50), ADAPTER_NAME, REINSTALL),
    "another parent than its own": (
        edit_config(lambda config: config.update(parent_sha256="0" * 64)),
        "was trained on another parent",
        "give the parent that it was trained on",
    ),
    "the old format": (
        edit_config(lambda config: config.update(format=1)),
        "has format 1, this midfill reads format 2",
        "update whichever is older",
    ),
    "a format of the future": (
        edit_config(lambda config: config.update(format=3)),
        "has format 3, this midfill reads format 2",
        "update whichever is older",
    ),
    "half a config": (truncate("config.json", 0.5), "config.json", REINSTALL),
    "a config that is not UTF-8": (overwrite("config.json", b'{"format": "\xff"}'), "config.json", REINSTALL),
    "a config that is a list": (overwrite("config.json", b"[1]"), "config.json", REINSTALL),
    "a config without a format": (edit_config(lambda config: config.pop("format")), "config.json", REINSTALL),
    "a config without a parent": (edit_config(lambda config: config.pop("parent")), "config.json", REINSTALL),
    "a config without a name": (edit_config(lambda config: config.pop("name")), "config.json", REINSTALL),
    "a config with a word too many": (edit_config(lambda config: config.update(width=64)), "config.json", REINSTALL),
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


def test_a_parent_that_is_gone_is_named(folder: Path) -> None:
    edit_config(lambda config: config.update(parent="../gone"))(folder)
    with pytest.raises(CheckpointError, match=r"no parent model at .*gone; give a GGUF file or a folder"):
        load_checkpoint(folder)


def test_an_adapter_of_another_shape_is_not_served(folder: Path) -> None:
    adapter = load_file(folder / ADAPTER_NAME)
    save_file({**adapter, "hole.norm.scale": torch.ones(1)}, folder / ADAPTER_NAME)
    with pytest.raises(CheckpointError, match=r"hole\.norm\.scale has the shape \(1,\)"):
        load_model(str(folder), lambda progress, sentence: None)


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
    assert f"reading {tiny_checkpoint.name} and its parent" in [sentence for _, sentence in reported]
