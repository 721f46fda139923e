"""`midfill train finish` on a tiny checkpoint: what it fits on is what the front asks, and when it writes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner

from midfill.model.engine.confidence import FEATURES
from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import draw_tasks
from midfill.model.families.embedded.checkpoint import load_checkpoint, read_adapter, save_checkpoint
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.families.loading import load_embedded
from midfill.model.measuring.front import Front
from midfill.model.measuring.methods import run
from midfill.model.measuring.split import SplitFile
from midfill.model.training import finish as finishing
from midfill.model.training.__main__ import app
from midfill.model.training.calibrate import (
    CALIBRATED_KINDS,
    SHARE_SHOWN,
    Place,
    collect,
    confidence_shown,
    fit_calibration,
    fit_threshold,
    pairs_of,
)
from midfill.model.training.finish import FinishError, Numbers, chars_per_token, finish
from midfill.model.wire.api import Infill, InfillRequest

TEXT = "\n\n".join(
    f"def add_{a}({a}, {b}):\n    total = {a} + {b}\n    return total\n"
    for a, b in [("alpha", "beta"), ("gamma", "delta"), ("omega", "sigma"), ("kappa", "theta"), ("beta", "omega")] * 2
)
FILES = [SplitFile(TEXT, path="a.py"), SplitFile(SCRIPT, "javascript", "a.js"), SplitFile(SCRIPT, "tsx", "a.tsx")]
LANGUAGES = ("python", "javascript", "typescript", "tsx")


@pytest.fixture(scope="module")
def toy_run_folder(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose checkpoint says that it knows all languages."""
    folder = tmp_path_factory.mktemp("run")
    config, adapter, _ = read_adapter(tiny_checkpoint)
    save_checkpoint(folder / "checkpoint", adapter, replace(config, languages=LANGUAGES))
    return folder


@pytest.fixture(scope="module")
def model(toy_run_folder: Path) -> DenoisingModel:
    return load_embedded(toy_run_folder / "checkpoint", lambda progress, sentence: None, "float32")


@pytest.fixture(scope="module")
def places(model: DenoisingModel) -> list[Place | None]:
    with Front(model.info) as front:
        return list(collect(model, front, draw_tasks(FILES, 6, kinds=CALIBRATED_KINDS)))


@pytest.fixture(scope="module")
def front(model: DenoisingModel) -> Iterator[Front]:
    with Front(model.info) as started:
        yield started


def test_places_are_asked_for_as_ghost_text_is_in_every_language(places: list[Place | None]) -> None:
    asked = [place for place in places if place]
    assert len(asked) > len(places) / 2
    assert {place.request.language for place in asked} == {"python", "javascript", "tsx"}
    assert {(place.request.candidates, place.request.priority) for place in asked} == {(2, "inline")}


def test_what_is_read_is_what_is_served(model: DenoisingModel, places: list[Place | None]) -> None:
    for place in filter(None, places):
        assert place is not None
        served = {candidate.fills[0].text for candidate in run(model, place.request).candidates}
        candidates = model.candidates(place.request, place.read, "closed")
        assert served == {candidate.fills[0].text for candidate in candidates[: place.request.candidates]}
        alone = run(model, replace(place.request, candidates=1)).candidates[0].fills[0]
        text, given = model.denoiser.decode(place.canvas.ids)[0], place.canvas.num_given
        assert (text[given:], place.canvas.closed) == (alone.text, alone.closed)


def test_several_readings_are_evidence(model: DenoisingModel, front: Front, places: list[Place | None]) -> None:
    evidence = [read.evidence for place in places if place for read in place.read]
    for place in filter(None, places):
        assert place is not None
        assert sum(read.evidence.reading_share for read in place.read) == pytest.approx(1)
        assert sum(read.evidence.judged_share for read in place.read) == pytest.approx(1)
    assert any(one.reading_share < 1 for one in evidence)
    assert any(one.judged_share < 1 for one in evidence)
    pairs = [pair for place in places if place for pair in pairs_of(model, front, place)]
    assert {pair.evidence.found for pair in pairs} >= {"canvas", "both ways", "left to right only"}
    assert any(pair.exact for pair in pairs)


def test_the_threshold_shows_something_at_its_share_of_the_places(
    model: DenoisingModel, front: Front, places: list[Place | None]
) -> None:
    asked = [place for place in places if place]
    threshold = fit_threshold(model, front, asked)

    def ask(request: InfillRequest) -> Infill:
        return run(model, request)

    shown = [front.shown(p.task.source, p.task.span.start, ask, jumped=True, threshold=threshold) for p in asked]
    num_shown = sum(bool(one and one.fill) for one in shown)
    assert num_shown >= math.ceil(SHARE_SHOWN * len(asked))
    higher = [confidence_shown(model, front, place) >= threshold + 0.002 for place in asked]
    assert sum(higher) < SHARE_SHOWN * len(asked) + 1, "more is shown than has to be"


def test_all_is_fitted_and_written_at_the_end(toy_run_folder: Path, tmp_path: Path) -> None:
    write_split(tmp_path, "validation", *FILES)
    out = tmp_path / "new" / "finished"
    arguments = ["finish", str(toy_run_folder), "--corpus", str(tmp_path), "--out", str(out)]
    ran = CliRunner().invoke(app, [*arguments, "--memory-holes", "8", "--confidence-holes", "40"])
    assert ran.exit_code == 0, ran.output
    assert "memory weights: " in ran.stderr
    assert "confidence: 40/40 holes, " in ran.stderr
    config = load_checkpoint(out).config
    assert len(config.calibration) == len(FEATURES)
    assert 0 < config.show_threshold < 1
    assert config.memory_weights[0] == 0.0
    assert config.languages == LANGUAGES
    assert sorted(path.name for path in out.parent.iterdir()) == ["finished"]


def test_a_stopped_run_writes_nothing_and_says_so(
    toy_run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_split(tmp_path, "validation", *FILES)

    def stopped(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(finishing, "fit_calibration", stopped)
    out = tmp_path / "finished"
    arguments = ["finish", str(toy_run_folder), "--corpus", str(tmp_path), "--out", str(out)]
    ran = CliRunner().invoke(app, [*arguments, "--memory-holes", "4", "--confidence-holes", "4"])
    assert ran.exit_code == 130
    assert f"stopped; {out} was not written" in " ".join(ran.stderr.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["validation.jsonl.gz"]


def test_no_files_in_the_languages_of_the_checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(FinishError, match="no files in python to fit on"):
        finish(tiny_checkpoint.parent, FILES[1:], tmp_path / "finished")


@pytest.mark.parametrize("numbers", [{"memory": 3}, {"confidence": 0}])
def test_fewer_holes_than_kinds_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least 4"):
        Numbers(**numbers)


def test_every_language_counts_the_same_for_characters_a_token(toy_tokenizer: CodeTokenizer) -> None:
    apart = [chars_per_token([file], toy_tokenizer) for file in FILES]
    assert chars_per_token([*FILES, FILES[0], FILES[0]], toy_tokenizer) == pytest.approx(sum(apart) / 3, abs=0.001)


def test_the_same_fit_twice(model: DenoisingModel, front: Front, places: list[Place | None]) -> None:
    asked = [place for place in places if place]
    pairs = [[pair for place in asked for pair in pairs_of(model, front, place)] for _ in range(2)]
    assert json.dumps(fit_calibration(pairs[0]).coefficients) == json.dumps(fit_calibration(pairs[1]).coefficients)
