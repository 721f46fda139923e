"""`midfill eval in-domain` on a small corpus and a checkpoint that was trained for seconds."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner, Result

from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.in_domain import AGAINST_COPY, ALL_METHODS, KINDS, ROWS
from midfill.model.measuring.records import read_record
from midfill.model.measuring.split import SplitFile

SOURCE = "\n\n".join(
    f"def add_{first}({first}, {second}):\n    total = {first} + {second}\n    if total:\n        return total\n"
    for first, second in [("alpha", "beta"), ("gamma", "delta"), ("omega", "sigma"), ("kappa", "theta")] * 2
)

FORWARDING = [method for method in AGAINST_COPY if method != "memory alone"]
"""Methods that run the network."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    write_split(folder, "train", SOURCE)
    write_split(folder, "test", SOURCE)
    return folder


def run(corpus: Path, checkpoint: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["in-domain", "--corpus", str(corpus), "--model", str(checkpoint), *options])


@pytest.fixture(scope="module")
def whole(corpus: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The answer with everything measured, and its record."""
    record = tmp_path_factory.mktemp("record") / "record.jsonl"
    ran = run(corpus, tiny_checkpoint, "--limit", "2", "--candidates", "2", "--record", str(record), "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout), record


def test_every_method_has_a_row_for_every_kind_and_for_the_pools(whole: tuple[dict[str, Any], Path]) -> None:
    rows = {(row["kind"], row["method"]): row for row in whole[0]["rows"]}
    assert set(rows) == {(kind, method) for kind in ROWS for method in ALL_METHODS}
    for (kind, method), row in rows.items():
        assert row["num_tasks"] == 2 * len(ROWS[kind])
        low, high = row["exact_interval"]
        assert 0 <= low <= row["exact"] <= high <= 1
        assert 0 <= row["similarity"] <= 1
        assert (row["forwards"] > 0) == (row["tokens_per_forward"] is not None) == (method in FORWARDING)
        assert list(row["minus"]) == (["same-file copy"] if method in AGAINST_COPY else [])
    assert rows["all", "empty"]["exact"] == rows["all", "empty"]["similarity"] == 0


def test_a_pool_is_the_mean_over_its_tasks(whole: tuple[dict[str, Any], Path]) -> None:
    rows = {(row["kind"], row["method"]): row for row in whole[0]["rows"]}
    for method in ALL_METHODS:
        for measure in ("exact", "length_error", "forwards", "milliseconds"):
            apart = [rows[kind, method][measure] for kind in KINDS]
            assert rows["all", method][measure] == pytest.approx(sum(apart) / 5)
            assert rows["all but blocks", method][measure] == pytest.approx(sum(apart[:4]) / 4)


def test_the_figures_are_those_of_the_record(whole: tuple[dict[str, Any], Path]) -> None:
    header, results = read_record(whole[1])
    assert header["command"] == "in-domain"
    assert [result["kind"] for result in results.values()] == [kind for kind in KINDS for _ in range(2)]
    rows = {(row["kind"], row["method"]): row for row in whole[0]["rows"]}
    for method in ALL_METHODS:
        scores = [result["methods"][method] for result in results.values()]
        weights = [result["num_truth_tokens"] for result in results.values()]
        weighted = sum(s["similarity"] * w for s, w in zip(scores, weights, strict=True)) / sum(weights)
        assert rows["all", method]["similarity"] == pytest.approx(weighted)
    empty = [result["methods"]["empty"]["length_error"] for result in results.values()]
    assert empty == [result["num_truth_tokens"] for result in results.values()]


def test_what_parses_and_what_is_memorised_stands_beside_it(whole: tuple[dict[str, Any], Path]) -> None:
    assert [row["kind"] for row in whole[0]["filter"]] == list(ROWS)
    for row in whole[0]["filter"]:
        assert 0 <= row["first_parses"] <= 1
        assert 0 <= row["parses"] <= 1
    assert [row["method"] for row in whole[0]["memorised"]] == list(ALL_METHODS)
    assert all(row["num_fills"] == 10 for row in whole[0]["memorised"])


def test_a_second_run_goes_on_from_the_record(
    whole: tuple[dict[str, Any], Path], corpus: Path, tiny_checkpoint: Path
) -> None:
    """It measures nothing anew, so that even the milliseconds are the same."""
    options = ("--limit", "2", "--candidates", "2", "--record", str(whole[1]))
    assert json.loads(run(corpus, tiny_checkpoint, *options, "--json").stdout) == whole[0]
    table = run(corpus, tiny_checkpoint, *options).stdout
    assert "line                left to right with memory" in table
    assert "all: " in table
    refused = run(corpus, tiny_checkpoint, "--limit", "3", "--candidates", "2", "--record", str(whole[1]))
    assert "limit: 2 there, 3 now" in str(refused.exception)


def test_languages_have_equal_shares_and_figures_of_their_own(tiny_checkpoint: Path, tmp_path: Path) -> None:
    scripts = [SplitFile(SCRIPT, language, f"a.{end}") for language, end in (("javascript", "js"), ("tsx", "tsx"))]
    write_split(tmp_path, "test", SOURCE, SOURCE, SOURCE, *scripts)
    options = ("--methods", "same-file copy", "--limit", "5", "--kinds", "line,node", "--no-memorisation")
    answer = json.loads(run(tmp_path, tiny_checkpoint, *options, "--json").stdout)
    found = {name: {row["kind"]: row for row in part["rows"]} for name, part in answer["by_language"].items()}
    assert list(found) == ["python", "javascript", "typescript"]
    assert [rows["line"]["num_tasks"] for rows in found.values()] == [2, 2, 1]
    of_all = {row["kind"]: row for row in answer["rows"]}
    shares = [rows["all"]["exact"] * rows["all"]["num_tasks"] for rows in found.values()]
    assert of_all["all"]["exact"] == pytest.approx(sum(shares) / 10)
    table = run(tmp_path, tiny_checkpoint, *options).stdout
    assert [line for line in table.splitlines() if line in found] == list(found)

    one = json.loads(run(tmp_path, tiny_checkpoint, *options, "--language", "typescript", "--json").stdout)
    assert (one["language"], one["by_language"]) == ("typescript", {})
    assert {row["num_tasks"] for row in one["rows"]} == {5, 10}


def test_what_is_served_in_another_language_is_what_its_front_makes_of_it(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    write_split(tmp_path, "test", SplitFile(SCRIPT, "javascript", "a.js"))
    options = ("--methods", "as served", "--limit", "2", "--kinds", "line", "--no-memorisation", "--json")
    ran = run(tmp_path, tiny_checkpoint, *options, "--record", str(tmp_path / "record.jsonl"))
    assert ran.exit_code == 0, ran.output
    _, results = read_record(tmp_path / "record.jsonl")
    assert [result["language"] for result in results.values()] == ["javascript"] * 2
    assert all(result["filter"]["parses"] in (True, False) for result in results.values())


def test_a_subset_of_the_methods(corpus: Path, tiny_checkpoint: Path) -> None:
    ran = run(corpus, tiny_checkpoint, "--methods", "empty, same-file copy", "--limit", "1", "--json")
    answer = json.loads(ran.stdout)
    assert {row["method"] for row in answer["rows"]} == {"same-file copy", "empty"}
    assert answer["filter"] == []


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        (None, (), "test.jsonl.gz does not exist; build it with `midfill train corpus"),
        ((), (), "test.jsonl.gz holds no files"),
        (("x = 1\n",), ("--no-memorisation",), "No hole could be drawn from the 1 files of test"),
        (("x = 1\n",), (), "train.jsonl.gz does not exist; build it with `midfill train corpus"),
        (("x = 1\n",), ("--language", "cobol"), "'cobol' is no language of the corpus; choose from python, "),
        (("x = 1\n",), ("--language", "javascript"), "holds no files in javascript, only in python"),
        (("x = 1\n",), ("--methods", "guessing"), "--methods has guessing; choose from as served, "),
        (("x = 1\n",), ("--methods", ","), "--methods is empty; choose from as served, "),
    ],
)
def test_what_cannot_be_measured_is_said(
    tmp_path: Path,
    tiny_checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    texts: tuple[str, ...] | None,
    options: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    if texts is not None:
        write_split(tmp_path, "test", *texts)
    ran = run(tmp_path, tiny_checkpoint, *options)
    assert ran.exit_code == 2
    assert "".join(message.split()) in "".join(ran.output.replace("│", " ").split()), "a long path may break a line"


def test_a_damaged_split_is_said(tmp_path: Path, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    other = gzip.compress(json.dumps({"text": "", "language": "cobol", "path": "", "package": ""}).encode())
    for content in (b"not gzip", gzip.compress(b'{"text": "x = 1"}'), other):
        (tmp_path / "test.jsonl.gz").write_bytes(content)
        ran = run(tmp_path, tiny_checkpoint)
        assert ran.exit_code == 2
        assert "is damaged" in " ".join(ran.output.replace("│", " ").split())
