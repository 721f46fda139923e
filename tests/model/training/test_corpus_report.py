"""The page on a corpus says what is in the folder, and refuses a folder whose files do not belong together."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.training.report import ReportError, corpus_report

TEXTS = {
    "train": [("one", "return alpha\n"), ("one", "total = 'é'\n"), ("two", "x")],
    "validation": [("three", "return beta\n" * 70)],
    "test": [],
}


def package(split: str, files_in: int, files_out: int, **dropped: int) -> dict[str, Any]:
    reasons = {reason.replace("_", " "): count for reason, count in dropped.items()}
    return {
        "split": split,
        "version": "1.2",
        "licence": "MIT",
        "language": "python",
        "files_in": files_in,
        "bytes_in": 0,
        "files_out": files_out,
        "bytes_out": 0,
        "dropped": reasons,
    }


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    for split, files in TEXTS.items():
        with gzip.open(tmp_path / f"{split}.jsonl.gz", "wt", encoding="utf-8") as out:
            out.writelines(json.dumps({"package": name, "text": text}) + "\n" for name, text in files)
    packages = {
        "one": package("train", 1234, 2, near_duplicate=2, project_cap=1230),
        "two": package("train", 1, 1),
        "three": package("validation", 1, 1),
        "empty": package("test", 1, 0, benchmark=1),
    }
    report = {
        "python": "3.11.9",
        "limits": {"max_project_share": 0.03, "max_train_bytes": {"python": 90_000_000, "typescript": 5}, "seed": 1},
        "seconds": 12.3,
        "dropped": {"benchmark": 1, "near duplicate": 2, "project cap": 1230, "a new reason": 5},
        "packages": packages,
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "4 projects, read with Python 3.11.9 in 12 s.",
        "Limits: max_project_share 0.03, max_train_bytes python 90,000,000, max_train_bytes typescript 5, seed 1.",
        "| train | python | 2 | 3 of 1,235 | 26 |",
        "| validation | python | 1 | 1 of 1 | 840 |",
        "| test | python | 1 | 0 of 1 | 0 |",
        "| near duplicate | 2 | nearly the same text as a file taken before |",
        "| a new reason | 5 |  |",
        "| one | 1.2 | python | MIT | train | 2 of 1,234 | 25 | 96.2% | 1,230 project cap, 2 near duplicate |",
        "| two | 1.2 | python | MIT | train | 1 of 1 | 1 | 3.8% |  |",
        "| empty | 1.2 | python | MIT | test | 0 of 1 | 0 | 0.0% | 1 benchmark |",
    ],
)
def test_the_page_says_what_was_kept_and_why_the_rest_was_not(corpus: Path, line: str) -> None:
    assert line in corpus_report(corpus).splitlines()


def test_a_tokenizer_adds_tokens(corpus: Path, toy_tokenizer: CodeTokenizer) -> None:
    num_tokens = sum(len(toy_tokenizer.encode(text)) for _, text in TEXTS["train"])
    page = corpus_report(corpus, toy_tokenizer)
    assert f"| train | python | 2 | 3 of 1,235 | 26 | {num_tokens} | {26 / num_tokens:.2f} |" in page
    assert "| split | language | projects | files kept of found | characters | tokens | characters a token |" in page
    assert "| test | python | 1 | 0 of 1 | 0 | 0 | - |" in page


def test_a_report_from_before_licences_and_languages_were_recorded_is_read(corpus: Path) -> None:
    report = json.loads((corpus / "report.json").read_text())
    for entry in report["packages"].values():
        del entry["licence"], entry["language"]
    (corpus / "report.json").write_text(json.dumps(report))
    assert "| two | 1.2 | python | not recorded | train |" in corpus_report(corpus)


def test_files_that_do_not_belong_together_are_refused(corpus: Path) -> None:
    with gzip.open(corpus / "train.jsonl.gz", "at", encoding="utf-8") as out:
        out.writelines(json.dumps({"package": name, "text": "x"}) + "\n" for name in ("two", "stranger"))
    with pytest.raises(ReportError, match=r"split files differ in stranger, two; make the corpus again"):
        corpus_report(corpus)
    (corpus / "test.jsonl.gz").unlink()
    with pytest.raises(ReportError, match=r"test\.jsonl\.gz.*make it with `midfill train corpus`"):
        corpus_report(corpus)
