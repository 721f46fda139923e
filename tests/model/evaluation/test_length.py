"""`midfill eval length`: holes of given lengths, and a given number of forward passes."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner, Result

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.length import LENGTHS, TOLERANCE, LimitedSteps, draw_lengths
from midfill.model.measuring.front import Front
from midfill.model.measuring.methods import METHODS, answer, embedded
from midfill.model.measuring.split import SplitFile

SOURCE = "\n\n".join(
    f"def add_{first}({first}, {second}):\n    total = {first} + {second}\n    return total\n"
    for first, second in [("alpha", "beta"), ("gamma", "delta"), ("omega", "sigma"), ("kappa", "theta")] * 4
)
FILES = [SplitFile(SOURCE), SplitFile(SCRIPT, "javascript", "a.js")]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_hole_is_as_long_as_it_says(tiny: DenoisingModel, length: int) -> None:
    tasks = list(draw_lengths(FILES, length, 5, 0, tiny))
    assert tasks == list(draw_lengths(FILES, length, 5, 0, tiny))
    assert [task.language for task in tasks] == ["python"] * 3 + ["javascript"] * 2
    for task in tasks:
        num_tokens = len(embedded(tiny).tokenizer.encode(task.truth))
        assert abs(num_tokens - length) <= TOLERANCE * length
        assert num_tokens <= tiny.info.max_canvas_tokens
        assert not task.before.rpartition("\n")[2].strip()
        assert task.after.startswith("\n")


@pytest.mark.parametrize("max_steps", [1, 2])
def test_no_more_steps_than_are_allowed(tiny: DenoisingModel, max_steps: int) -> None:
    limited = DenoisingModel(LimitedSteps(embedded(tiny), max_steps))
    with Front(tiny.info) as front:
        tasks = list(draw_lengths(FILES[:1], 16, 5, 0, tiny))
        requests = [front.plan(task.source, [task.span.start], max_tokens=31) for task in tasks]
    assert all(1 <= answer(limited, asked, "diffusion", "", "").forwards <= max_steps for asked in requests)
    without = [answer(tiny, asked, "diffusion", "", "").forwards for asked in requests]
    assert max(without) > max_steps, "the limit limits nothing"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_split(folder, "test", SOURCE)
    return folder


def run(corpus: Path, checkpoint: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["length", "--corpus", str(corpus), "--model", str(checkpoint), *options])


def test_rows_for_every_length_and_number_of_steps(corpus: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot = tmp_path / "plots" / "length.png"
    ran = run(corpus, tiny_checkpoint, "--limit", "1", "--steps", "4,1", "--plot", str(plot), "--json")
    assert ran.exit_code == 0, ran.output
    rows = {(row["kind"], row["method"]): row for row in json.loads(ran.stdout)["rows"]}
    expected = {(f"{length} tokens", method) for length in LENGTHS for method in METHODS[:4]}
    expected |= {(f"rest of line, {steps}", method) for steps in ("1 step", "4 steps") for method in METHODS[:2]}
    expected |= {("rest of line", method) for method in METHODS[2:4]}
    assert set(rows) == expected
    assert rows["rest of line, 1 step", "diffusion"]["forwards"] == 1
    assert list(rows["8 tokens", "diffusion"]["minus"]) == ["left to right with memory"]
    assert list(rows["8 tokens", "diffusion alone"]["minus"]) == ["left to right"]
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("steps", ["0", "one", "4,-1"])
def test_steps_that_are_none(corpus: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, steps: str) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    ran = run(corpus, tiny_checkpoint, "--steps", steps)
    assert ran.exit_code == 2
    assert "--steps must be whole numbers from 1 on" in " ".join(ran.output.replace("│", " ").split())


def test_without_matplotlib_nothing_is_measured_first(
    corpus: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ran = run(corpus, tiny_checkpoint, "--plot", str(tmp_path / "length.png"))
    assert ran.exit_code == 2
    said = " ".join(ran.output.replace("│", " ").split())
    assert re.search(r"--plot needs matplotlib, which is not installed; run: .* pip install .*\[train\]'", said)
