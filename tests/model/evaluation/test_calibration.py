"""`midfill eval calibration`: its figures from confidences made by hand, and the command on a tiny checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner

from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.calibration import (
    CONFIDENCES,
    Bin,
    bins_of,
    draw_plot,
    expected_error,
    reliability,
    shown_from,
)
from midfill.model.measuring.split import SplitFile
from midfill.model.training.calibrate import CALIBRATED_KINDS

TENTHS = [index / 10 for index in range(10)]

ERRORS: dict[str, tuple[list[float], list[bool], float]] = {
    "as sure as right": ([c for c in TENTHS for _ in range(10)], [i < 10 * c for c in TENTHS for i in range(10)], 0.0),
    "sure and right": ([1.0] * 20, [True] * 20, 0.0),
    "sure and wrong": ([1.0] * 20, [False] * 20, 1.0),
    "over-confident": ([0.9] * 20, [True] * 10 + [False] * 10, 0.4),
    "under-confident": ([0.1] * 20, [True] * 10 + [False] * 10, 0.4),
    "one tie over all bins, right as often as said": ([0.5] * 20, [True] * 10 + [False] * 10, 0.0),
    "over- and under-confident do not cancel": ([0.0] * 10 + [1.0] * 10, [True] * 10 + [False] * 10, 1.0),
    "fewer fills than bins": ([0.25, 0.75], [False, True], 0.25),
    "one fill": ([0.25], [True], 0.75),
    "no fill": ([], [], 0.0),
}


@pytest.mark.parametrize(("confidences", "exact", "expected"), ERRORS.values(), ids=ERRORS)
def test_expected_error(confidences: list[float], exact: list[bool], expected: float) -> None:
    bins = bins_of(confidences, exact)
    assert expected_error(bins) == pytest.approx(expected)
    assert sum(one.num_fills for one in bins) == len(confidences)
    # the order in which fills came says nothing
    assert bins_of(confidences[::-1], exact[::-1]) == bins


def test_bins_are_of_equal_mass_and_rise() -> None:
    bins = bins_of([index / 23 for index in range(23)], [index > 11 for index in range(23)])
    assert sorted(one.num_fills for one in bins) == [2] * 7 + [3] * 3
    assert [one.confidence for one in bins] == sorted(one.confidence for one in bins)
    assert bins[0] == Bin(3, pytest.approx(1 / 23), 0.0)
    assert bins[-1].exact == 1.0


def test_what_is_shown_from_a_threshold_on() -> None:
    shown = shown_from(0.5, [0.9, 0.5, 0.4, 0.1], [True, False, True, True])
    assert (shown.share, shown.precision) == (0.5, 0.5)
    assert shown.interval == (0.0, 1.0)
    assert shown_from(0.95, [0.9], [True]).precision is None
    assert shown_from(0.95, [], []).share == 0.0


def test_precision_at_the_share_and_at_the_threshold() -> None:
    confidences, exact = TENTHS, [False] * 6 + [True] * 4
    found = reliability(confidences, exact, 0.5)
    assert (found.at_share.share, found.at_share.precision, found.at_share.threshold) == (0.3, 1.0, 0.7)
    assert (found.at_threshold.share, found.at_threshold.precision) == (0.5, 0.8)


def test_places_where_nothing_can_be_shown_count_in_the_share() -> None:
    found = reliability(TENTHS, [False] * 6 + [True] * 4, 0.5, num_silent=10)
    assert (found.at_share.share, found.at_share.precision, found.at_share.threshold) == (0.3, 4 / 6, 0.4)
    assert found.at_threshold.share == 0.25
    few = reliability([0.9], [True], 0.5, num_silent=9).at_share
    assert (few.share, few.precision) == (0.1, 1.0), "there are not enough to show at 30 % of the places"


def test_the_plot_is_an_image(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = reliability(TENTHS, [False] * 6 + [True] * 4, 0.5)
    draw_plot({"served": found, "weakest token": found}, tmp_path / "new" / "plot.png")
    assert (tmp_path / "new" / "plot.png").read_bytes().startswith(b"\x89PNG")


# --- the command

TEXT = "\n\n".join(
    f"def add_{a}({a}, {b}):\n    total = {a} + {b}\n    return total\n"
    for a, b in [("alpha", "beta"), ("gamma", "delta"), ("omega", "sigma"), ("kappa", "theta"), ("beta", "omega")] * 2
)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_split(tmp_path, "test", TEXT, SplitFile(SCRIPT, "javascript", "a.js"))
    return tmp_path


def test_the_command_measures_a_checkpoint_and_goes_on_from_its_record(tiny_checkpoint: Path, corpus: Path) -> None:
    record = corpus / "record.jsonl"
    arguments = ["calibration", "--corpus", str(corpus), "--model", str(tiny_checkpoint), "--limit", "4"]
    arguments += ["--record", str(record)]
    first = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    figures = json.loads(first.stdout)
    lines = record.read_text(encoding="utf-8").splitlines()
    results = [json.loads(line) for line in lines[1:]]
    assert 2 < len(results) <= 4 * len(CALIBRATED_KINDS)
    offered = [result for result in results if result.get("offers")]
    assert offered
    for name in CONFIDENCES:
        assert sum(one["num_fills"] for one in figures[name]["bins"]) == len(offered)
        assert 0 < figures[name]["at_share"]["share"] <= len(offered) / sum(result["asked"] for result in results)
        assert 0 <= figures[name]["expected_error"] <= 1
    # the tiny checkpoint was trained on Python: elsewhere the front asks for nothing
    assert {result["asked"] for result in results if result["language"] == "javascript"} == {False}
    by_language = {name: part["served"]["num_places"] for name, part in figures["by_language"].items()}
    assert by_language == {"python": figures["served"]["num_places"], "javascript": 0}
    assert by_language["python"] == sum(result["asked"] for result in results)

    record.write_text("\n".join(lines[:3]) + "\n", encoding="utf-8")
    again = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert again.exit_code == 0
    assert "precision at 30% shown" in again.stdout
    assert record.read_text(encoding="utf-8").splitlines() == lines


def test_a_missing_corpus_is_told(tiny_checkpoint: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["calibration", "--corpus", str(tmp_path), "--model", str(tiny_checkpoint)])
    assert result.exit_code == 2
    assert "does not exist" in result.output.replace("\n", " ")
