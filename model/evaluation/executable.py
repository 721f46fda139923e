"""`midfill eval executable`: code removed from programs is filled in, and the program's tests are run.

What counts is what a person would get: the front makes the request and chooses among the candidates, as it does in an
editor and in the terminal. Front and model see prompt and suffix, nothing else of the task.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from statistics import fmean
from typing import Annotated, Any

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.infilling_file import InfillingTask, read_tasks, spread
from midfill.model.evaluation.options import EMBEDDED, AsJson, ModelName, Record, ServedBy, load
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
from midfill.model.measuring.front import Front, ServedAs, Source
from midfill.model.measuring.intervals import bootstrap, paired
from midfill.model.measuring.methods import answer, run
from midfill.model.measuring.records import JSON, answered
from midfill.model.wire.api import Candidate, Fill, Infill, InfillRequest, Usage

LEFT_TO_RIGHT = ("left to right with memory", "left to right")
"""What only the embedded family can do with the same weights."""
BASELINES = (*LEFT_TO_RIGHT, "same-file copy")


def command(
    path: TasksFile,
    allow_code_execution: Allowed = False,
    fills: Annotated[Fills, typer.Option(help="Other than the model's: what the tests say of them.")] = Fills.MODEL,
    limit: Limit = None,
    seed: int = 0,
    model: ModelName = EMBEDDED,
    max_tokens: MaxTokens = None,
    served_as: ServedBy = ServedAs.FILL,
    workers: Workers = 2,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Share of programs that pass their tests once filled (pass@1), beside left to right, a copy and an empty fill."""
    all_tasks = tasks_of(path, read_tasks, "executable", allow_code_execution)
    tasks = spread(all_tasks, limit, seed)
    asked: dict[str, JSON] = {"command": "executable", "file": digest_of(path), "fills": fills.value}
    with programs(workers) as running, ExitStack() as open_until_done:
        if fills is Fills.MODEL:
            loaded = load(model)
            front = open_until_done.enter_context(Front(loaded.info))
            asked |= {"model": loaded.info.name, "revision": loaded.info.revision, "max_tokens": max_tokens}
            asked["served_as"] = served_as.value
            serve = functools.partial(front.plan, served_as=served_as, max_tokens=max_tokens)

            def result_of(task: InfillingTask) -> dict[str, JSON]:
                return measure(loaded, front, running, task, serve)
        else:
            verdict_of = running.ahead(tasks, fills)

            def result_of(task: InfillingTask) -> dict[str, JSON]:
                return _scored(task, fills.of(task)[0], verdict_of(task))

        results = answered(tasks, lambda task: task.task_id, result_of, record=record, header=asked, label="executable")
    figures = {**figures_of(results), **asked, "seed": seed, "namespaces": bool(namespaces())}
    print(json.dumps(figures, indent=1) if as_json else "\n".join(_lines_of(figures)))


Plan = Callable[[Source, list[int]], InfillRequest]


def measure(model: DenoisingModel, front: Front, running: Programs, task: InfillingTask, plan: Plan) -> dict[str, JSON]:
    """One task's result: the chosen fill, the bare first candidate and the baselines, run, and what they cost.

    plan: the front's, of a file and the place of its hole. Every baseline gets the same request and is finished by the
    front as a single candidate: indented and trimmed like the model's own fills."""
    opened = task.opened
    before, after = opened.segments
    request = plan(Source(before + after), [len(before)])
    given = run(model, request)
    choice = front.choose(given)
    first = given.candidates[0].fills[0].text if given.candidates else ""
    methods = (
        BASELINES if model.denoiser.causal_path else tuple(name for name in BASELINES if name not in LEFT_TO_RIGHT)
    )
    answers = {method: answer(model, request, method, before, after) for method in methods}
    left_to_right = answers.get(LEFT_TO_RIGHT[1])
    baselines = {method: front.choose(_single(each.text, each.confidence)).fills for method, each in answers.items()}
    verdict, first_verdict, empty, *others = running.verdicts(
        opened, [choice.fills, (first,), ("",), *baselines.values()]
    )
    return {
        **_scored(task, choice.fills[0], verdict),
        "parses": choice.parses,
        "confidence": given.candidates[0].confidence if given.candidates else 0.0,
        "first": {"fill": first, "passed": first_verdict.passed},
        "empty": {"fill": "", "passed": empty.passed},
        "baselines": {
            method: {"fill": fill, "passed": verdict.passed, "exact": same(fill, task.holes[0])}
            for (method, (fill,)), verdict in zip(baselines.items(), others, strict=True)
        },
        "forwards": given.usage.forward_passes,
        "milliseconds": given.usage.total_ms,
        **({"left_to_right_forwards": left_to_right.forwards} if left_to_right else {}),
    }


def figures_of(results: Sequence[dict[str, Any]]) -> dict[str, JSON]:
    """The figures over all tasks; those of the model's fills where there are such."""
    passed = [result["passed"] for result in results]
    figures: dict[str, JSON] = {
        "pass@1": fmean(passed),
        "exact_match": fmean(result["exact"] for result in results),
        "num_tasks": len(results),
        "interval": bootstrap(passed),
        "reasons": dict(Counter(result["reason"] for result in results)),
    }
    if "baselines" not in results[0]:
        return figures
    for name in ("first", "empty"):
        figures[f"{name}_pass@1"] = fmean(result[name]["passed"] for result in results)
    for method in results[0]["baselines"]:
        others = [result["baselines"][method]["passed"] for result in results]
        name = re.sub(r"\W", "_", method)
        figures[f"{name}_pass@1"] = fmean(others)
        figures[f"{name}_exact_match"] = fmean(result["baselines"][method]["exact"] for result in results)
        figures[f"minus_{name}"] = paired(passed, others)
    figures["parse_share"] = fmean(result["parses"] for result in results)
    for name in ("forwards", "left_to_right_forwards", "milliseconds"):
        if name in results[0]:
            figures[name] = fmean(result[name] for result in results)
    return figures


def _scored(task: InfillingTask, fill: str, verdict: Verdict) -> dict[str, JSON]:
    exact = same(fill, task.holes[0])
    return {"fill": fill, "passed": verdict.passed, "exact": exact, "reason": verdict.reason.value}


def _single(fill: str, confidence: float) -> Infill:
    return Infill((Candidate((Fill("1", fill, confidence),), confidence),), "closed", Usage(), "")


def _lines_of(figures: dict[str, Any]) -> Iterator[str]:
    yield "{pass@1:.1%} of {num_tasks} programs pass once filled (95 %: {low:.1%} to {high:.1%})".format(
        **figures, low=figures["interval"][0], high=figures["interval"][1]
    )
    yield f"{figures['exact_match']:.1%} of the fills are what stood there; how programs ended: " + ", ".join(
        f"{reason} {number}" for reason, number in figures["reasons"].items()
    )
    if "parse_share" not in figures:
        return
    yield (
        "{parse_share:.1%} parse in place; {forwards:.1f} forward passes and {milliseconds:.0f} ms a fill; "
        "{first_pass@1:.1%} pass with the first candidate as it is, {empty_pass@1:.1%} with an empty fill".format(
            **figures
        )
    )
    for method in BASELINES:
        name = re.sub(r"\W", "_", method)
        if f"minus_{name}" not in figures:
            continue
        low, high = figures[f"minus_{name}"]
        yield f"{method}: {figures[f'{name}_pass@1']:.1%}; midfill minus it, 95 %: {low:+.1%} to {high:+.1%}"
    if not figures["namespaces"]:
        yield "This system lets users have no namespaces: the audit hook alone kept the programs from the network."
