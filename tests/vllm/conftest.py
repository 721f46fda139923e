"""vLLM's stand-in behind real HTTP, and models in front of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from midfill.model.families.vllm.loading import load_vllm
from midfill.model.families.vllm.model import VllmModel
from midfill.model.wire.api import Infill, InfillRequest, Step

sys.path.insert(0, str(Path(__file__).parent))

from stand_in import Serving, StandIn, create_app


@pytest.fixture
def served() -> Iterator[Callable[..., Serving]]:
    """Serve an app until the test ends."""
    running: list[Serving] = []

    def serve(app: Any, **options: Any) -> Serving:
        running.append(Serving(app, **options))
        return running[-1]

    yield serve
    for one in running:
        one.stop()


@pytest.fixture
def stand_in(served: Callable[..., Serving]) -> Iterator[tuple[StandIn, str]]:
    """A stand-in and its URL."""
    model = StandIn()
    return model, served(create_app(model)).url


@pytest.fixture
def load() -> Callable[..., VllmModel]:
    def load(url: str, **options: Any) -> VllmModel:
        return load_vllm(f"vllm:{url}", lambda progress, sentence: None, **options)

    return load


@pytest.fixture
def ask() -> Callable[[VllmModel, InfillRequest], tuple[Infill, list[Step]]]:
    """What a model answers, and the steps on the way."""

    def ask(model: VllmModel, request: InfillRequest) -> tuple[Infill, list[Step]]:
        items = list(model.infill(request, time.monotonic()))
        answer = items[-1]
        assert isinstance(answer, Infill)
        return answer, [item for item in items if isinstance(item, Step)]

    return ask
