"""`midfill eval length`: how quality changes with the length of a hole, and with the number of forward passes."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import FIRST_PLACE, Task, draw_tasks, key_of, measure
from midfill.model.evaluation.length_plot import STEPS_KIND, draw, steps_kind, tokens_kind
from midfill.model.evaluation.options import (
    EMBEDDED,
    AsJson,
    Corpus,
    Language,
    ModelName,
    Record,
    Split,
    load,
    read_split,
    require_matplotlib,
)
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser, EmbeddedPlan
from midfill.model.measuring.front import Front
from midfill.model.measuring.methods import METHODS, embedded
from midfill.model.measuring.records import JSON, answered
from midfill.model.measuring.scores import by_language, lines_of, rows_of
from midfill.model.measuring.spans import CharSpan, SourceFile
from midfill.model.measuring.split import SplitFile, in_equal_shares
from midfill.model.wire.api import InfillRequest

LENGTHS = (8, 16, 32, 64, 128)
"""True lengths of holes, in tokens."""
TOLERANCE = 0.25
DIFFUSION = METHODS[:2]
LEFT_TO_RIGHT = METHODS[2:4]
AGAINST = {"diffusion": (LEFT_TO_RIGHT[0],), "diffusion alone": (LEFT_TO_RIGHT[1],)}
"""Both with the memory, or both without: what differs is the order in which tokens are written."""


def command(
    corpus: Corpus,
    limit: Annotated[int, typer.Option(min=1, help="Holes of each length, in equal shares of the languages.")] = 100,
    steps: Annotated[str, typer.Option(help="Most forward passes to try, for example 1,2,4,8,16,24.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw both into this PNG; needs matplotlib.")] = None,
    split: Split = "test",
    language: Language = None,
    model: ModelName = EMBEDDED,
    seed: int = 0,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Holes of about 8 to 128 tokens: exact match and edit similarity of diffusion, and of the same weights in order.

    A hole begins and ends with a line, and its canvas is the shortest that takes every hole of its length. With --steps
    also the rest of a line, when its holes must be closed after so many forward passes."""
    tried = _steps_of(steps)
    if plot:
        require_matplotlib()
    files = read_split(corpus, split, language)
    loaded = load(model)
    jobs = [*_length_jobs(files, limit, seed, loaded), *_steps_jobs(files, limit, seed, tried)]
    if not jobs:
        raise typer.BadParameter(f"No hole could be drawn from the {len(files)} files of {split}: all are too short.")
    info = loaded.info
    asked = {"model": info.name, "revision": info.revision, "split": split, "limit": limit, "seed": seed}
    asked |= {"steps": list(tried), "language": language}
    with Front(info) as front:
        results = answered(
            list(enumerate(jobs)),
            lambda numbered: key_of(numbered[0], numbered[1].task),
            lambda numbered: _result_of(numbered[1], loaded, front),
            record=record,
            header={"command": "length", **asked},
            label="length",
        )
    kinds = {kind: (kind,) for kind in dict.fromkeys(result["kind"] for result in results)}
    rows = list(rows_of(results, kinds, AGAINST))
    if plot:
        draw(plot, rows, LENGTHS, tried, f"{info.name} {info.revision}, {limit} holes of each length")
    rows_by_language = {name: list(rows_of(part, kinds, AGAINST)) for name, part in by_language(results).items()}
    if as_json:
        print(json.dumps({**asked, "rows": rows, "by_language": rows_by_language}, indent=1))
        return
    print(f"{info.name} {info.revision}, {limit} holes of each length, {split} packages, seed {seed}")
    print("\n".join(lines_of(rows)))
    for name, part in rows_by_language.items():
        print(f"\n{name}")
        print("\n".join(lines_of(part)))


@dataclass(frozen=True, slots=True)
class Job:
    """A hole and how to fill it. max_tokens: as `midfill fill --max-tokens`, None for what the front chooses;
    max_steps: None for the family's own."""

    task: Task
    methods: tuple[str, ...]
    max_tokens: int | None = None
    max_steps: int | None = None


