"""`midfill eval rewriting`: rewriting instructions, and writing a region again, on packages that were not trained on.

The drafts are made from real code by undoing one improvement (`midfill.model.training.verbs`); the answer is what the
authors wrote. Leaving a draft as it is is never right: a draft differs from its answer.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import draw_tasks
from midfill.model.evaluation.options import EMBEDDED, AsJson, Corpus, ModelName, Record, Split, load, read_split
from midfill.model.evaluation.regions import (
    NONE_OFFERED,
    STRENGTHS,
    Region,
    drafted,
    has_room,
    lines_of,
    results_of,
    share_row,
)
from midfill.model.families.embedded.tokenizer import VERBS
from midfill.model.measuring.front import Front
from midfill.model.measuring.methods import embedded
from midfill.model.measuring.records import JSON
from midfill.model.measuring.split import SplitFile
from midfill.model.training.verbs import inverse_pairs

AGAIN_KINDS = ("line", "node", "block")
AGAIN = {f"again at {strength}": strength for strength in STRENGTHS}
WITH_VERB = {f"verb at {strength}": strength for strength in STRENGTHS}
WITHOUT_VERBS = "again at 0.6"
UNCHANGED = "unchanged"


def draw_verb_regions(files: Sequence[SplitFile], num_per_verb: int, seed: int = 0) -> Iterator[Region]:
    """Up to `num_per_verb` drafts for each verb: one of a file before two of any, the same for the same seed.

    files: in Python, which alone has verbs."""
    rng = random.Random(f"{seed} verbs")
    by_verb: dict[str, list[list[Region]]] = {verb: [] for verb in VERBS}
    for file in files:
        of_file: dict[str, list[Region]] = {}
        for pair in inverse_pairs(file.text, rng):
            region = Region(pair.verb, file.text, pair.start, pair.end, pair.draft, file.language, file.path)
            of_file.setdefault(pair.verb, []).append(region)
        for verb, regions in of_file.items():
            rng.shuffle(regions)
            by_verb[verb].append(regions)
    for by_file in by_verb.values():
        rng.shuffle(by_file)
        rounds = (regions[number] for number in range(num_per_verb) for regions in by_file if number < len(regions))
        yield from (region for region, _ in zip(rounds, range(num_per_verb), strict=False))


def draw_again_regions(files: Sequence[SplitFile], num_per_kind: int, seed: int = 0) -> Iterator[Region]:
    """Lines, nodes and blocks as they stand: somebody wants another version of them."""
    for task in draw_tasks(files, num_per_kind, seed, AGAIN_KINDS):
        start, end = task.span.start, task.span.end
        yield Region(f"any {task.kind}", task.text, start, end, task.truth, task.language, task.path)


def measure(model: DenoisingModel, front: Front, region: Region) -> dict[str, JSON]:
    """The score of each method on one region. What is right has no meaning for code that is only to be other."""
    scores: dict[str, JSON] = {}
    if region.kind not in VERBS:
        scores = {method: drafted(region, model, front, strength) for method, strength in AGAIN.items()}
    elif region.kind in embedded(model).config.verbs:
        scores = {
            method: drafted(region, model, front, strength, region.kind) for method, strength in WITH_VERB.items()
        }
        scores |= {method: drafted(region, model, front, strength) for method, strength in AGAIN.items()}
    else:
        scores = {WITHOUT_VERBS: drafted(region, model, front, AGAIN[WITHOUT_VERBS])}
    if region.kind in VERBS:
        scores[UNCHANGED] = dict(NONE_OFFERED)
    return {"kind": region.kind, "draft": region.draft, "truth": region.truth, "methods": scores}


def rows_of(results: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """For each verb, for all verbs, and for each kind of region that was written again, a row for each method."""
    again = tuple(f"any {kind}" for kind in AGAIN_KINDS)
    groups = {**{verb: (verb,) for verb in VERBS}, "all verbs": VERBS, **{kind: (kind,) for kind in again}}
    for name, kinds in {**groups, "any region": again}.items():
        group = [result for result in results if result["kind"] in kinds]
        for method in group[0]["methods"] if group else ():
            yield share_row(group, name, method)


def command(
    corpus: Corpus,
    limit: Annotated[int, typer.Option(min=1, help="Drafts for each verb, and regions of each kind.")] = 100,
    split: Split = "test",
    model: ModelName = EMBEDDED,
    seed: int = 0,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Rewriting in packages that were not trained on: verbs, and writing lines, nodes and blocks again.

    For a verb: how often the first, and one of up to three candidates, is what the authors wrote or has the same
    syntax tree, beside the same model without the verb. For writing again: how often there is a candidate that parses
    in place and differs from what stands there (`offers`). The files in Python are taken."""
    files = read_split(corpus, split, "python")
    loaded = load(model)
    info = loaded.info
    verbs = embedded(loaded).config.verbs
    if missing := [verb for verb in VERBS if verb not in verbs]:
        print(
            f"{info.name} {info.revision} has not learnt the verbs {', '.join(missing)}: for them only {WITHOUT_VERBS} "
            "is measured, which does not know what is asked.",
            file=sys.stderr,
        )
    drawn = [*draw_verb_regions(files, limit, seed), *draw_again_regions(files, limit, seed)]
    regions = [region for region in drawn if has_room(region, loaded)]
    if not regions:
        raise typer.BadParameter(f"No region could be drawn from the {len(files)} Python files of {split}.")
    asked = {"model": info.name, "revision": info.revision, "split": split, "limit": limit, "seed": seed}
    with Front(info) as front:
        results = results_of(regions, lambda region: measure(loaded, front, region), record, "rewriting", asked)
    rows = list(rows_of(results))
    if as_json:
        print(json.dumps({**asked, "verbs": list(verbs), "rows": rows}, indent=1))
        return
    print(f"{info.name} {info.revision}, {limit} regions of each kind, {split} packages, seed {seed}")
    print("\n".join(lines_of(rows)))
