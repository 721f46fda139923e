"""`midfill doctor --model FOLDER` loads a DiffusionGemma in a resident, times a step and fills."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def places() -> Iterator[Path]:
    """Sockets and logs of this test alone; the residents that it left end with it."""
    directory = Path(tempfile.mkdtemp(prefix="mf"))
    yield directory
    for lock in directory.glob("midfill/*.lock"):
        os.kill(int(lock.read_text()), signal.SIGTERM)
    shutil.rmtree(directory)


def examined(model: Path, places: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-P", "-m", "midfill.lsp_server", "doctor", "--json", "--model", str(model)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(places), "XDG_STATE_HOME": str(places)}
    environment.pop("MIDFILL_ENDPOINT", None)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(ran.stdout)
    return ran.returncode, {finding["what"]: finding for finding in answer["findings"]}


def test_it_is_loaded_and_fills(random_checkpoint: Path, places: Path) -> None:
    code, found = examined(random_checkpoint, places)
    assert code == 0, found
    assert "tiny-gemma" in found["Loading"]["detail"]
    assert "float32 on cpu" in found["Loading"]["detail"]
    assert re.search(r" in \d+ ms, \d+ forward passes of \d+\.\d ms$", found["A fill"]["detail"])


def test_what_cannot_be_loaded_says_why(checkpoint: Path, places: Path) -> None:
    (checkpoint / "tokenizer.json").unlink()
    code, found = examined(checkpoint, places)
    assert code == 1
    assert found["Memory"]["is_well"]
    assert "has no tokenizer.json" in found["Loading"]["remedy"]


def test_a_folder_that_is_too_large_is_refused_before_it_is_read(checkpoint: Path, places: Path) -> None:
    os.truncate(checkpoint / "model.safetensors", 10**13)
    code, found = examined(checkpoint, places)
    assert code == 1
    assert re.search(r"\d+\.\d GB of .+ are missing", found["Memory"]["detail"])
    assert "vllm serve" in found["Memory"]["remedy"]
    assert "Loading" not in found
