"""`midfill eval rewriting`: the drafts that are drawn, the methods measured, and the command on a tiny checkpoint."""

from __future__ import annotations

import inspect
import json
import random
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation import regions, rewriting
from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.regions import Region
from midfill.model.families.embedded.tokenizer import VERBS
from midfill.model.families.loading import load_model
from midfill.model.measuring.front import Front
from midfill.model.measuring.methods import Timed, embedded
from midfill.model.measuring.split import SplitFile
from midfill.model.wire.api import Candidate, Fill, Infill, InfillRequest, Usage

FILES = [SplitFile(inspect.getsource(module), path=module.__name__) for module in (json.decoder, shutil, subprocess)]


@pytest.fixture
def tiny(tiny_checkpoint: Path) -> DenoisingModel:
    model = load_model(str(tiny_checkpoint), lambda progress, sentence: None, "float32")
    assert isinstance(model, DenoisingModel)
    return model


def knowing(model: DenoisingModel, *verbs: str) -> DenoisingModel:
    denoiser = embedded(model)
    denoiser.config = replace(denoiser.config, verbs=verbs)
    return model


# --- what is drawn


def test_verb_regions_are_spread_over_the_files_and_the_same_for_the_same_seed() -> None:
    drawn = list(rewriting.draw_verb_regions(FILES, 3, seed=1))
    assert drawn == list(rewriting.draw_verb_regions(FILES, 3, seed=1))
    assert drawn != list(rewriting.draw_verb_regions(FILES, 3, seed=2))
    renames = [region for region in drawn if region.kind == "rename"]
    assert {SplitFile(region.text, path=region.path) for region in renames} == set(FILES)
    assert max(Counter(region.kind for region in drawn).values()) == 3
    assert {region.kind for region in drawn} <= set(VERBS)
    assert all(region.draft != region.truth for region in drawn)


def test_more_drafts_than_there_are_files_are_drawn_where_there_are_any() -> None:
    text = "def f(a: int) -> int:\n    return a\n\n\ndef g() -> None:\n    f(1)\n"
    assert len(list(rewriting.draw_verb_regions([SplitFile(text)], 5))) == 2
    assert list(rewriting.draw_verb_regions([SplitFile("x = (\n")], 5)) == []


def test_regions_to_write_again_stand_as_they_are() -> None:
    drawn = list(rewriting.draw_again_regions(FILES, 2))
    assert Counter(region.kind for region in drawn) == {"any line": 2, "any node": 2, "any block": 2}
    assert all(region.draft == region.truth for region in drawn)


# --- which methods are measured

TEXT = "def f(a: int) -> int:\n    return a\n"
HINTS = Region("type_hints", TEXT, 0, 21, "def f(a):")
LINE = Region("any line", TEXT, 26, 34, "return a")
AGAIN = [("again at 0.3", None), ("again at 0.6", None), ("again at 1.0", None)]
WITH_VERB = [(f"verb at {strength}", "type_hints") for strength in (0.3, 0.6, 1.0)]
MEASURED = {
    "a verb that was learnt": (HINTS, VERBS, [*WITH_VERB, *AGAIN]),
    "a verb that was not": (HINTS, ("rename",), AGAIN[1:2]),
    "no verbs at all": (HINTS, (), AGAIN[1:2]),
    "any region": (LINE, VERBS, AGAIN),
}


@pytest.mark.parametrize(("region", "verbs", "expected"), MEASURED.values(), ids=MEASURED)
def test_what_is_measured(
    region: Region,
    verbs: tuple[str, ...],
    expected: list[tuple[str, str | None]],
    tiny: DenoisingModel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[InfillRequest] = []

    def answers(model: DenoisingModel, request: InfillRequest) -> Timed:
        asked.append(request)
        given = (Candidate((Fill("1", region.truth, 0.5),), 0.5),)
        return Timed(Infill(given, "closed", Usage(), "scripted"), 1.0, 0.5)

    monkeypatch.setattr(regions, "timed", answers)
    model = knowing(tiny, *verbs)
    with Front(replace(model.info, verbs=verbs)) as front:
        scores = rewriting.measure(model, front, region)["methods"]
    is_verb = region.kind in VERBS
    assert list(scores) == [method for method, _ in expected] + ["unchanged"] * is_verb
    assert [request.instruction for request in asked] == [verb for _, verb in expected]
    for method, _ in expected:  # the answer of the verb is right; the same line again is no other version of it
        assert (scores[method]["offers"], scores[method]["any"]) == (is_verb, is_verb)
    if is_verb:
        assert not scores["unchanged"]["any"]


def test_a_verb_reaches_the_model(tiny: DenoisingModel) -> None:
    model = knowing(tiny, "type_hints")
    with Front(replace(model.info, verbs=("type_hints",))) as front:
        score = rewriting.measure(model, front, HINTS)["methods"]["verb at 1.0"]
    assert score["forwards"] > 0
    assert len(score["fills"]) <= regions.NUM_OFFERED


# --- the command


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rng = random.Random(5)
    names = [rng.choice(["alpha", "beta", "gamma"]) for _ in range(2)]
    functions = [f"def add_{name}({name}: int) -> int:\n    total = {name} + 1\n    return total\n" for name in names]
    write_split(tmp_path, "test", SplitFile(SCRIPT, "javascript", "a.js"), *(function * 6 for function in functions))
    return tmp_path


def test_the_command_prints_rows_and_says_what_was_not_learnt(corpus: Path, tiny_checkpoint: Path) -> None:
    record = corpus / "record.jsonl"
    arguments = ["rewriting", "--corpus", str(corpus), "--model", str(tiny_checkpoint), "--limit", "1", "--json"]
    runs = [CliRunner().invoke(app, [*arguments, "--record", str(record)]) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0], runs[0].output
    assert "has not learnt the verbs" in runs[0].stderr
    printed = json.loads(runs[0].stdout)
    assert printed["verbs"] == []
    methods = {
        row["kind"]: [r["method"] for r in printed["rows"] if r["kind"] == row["kind"]] for row in printed["rows"]
    }
    assert methods["type_hints"] == methods["rename"] == methods["all verbs"] == ["again at 0.6", "unchanged"]
    assert methods["any line"] == methods["any region"] == [method for method, _ in AGAIN]
    assert runs[1].stdout == runs[0].stdout
    table = CliRunner().invoke(app, [*arguments[:-1], "--record", str(record)])
    assert "again at 0.3" in table.stdout


def test_files_without_a_region_are_an_error(corpus: Path, tiny_checkpoint: Path) -> None:
    write_split(corpus, "test", "import os\n")
    run = CliRunner().invoke(app, ["rewriting", "--corpus", str(corpus), "--model", str(tiny_checkpoint)])
    assert run.exit_code == 2
    assert "No region could be drawn" in " ".join(run.output.replace("│", " ").split())
