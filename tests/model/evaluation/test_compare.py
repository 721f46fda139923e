"""Two records of the same tasks, compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from midfill.model.evaluation.__main__ import app
from midfill.model.measuring.records import RecordMismatchError

Result = Mapping[str, Any]


def in_domain(exact: bool, similarity: float = 0.5, kind: str = "line") -> Result:
    return {"kind": kind, "methods": {"diffusion": {"fill": "x", "exact": exact, "similarity": similarity}}}


def record(path: Path, results: Mapping[str, Result], model: str = "tiny") -> Path:
    lines = [{"header": {"command": "any", "model": model}}, *({"task": key} | dict(r) for key, r in results.items())]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def compared(tmp_path: Path, first: Mapping[str, Result], second: Mapping[str, Result], *more: str) -> dict[str, Any]:
    paths = [str(record(tmp_path / name, results, name)) for name, results in (("a", first), ("b", second))]
    ran = CliRunner().invoke(app, ["compare", *paths, "--json", *more], catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_a_difference_that_is_there_is_shown(tmp_path: Path) -> None:
    first = {str(n): in_domain(n < 10) for n in range(40)}
    second = {str(n): in_domain(n < 30) for n in reversed(range(40))}  # another order
    answer = compared(tmp_path, first, second)
    assert (answer["first"]["model"], answer["second"]["model"]) == ("a", "b")
    (row,) = answer["rows"]
    assert (row["kind"], row["measure"], row["num_tasks"]) == ("line", "methods/diffusion/exact", 40)
    assert (row["first"], row["second"]) == (0.25, 0.75)
    low, high = row["interval"]
    assert 0 < low < 0.5 < high < 1


def test_every_kind_apart_and_together_and_numbers_that_are_asked_for(tmp_path: Path) -> None:
    first = {"1": in_domain(True, 0.2), "2": in_domain(False, 0.4, "node")}
    second = {"1": in_domain(True, 0.3), "2": in_domain(True, 0.4, "node")}
    rows = compared(tmp_path, first, second, "--measure", "similarity")["rows"]
    found = {(row["kind"], row["measure"].split("/")[-1]): (row["first"], row["second"]) for row in rows}
    assert found == {
        ("line", "exact"): (1, 1),
        ("line", "similarity"): (0.2, 0.3),
        ("node", "exact"): (0, 1),
        ("node", "similarity"): (0.4, 0.4),
        ("all", "exact"): (0.5, 1),
        ("all", "similarity"): (pytest.approx(0.3), pytest.approx(0.35)),
    }


def test_only_what_both_measured_is_compared(tmp_path: Path) -> None:
    """Records of any command: rows for each method apart, outcomes of other names."""
    first = {"1": {"method": "joint", "passed": True, "parses": True}, "2": {"method": "in order", "passed": False}}
    second = {"1": {"method": "joint", "passed": False}, "2": {"method": "in order", "passed": True}}
    rows = compared(tmp_path, first, second)["rows"]
    assert [(row["kind"], row["measure"], row["first"], row["second"]) for row in rows] == [
        ("joint", "passed", 1, 0),
        ("in order", "passed", 0, 1),
        ("all", "passed", 0.5, 0.5),
    ]


def test_the_table_says_what_differs_between_the_records(tmp_path: Path) -> None:
    results = {str(n): in_domain(n < 10) for n in range(40)}
    paths = [str(record(tmp_path / name, results, name)) for name in ("a", "b")]
    lines = CliRunner().invoke(app, ["compare", *paths]).stdout.splitlines()
    assert "model: a -> b" in lines
    assert any("diffusion/exact" in line and line.endswith("+0.000 (+0.000..+0.000)") for line in lines)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (["1", "2", "3"], ["2"], r"of 3 in .*a, 2 are missing in .*b; of 1 there, 0 are missing"),
        (["1"], ["1", "2"], r"of 1 in .*a, 0 are missing in .*b; of 2 there, 1 are missing"),
        ([], [], "hold no results yet"),
    ],
)
def test_other_tasks_are_an_error(tmp_path: Path, first: list[str], second: list[str], message: str) -> None:
    with pytest.raises(RecordMismatchError, match=message):
        compared(tmp_path, {key: in_domain(True) for key in first}, {key: in_domain(True) for key in second})
