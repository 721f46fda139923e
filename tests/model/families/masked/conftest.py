"""Tiny masked diffusion models, trained (`tests/data/toy-*`) or made here, loaded as real ones would be."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

import toy_coder
from safetensors.torch import load_file
from toy_coder_language import HOLE

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.loading import load_model
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart

torch.set_num_threads(1)
DATA = Path(__file__).parents[3] / "data"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by kind. Open-dCoder's has the tensors of the toy Dream, in its own files."""
    open_dcoder = tmp_path_factory.mktemp("open-dcoder")
    toy_coder.save_toy(open_dcoder, "open-dcoder", load_file(DATA / "toy-dream" / "model.safetensors"))
    trained = {kind: DATA / f"toy-{kind}" for kind in ("dream", "dreamon", "llada")}
    return {kind: folder for kind, folder in trained.items() if folder.is_dir()} | {"open-dcoder": open_dcoder}


@pytest.fixture(scope="session")
def load(checkpoints: dict[str, Path]) -> Callable[[str], DenoisingModel]:
    loaded = dict[str, DenoisingModel]()

    def of_kind(kind: str) -> DenoisingModel:
        if kind not in loaded:
            model = load_model(str(checkpoints[kind]), lambda progress, sentence: None, "float32")
            assert isinstance(model, DenoisingModel)
            loaded[kind] = model
        return loaded[kind]

    return of_kind


def request_of(text: str, max_tokens: int = 7, **changes: object) -> InfillRequest:
    """A request from text in which `⟨⟩` marks a hole."""
    before, *rest = text.split(HOLE)
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
