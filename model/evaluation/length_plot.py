"""The plot of `midfill eval length`: quality by the length of a hole, and by the number of forward passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STEPS_KIND = "rest of line"
COLOURS = {
    "diffusion": "#0b6e99",
    "diffusion alone": "#7fb8d0",
    "left to right with memory": "#b3541e",
    "left to right": "#dda37f",
}
Rows = Mapping[tuple[str, str], Mapping[str, Any]]
"""The rows of the table by kind and method."""


def tokens_kind(length: int) -> str:
    return f"{length} tokens"


def steps_kind(max_steps: int) -> str:
    return f"{STEPS_KIND}, {max_steps} steps" if max_steps > 1 else f"{STEPS_KIND}, 1 step"


def draw(
    path: Path, rows: Sequence[Mapping[str, Any]], lengths: Sequence[int], steps: Sequence[int], title: str
) -> None:
    """Write a PNG: exact match and edit similarity by length; with `steps` also by forward passes."""
    from matplotlib.figure import Figure

    by_name = {(row["kind"], row["method"]): row for row in rows}
    figure = Figure(figsize=(10 if steps else 5.5, 8), layout="constrained")
    panels = figure.subplots(2, 2 if steps else 1, squeeze=False)
    for row, (measure, label) in enumerate((("exact", "exact match"), ("similarity", "edit similarity"))):
        _by_length(panels[row][0], by_name, lengths, measure)
        panels[row][0].set(xlabel="tokens in the hole", ylabel=label)
        if steps:
            _by_steps(panels[row][1], by_name, steps, measure)
            panels[row][1].set(xlabel=f"forward passes, {STEPS_KIND}", ylabel=label)
    for panel in panels.flat:
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0][0].legend()
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, format="png")


def _by_length(panel: Any, rows: Rows, lengths: Sequence[int], measure: str) -> None:
    for method, colour in COLOURS.items():
        points = [(length, rows[key]) for length in lengths if (key := (tokens_kind(length), method)) in rows]
        _line(panel, method, colour, points, measure)


def _by_steps(panel: Any, rows: Rows, steps: Sequence[int], measure: str) -> None:
    """Diffusion by the passes it may take; left to right is one point, at the passes that it takes."""
    for method, colour in COLOURS.items():
        points = [(number, rows[key]) for number in steps if (key := (steps_kind(number), method)) in rows]
        points += [(row["forwards"], row) for row in [rows.get((STEPS_KIND, method))] if row]
        _line(panel, method, colour, points, measure)


def _line(
    panel: Any, method: str, colour: str, points: Sequence[tuple[float, Mapping[str, Any]]], measure: str
) -> None:
    """The points of one method; exact match with its 95 % intervals."""
    across = [place for place, _ in points]
    panel.plot(across, [row[measure] for _, row in points], marker="o", color=colour, label=method)
    if measure == "exact":
        for place, row in points:
            panel.plot([place, place], row["exact_interval"], color=colour, alpha=0.5)
