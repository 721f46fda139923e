"""`midfill tune` on a toy repository, from a checkpoint that knows nothing to one that is kept and can be served."""

from __future__ import annotations

import contextlib
import io
import json
import random
import resource
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from toy_parent import toy_source

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.checkpoint import load_checkpoint
from midfill.model.families.loading import load_model
from midfill.model.measuring.methods import Answer, embedded
from midfill.model.training.tune import (
    Tuned,
    TuneError,
    TuneSettings,
    main,
    read_files,
    sentences,
    split_files,
    tune,
)
from midfill.model.wire.api import Infill, InfillRequest
from midfill.model.wire.errors import CheckpointError


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(5)
    root = tmp_path_factory.mktemp("repository")
    for number in range(24):
        (root / f"module_{number}.py").write_text(toy_source(rng, 30))
    return root


@pytest.fixture(scope="module")
def settings(repository: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneSettings:
    files = tuple(path.name for path in repository.iterdir())
    out = tmp_path_factory.mktemp("data") / "midfill" / "tuned" / "repository"
    return TuneSettings(str(repository), files, str(out), str(tiny_checkpoint), minutes=0.05, num_holes=5, keep=True)


@pytest.fixture(scope="module")
def tuned(settings: TuneSettings) -> Tuned:
    return tune(settings, lambda what, share: None)


def test_what_is_kept_can_be_served_and_is_its_owners_alone(
    tuned: Tuned,
    settings: TuneSettings,
    request_of: Callable[..., InfillRequest],
    run: Callable[..., tuple[list[object], Infill]],
) -> None:
    out = Path(settings.out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o600}
    assert [path.name for path in out.parent.iterdir()] == [out.name]  # nothing half-written beside it
    base, kept = load_checkpoint(Path(settings.model)), load_checkpoint(out)
    assert kept.config == base.config
    assert kept.revision != base.revision == tuned.base_revision
    assert kept.repository is not None
    assert sorted(kept.repository.files) == sorted(settings.files)
    model = load_model(str(out), lambda progress, sentence: None, "float32")
    assert run(model, request_of("def f():\n    return ⟨1⟩\n"))[1].candidates


def test_what_is_measured_with_was_not_learnt_from(tuned: Tuned, settings: TuneSettings) -> None:
    said = json.loads((Path(settings.out) / "tuned.json").read_text())
    assert set(said["learnt_files"]).isdisjoint(said["held_out_files"])
    assert sorted([*said["learnt_files"], *said["held_out_files"]]) == sorted(settings.files)
    assert len(said["held_out_files"]) == 4
    assert said["num_steps"] == tuned.num_steps > 0


def test_nothing_is_looked_up_in_the_files_that_are_measured_with(
    tuned: Tuned, settings: TuneSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is it where the base is itself a tuned model, which has them beside it."""
    looked_up = list[set[str]]()

    def look(model: DenoisingModel, *_: object, **__: object) -> tuple[Answer, int]:
        repository = embedded(model).repository
        looked_up.append(set(repository.files) if repository else set())
        return Answer(("",), 0.0, 0, 0, 0.0), 0

    monkeypatch.setattr("midfill.model.training.tune.served", look)
    again = replace(settings, model=settings.out, out=str(tmp_path / "out"), minutes=0.001, num_holes=1)
    tune(again, lambda what, share: None)
    assert looked_up == [set(), set(), set(tuned.learnt_files), set(tuned.learnt_files)]


def test_the_same_files_are_measured_with_every_time(settings: TuneSettings) -> None:
    texts = read_files(settings)
    assert split_files(texts, 0) == split_files(dict(reversed(texts.items())), 0)
    assert split_files(texts, 0)[1] != split_files(texts, 1)[1]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"files": ("module_1.py", "module_2.py")}, TuneError, "2 of its 2 Python files can be used, and 6 are needed"),
        ({"files": ("gone.py",)}, TuneError, "give the folder of a larger repository"),
        ({"model": "/nowhere"}, CheckpointError, "has no config.json"),
    ],
)
def test_what_cannot_be_tuned_is_said(
    settings: TuneSettings, changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        tune(replace(settings, **changes), lambda what, share: None)  # type: ignore[arg-type]


def test_stopping_leaves_what_was_tuned_before(tuned: Tuned, settings: TuneSettings) -> None:
    def stop(what: str, share: float) -> None:
        if what == "learning":
            raise KeyboardInterrupt

    revision = load_checkpoint(Path(settings.out)).revision
    with pytest.raises(KeyboardInterrupt):
        tune(settings, stop)
    assert load_checkpoint(Path(settings.out)).revision == revision
    assert len(list(Path(settings.out).parent.iterdir())) == 1


@contextlib.contextmanager
def no_room() -> Iterator[None]:
    """In which no file may grow beyond what the tokenizer takes: what a full disk does, for this process alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_weights_that_find_no_room_leave_what_was_tuned_before(tuned: Tuned, settings: TuneSettings) -> None:
    revision = load_checkpoint(Path(settings.out)).revision
    with contextlib.ExitStack() as full, pytest.raises(OSError, match=r"adapter.safetensors.*File too large"):
        tune(settings, lambda what, share: full.enter_context(no_room()) if what == "learning" else None)
    assert load_checkpoint(Path(settings.out)).revision == revision
    assert len(list(Path(settings.out).parent.iterdir())) == 1


def test_a_full_disk_is_told_in_a_sentence(
    settings: TuneSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tuned" / "repository"
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asdict(replace(settings, out=str(out))))))
    with no_room():
        assert main() == 1
    told = capsys.readouterr().err.strip()
    assert f"midfill: The tuned model could not be written to {out.parent}: " in told
    assert "make room there or set XDG_DATA_HOME, and run it again." in told
    assert "Traceback" not in told
    assert list(out.parent.iterdir()) == []


def test_the_weights_are_their_owners_alone_before_they_are_kept(settings: TuneSettings, tmp_path: Path) -> None:
    modes = set[int]()

    def look(what: str, share: float) -> None:
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(".tuning-*/checkpoint/adapter.*"))

    tune(replace(settings, out=str(tmp_path / "out")), look)
    assert modes == {0o600}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"interval": (0.01, 0.09)}, ["+1.0 to +9.0 points", "set midfill.model = "]),
        ({"interval": (-0.01, 0.09)}, ["it is not shown that tuning helps", "set midfill.model = "]),
        ({"interval": (-0.09, -0.01), "is_kept": False}, ["nothing was kept"]),
        ({"num_kept_files": 5}, ["looked up in 5 of the 24 files: 2,000,000 characters", "give a smaller folder"]),
    ],
)
def test_what_is_told_in_the_end(
    tuned: Tuned, settings: TuneSettings, changes: dict[str, object], expected: list[str]
) -> None:
    told = "\n".join(sentences(replace(tuned, **changes), settings))  # type: ignore[arg-type]
    assert [words for words in expected if words not in told] == []
