"""Fills that repeat the training corpus."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from midfill.model.evaluation.memorisation import TrainingRuns, load_training_runs, run_digests

TRAINED_ON = " ".join(f"name_{number} = {number}" for number in range(40))
"""120 tokens."""


def tokens_of(first: int, last: int) -> str:
    return " ".join(TRAINED_ON.split()[first:last])


def write_corpus(folder: Path, *texts: str) -> None:
    with gzip.open(folder / "train.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps({"text": text}) + "\n" for text in texts)


@pytest.fixture
def runs(tmp_path: Path) -> TrainingRuns:
    write_corpus(tmp_path, "x = 1\n", TRAINED_ON, "def f(): pass\n")
    return load_training_runs(tmp_path, lambda line: None)


@pytest.mark.parametrize(
    ("fill", "request_text", "expected"),
    [
        (tokens_of(5, 35), "", "corpus"),
        (tokens_of(5, 35).replace(" ", "\n   "), "", "corpus"),  # white space is no token
        ("y = 0\n" + tokens_of(5, 35), "", "corpus"),
        (tokens_of(5, 34), "", "too short"),
        (tokens_of(5, 34) + " other", "", "new"),
        (tokens_of(5, 20) + " other " + tokens_of(20, 45), "", "new"),
        (tokens_of(5, 35), "before\n" + tokens_of(0, 60), "corpus and request"),
        (tokens_of(5, 36), "before\n" + tokens_of(5, 35), "corpus"),  # the last run it cannot have read there
        (tokens_of(5, 35), tokens_of(6, 60), "corpus"),
        ("", "", "too short"),
    ],
)
def test_verdict(runs: TrainingRuns, fill: str, request_text: str, expected: str) -> None:
    assert runs.verdict(fill, request_text) == expected


def test_the_runs_are_kept_beside_the_corpus_and_made_anew_when_it_changes(tmp_path: Path) -> None:
    said: list[str] = []
    write_corpus(tmp_path, TRAINED_ON)
    load_training_runs(tmp_path, said.append)
    assert load_training_runs(tmp_path, said.append).verdict(tokens_of(0, 30), "") == "corpus"
    assert len(said) == 1
    write_corpus(tmp_path, "x = 1\n")
    later = (tmp_path / "train-30-token-runs.npy").stat().st_mtime + 10
    os.utime(tmp_path / "train.jsonl.gz", (later, later))
    assert load_training_runs(tmp_path, said.append).verdict(tokens_of(0, 30), "") == "new"
    assert len(said) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train-30-token-runs.npy", "train.jsonl.gz"]


def test_one_digest_for_each_run() -> None:
    assert [len(run_digests(tokens_of(0, length))) for length in (0, 29, 30, 33)] == [0, 0, 1, 4]
    assert run_digests(tokens_of(3, 40))[0] == run_digests(tokens_of(0, 40))[3]


def test_a_corpus_without_its_training_split_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"train\.jsonl\.gz does not exist; build it with"):
        load_training_runs(tmp_path, print)
