"""`midfill eval calibration`: whether the confidence that decides what is shown tells how often a fill is right.

On the test packages, which no part of the confidence was fitted on. The front asks at each place and decides what is
fit to be shown, with the function that decides in the server; beside the confidence that is served stands the
uncalibrated one, the least certain token's probability.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from midfill.model.engine.confidence import threshold_for_share
from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import Task, draw_tasks
from midfill.model.evaluation.options import (
    EMBEDDED,
    AsJson,
    Corpus,
    Language,
    ModelName,
    Record,
    load,
    read_split,
    require_matplotlib,
)
from midfill.model.measuring.baselines import same
from midfill.model.measuring.front import Front
from midfill.model.measuring.intervals import bootstrap
from midfill.model.measuring.methods import run
from midfill.model.measuring.records import answered
from midfill.model.measuring.scores import by_language
from midfill.model.training.calibrate import CALIBRATED_KINDS

SHARE_SHOWN = 0.3
NUM_BINS = 10
EVERYTHING = "all"
CONFIDENCES = ("served", "weakest token")


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown from a threshold on. share: of all places; precision: share of those shown that are exact, and its
    95 % interval over tasks; threshold, precision and interval are None where none is shown."""

    threshold: float | None
    share: float
    precision: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Bin:
    """Fills of neighbouring confidences: how many, their mean confidence, and the share that is exact."""

    num_fills: int
    confidence: float
    exact: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """expected_error: mean distance of a bin's confidence from its exact share, each bin weighed by its fills;
    num_places: those with a fill and those without."""

    num_places: int
    at_share: Shown
    at_threshold: Shown
    expected_error: float
    bins: tuple[Bin, ...]


def shown_from(threshold: float, confidences: Sequence[float], exact: Sequence[bool], num_silent: int = 0) -> Shown:
    """num_silent: places at which there is nothing to show, however low the threshold."""
    outcomes = [float(right) for confidence, right in zip(confidences, exact, strict=True) if confidence >= threshold]
    share = len(outcomes) / max(len(confidences) + num_silent, 1)
    if not outcomes:
        return Shown(None, share, None, None)
    return Shown(threshold, share, sum(outcomes) / len(outcomes), bootstrap(outcomes))


def bins_of(confidences: Sequence[float], exact: Sequence[bool], num_bins: int = NUM_BINS) -> tuple[Bin, ...]:
    """Bins of equal mass (to within one fill), least confident first; fewer where there are fewer fills.

    Fills of one confidence count with the share of them that is exact, so it does not matter which bin they fall in."""
    if not confidences:
        return ()
    values, groups = np.unique(np.asarray(confidences, float), return_inverse=True)
    shares = np.bincount(groups, np.asarray(exact, float)) / np.bincount(groups)
    order = np.sort(groups)
    return tuple(
        Bin(len(part), float(values[part].mean()), float(shares[part].mean()))
        for part in np.array_split(order, min(num_bins, len(order)))
    )


def expected_error(bins: Sequence[Bin]) -> float:
    """0 where there is no bin."""
    distances = [one.num_fills * abs(one.confidence - one.exact) for one in bins]
    return sum(distances) / max(sum(one.num_fills for one in bins), 1)


def reliability(
    confidences: Sequence[float], exact: Sequence[bool], threshold: float, num_silent: int = 0
) -> Reliability:
    """num_silent: places at which there is nothing to show; they count in every share."""
    bins = bins_of(confidences, exact)
    for_share = threshold_for_share([*confidences, *(0.0,) * num_silent], SHARE_SHOWN)
    at_share = shown_from(for_share, confidences, exact, num_silent)
    at_threshold = shown_from(threshold, confidences, exact, num_silent)
    return Reliability(len(confidences) + num_silent, at_share, at_threshold, expected_error(bins), bins)


def measure(
    model: DenoisingModel, tasks: Sequence[Task], record: Path | None, settings: dict[str, Any]
) -> dict[str, dict[str, Reliability]]:
    """By language, if there are several, and of all together: `reliabilities` of what the front would show unasked at
    each place if no confidence were too low."""
    with Front(model.info) as front:

        def answer(task: Task) -> dict[str, Any]:
            place = task.span.start
            shown = front.shown(task.source, place, functools.partial(run, model), jumped=True, threshold=0.0)
            if shown is None:
                return {"language": task.family, "asked": False}
            return {
                "language": task.family,
                "asked": True,
                "offers": bool(shown.fill),
                "served": shown.confidence,
                "weakest token": shown.weakest,
                "exact": same(shown.fill, task.truth),
            }

        header = {"measure": "calibration", "model": model.info.name, "revision": model.info.revision, **settings}
        results = answered(tasks, _key, answer, record=record, header=header, label="holes")
    return {EVERYTHING: reliabilities(results, model.info.show_threshold)} | {
        name: reliabilities(part, model.info.show_threshold) for name, part in by_language(results).items()
    }


