"""`midfill eval holes`: several holes of a program filled in one request, against one after another in either order.

One after another means a request for each hole, with the fills so far in place. Holes that are not filled yet are left
out of the text: where one was is nothing, or an empty line. So no way sees more of the answer than another, but only
the joint request knows where the other holes are.

Forward passes are made equal task by task: the joint request must be done after as many as filling in document order
took ("joint"), and after half as many ("joint at half").
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Any

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.infilling_file import InfillingTask, read_several, spread
from midfill.model.evaluation.length import LimitedSteps
from midfill.model.evaluation.options import EMBEDDED, AsJson, ModelName, Record, load
from midfill.model.evaluation.programs import (
    Allowed,
    Fills,
    Limit,
    MaxTokens,
    Programs,
    TasksFile,
    Workers,
    digest_of,
    programs,
    tasks_of,
)
from midfill.model.evaluation.sandbox import Verdict, namespaces
from midfill.model.measuring.baselines import same
from midfill.model.measuring.front import Front, FrontRefusedError, Source
from midfill.model.measuring.intervals import bootstrap, paired
from midfill.model.measuring.methods import embedded, run
from midfill.model.measuring.records import JSON, answered

WAYS = ("joint", "joint at half", "document order", "reverse order")
PAIRS = tuple((joint, other) for joint in WAYS[:2] for other in WAYS[2:])


@dataclass(frozen=True, slots=True)
class Filled:
    """fills: one for each hole, in document order; forwards and milliseconds: of all requests together."""

    fills: tuple[str, ...]
    forwards: int
    milliseconds: float


def command(
    path: TasksFile,
    allow_code_execution: Allowed = False,
    fills: Annotated[Fills, typer.Option(help="Other than the model's: what the tests say of them.")] = Fills.MODEL,
    limit: Limit = None,
    seed: int = 0,
    model: ModelName = EMBEDDED,
    max_tokens: MaxTokens = None,
    candidates: Annotated[
        int | None,
        typer.Option(min=1, max=16, help="That the front chooses from, in each request; as many as it wants without."),
    ] = None,
    workers: Workers = 2,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Several holes filled in one request (pass@1, exact match), against one after another, at equal and half cost."""
    tasks = spread(tasks_of(path, read_several, "holes", allow_code_execution), limit, seed)
    asked: dict[str, JSON] = {"command": "holes", "file": digest_of(path), "fills": fills.value}
    with programs(workers) as running, ExitStack() as open_until_done:
        if fills is Fills.MODEL:
            loaded = load(model)
            asked |= {"model": loaded.info.name, "revision": loaded.info.revision}
            asked |= {"max_tokens": max_tokens, "candidates": candidates}
            filler = Filler(loaded, open_until_done.enter_context(Front(loaded.info)), max_tokens, candidates)

            def result_of(task: InfillingTask) -> dict[str, JSON]:
                return measure(filler, running, task)
        else:
            verdict_of = running.ahead(tasks, fills)

            def result_of(task: InfillingTask) -> dict[str, JSON]:
                return {"ways": {fills.value: _scored(task, Filled(fills.of(task), 0, 0.0), verdict_of(task))}}

        results = answered(tasks, lambda task: task.task_id, result_of, record=record, header=asked, label="holes")
    figures = {**figures_of(results), **asked, "seed": seed, "namespaces": bool(namespaces())}
    print(json.dumps(figures, indent=1) if as_json else "\n".join(_lines_of(figures)))


