"""Files of infilling tasks whose programs are run: the HumanEval-Infilling format, and the one with several holes.

Both are JSON lines, plain or .gz, and both become an `InfillingTask`: texts and holes that take turns.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

UNPARSABLE = "\n?\"\"\"?'''?\n"
"""Wrong wherever it stands: in code, in a comment and in a string of any quotes."""


class InfillingFileError(ValueError):
    """A file of tasks cannot be read; the message names the line and what is wrong there."""


@dataclass(frozen=True, slots=True)
class InfillingTask:
    """segments[0] holes[0] segments[1] ... is the program; holes: what stood there; test: what is run after it."""

    task_id: str
    segments: tuple[str, ...]
    holes: tuple[str, ...]
    test: str

    @property
    def problem(self) -> str:
        """What the ids of one problem's tasks have in common: all but what follows the last slash."""
        return self.task_id.rpartition("/")[0] or self.task_id

    @property
    def opened(self) -> InfillingTask:
        """The task with a line of its own for each hole that stands between whole lines, as a person opens one before
        asking for it; the removed text ended with that line's end. Nothing but the segments decides which holes these
        are: there is no code to the left, and code begins right behind. The line is indented as an editor would."""
        segments = list(self.segments)
        for index, (before, after) in enumerate(pairwise(self.segments)):
            if before[-1:] not in ("", "\n") or (index and not before) or after[:1] == "\n":
                continue
            segments[index] += expected_indentation(before, after)
            if after:
                segments[index + 1] = "\n" + segments[index + 1]
        return replace(self, segments=tuple(segments))

    def filled(self, fills: Sequence[str]) -> str:
        """The program with these fills, one for each hole."""
        return self.segments[0] + "".join(fill + text for fill, text in zip(fills, self.segments[1:], strict=True))

    def places(self, fills: Sequence[str]) -> list[int]:
        """Where each hole begins in the program with these fills, in code points."""
        lengths = (len(text) + len(fill) for text, fill in zip(self.segments, fills, strict=False))
        return [end - len(fill) for end, fill in zip(accumulate(lengths), fills, strict=True)]


def expected_indentation(before: str, after: str) -> str:
    """Of a new line between two texts: one level more behind a line that opens a block; behind one that ends a block
    that of the line below, where that stands further left; else that of the line above."""
    above = next((line for line in reversed(before.split("\n")) if line.strip()), "")
    below = next((line for line in after.split("\n") if line.strip()), "")
    of_above, of_below = (line[: len(line) - len(line.lstrip())] for line in (above, below))
    if above.rstrip().endswith(":"):
        deeper = len(of_below) > len(of_above) and of_below.startswith(of_above)
        return of_below if deeper else of_above + ("\t" if of_above.startswith("\t") else "    ")
    if re.match(r"(?:return|raise|pass|continue|break)\b", above.lstrip()) and len(of_below) < len(of_above):
        return of_below
    return of_above


def read_tasks(path: Path) -> list[InfillingTask]:
    """A file with `task_id, prompt, suffix, canonical_solution, test` and possibly `entry_point`: one hole a task.

    Raises InfillingFileError."""

    def task_of(values: dict[str, Any]) -> InfillingTask:
        segments, holes = (values["prompt"], values["suffix"]), (values["canonical_solution"],)
        return InfillingTask(values["task_id"], segments, holes, _test_of(values))

    return _read(path, {"prompt": str, "suffix": str, "canonical_solution": str}, task_of)


def read_several(path: Path) -> list[InfillingTask]:
    """A file with `task_id, segments, holes, test` and possibly `entry_point`. Raises InfillingFileError."""

    def task_of(values: dict[str, Any]) -> InfillingTask:
        segments, holes = values["segments"], values["holes"]
        if not holes or len(segments) != len(holes) + 1:
            raise ValueError(f"{len(segments)} `segments` do not go around {len(holes)} `holes`; give one more of them")
        if not all(isinstance(text, str) for text in (*segments, *holes)):
            raise ValueError("`segments` and `holes` must be lists of strings")
        return InfillingTask(values["task_id"], tuple(segments), tuple(holes), _test_of(values))

    return _read(path, {"segments": list, "holes": list}, task_of)


def spread(tasks: Sequence[InfillingTask], limit: int | None, seed: int) -> list[InfillingTask]:
    """At most `limit` tasks, as evenly from the problems as can be, the same for the same seed; in the file's order."""
    if limit is None or limit >= len(tasks):
        return list(tasks)
    rng = random.Random(seed)
    problems: dict[str, list[int]] = defaultdict(list)
    for index, task in enumerate(tasks):
        problems[task.problem].append(index)
    drawn = [rng.sample(indices, len(indices)) for indices in rng.sample(list(problems.values()), len(problems))]
    ranked = sorted((turn, place, index) for place, indices in enumerate(drawn) for turn, index in enumerate(indices))
    return [tasks[index] for index in sorted(index for _, _, index in ranked[:limit])]


def _test_of(values: dict[str, Any]) -> str:
    """The text that is run after the program: asserts, or the definition of `check` and its call."""
    test, entry_point = str(values["test"]), values.get("entry_point") or ""
    if not entry_point:
        return test
    if not isinstance(entry_point, str) or not entry_point.isidentifier():
        raise ValueError(f"`entry_point` must be the name of a function, got {entry_point!r}")
    return f"{test}\n\ncheck({entry_point})\n"


def _read(
    path: Path, fields: dict[str, type], task_of: Callable[[dict[str, Any]], InfillingTask]
) -> list[InfillingTask]:
    tasks: dict[str, InfillingTask] = {}
    for number, line in _lines(path):
        try:
            values = _checked(line, {"task_id": str, **fields, "test": str})
            task = task_of(values)
            if task.task_id in tasks:
                raise ValueError(f"`task_id` {task.task_id!r} was there before; give each task its own")
        except ValueError as error:
            raise InfillingFileError(f"{path}, line {number}: {error}.") from error
        tasks[task.task_id] = task
    if not tasks:
        raise InfillingFileError(f"{path} holds no tasks; give a file with one JSON object on each line.")
    return list(tasks.values())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers, from 1."""
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InfillingFileError(f"{path} cannot be read: {error}.") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line


def _checked(line: str, fields: dict[str, type]) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError as error:
        raise ValueError(f"this is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError("this is not a JSON object")
    for name, kind in fields.items():
        if name not in values:
            raise ValueError(f"`{name}` is missing; a task needs {', '.join(f'`{field}`' for field in fields)}")
        if not isinstance(values[name], kind):
            raise ValueError(f"`{name}` must be a {'list' if kind is list else 'string'}, got {values[name]!r:.60}")
    return values
