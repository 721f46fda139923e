"""Checkpoints: what was saved comes back, and what is wrong with one is said in a sentence that names it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from midfill.model.checkpoint import load_checkpoint, save_checkpoint
from midfill.model.errors import CheckpointError
from midfill.model.families.embedded_network import EmbeddedNetwork
from midfill.model.loading import load_model
from midfill.model.tokenizer import CodeTokenizer, train_tokenizer


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint"))


def test_what_was_saved_comes_back(folder: Path, tmp_path: Path) -> None:
    first = load_checkpoint(folder)
    save_checkpoint(tmp_path / "again", first.network, first.tokenizer, first.config)
    again = load_checkpoint(tmp_path / "again")
    assert again.config == first.config
    assert again.revision == first.revision
    for name, value in first.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], value), name


def test_other_weights_have_another_revision(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    with torch.no_grad():
        checkpoint.network.canvas_embedding.add_(1.0)
    save_checkpoint(folder, checkpoint.network, checkpoint.tokenizer, checkpoint.config)
    assert load_checkpoint(folder).revision != checkpoint.revision


def truncate(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def shrink_the_network(folder: Path) -> None:
    checkpoint = load_checkpoint(folder)
    config = replace(checkpoint.config.network, num_layers=1)
    network = EmbeddedNetwork(config)
    save_checkpoint(folder / "small", network, checkpoint.tokenizer, checkpoint.config)
    shutil.copy(folder / "small" / "weights.safetensors", folder)


def exchange_the_tokenizer(folder: Path) -> None:
    train_tokenizer(iter(["a b c"]), 260).save(folder / "tokenizer.json")


def raise_the_format(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": 99}))


BREAKAGES: list[tuple[Callable[[Path], object], str]] = [
    (lambda folder: (folder / "config.json").unlink(), "has no config.json; reinstall"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json; reinstall"),
    (lambda folder: (folder / "weights.safetensors").unlink(), "has no weights.safetensors; reinstall"),
    (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
    (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json cannot be read"),
    (truncate, "weights.safetensors are truncated or damaged"),
    (shrink_the_network, "do not match .*config.json.*same training run"),
    (exchange_the_tokenizer, "does not fit together.*same training run"),
    (raise_the_format, "format 99, this midfill reads format 1; update"),
]


@pytest.mark.parametrize(("breakage", "sentence"), BREAKAGES, ids=[sentence for _, sentence in BREAKAGES])
def test_what_is_wrong_is_said(folder: Path, breakage: Callable[[Path], object], sentence: str) -> None:
    breakage(folder)
    with pytest.raises(CheckpointError, match=sentence):
        load_checkpoint(folder)


def test_a_model_that_does_not_exist() -> None:
    with pytest.raises(CheckpointError, match=r"no model 'no-such-model'.*midfill doctor"):
        load_model("no-such-model", lambda progress, sentence: None)


TEXTS = [
    "",
    "x = 1\n",
    "a\r\n\tb",
    "\x00\x0c\x85\u2028",
    "𝒳 = '🙂é'\n",
    "<mask><end><hole_1><suffix>",
    "\n\n        deep\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_and_never_makes_a_special_token(toy_tokenizer: CodeTokenizer, text: str) -> None:
    ids = toy_tokenizer.encode(text)
    assert toy_tokenizer.decode(ids) == text
    assert all(token < toy_tokenizer.num_text_tokens for token in ids)
    decoded, starts = toy_tokenizer.decode_with_offsets(ids)
    assert decoded == text
    assert starts == sorted(starts)
    assert all(0 <= start <= len(text) for start in starts)


def test_digits_stand_alone_and_a_line_break_has_its_indentation(toy_tokenizer: CodeTokenizer) -> None:
    pieces = [toy_tokenizer.decode([token]) for token in toy_tokenizer.encode("x = 1234\n    return total")]
    assert [piece for piece in pieces if piece.isdigit()] == ["1", "2", "3", "4"]
    assert "\n    " in pieces
