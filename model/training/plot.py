"""The losses of one or several runs as a picture: `losses.jsonl` against training positions and against minutes.

This module reads a run's folder and knows nothing of the network. matplotlib is loaded only when something is drawn.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from midfill.model.wire.errors import MidfillModelError
from midfill.model.wire.install_command import install_command

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSSES = {"causal_loss": "next token, left to right", "canvas_loss": "canvas, denoising"}
VALIDATION = "validation_"
SMOOTHED_SHARE = 0.02
"""Width of the running mean, as a share of the logged steps."""

Column = npt.NDArray[np.float64]


class LogError(MidfillModelError):
    """A run has no losses to draw, or drawing is not possible here."""

    title = "The losses cannot be drawn"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run, from and to a share of its budget."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class LossLog:
    """columns: one value for each logged step, NaN where it was not logged; `positions` are in positions (not
    millions), `seconds` are seconds of training steps. damaged_lines: 1-based numbers of lines that were skipped."""

    name: str
    columns: dict[str, Column]
    phases: tuple[Phase, ...]
    damaged_lines: tuple[int, ...]

    def x_at(self, axis: str, progress: float) -> float:
        """The value of column `axis` where the run reached this progress; its end if it has not."""
        reached = np.flatnonzero(self.columns["progress"] >= progress)
        return float(self.columns[axis][reached[0] if len(reached) else -1])


def read_log(run: Path) -> LossLog:
    """Read a run's folder. What a kill undid and the run did again is read as it was done in the end.

    Raises LogError if there is no log or nothing in it."""
    try:
        settings: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
        lines = (run / "losses.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError) as error:
        raise LogError(f"{run} has no losses to draw ({error}); give a folder made by `midfill train run`.") from error
    rows: dict[int, dict[str, float]] = {}
    damaged: list[int] = []
    last_step = 0
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is None:
            damaged.append(number)
            continue
        step = int(row["step"])
        for undone in [later for later in rows if later >= step] if step <= last_step else []:
            del rows[undone]
        rows[step], last_step = row, step
    if not rows:
        raise LogError(f"{run / 'losses.jsonl'} holds no whole line yet; let the run do some steps.")
    ordered = list(rows.values())
    names = {"progress", "seconds", "positions", *LOSSES, *(VALIDATION + name for name in LOSSES)}
    columns = {name: np.array([row.get(name, np.nan) for row in ordered], np.float64) for name in names}
    return LossLog(run.resolve().name, columns, phases(settings), tuple(damaged))


def _row(line: str) -> dict[str, float] | None:
    """None for a line that a kill has cut short, or that was appended to such a one."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "step" in row else None


def phases(settings: dict[str, Any]) -> tuple[Phase, ...]:
    """The phases of a run, in order and without gaps, from its run.json."""
    cool_down = 1 - settings["cool_down_share"]
    found = (Phase("full rate", 0.0, cool_down), Phase("cool-down", cool_down, 1.0))
    return tuple(phase for phase in found if phase.end > phase.start)


def smoothed(values: Column, width: int) -> Column:
    """The running mean over `width` values, fewer at the ends. values: (N,), all finite."""
    window = np.ones(min(width, len(values)))
    means: Column = np.convolve(values, window, "same") / np.convolve(np.ones(len(values)), window, "same")
    return means


def draw(logs: Sequence[LossLog], out: Path) -> None:
    """Write the picture, of the kind that the name of `out` ends with. Raises LogError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LogError(f"Drawing needs matplotlib; run: {install_command('train')}") from error
    figure = Figure(figsize=(13, 8), layout="constrained")
    panels = figure.subplots(len(LOSSES), 2, sharey="row", squeeze=False)
    for row, (loss, title) in zip(panels, LOSSES.items(), strict=True):
        for panel, (axis, unit, label) in zip(
            row, (("positions", 1e6, "million positions"), ("seconds", 60, "minutes of training steps")), strict=True
        ):
            _shade_phases(panel, logs, axis, unit)
            for number, log in enumerate(logs):
                _draw_curve(panel, log, (axis, unit), loss, f"C{number}")
            panel.set(xlabel=label, title=title, xlim=(0, None))
            panel.grid(alpha=0.25)
        row[0].set_ylabel("loss (nats a token)")
        if (limits := _limits(logs, loss)) is not None:
            row[0].set_ylim(*limits)
        else:
            row[0].text(0.5, 0.5, "nothing logged yet", transform=row[0].transAxes, ha="center")
    panels[0][1].legend(loc="upper right", fontsize="small")
    figure.savefig(out, dpi=110)


def _draw_curve(panel: Axes, log: LossLog, axis: tuple[str, float], loss: str, colour: str) -> None:
    x, y = log.columns[axis[0]] / axis[1], log.columns[loss]
    there = np.isfinite(x) & np.isfinite(y)
    if there.any():
        panel.plot(x[there], y[there], color=colour, alpha=0.2, linewidth=0.6)
        panel.plot(x[there], smoothed(y[there], _width(y)), color=colour, linewidth=1.6, label=log.name)
    validation = log.columns[VALIDATION + loss]
    there = np.isfinite(x) & np.isfinite(validation)
    if there.any():
        label = f"{log.name}, validation"
        panel.plot(x[there], validation[there], "o--", color=colour, markersize=4, markeredgecolor="black", label=label)


def _shade_phases(panel: Axes, logs: Sequence[LossLog], axis: str, unit: float) -> None:
    """The first run's phases as bands with their names; where another run's differ, its bounds as dotted lines."""
    first = logs[0]
    reached = float(np.nanmax(first.columns["progress"], initial=0))
    for number, phase in enumerate(first.phases):
        if phase.start > reached:
            break
        start, end = (first.x_at(axis, bound) / unit for bound in (phase.start, phase.end))
        panel.axvspan(start if phase.start else 0.0, end, color="0.5", alpha=0.06 + 0.1 * (number % 2), linewidth=0)
        words = phase.name.replace(", ", "\n")
        panel.text((start + end) / 2, 0.02, words, transform=panel.get_xaxis_transform(), ha="center", fontsize="small")
    for number, log in enumerate(logs[1:], start=1):
        for phase in log.phases[1:] if log.phases != first.phases else ():
            panel.axvline(log.x_at(axis, phase.start) / unit, color=f"C{number}", linestyle=":", linewidth=1)


def _limits(logs: Sequence[LossLog], loss: str) -> tuple[float, float] | None:
    """The range of the smoothed losses and of the validation beside them, the first twentieth left out; None without
    values."""
    kept: list[Column] = []
    for log in logs:
        values, validation = log.columns[loss], log.columns[VALIDATION + loss]
        there = np.flatnonzero(np.isfinite(values))
        shown = there[len(there) // 20 :]
        if len(there):
            kept.append(smoothed(values[there], _width(values))[len(there) // 20 :])
        kept.append(validation[shown] if len(shown) else validation)
    together = np.concatenate(kept)
    together = together[np.isfinite(together)]
    if not len(together):
        return None
    low, high = float(together.min()), float(together.max())
    margin = 0.1 * (high - low) + 0.02
    return low - 2 * margin, high + margin


def _width(values: Column) -> int:
    return max(1, round(len(values) * SMOOTHED_SHARE))
