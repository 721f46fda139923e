"""A tiny checkpoint, trained for seconds by the real program on a toy language, and the one that ships."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from toy_parent import NUM_TEXT_TOKENS, save_parent, toy_llama, toy_source, train_bpe, train_toy

from midfill.model.engine.family import Model
from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.checkpoint import load_checkpoint
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.embedded.parent import Parent, parent_sha256, read_parent
from midfill.model.families.embedded.repository import Repository
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.families.loading import embedded_folder, load_model
from midfill.model.training.batches import BatchSettings
from midfill.model.training.examples import ContextSizes, Shards, TrainingFile, draw_examples, write_shard
from midfill.model.training.train import RunSettings, start_run
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart
from midfill.model.wire.base import base_file

torch.set_num_threads(1)  # the tensors are tiny: a second thread only waits


@pytest.fixture(scope="session")
def toy_parent_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of transformers that has learnt the toy language."""
    folder, rng = tmp_path_factory.mktemp("parent"), random.Random(0)
    bpe, network = train_bpe([toy_source(rng) for _ in range(50)], NUM_TEXT_TOKENS), toy_llama()
    save_parent(folder, network, bpe)
    train_toy(network, CodeTokenizer.load(folder / "tokenizer.json", NUM_TEXT_TOKENS), 120)
    save_parent(folder, network, bpe)
    return folder


@pytest.fixture(scope="session")
def base_parent() -> Parent:
    """The pretrained base, as it is installed."""
    return read_parent(base_file())


@pytest.fixture(scope="session")
def toy_parent(toy_parent_folder: Path) -> Parent:
    return read_parent(toy_parent_folder)


@pytest.fixture(scope="session")
def toy_tokenizer(toy_parent: Parent) -> CodeTokenizer:
    return toy_parent.tokenizer


@pytest.fixture(scope="session")
def toy_shards_path(tmp_path_factory: pytest.TempPathFactory, toy_tokenizer: CodeTokenizer) -> Path:
    rng = random.Random(1)
    sizes = ContextSizes(96, 48)
    files = [TrainingFile(toy_source(rng, rng.choice((4, 12)))) for _ in range(150)]
    examples = [example for file in files for example in draw_examples(file, toy_tokenizer, sizes, rng)]
    path = tmp_path_factory.mktemp("shards") / "train-000.npz"
    write_shard(path, examples)
    return path


@pytest.fixture(scope="session")
def toy_shards(toy_shards_path: Path) -> Shards:
    return Shards([toy_shards_path])


@pytest.fixture(scope="session")
def toy_run(toy_parent_folder: Path) -> Callable[[int], RunSettings]:
    def toy_settings(num_steps: int) -> RunSettings:
        return RunSettings(
            parent=str(toy_parent_folder),
            parent_sha256=parent_sha256(toy_parent_folder),
            rank=8,
            context=ContextSizes(96, 48),
            batches=BatchSettings(num_draws=4, max_positions=1200, max_context=160),
            rate=5.0,
            warm_up_steps=5,
            budget_steps=num_steps,
        )

    return toy_settings


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory,
    toy_parent: Parent,
    toy_shards: Shards,
    toy_run: Callable[[int], RunSettings],
) -> Path:
    folder = tmp_path_factory.mktemp("run")
    start_run(folder, toy_run(100), toy_parent, toy_shards)
    return folder / "checkpoint"


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> DenoisingModel:
    """The tiny checkpoint as it is served, in float32, with an empty cache; `fresh` gives a new cache."""
    model = load_model(str(tiny_checkpoint), lambda progress, sentence: None, "float32")
    assert isinstance(model, DenoisingModel)
    return model


@pytest.fixture(scope="session")
def tiny_with(tiny: DenoisingModel, tiny_checkpoint: Path) -> Callable[..., DenoisingModel]:
    """The tiny model with another config, such as `verbs=("rename",)`, or `repository=`; its network is shared."""
    checkpoint, denoiser = load_checkpoint(tiny_checkpoint), tiny.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)

    def changed(repository: Repository | None = None, **changes: Any) -> DenoisingModel:
        other = replace(checkpoint, config=replace(checkpoint.config, **changes), repository=repository)
        return DenoisingModel(EmbeddedDenoiser(other, denoiser.network, denoiser.device, "float32"))

    return changed


@pytest.fixture(scope="session")
def shipped() -> Model:
    """The checkpoint in the package, in float32: what every machine can run and compare."""
    return load_model(str(embedded_folder()), lambda progress, sentence: None, "float32")


def run_to_end(model: Model, request: InfillRequest) -> tuple[list[Step], Infill]:
    items = [item for item in model.infill(request, time.monotonic()) if item is not None]
    assert isinstance(items[-1], Infill)
    return [item for item in items if isinstance(item, Step)], items[-1]


@pytest.fixture(scope="session")
def run() -> Callable[[Model, InfillRequest], tuple[list[Step], Infill]]:
    return run_to_end


def marked(text: str, **changes: object) -> InfillRequest:
    """A request from text in which `⟨name⟩` marks a hole."""
    parts: list[TextPart | HolePart] = []
    while "⟨" in text:
        before, _, rest = text.partition("⟨")
        name, _, text = rest.partition("⟩")
        parts += [TextPart(before), HolePart(Hole(name, 31))]
    return InfillRequest(parts=(*parts, TextPart(text)), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def request_of() -> Callable[..., InfillRequest]:
    return marked
