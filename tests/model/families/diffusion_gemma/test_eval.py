"""`midfill eval executable` measures a DiffusionGemma too: the command for whoever has the weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from midfill.model.evaluation.__main__ import app

TASK = {
    "task_id": "Own/add/L1",
    "entry_point": "add",
    "prompt": "def add(alpha, beta):\n",
    "canonical_solution": "    return alpha + beta\n",
    "suffix": "",
    "test": "def check(candidate):\n    assert candidate(2, 3) == 5\n",
}


@pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")
def test_it_is_measured_without_what_only_the_embedded_family_can(random_checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(json.dumps(TASK) + "\n")
    options = ["--allow-code-execution", "--max-tokens", "4", "--json", "--model", str(random_checkpoint)]
    ran = CliRunner().invoke(app, ["executable", str(path), *options])
    assert ran.exit_code == 0, ran.output
    figures = json.loads(ran.stdout)
    assert figures["model"] == "tiny-gemma"
    assert figures["pass@1"] == 0.0, "random weights"
    assert figures["forwards"] > 1
    assert "same_file_copy_pass@1" in figures
    assert "left_to_right_pass@1" not in figures
    readable = CliRunner().invoke(app, ["executable", str(path), *options[:3], *options[4:]])
    assert "same-file copy: 0.0%" in readable.stdout
