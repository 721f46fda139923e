"""From a run's checkpoint to what ships: characters per token, memory weights, confidence and show threshold, fitted.

All of it on what the front asks unasked while somebody types, in equal shares of the languages, and with the function
that decides in the server what is shown.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import Task, draw_tasks
from midfill.model.families.embedded.checkpoint import (
    BASE,
    Checkpoint,
    EmbeddedConfig,
    load_checkpoint,
    parent_path,
    save_checkpoint,
)
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.families.loading import load_embedded
from midfill.model.measuring.front import Front
from midfill.model.measuring.methods import embedded
from midfill.model.measuring.split import SplitFile, by_family
from midfill.model.training.calibrate import (
    CALIBRATED_KINDS,
    collect,
    fit_calibration,
    fit_threshold,
    pairs_of,
)
from midfill.model.training.memory_weights import fit_memory_weights
from midfill.model.wire.errors import MidfillModelError

NUM_MEMORY_HOLES, NUM_CONFIDENCE_HOLES = 60, 330
REPORT_EVERY_S = 5.0

T = TypeVar("T")


class FinishError(MidfillModelError):
    """There is nothing to fit on; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many holes are drawn, to within one for each kind: for the memory's weights, and for the confidence and its
    threshold. The front does not ask at all of them."""

    memory: int = NUM_MEMORY_HOLES
    confidence: int = NUM_CONFIDENCE_HOLES

    def __post_init__(self) -> None:
        for name in ("memory", "confidence"):
            if (value := getattr(self, name)) < len(CALIBRATED_KINDS):
                raise ValueError(f"{name} must be at least {len(CALIBRATED_KINDS)}, one of each kind, got {value}")


def finish(run: Path, files: Sequence[SplitFile], out: Path, numbers: Numbers = Numbers()) -> EmbeddedConfig:
    """Write the run's checkpoint to `out` with what is fitted on `files`, which were not trained on. Nothing is written
    before all is fitted. Progress goes to stderr.

    Raises CheckpointError for the run, FinishError where `files` have no hole that the front asks for in a language
    that the checkpoint was trained on."""
    checkpoint = load_checkpoint(run / "checkpoint")
    known = [file for file in files if file.language in checkpoint.config.languages]
    if not known:
        languages = ", ".join(checkpoint.config.languages)
        raise FinishError(
            f"There are no files in {languages} to fit on; give a corpus whose validation split has some."
        )
    config = replace(
        checkpoint.config,
        parent=_parent_of(checkpoint, run / "checkpoint"),
        chars_per_token=chars_per_token(known, checkpoint.parent.tokenizer),
        memory_weights=(),
        calibration=(),
        show_threshold=0.0,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".finishing-") as scratch:
        folder = Path(scratch)
        config = replace(config, memory_weights=_memory_weights(_loaded(checkpoint, config, folder), known, numbers))
        config = _with_confidence(_loaded(checkpoint, config, folder), known, numbers, config)
    save_checkpoint(out, checkpoint.adapter, config)
    return config


def chars_per_token(files: Sequence[SplitFile], tokenizer: CodeTokenizer) -> float:
    """The mean over the languages, each of which counts the same."""
    means = []
    for group in by_family(files).values():
        texts = [file.text for file in group]
        means.append(sum(map(len, texts)) / max(sum(map(len, tokenizer.encode_batch(texts))), 1))
    return round(fmean(means), 3)


def _memory_weights(model: DenoisingModel, files: Sequence[SplitFile], numbers: Numbers) -> tuple[float, ...]:
    with Front(model.info) as front:
        tasks = _drawn(files, numbers.memory, seed=0)
        asked = [(front.plan_unasked(task.source, task.span.start, jumped=True), task.truth) for task in tasks]
    holes = [(request, truth) for request, truth in asked if request is not None]
    return fit_memory_weights(embedded(model), _reported(holes, len(holes), "memory weights"))


def _with_confidence(
    model: DenoisingModel, files: Sequence[SplitFile], numbers: Numbers, config: EmbeddedConfig
) -> EmbeddedConfig:
    with Front(model.info) as front:
        tasks = _drawn(files, numbers.confidence, seed=1)
        places = [place for place in _reported(collect(model, front, tasks), len(tasks), "confidence") if place]
        pairs = [pair for place in places for pair in pairs_of(model, front, place)]
        if not pairs:
            raise FinishError("The model gave no fill that could be shown; train it longer, or fit on longer files.")
        calibration = fit_calibration(pairs)
        embedded(model).calibration = calibration
        threshold = fit_threshold(model, front, places)
    return replace(config, calibration=calibration.coefficients, show_threshold=threshold)


def _drawn(files: Sequence[SplitFile], num_holes: int, seed: int) -> list[Task]:
    return list(draw_tasks(files, -(-num_holes // len(CALIBRATED_KINDS)), seed, CALIBRATED_KINDS))


def _reported(items: Iterable[T], total: int, label: str) -> Iterator[T]:
    """The items, with how many are done and in how many seconds on stderr now and then."""
    started = reported = time.monotonic()
    number = 0
    for number, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - reported >= REPORT_EVERY_S:
            reported = time.monotonic()
            print(f"{label}: {number}/{total} holes, {reported - started:.0f} s", file=sys.stderr, flush=True)
    print(f"{label}: {number}/{total} holes, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _parent_of(checkpoint: Checkpoint, folder: Path) -> str:
    """The parent as a checkpoint in another folder names it."""
    config = checkpoint.config
    return BASE if config.parent == BASE else str(parent_path(folder, config).resolve())


def _loaded(checkpoint: Checkpoint, config: EmbeddedConfig, folder: Path) -> DenoisingModel:
    """The model as it is served with this config."""
    save_checkpoint(folder, checkpoint.adapter, config)
    return load_embedded(folder, lambda progress, sentence: None)
