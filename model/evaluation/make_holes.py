"""`midfill eval make-holes`: from a file with one hole a task, one with several: further lines and expressions of the
same program are removed. For development where no file of that kind is to be had."""

from __future__ import annotations

import gzip
import json
import random
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.evaluation.infilling_file import InfillingFileError, InfillingTask, read_tasks
from midfill.model.measuring.spans import CharSpan, SourceFile

_NO_HOLE = re.compile(r"[ \t]*(?:#|@|def |class |import |from |\"|')")
LEAST_EXPRESSION, MOST_EXPRESSION = 4, 80
"""Characters."""


def command(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Tasks with one hole, as for `midfill eval executable`.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: JSON lines, compressed if it ends in .gz.")],
    num_holes: Annotated[
        int, typer.Option(min=2, max=5, help="Holes of each program; the one it has is the first.")
    ] = 2,
    seed: int = 0,
) -> None:
    """Make a file for `midfill eval holes`. Programs in which not so many holes fit are left out."""
    try:
        tasks = read_tasks(path)
    except InfillingFileError as error:
        raise typer.BadParameter(str(error)) from error
    made = [several for task in tasks if (several := with_more_holes(task, num_holes, seed))]
    lines = [
        json.dumps({"task_id": task.task_id, "segments": task.segments, "holes": task.holes, "test": task.test})
        for task in made
    ]
    content = "".join(line + "\n" for line in lines).encode()
    out.write_bytes(gzip.compress(content, mtime=0) if out.suffix == ".gz" else content)
    print(f"{len(made)} programs with {num_holes} holes, of {len(tasks)}, are in {out}.")


def with_more_holes(task: InfillingTask, num_holes: int, seed: int) -> InfillingTask | None:
    """The task with its own hole and others drawn from the rest of its program, the same for the same seed; None where
    not so many fit. Between two holes there is always some text that is not blank."""
    program = task.filled(task.holes)
    start = len(task.segments[0])
    spans = [CharSpan(start, start + len(task.holes[0]))]
    rng = random.Random(f"{seed} {task.task_id}")
    try:
        source = SourceFile(program)
        lines = [_whole(program, line) for line in source.lines if not _NO_HOLE.match(program, line.start)]
        expressions = [
            span
            for span in sorted(set(source.nodes))
            if LEAST_EXPRESSION <= span.end - span.start <= MOST_EXPRESSION
            and "\n" not in program[span.start : span.end]
            and not _NO_HOLE.match(program, program.rfind("\n", 0, span.start) + 1)
        ]
    except (SyntaxError, ValueError):
        return None
    kinds = [rng.sample(kind, len(kind)) for kind in (lines, expressions)]
    while len(spans) < num_holes and any(kinds):
        kind = rng.choice([kind for kind in kinds if kind])
        span = kind.pop()
        if all(_apart(program, span, other) for other in spans):
            spans.append(span)
    return _cut(task, program, sorted(spans)) if len(spans) == num_holes else None


def _whole(program: str, line: CharSpan) -> CharSpan:
    """The line with its indentation and its end."""
    end = program.find("\n", line.end)
    return CharSpan(program.rfind("\n", 0, line.start) + 1, len(program) if end < 0 else end + 1)


def _apart(program: str, one: CharSpan, other: CharSpan) -> bool:
    first, second = sorted((one, other))
    return first.end < second.start and bool(program[first.end : second.start].strip())


def _cut(task: InfillingTask, program: str, spans: Sequence[CharSpan]) -> InfillingTask:
    bounds = [0, *(bound for span in spans for bound in (span.start, span.end)), len(program)]
    pieces = [program[start:end] for start, end in pairwise(bounds)]
    return InfillingTask(task.task_id, tuple(pieces[::2]), tuple(pieces[1::2]), task.test)
