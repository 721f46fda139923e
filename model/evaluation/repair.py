"""`midfill eval repair`: faults of one token in code of packages that were not trained on, mended as a quick fix would.

The place of the fault is given, as a diagnostic would give it: what is measured is the repair, not the finding. The
front chooses what around it is written again, and starts from the faulty text. The baselines get the smallest
expression or statement around the fault that has more than the faulty token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.faults import KINDS, draw_faults
from midfill.model.evaluation.options import EMBEDDED, AsJson, Corpus, ModelName, Record, Split, load, read_split
from midfill.model.evaluation.regions import (
    STRENGTHS,
    Region,
    baseline,
    drafted,
    has_room,
    lines_of,
    results_of,
    share_row,
)
from midfill.model.measuring.front import Front
from midfill.model.measuring.intervals import paired
from midfill.model.measuring.records import JSON

DRAFTED = {f"draft at {strength}": strength for strength in STRENGTHS}
BASELINES = ("left to right with memory", "same-file copy")
METHODS = (*DRAFTED, *BASELINES)


def measure(model: DenoisingModel, front: Front, region: Region) -> dict[str, JSON]:
    """The score of each method on one fault."""
    scores = {method: drafted(region, model, front, strength) for method, strength in DRAFTED.items()}
    scores |= {method: baseline(region, model, front, method) for method in BASELINES}
    return {"kind": region.kind, "truth": region.truth, "faulty": region.draft, "methods": scores}


def rows_of(results: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each kind of fault, and for all, a row for each method; `minus` has the 95 % intervals of the difference in
    repairs among those offered from each baseline."""
    for name, kinds in {**{kind: (kind,) for kind in KINDS}, "all": KINDS}.items():
        group = [result for result in results if result["kind"] in kinds]
        for method in METHODS if group else ():
            row = share_row(group, name, method)
            if method in DRAFTED:
                row["minus"] = {other: paired(_repaired(group, method), _repaired(group, other)) for other in BASELINES}
            yield row


def _repaired(results: Sequence[Mapping[str, Any]], method: str) -> list[float]:
    return [float(result["methods"][method]["any"]) for result in results]


def command(
    corpus: Corpus,
    limit: Annotated[int, typer.Option(min=1, help="Faults of each kind, spread over the files of the split.")] = 100,
    split: Split = "test",
    model: ModelName = EMBEDDED,
    seed: int = 0,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """One-token faults in packages that were not trained on: how often the quick fix restores the code.

    Up to three candidates that parse in place and differ from the faulty text, begun from it with a share of 0.3 or
    0.6 masked; at 1.0 nothing of it is left, which is a cold canvas. Right is what is exact or gives the file's syntax
    tree back. The place of the fault is given, as a diagnostic would give it.
    The files in Python are taken."""
    files = read_split(corpus, split, "python")
    loaded = load(model)
    info = loaded.info
    regions = [region for region in draw_faults(files, limit, seed) if has_room(region, loaded)]
    if not regions:
        raise typer.BadParameter(f"No fault could be put into the {len(files)} Python files of {split}.")
    asked = {"model": info.name, "revision": info.revision, "split": split, "limit": limit, "seed": seed}
    with Front(info) as front:
        results = results_of(regions, lambda region: measure(loaded, front, region), record, "repair", asked)
    rows = list(rows_of(results))
    if as_json:
        print(json.dumps({**asked, "rows": rows}, indent=1))
        return
    print(f"{info.name} {info.revision}, {limit} faults of each kind, {split} packages, seed {seed}")
    print("\n".join(lines_of(rows)))
    for row in rows:
        if row["kind"] == "all" and "minus" in row:
            differences = "; ".join(f"{a:+.1%}..{b:+.1%} against {other}" for other, (a, b) in row["minus"].items())
            print(f"{row['method']}, one of those offered right, difference, 95 %: {differences}")
