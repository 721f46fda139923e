"""Records: the results of one evaluation, task by task, as JSON lines. A run that was stopped goes on from its record.

The first line is `{"header": {...}}`: what was measured, with which model and settings. Every other line is one task's
result with its key under "task". This module knows no model and no measure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

JSON: TypeAlias = Any
"""What `json.dumps` takes and `json.loads` gives."""
T = TypeVar("T")


class RecordMismatchError(ValueError):
    """A file is not a record, or a record of something else; the message says what differs and what to do."""


def answered(
    tasks: Sequence[T],
    key: Callable[[T], str],
    answer: Callable[[T], dict[str, JSON]],
    *,
    record: Path | None,
    header: Mapping[str, JSON],
    label: str,
) -> list[dict[str, JSON]]:
    """The result of `answer` for each task, in task order, each with its `key` under "task".

    Each result is appended to `record` (if there is one) as soon as it is known, and a task that stands there already
    is not answered again. A progress bar called `label` is drawn on stderr if that is a terminal. Raises
    RecordMismatchError if `record` has another header, ValueError if two tasks have the same key."""
    keys = [key(task) for task in tasks]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{len(keys) - len(set(keys))} tasks have the key of another; a record could not tell them")
    known = _resume(record, header) if record else {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task(label, total=len(tasks), completed=sum(name in known for name in keys))
        for name, task in zip(keys, tasks, strict=True):
            if name not in known:
                known[name] = {**answer(task), "task": name}
                if record:
                    _append(record, known[name])
                progress.advance(bar)
    return [known[name] for name in keys]


def read_record(record: Path) -> tuple[dict[str, JSON], dict[str, dict[str, JSON]]]:
    """The header of a record, and its results by task. A last line that was cut off is left out.

    Raises RecordMismatchError if the file is no record, OSError if it cannot be read."""
    header, results, _ = _parse(record, record.read_bytes())
    return header, results


def _resume(record: Path, header: Mapping[str, JSON]) -> dict[str, dict[str, JSON]]:
    """What the record holds already; the record is begun if there is none."""
    content = record.read_bytes() if record.exists() else b""
    if not content:
        record.parent.mkdir(parents=True, exist_ok=True)
        _append(record, {"header": header})
        return {}
    found, results, num_bytes = _parse(record, content)
    wanted = json.loads(json.dumps(header))
    if found != wanted:
        differing = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        differences = "; ".join(f"{name}: {found.get(name)!r} there, {wanted.get(name)!r} now" for name in differing)
        raise RecordMismatchError(
            f"{record} was made with other settings ({differences}); "
            "name another file with --record, or run with the settings that it was made with."
        )
    if num_bytes < len(content):  # the run was stopped in the middle of a line
        with record.open("r+b") as file:
            file.truncate(num_bytes)
    return results


def _parse(record: Path, content: bytes) -> tuple[dict[str, JSON], dict[str, dict[str, JSON]], int]:
    """Header, results by task, and how many bytes of `content` are whole lines."""
    whole = content[: content.rfind(b"\n") + 1]
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
        header = lines[0]["header"]
        return header, {line["task"]: line for line in lines[1:]}, len(whole)
    except (ValueError, LookupError, TypeError) as error:
        raise RecordMismatchError(
            f"{record} is not a record of `midfill eval`; name another file, or remove this one."
        ) from error


def _append(record: Path, line: Mapping[str, JSON]) -> None:
    with record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
