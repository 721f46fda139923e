"""`midfill eval compare`: two records of the same tasks, by the paired difference of what both measured."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer

from midfill.model.evaluation.options import AsJson
from midfill.model.measuring.intervals import paired
from midfill.model.measuring.records import RecordMismatchError, read_record

Results = Mapping[str, Mapping[str, Any]]
"""A record's results by task."""
RecordFile = Annotated[Path, typer.Argument(help="Made with --record.", exists=True, dir_okay=False)]


def command(
    first: RecordFile,
    second: RecordFile,
    measure: Annotated[
        str, typer.Option(help="Numbers to compare too, by name, separated by commas: similarity,forwards.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """SECOND minus FIRST, for each kind of task: every outcome (exact, parses, passed, ...) that both records hold."""
    header_of_first, of_first = read_record(first)
    header_of_second, of_second = read_record(second)
    check_same_tasks(first, of_first, second, of_second)
    rows = list(differences(of_first, of_second, [name.strip() for name in measure.split(",") if name.strip()]))
    settings = sorted({*header_of_first, *header_of_second})
    changed = [name for name in settings if header_of_first.get(name) != header_of_second.get(name)]
    if as_json:
        print(json.dumps({"first": header_of_first, "second": header_of_second, "rows": rows}, indent=1))
        return
    for name in changed:
        print(f"{name}: {header_of_first.get(name)} -> {header_of_second.get(name)}")
    print(f"{'kind':24}{'measure':44}{'tasks':>6}{'first':>10}{'second':>10}  second minus first, 95 %")
    for row in rows:
        low, high = row["interval"]
        verdict = "" if low <= 0 <= high else "  *"
        print(
            f"{row['kind']:24}{row['measure']:44}{row['num_tasks']:>6}{row['first']:>10.3f}{row['second']:>10.3f}"
            f"  {row['second'] - row['first']:+.3f} ({low:+.3f}..{high:+.3f}){verdict}"
        )
    print("* the interval does not hold zero")


def check_same_tasks(first: Path, of_first: Results, second: Path, of_second: Results) -> None:
    """Raises RecordMismatchError unless both hold the same tasks, and at least one."""
    missing_in_second, missing_in_first = len(of_first.keys() - of_second), len(of_second.keys() - of_first)
    if missing_in_second or missing_in_first:
        raise RecordMismatchError(
            f"The records are of different tasks: of {len(of_first)} in {first}, {missing_in_second} are missing in "
            f"{second}; of {len(of_second)} there, {missing_in_first} are missing in the first. Finish both runs, with "
            "the same --limit, --seed and data."
        )
    if not of_first:
        raise RecordMismatchError(f"{first} and {second} hold no results yet; run the measure first.")


def differences(of_first: Results, of_second: Results, numbers: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row for each kind and each outcome (a true or false) that both have there, and each number named `numbers`.

    A value in a mapping is called by the names on the way to it: "methods/diffusion/exact"."""
    kinds: dict[str, list[str]] = {}
    for task, result in of_first.items():
        kinds.setdefault(_kind_of(result), []).append(task)
    if len(kinds) > 1:
        kinds["all"] = list(of_first)
    for kind, tasks in kinds.items():
        values = {
            task: (dict(_values(of_first[task], numbers)), dict(_values(of_second[task], numbers))) for task in tasks
        }
        for name in dict.fromkeys(name for one, other in values.values() for name in one if name in other):
            pairs = [(one[name], other[name]) for one, other in values.values() if name in one and name in other]
            before, after = zip(*pairs, strict=True)
            yield {
                "kind": kind,
                "measure": name,
                "num_tasks": len(pairs),
                "first": fmean(before),
                "second": fmean(after),
                "interval": paired(after, before),
            }


def _kind_of(result: Mapping[str, Any]) -> str:
    """What the result says of itself: its kind, its method, or both."""
    return ", ".join(str(result[name]) for name in ("kind", "method") if name in result) or "all"


def _values(value: Mapping[str, Any], numbers: Sequence[str], path: str = "") -> Iterator[tuple[str, float]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _values(inner, numbers, f"{path}{name}/")
        elif isinstance(inner, bool) or (isinstance(inner, (int, float)) and name in numbers):
            yield f"{path}{name}", float(inner)
