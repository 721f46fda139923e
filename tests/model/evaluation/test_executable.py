"""Executable infilling: both forms of tests, right and wrong fills, bad files, and the command."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.infilling_file import (
    InfillingFileError,
    InfillingTask,
    expected_indentation,
    read_tasks,
    spread,
)
from midfill.model.evaluation.sandbox import Limits, run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

CHECKED = "def check(candidate):\n    assert candidate(2, 3) == 5\n    assert candidate(-1, 1) == 0\n"
ADD: dict[str, Any] = {
    "task_id": "Own/add/L1",
    "entry_point": "add",
    "prompt": "def add(alpha, beta):\n",
    "canonical_solution": "    total = alpha + beta\n",
    "suffix": "    return total\n",
    "test": CHECKED,
}
LONGEST: dict[str, Any] = {
    "task_id": "Own/longest/L2",
    "prompt": "def longest(words):\n    best = ''\n    for word in words:\n",
    "canonical_solution": "        best = max(best, word, key=len)\n",
    "suffix": "    return best\n",
    "test": "assert longest(['a', 'bcd', 'ef']) == 'bcd'\nassert longest([]) == ''",
}
SPAN: dict[str, Any] = {
    "task_id": "Own/span/1",
    "entry_point": "",
    "prompt": 'def about():\n    """Says ',
    "canonical_solution": 'it."""\n    return "yes',
    "suffix": '"\n',
    "test": "assert about() == 'yes'",
}
DEVELOPMENT_FILE = Path(os.environ.get("MIDFILL_INFILLING_FILE", ""))
"""A file of the format with real tasks, if there is one on this machine."""


@pytest.fixture
def tasks_file(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(task) + "\n" for task in (ADD, LONGEST, SPAN)).encode()))
    return path


def evaluate(path: Path, *options: str) -> dict[str, Any]:
    ran = CliRunner().invoke(app, ["executable", str(path), "--allow-code-execution", "--json", *options])
    assert ran.exit_code == 0, ran.output
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures


@pytest.mark.parametrize(("fills", "share"), [("canonical", 1.0), ("wrong", 0.0), ("empty", 0.0)])
def test_the_tests_tell_right_from_wrong(tasks_file: Path, fills: str, share: float) -> None:
    figures = evaluate(tasks_file, "--fills", fills)
    assert (figures["pass@1"], figures["num_tasks"]) == (share, 3)
    assert figures["exact_match"] == float(fills == "canonical")


@pytest.mark.parametrize(
    ("task", "fill", "passes"),
    [
        (ADD, "    total = beta + alpha\n", True),
        (ADD, "    total = alpha - beta\n", False),
        (ADD, "    return 5\n", False),
        (ADD, "    import os; os._exit(0)\n", False),
        (ADD, "", False),
        (LONGEST, "        best = best if len(best) >= len(word) else word\n", True),
        (LONGEST, "        best = word\n", False),
        (LONGEST, "        raise SystemExit\n", False),
        (SPAN, 'so."""\n    return "yes', True),
        (SPAN, 'so."""\n    return "no', False),
    ],
)
def test_a_fill_passes_if_it_does_what_is_asked(tmp_path: Path, task: dict[str, Any], fill: str, passes: bool) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(task) + "\n")
    (read,) = read_tasks(path)
    for each, given in ((read, fill), (read.opened, fill.lstrip(" "))):
        assert run_program(each.filled((given,)), Limits(cpu_s=2), each.test).passed == passes


@pytest.mark.parametrize(
    ("task", "indentation", "opened"),
    [(ADD, "    ", "\n    return total\n"), (LONGEST, "        ", "\n    return best\n"), (SPAN, "", '"\n')],
)
def test_a_hole_between_lines_gets_one_of_its_own(task: dict[str, Any], indentation: str, opened: str) -> None:
    made = InfillingTask("", (task["prompt"], task["suffix"]), (task["canonical_solution"],), "")
    assert made.opened.segments == (task["prompt"] + indentation, opened)
    assert made.opened.opened == made.opened


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("def f():\n", "", "    "),
        ("def f():\n", "  return 1\n", "  "),
        ("class A:\n    def f(self):\n", "\n    def g(self):\n", "        "),
        ("    x = 1\n", "        y = x\n", "    "),
        ("    if x:\n        return 1\n", "    return 2\n", "    "),
        ("    for x in y:\n        z += x\n", "    return z\n", "        "),
        ("\tif x:\n", "", "\t\t"),
        ("", "x = 1\n", ""),
    ],
)
def test_a_new_line_is_indented_as_an_editor_would(before: str, after: str, expected: str) -> None:
    assert expected_indentation(before, after) == expected