class Filler:
    """Fills the holes of a task in groups, each group in one request: what the front chooses of the model's answer."""

    def __init__(
        self, model: DenoisingModel, front: Front, max_tokens: int | None = None, num_candidates: int | None = None
    ) -> None:
        """max_tokens, num_candidates: in each request; None for what the front chooses."""
        self._model, self._front = model, front
        self._max_tokens, self._num_candidates = max_tokens, num_candidates

    def joint_groups(self, task: InfillingTask) -> list[list[int]]:
        """The holes, numbered from 0, in as few requests as the front allows: one, if they are near each other."""
        empty = ("",) * len(task.holes)
        places = task.places(empty)
        if len(set(places)) < len(places):  # nothing stands between two of them
            return [[number] for number in range(len(places))]
        return [[places.index(place) for place in group] for group in self._front.groups(task.filled(empty), places)]

    def fill(self, task: InfillingTask, groups: Sequence[Sequence[int]], max_forwards: int | None) -> Filled:
        """max_forwards: in all requests together, at least one in each; None for the family's own limit in each.

        A request with a limit and one hole asks for one candidate: others would be read after the limit."""
        fills = [""] * len(task.holes)
        forwards, milliseconds = 0, 0.0
        for number, group in enumerate(groups):
            model = self._model
            if max_forwards is not None:
                most = max((max_forwards - forwards) // (len(groups) - number), 1)
                model = DenoisingModel(LimitedSteps(embedded(model), most), model.sampler)
            places = task.places(fills)
            try:
                request = self._front.plan(
                    Source(task.filled(fills)),
                    [places[hole] for hole in group],
                    candidates=1 if max_forwards is not None and len(group) == 1 else self._num_candidates,
                    max_tokens=self._max_tokens,
                )
            except FrontRefusedError:  # these stay empty, as they would in an editor
                continue
            given = run(model, request)
            for hole, fill in zip(group, self._front.choose(given).fills, strict=True):
                fills[hole] = fill
            forwards += given.usage.forward_passes
            milliseconds += given.usage.total_ms
        return Filled(tuple(fills), forwards, milliseconds)


def measure(filler: Filler, running: Programs, task: InfillingTask) -> dict[str, JSON]:
    """One task's result: its holes filled in each way, and run."""
    opened = task.opened
    each = [[hole] for hole in range(len(task.holes))]
    together = filler.joint_groups(opened)
    in_order = filler.fill(opened, each, None)
    filled = {
        "joint": filler.fill(opened, together, in_order.forwards),
        "joint at half": filler.fill(opened, together, in_order.forwards // 2),
        "document order": in_order,
        "reverse order": filler.fill(opened, each[::-1], None),
    }
    verdicts = running.verdicts(opened, [way.fills for way in filled.values()])
    return {
        "ways": {
            name: _scored(task, way, verdict) for (name, way), verdict in zip(filled.items(), verdicts, strict=True)
        },
        "num_requests": len(together),
    }


def figures_of(results: Sequence[dict[str, Any]]) -> dict[str, JSON]:
    """The first way's figures at the top, then every way's, and the intervals of the differences in passing."""
    rows = {way: _row([result["ways"][way] for result in results]) for way in results[0]["ways"]}
    first = next(iter(rows.values()))
    figures: dict[str, JSON] = {name: first[name] for name in ("pass@1", "exact_match")}
    figures |= {"num_tasks": len(results), "ways": rows, "minus": {}}
    for joint, other in PAIRS if len(rows) == len(WAYS) else ():
        jointly, singly = ([result["ways"][way]["passed"] for result in results] for way in (joint, other))
        figures["minus"][f"{joint} - {other}"] = paired(jointly, singly)
    if "num_requests" in results[0]:
        figures["joint_in_one_request"] = fmean(result["num_requests"] == 1 for result in results)
    return figures


def _row(scores: Sequence[dict[str, Any]]) -> dict[str, JSON]:
    passed = [score["passed"] for score in scores]
    return {
        "pass@1": fmean(passed),
        "interval": bootstrap(passed),
        "exact_match": fmean(score["exact"] for score in scores),
        "hole_exact_match": fmean(exact for score in scores for exact in score["exact_holes"]),
        "forwards": fmean(score["forwards"] for score in scores),
        "milliseconds": fmean(score["milliseconds"] for score in scores),
        "reasons": dict(Counter(score["reason"] for score in scores)),
    }


def _scored(task: InfillingTask, filled: Filled, verdict: Verdict) -> dict[str, JSON]:
    exact = [same(fill, truth) for fill, truth in zip(filled.fills, task.holes, strict=True)]
    return {
        "fills": filled.fills,
        "passed": verdict.passed,
        "exact": all(exact),
        "exact_holes": exact,
        "reason": verdict.reason.value,
        "forwards": filled.forwards,
        "milliseconds": filled.milliseconds,
    }


def _lines_of(figures: dict[str, Any]) -> Iterator[str]:
    yield f"{figures['num_tasks']} programs with several holes"
    yield f"{'':16}{'pass@1':>8}{'95 %':>18}{'all exact':>11}{'a hole exact':>14}{'forwards':>10}{'ms':>8}"
    for way, row in figures["ways"].items():
        low, high = row["interval"]
        yield (
            f"{way:16}{row['pass@1']:>8.1%}{f'{low:.1%} to {high:.1%}':>18}{row['exact_match']:>11.1%}"
            f"{row['hole_exact_match']:>14.1%}{row['forwards']:>10.1f}{row['milliseconds']:>8.0f}"
        )
    for difference, (low, high) in figures["minus"].items():
        yield f"{difference}, pass@1, 95 %: {low:+.1%} to {high:+.1%}"
    if "joint_in_one_request" in figures:
        yield f"{figures['joint_in_one_request']:.1%} of the joint fills took one request; others lay too far apart"