def reliabilities(results: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, Reliability]:
    """By CONFIDENCES, of the places where the front asks. Where the weakest token's probability decides, as many fills
    are shown as of the served one."""
    asked = [result for result in results if result["asked"]]
    offers = [result for result in asked if result["offers"]]
    exact = [result["exact"] for result in offers]
    served, weakest = ([float(result[name]) for result in offers] for name in CONFIDENCES)
    num_silent = len(asked) - len(offers)
    of_served = reliability(served, exact, threshold, num_silent)
    equal_share = threshold_for_share([*weakest, *(0.0,) * num_silent], of_served.at_threshold.share)
    return {"served": of_served, "weakest token": reliability(weakest, exact, equal_share, num_silent)}


def _key(task: Task) -> str:
    digest = hashlib.blake2b(task.text.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return f"{task.kind} {digest} {task.span.start}-{task.span.end}"


def command(
    corpus: Corpus,
    limit: Annotated[int, typer.Option(min=1, help="Holes of each kind, in equal shares of the languages.")] = 200,
    language: Language = None,
    model: ModelName = EMBEDDED,
    seed: int = 0,
    record: Record = None,
    plot: Annotated[Path | None, typer.Option(help="Write a reliability diagram here (needs matplotlib).")] = None,
    as_json: AsJson = False,
) -> None:
    """Precision of what is shown, and calibration error, on test packages; the uncalibrated confidence beside it."""
    if plot is not None:
        require_matplotlib()
    loaded = load(model)
    files = read_split(corpus, "test", language)
    drawn = {_key(task): task for task in draw_tasks(files, limit, seed, CALIBRATED_KINDS)}
    if not drawn:
        raise typer.BadParameter(f"The files of {corpus / 'test.jsonl.gz'} are too short to draw a hole from.")
    found = measure(loaded, list(drawn.values()), record, {"limit": limit, "seed": seed, "language": language})
    if plot is not None:
        draw_plot(found[EVERYTHING], plot)
    info = loaded.info
    if as_json:
        figures = {of: {name: asdict(one) for name, one in part.items()} for of, part in found.items()}
        everything = figures.pop(EVERYTHING)
        print(
            json.dumps({"model": info.name, "revision": info.revision, **everything, "by_language": figures}, indent=1)
        )
        return
    print(f"{info.name} {info.revision}, holes: {', '.join(CALIBRATED_KINDS)}, test packages, seed {seed}")
    for name, part in found.items():
        num_fills = sum(one.num_fills for one in part["served"].bins)
        print(f"\n{name}: {num_fills} fills of the {part['served'].num_places} places where the front asks")
        _print(part)


def _print(found: dict[str, Reliability]) -> None:
    print(f"\n{'':32}" + "".join(f"{name:>34}" for name in found))
    print(f"{f'precision at {SHARE_SHOWN:.0%} shown':32}" + "".join(_of(one.at_share) for one in found.values()))
    print(f"{'precision at the show threshold':32}" + "".join(_of(one.at_threshold) for one in found.values()))
    errors = "".join(f"{one.expected_error:>34.3f}" for one in found.values())
    print(f"{f'calibration error, {NUM_BINS} equal bins':32}" + errors)
    print("(the weakest token's threshold is the one that shows as many)\n")
    print("".join(f"{name + ': fills':>22}{'confidence':>12}{'exact':>8}" for name in found))
    for pair in zip(*(one.bins for one in found.values()), strict=True):
        print("".join(f"{one.num_fills:>22}{one.confidence:>12.3f}{one.exact:>8.1%}" for one in pair))


def _of(shown: Shown) -> str:
    if shown.precision is None or shown.interval is None:
        return f"{'none shown':>34}"
    low, high = shown.interval
    return f"{f'{shown.precision:.1%} ({low:.1%}-{high:.1%}) of {shown.share:.1%}':>34}"


def draw_plot(found: dict[str, Reliability], path: Path) -> None:
    """A reliability diagram as an image."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color="0.8", label="as sure as right")
    for name, one in found.items():
        label = f"{name}, error {one.expected_error:.3f}"
        axes.plot([a.confidence for a in one.bins], [a.exact for a in one.bins], marker="o", label=label)
    axes.set(xlabel="confidence", ylabel="share exact", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