def test_the_models_fills_are_run_beside_the_baselines(tasks_file: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    options = ("--model", str(tiny_checkpoint), "--record", str(record), "--limit", "2", "--max-tokens", "7")
    figures = evaluate(tasks_file, *options)
    assert list(figures)[:3] == ["pass@1", "exact_match", "num_tasks"]
    assert figures["num_tasks"] == 2
    for name in ("pass@1", "first_pass@1", "empty_pass@1", "left_to_right_pass@1", "parse_share"):
        assert 0 <= figures[name] <= 1
    assert figures["empty_pass@1"] == 0
    assert figures["forwards"] >= 1
    lines = record.read_text().splitlines()
    assert len(lines) == 3
    record.write_text("\n".join(lines[:2]) + "\n")
    assert {**evaluate(tasks_file, *options), "milliseconds": 0} == {**figures, "milliseconds": 0}
    assert record.read_text().splitlines()[:2] == lines[:2]


def test_nothing_is_run_unless_that_is_allowed(tasks_file: Path) -> None:
    ran = CliRunner().invoke(app, ["executable", str(tasks_file)])
    assert ran.exit_code == 2
    assert f"runs programs: the 3 of {tasks_file}" in ran.stderr
    assert "Nothing was run; give --allow-code-execution" in ran.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(ADD) + "\n\n" + json.dumps({**ADD, "suffix": 3}), r"line 3: `suffix` must be a string, got 3\."),
        (
            json.dumps(ADD) + "\n" + json.dumps({key: ADD[key] for key in ADD if key != "suffix"}),
            r"line 2: `suffix` is missing; a task needs `task_id`, `prompt`, `suffix`, `canonical_solution`, `test`\.",
        ),
        (json.dumps(ADD) + "\n{", r"line 2: this is not JSON"),
        ("[]", r"line 1: this is not a JSON object\."),
        (json.dumps(ADD) + "\n" + json.dumps(ADD), r"line 2: `task_id` 'Own/add/L1' was there before"),
        (json.dumps({**ADD, "entry_point": "a b"}), r"line 1: `entry_point` must be the name of a function, got 'a b'"),
        ("\n", r"holds no tasks"),
    ],
)
def test_a_bad_file_is_an_error_that_names_the_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(InfillingFileError, match=message):
        read_tasks(path)
    ran = CliRunner().invoke(app, ["executable", str(path)])
    assert ran.exit_code == 2


def test_a_file_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(ADD).encode())[:-9])
    for path in (tmp_path / "none", cut):
        with pytest.raises(InfillingFileError, match="cannot be read"):
            read_tasks(path)


def test_a_sample_is_spread_over_the_problems() -> None:
    sizes = {"a": 9, "b": 1, "c": 3, "d": 2}
    tasks = [
        InfillingTask(f"Own/{problem}/L{line}", ("", ""), ("",), "")
        for problem, size in sizes.items()
        for line in range(size)
    ]
    for limit, expected in [(4, [1, 1, 1, 1]), (7, [2, 1, 2, 2]), (9, [4, 1, 2, 2]), (15, [9, 1, 3, 2])]:
        drawn = [task.problem for task in spread(tasks, limit, 0)]
        counts = [drawn.count(f"Own/{problem}") for problem in sizes]
        assert sum(counts) == limit
        assert counts == expected or limit == 9
    assert spread(tasks, 5, 1) == spread(tasks, 5, 1)
    assert len({tuple(spread(tasks, 5, seed)) for seed in range(9)}) > 1
    assert spread(tasks, None, 0) == tasks


@pytest.mark.skipif(not DEVELOPMENT_FILE.is_file(), reason="MIDFILL_INFILLING_FILE names no file")
@pytest.mark.parametrize(("fills", "share"), [("canonical", 1.0), ("wrong", 0.0)])
def test_real_tasks(fills: str, share: float) -> None:
    assert evaluate(DEVELOPMENT_FILE, "--fills", fills, "--limit", "20")["pass@1"] == share
