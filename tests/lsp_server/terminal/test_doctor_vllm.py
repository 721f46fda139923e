"""`midfill doctor --model vllm:URL`, the last line of every path in docs/DIFFUSIONGEMMA.md that leads through vLLM."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal.doctor_checks import SAMPLE
from midfill.model.wire.address import lock_path

sys.path.insert(0, str(Path(__file__).parents[2] / "vllm"))

from stand_in import Serving, StandIn, create_app


@pytest.fixture
def vllm(private_places: Path) -> Iterator[str]:
    serving = Serving(create_app(StandIn(files=[SAMPLE.replace("<fill>", "left + right")])))
    name = f"vllm:{serving.url}"
    yield name
    os.kill(int(lock_path(name).read_text()), signal.SIGKILL)
    serving.stop()


def test_it_is_reached_and_fills(midfill: Callable[..., Any], vllm: str) -> None:
    ran = midfill("doctor", "--json", "--model", vllm)
    found = {finding["what"]: finding for finding in json.loads(ran.out)["findings"]}
    assert ran.code == 0, found
    assert "behind another server" in found["Memory"]["detail"]
    assert found["A fill"]["detail"].startswith("'left + right' in ")
    assert "Packages of the model" not in found, "vLLM has them; here no torch is needed"
