"""A run's losses as a picture: what a kill has left in the log is read as it happened in the end."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midfill.model.training.plot import LogError, draw, phases, read_log, smoothed

SETTINGS = {"cool_down_share": 0.4}


def row(step: int, causal: float = 2.0, **more: float) -> str:
    values = {"step": step, "progress": step / 10, "causal_loss": causal, "canvas_loss": 3.0, "seconds": step * 6.0}
    return json.dumps(values | {"positions": step * 400} | more)


def write_run(folder: Path, lines: list[str], end: str = "\n") -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps(SETTINGS))
    (folder / "losses.jsonl").write_text("\n".join(lines) + end)
    return folder


@pytest.mark.parametrize(
    ("lines", "end", "losses", "damaged"),
    [
        ([row(1, 5), row(2, 4)], "\n", [5, 4], ()),
        ([row(1, 5), row(2, 4), '{"step": 3, "causal_l'], "", [5, 4], (3,)),
        ([row(1, 5), '{"step": 2, "caus' + row(2, 4), row(3, 3)], "\n", [5, 3], (2,)),
        ([row(1, 5), row(2, 4), row(3, 9), row(2, 4), row(3, 3)], "\n", [5, 4, 3], ()),
        ([row(1, 5), row(2, 4), row(3, 9), row(2, 7)], "\n", [5, 7], ()),
        (["", row(1, 5), "7"], "\n", [5], (1, 3)),
    ],
    ids=["whole", "cut short", "went on behind the cut", "steps done again", "killed again", "no rows"],
)
def test_a_log_is_read_as_it_happened_in_the_end(
    tmp_path: Path, lines: list[str], end: str, losses: list[float], damaged: tuple[int, ...]
) -> None:
    log = read_log(write_run(tmp_path / "run", lines, end))
    assert log.columns["causal_loss"].tolist() == losses
    assert log.damaged_lines == damaged


def test_a_validation_before_the_first_step_is_a_row_of_its_own(tmp_path: Path) -> None:
    before = json.dumps({"step": 0, "seconds": 0.0, "positions": 0, "validation_canvas_loss": 3.5})
    log = read_log(write_run(tmp_path / "run", [before, row(1), row(2, validation_canvas_loss=3.0)]))
    assert log.columns["positions"].tolist() == [0, 400, 800]
    assert np.isnan(log.columns["canvas_loss"]).tolist() == [True, False, False]
    assert log.columns["validation_canvas_loss"][[0, 2]].tolist() == [3.5, 3.0]


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.4, [("full rate", 0, 0.6), ("cool-down", 0.6, 1)]), (1.0, [("cool-down", 0, 1)]), (0.0, [("full rate", 0, 1)])],
)
def test_phases_come_from_the_settings(share: float, expected: list[tuple[str, float, float]]) -> None:
    assert [(phase.name, phase.start, phase.end) for phase in phases({"cool_down_share": share})] == expected


def test_smoothing_keeps_a_level_and_the_ends() -> None:
    assert smoothed(np.full(7, 3.0), 4) == pytest.approx(3.0)
    assert smoothed(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist() == [1.5, 3.0, 6.0, 7.5]
    assert smoothed(np.array([1.0, 2.0]), 10).tolist() == [1.0, 1.5]


@pytest.mark.parametrize("num_steps", [1, 10])
def test_a_picture_is_drawn_of_a_run_at_any_time(tmp_path: Path, num_steps: int) -> None:
    pytest.importorskip("matplotlib")
    lines = [row(step, 6 - step / 4, validation_causal_loss=6.0) for step in range(1, num_steps + 1)]
    logs = [read_log(write_run(tmp_path / name, lines)) for name in ("one", "two")]
    draw(logs, tmp_path / "losses.png")
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


def test_the_log_of_the_real_program_is_read(tiny_checkpoint: Path) -> None:
    log = read_log(tiny_checkpoint.parent)
    assert len(log.columns["causal_loss"]) > 50
    assert log.damaged_lines == ()
    for name in ("causal_loss", "canvas_loss", "positions", "seconds", "progress"):
        assert np.isfinite(log.columns[name]).all(), name
    assert (np.diff(log.columns["positions"]) > 0).all()
    assert [phase.name for phase in log.phases] == ["full rate", "cool-down"]


def test_no_log_and_no_matplotlib_are_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LogError, match="has no losses to draw"):
        read_log(tmp_path)
    with pytest.raises(LogError, match="holds no whole line yet"):
        read_log(write_run(tmp_path / "new", ['{"st'], ""))
    log = read_log(write_run(tmp_path / "run", [row(1)]))
    real_import = builtins.__import__

    def import_without_matplotlib(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", import_without_matplotlib)
    with pytest.raises(LogError, match=r"pip install .*\[train\]'"):
        draw([log], tmp_path / "losses.png")
