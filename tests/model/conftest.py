"""A tiny checkpoint, trained for seconds by the real program on a toy language, and the one that ships."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from midfill.model.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart
from midfill.model.families.embedded_network import NetworkConfig
from midfill.model.families.family import Model
from midfill.model.loading import embedded_folder, load_model
from midfill.model.tokenizer import CodeTokenizer, train_tokenizer
from midfill.model.training.examples import ContextSizes, Shards, TrainingFile, draw_examples, write_shard
from midfill.model.training.train import RunSettings, start_run

torch.set_num_threads(1)  # the tensors are tiny: a second thread only waits

NAMES = ["alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta"]


def toy_source(rng: random.Random) -> str:
    """A file in which a function returns the sum of its two arguments, a few times over."""
    functions = []
    for _ in range(4):
        first, second = rng.sample(NAMES, 2)
        functions.append(f"def add_{first}({first}, {second}):\n    total = {first} + {second}\n    return total\n")
    return "\n\n".join(functions)


@pytest.fixture(scope="session")
def toy_tokenizer() -> CodeTokenizer:
    rng = random.Random(0)
    return train_tokenizer(iter([toy_source(rng) for _ in range(50)]), 320)


@pytest.fixture(scope="session")
def toy_shards_path(tmp_path_factory: pytest.TempPathFactory, toy_tokenizer: CodeTokenizer) -> Path:
    rng = random.Random(1)
    sizes = ContextSizes(96, 48)
    examples = [e for _ in range(200) for e in draw_examples(TrainingFile(toy_source(rng)), toy_tokenizer, sizes, rng)]
    path = tmp_path_factory.mktemp("shards") / "train-000.npz"
    write_shard(path, examples)
    return path


@pytest.fixture(scope="session")
def toy_shards(toy_shards_path: Path) -> Shards:
    return Shards([toy_shards_path])


def toy_settings(num_steps: int) -> RunSettings:
    return RunSettings(
        network=NetworkConfig(vocab_size=342, num_layers=2, num_heads=2, head_dim=16, matched_tokens=6),
        context=ContextSizes(96, 48),
        row_length=320,
        rows_per_batch=2,
        causal_share=0.3,
        budget_steps=num_steps,
    )


@pytest.fixture(scope="session")
def toy_run() -> Callable[[int], RunSettings]:
    return toy_settings


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory, toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> Path:
    folder = tmp_path_factory.mktemp("run")
    start_run(folder, toy_settings(60), toy_tokenizer, toy_shards)
    return folder / "checkpoint"


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