def draw_lengths(
    files: Sequence[SplitFile], length: int, num_tasks: int, seed: int, model: DenoisingModel
) -> Iterator[Task]:
    """Holes of `length` tokens, a quarter more or less, from the start of one line to the end of one, in equal shares
    of the languages and spread over the files; the same for the same seed. None is longer than the model's longest
    hole."""
    for family, (group, num) in in_equal_shares(num_tasks, files).items():
        rng = random.Random(f"{seed} {length} tokens {family}")
        drawn = (_draw(file, length, rng, model) for file in rng.choices(group, k=20 * num))
        yield from itertools.islice((task for task in drawn if task is not None), num)


def _draw(file: SplitFile, length: int, rng: random.Random, model: DenoisingModel) -> Task | None:
    lines = [line for line in SourceFile(file.text, file.language).lines if line.start > FIRST_PLACE]
    span = _span_of(file.text, lines, rng.randrange(len(lines)), length, model) if lines else None
    return Task(tokens_kind(length), file.text, span, file.language, file.path) if span else None


def _span_of(text: str, lines: Sequence[CharSpan], first: int, length: int, model: DenoisingModel) -> CharSpan | None:
    """The lines from the first one on that together come nearest to `length` tokens; None if none comes near enough."""
    longest = longest_hole(length, model)
    sizes: dict[int, CharSpan] = {}
    for line in lines[first:]:
        num_tokens = len(embedded(model).tokenizer.encode(text[lines[first].start : line.end]))
        if num_tokens > longest:
            break
        sizes[abs(num_tokens - length)] = CharSpan(lines[first].start, line.end)
    nearest = min(sizes, default=length)
    return sizes[nearest] if nearest <= TOLERANCE * length else None


def longest_hole(length: int, model: DenoisingModel) -> int:
    """The most tokens of a hole of about `length`, and of its fill."""
    return min(int(length * (1 + TOLERANCE)), model.info.max_canvas_tokens)


def _length_jobs(files: Sequence[SplitFile], limit: int, seed: int, model: DenoisingModel) -> Iterator[Job]:
    for length in LENGTHS:
        for task in draw_lengths(files, length, limit, seed, model):
            yield Job(task, (*DIFFUSION, *LEFT_TO_RIGHT), longest_hole(length, model))


def _steps_jobs(files: Sequence[SplitFile], limit: int, seed: int, tried: Sequence[int]) -> Iterator[Job]:
    """Each hole with each number of steps, and once left to right, which takes as many forwards as tokens."""
    if not tried:
        return
    for task in draw_tasks(files, limit, seed, [STEPS_KIND]):
        yield Job(task, LEFT_TO_RIGHT)
        for max_steps in tried:
            yield Job(replace(task, kind=steps_kind(max_steps)), DIFFUSION, max_steps=max_steps)


def _result_of(job: Job, model: DenoisingModel, front: Front) -> dict[str, JSON]:
    request = front.plan(job.task.source, [job.task.span.start], max_tokens=job.max_tokens)
    if job.max_steps is not None:
        model = DenoisingModel(LimitedSteps(embedded(model), job.max_steps), model.sampler)
    return measure(model, job.task, request, job.methods)


def _steps_of(steps: str) -> tuple[int, ...]:
    try:
        numbers = tuple(sorted({int(number) for number in steps.split(",") if number.strip()}))
    except ValueError:
        numbers = (0,)
    if any(number < 1 for number in numbers):
        raise typer.BadParameter(f"--steps must be whole numbers from 1 on, separated by commas, got {steps!r}.")
    return numbers


class LimitedSteps(EmbeddedDenoiser):
    """A denoiser, its weights shared, whose holes must all be closed after `max_steps` forward passes."""

    def __init__(self, denoiser: EmbeddedDenoiser, max_steps: int) -> None:
        self.__dict__.update(denoiser.__dict__)
        self._max_steps = max_steps

    def plan(self, request: InfillRequest, num_candidates: int) -> EmbeddedPlan:
        return replace(super().plan(request, num_candidates), max_steps=self._max_steps)
