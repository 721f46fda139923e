"""Several holes: the file, the ways to fill them, and making such a file from one with single holes."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.infilling_file import InfillingFileError, InfillingTask, read_several
from midfill.model.evaluation.make_holes import with_more_holes
from midfill.model.evaluation.several_holes import WAYS, Filler
from midfill.model.measuring.front import Front

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

TASK: dict[str, Any] = {
    "task_id": "Own/mean/0",
    "entry_point": "mean",
    "segments": ["def mean(values):\n", "    number = len(", ")\n    return total / number\n"],
    "holes": ["    total = sum(values)\n", "values"],
    "test": "def check(candidate):\n    assert candidate([1, 2, 6]) == 3\n",
}
BARE = {**TASK, "task_id": "Own/mean/1", "entry_point": None, "test": "assert mean([1, 2, 6]) == 3"}
SINGLE = InfillingTask(
    "Own/sums/L2",
    (
        "def sums(alpha, beta):\n    total = alpha + beta\n",
        "    other = alpha * (beta - 1)\n    pair = (total, other)\n    if total > other:\n"
        "        pair = (total + 0, other)\n    first, second = pair\n    return first, second\n",
    ),
    ("    alpha = beta + total\n",),
    "assert sums(1, 2) == (3, 5)",
)


@pytest.fixture
def holes_file(tmp_path: Path) -> Path:
    path = tmp_path / "holes.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in (TASK, BARE)))
    return path


def evaluate(path: Path, *options: str) -> dict[str, Any]:
    ran = CliRunner().invoke(app, ["holes", str(path), "--allow-code-execution", "--json", *options])
    assert ran.exit_code == 0, ran.output
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


@pytest.mark.parametrize(("fills", "share"), [("canonical", 1.0), ("wrong", 0.0), ("empty", 0.0)])
def test_the_tests_tell_right_from_wrong(holes_file: Path, fills: str, share: float) -> None:
    figures = evaluate(holes_file, "--fills", fills)
    assert (figures["pass@1"], figures["num_tasks"]) == (share, 2)
    assert figures["exact_match"] == float(fills == "canonical")


def test_the_ways_are_compared(holes_file: Path, tiny_checkpoint: Path) -> None:
    figures = evaluate(holes_file, "--model", str(tiny_checkpoint), "--limit", "1", "--max-tokens", "7")
    assert list(figures)[:3] == ["pass@1", "exact_match", "num_tasks"]
    assert tuple(figures["ways"]) == WAYS
    rows = figures["ways"]
    assert figures["pass@1"] == rows["joint"]["pass@1"]
    assert rows["joint"]["forwards"] <= rows["document order"]["forwards"]
    assert rows["joint at half"]["forwards"] <= max(rows["document order"]["forwards"] / 2, 1)
    assert set(figures["minus"]) == {f"{a} - {b}" for a in WAYS[:2] for b in WAYS[2:]}
    assert figures["joint_in_one_request"] == 1


def test_limits_of_forwards_hold_for_all_requests_together(tiny: DenoisingModel) -> None:
    task = InfillingTask(TASK["task_id"], tuple(TASK["segments"]), tuple(TASK["holes"]), "").opened
    with Front(tiny.info) as front:
        filler = Filler(tiny, front, 7, 1)
        assert filler.joint_groups(task) == [[0, 1]]
        for groups in ([[0, 1]], [[0], [1]], [[1], [0]]):
            filled = filler.fill(task, groups, 2)
            assert len(groups) <= filled.forwards <= 2
            assert len(filled.fills) == 2
        touching = InfillingTask("", ("a = ", "", "\n"), ("1", "2"), "")
        assert filler.joint_groups(touching) == [[0], [1]]


def test_places_are_where_the_fills_begin() -> None:
    task = InfillingTask("", ("ab", "c", "def"), ("XY", "Z"), "")
    assert task.filled(task.holes) == "abXYcZdef"
    assert task.places(task.holes) == [2, 5]
    assert task.places(("", "")) == [2, 3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": ["a", "b"]}, r"line 1: 2 `segments` do not go around 2 `holes`; give one more of them"),
        ({"holes": []}, r"line 1: 3 `segments` do not go around 0 `holes`"),
        ({"holes": ["a", 1]}, r"line 1: `segments` and `holes` must be lists of strings"),
        ({"holes": "ab"}, r"line 1: `holes` must be a list, got 'ab'"),
    ],
)
def test_a_bad_file_is_an_error(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps({**TASK, **change}))
    with pytest.raises(InfillingFileError, match=message):
        read_several(path)


def test_nothing_is_run_unless_that_is_allowed(holes_file: Path) -> None:
    ran = CliRunner().invoke(app, ["holes", str(holes_file)])
    assert ran.exit_code == 2
    assert "Nothing was run" in ran.stderr


@pytest.mark.parametrize("num_holes", [2, 3, 4])
def test_more_holes_leave_the_program_as_it_was(num_holes: int) -> None:
    made = [with_more_holes(SINGLE, num_holes, seed) for seed in range(12)]
    found = [task for task in made if task]
    assert found
    for task in found:
        assert len(task.holes) == num_holes
        assert SINGLE.holes[0] in task.holes
        assert task.filled(task.holes) == SINGLE.filled(SINGLE.holes)
        assert all(between.strip() for between in task.segments[1:-1])
        assert all(hole.strip() for hole in task.holes)
    assert len({task.segments for task in found}) > 1
    assert made == [with_more_holes(SINGLE, num_holes, seed) for seed in range(12)]


def test_a_program_that_is_too_short_is_left_out() -> None:
    assert with_more_holes(InfillingTask("", ("def f():\n", ""), ("    return 1\n",), ""), 2, 0) is None


def test_a_file_is_made_and_its_own_programs_pass(tmp_path: Path) -> None:
    single, out = tmp_path / "single.jsonl", tmp_path / "several.jsonl.gz"
    row = {"task_id": SINGLE.task_id, "prompt": SINGLE.segments[0], "suffix": SINGLE.segments[1]}
    single.write_text(json.dumps({**row, "canonical_solution": SINGLE.holes[0], "test": SINGLE.test}))
    contents = []
    for _ in range(2):
        ran = CliRunner().invoke(app, ["make-holes", str(single), "--out", str(out), "--num-holes", "3"])
        assert ran.exit_code == 0, ran.output
        assert "1 programs with 3 holes, of 1" in ran.stdout
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    assert len(json.loads(gzip.decompress(contents[0]))["holes"]) == 3
    assert evaluate(out, "--fills", "canonical")["pass@1"] == 1
    assert evaluate(out, "--fills", "wrong")["pass@1"] == 0
