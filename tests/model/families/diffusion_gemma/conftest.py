"""A tiny DiffusionGemma with random weights, saved and loaded as a real one would be."""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import toy
from toy_language import random_source

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.loading import load_model
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random") / "tiny-gemma"
    torch.manual_seed(0)
    rng = random.Random(0)
    tokenizer = toy.toy_tokenizer(iter([random_source(rng, 2) for _ in range(50)]))
    toy.save_toy(folder, toy.tiny_network(len(tokenizer)), tokenizer)
    return folder


@pytest.fixture
def checkpoint(random_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(random_checkpoint, tmp_path / "tiny-gemma"))


def load_float32(folder: Path, infilling: Literal["chat", "clamped"] = "clamped") -> DenoisingModel:
    model = load_model(str(folder), lambda progress, sentence: None, "float32", infilling=infilling)
    assert isinstance(model, DenoisingModel)
    return model


@pytest.fixture(scope="session")
def random_model(random_checkpoint: Path) -> DenoisingModel:
    return load_float32(random_checkpoint)


def request_of(text: str, max_tokens: int = 4, **changes: object) -> InfillRequest:
    """A request from text in which `⟨⟩` marks a hole."""
    before, *rest = text.split("⟨⟩")
    parts: list[TextPart | HolePart] = [TextPart(before)]
    for number, behind in enumerate(rest, start=1):
        parts += [HolePart(Hole(str(number), max_tokens)), TextPart(behind)]
    return InfillRequest(parts=tuple(parts), **changes)  # type: ignore[arg-type]


def run_to_end(model: DenoisingModel, request: InfillRequest) -> tuple[list[Step], Infill]:
    items = list(model.infill(request, time.monotonic()))
    assert isinstance(items[-1], Infill)
    return [item for item in items if isinstance(item, Step)], items[-1]


@pytest.fixture(scope="session")
def request_from() -> Callable[..., InfillRequest]:
    return request_of


@pytest.fixture(scope="session")
def run() -> Callable[[DenoisingModel, InfillRequest], tuple[list[Step], Infill]]:
    return run_to_end


@pytest.fixture(scope="session")
def load() -> Callable[..., DenoisingModel]:
    return load_float32
