"""`midfill eval in-domain`: holes in packages that were not trained on, filled by every method, and what that cost."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Annotated, Any

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.memorisation import load_training_runs
from midfill.model.evaluation.options import (
    EMBEDDED,
    AsJson,
    Corpus,
    Language,
    ModelName,
    Record,
    ServedBy,
    Split,
    load,
    names_of,
    read_split,
)
from midfill.model.measuring.code_lines import code_lines
from midfill.model.measuring.front import Front, ServedAs, Source
from midfill.model.measuring.intervals import bootstrap
from midfill.model.measuring.methods import METHODS, Answer, answer, embedded, run
from midfill.model.measuring.records import JSON, answered
from midfill.model.measuring.scores import by_language, lines_of, rows_of, score_of
from midfill.model.measuring.spans import CharSpan, SourceFile
from midfill.model.measuring.split import SplitFile, family_of, in_equal_shares
from midfill.model.wire.api import InfillRequest, TextPart

KINDS = ("end of line", "rest of line", "line", "node", "block")
ROWS = {**{kind: (kind,) for kind in KINDS}, "all but blocks": KINDS[:-1], "all": KINDS}
"""The rows of the table, and the kinds that each pools."""
SERVED = {"as served": True, "as served alone": False}
"""What a person gets, the best of several candidates after the front's filter, with and without workspace memory."""
ALL_METHODS = (*SERVED, *METHODS)
AGAINST_COPY = {method: ("same-file copy",) for method in ALL_METHODS if method not in ("same-file copy", "empty")}


FIRST_PLACE = 200
"""Code points at the beginning of a file in which no hole begins: there is nothing to tell what belongs there."""


@dataclass(frozen=True, slots=True)
class Task:
    """One hole in one file: code points [start, end) of text. language: a grammar's name; path: as of
    `front.Source`."""

    kind: str
    text: str = field(repr=False)
    span: CharSpan
    language: str = "python"
    path: str | None = None

    @property
    def family(self) -> str:
        return family_of(self.language)

    @property
    def before(self) -> str:
        return self.text[: self.span.start]

    @property
    def truth(self) -> str:
        return self.text[self.span.start : self.span.end]

    @property
    def after(self) -> str:
        return self.text[self.span.end :]

    @property
    def source(self) -> Source:
        """The file without what stood in the hole."""
        return Source(self.before + self.after, self.language, self.path)


def draw_tasks(
    files: Sequence[SplitFile], num_per_kind: int, seed: int = 0, kinds: Sequence[str] = KINDS
) -> Iterator[Task]:
    """`num_per_kind` holes of each kind, in equal shares of the languages and spread over the files of each; the same
    for the same seed."""
    for kind in kinds:
        for family, (group, num) in in_equal_shares(num_per_kind, files).items():
            rng = random.Random(f"{seed} {kind} {family}")
            drawn = (_draw(kind, file, rng) for file in rng.choices(group, k=20 * num))
            yield from itertools.islice((task for task in drawn if task is not None), num)


def _draw(kind: str, file: SplitFile, rng: random.Random) -> Task | None:
    text, code = file.text, [line for line in code_lines(file.text, file.language) if line.start > FIRST_PLACE]
    if not code:
        return None
    line = rng.choice(code)
    if kind == "line":
        return _task(kind, file, line)
    if kind == "rest of line":
        return _task(kind, file, CharSpan(rng.randint(line.start, max(line.start, line.end - 1)), line.end))
    if kind == "end of line":
        starts = _lexeme_starts(text, line)
        return _task(kind, file, CharSpan(starts[-min(rng.randint(1, 4), len(starts))], line.end))
    if kind == "node":
        spans = SourceFile(text, file.language).nodes
        nodes = [span for span in spans if 4 <= span.end - span.start <= 120 and span.start > FIRST_PLACE]
        return _task(kind, file, rng.choice(nodes)) if nodes else None
    index = code.index(line)
    last = code[min(index + rng.randint(1, 4), len(code) - 1)]
    return _task(kind, file, CharSpan(line.start, last.end)) if last.end - line.start <= 300 else None


def _task(kind: str, file: SplitFile, span: CharSpan) -> Task:
    return Task(kind, file.text, span, file.language, file.path)


def _lexeme_starts(text: str, line: CharSpan) -> list[int]:
    return [line.start + match.start() for match in re.finditer(r"\w+|[^\w\s]", text[line.start : line.end])]


def key_of(number: int, task: Task) -> str:
    """A name that no other task has: the same hole may be drawn twice, so its number in the list is a part of it."""
    content = hashlib.blake2b(f"{task.span.start} {task.span.end} {task.text}".encode(), digest_size=8)
    return f"{task.kind} {number} {content.hexdigest()}"


def measure(model: DenoisingModel, task: Task, request: InfillRequest, methods: Sequence[str]) -> dict[str, JSON]:
    """The task's result: what each of `methods.METHODS` answers to the task's request, and how that scores."""
    encode = embedded(model).tokenizer.encode
    answers = {method: answer(model, request, method, task.before, task.after) for method in methods}
    return {
        "kind": task.kind,
        "language": task.family,
        "num_truth_tokens": len(encode(task.truth)),
        "methods": {method: score(model, task, given) for method, given in answers.items()},
    }


def score(model: DenoisingModel, task: Task, given: Answer) -> dict[str, JSON]:
    encode = embedded(model).tokenizer.encode
    return score_of(given, task.truth, lambda fill: len(encode(fill)))


def served(
    model: DenoisingModel,
    task: Task,
    front: Front,
    num_candidates: int | None,
    *,
    with_memory: bool,
    served_as: ServedAs = ServedAs.FILL,
) -> tuple[Answer, dict[str, JSON]]:
    """What a person gets, of several candidates of the front's own request; and whether the first of them and that
    parse in place. num_candidates: None for as many as the front asks for."""
    started = time.perf_counter()
    request = front.plan(task.source, [task.span.start], served_as, candidates=num_candidates)
    infill = run(model, request, with_memory=with_memory)
    first = infill.candidates[0].fills[0].text if infill.candidates else ""
    confidence = infill.candidates[0].confidence if infill.candidates else 0.0
    verdict = front.verdict(first, infill)
    usage, milliseconds = infill.usage, (time.perf_counter() - started) * 1000
    answer = Answer((verdict.fill,), confidence, usage.forward_passes, usage.fill_tokens, milliseconds)
    return answer, {"first_parses": verdict.first_parses, "parses": verdict.parses}


def command(
    corpus: Corpus,
    limit: Annotated[int, typer.Option(min=1, help="Holes of each kind, in equal shares of the languages.")] = 200,
    split: Split = "test",
    language: Language = None,
    model: ModelName = EMBEDDED,
    methods: Annotated[str, typer.Option(help="Those to run, separated by commas.")] = ",".join(ALL_METHODS),
    kinds: Annotated[str, typer.Option(help="Kinds of holes, separated by commas.")] = ",".join(KINDS),
    num_candidates: Annotated[
        int | None, typer.Option("--candidates", min=1, max=16, help="As served; what the front asks for without it.")
    ] = None,
    served_as: ServedBy = ServedAs.FILL,
    memorisation: Annotated[bool, typer.Option(help="Look for fills in the training split of the corpus.")] = True,
    seed: int = 0,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Holes in packages that were not trained on: exact match, cost, parse validity and memorisation of each method.

    Every method gets the request that the front makes for the hole. "As served" is what the front makes of the
    candidates: the parse filter is measured there, before (the first candidate as it is) and after. Of a fill that
    repeats the training corpus, what its own file says counts apart."""
    files = read_split(corpus, split, language)
    chosen = names_of(methods, ALL_METHODS, "--methods")
    try:
        runs = load_training_runs(corpus, lambda line: print(line, file=sys.stderr)) if memorisation else None
    except FileNotFoundError as error:
        raise typer.BadParameter(f"{error} Without it, give --no-memorisation.") from error
    loaded = load(model)
    tasks = list(enumerate(draw_tasks(files, limit, seed, names_of(kinds, KINDS, "--kinds"))))
    if not tasks:
        raise typer.BadParameter(f"No hole could be drawn from the {len(files)} files of {split}: all are too short.")
    info = loaded.info
    asked = {"model": info.name, "revision": info.revision, "split": split, "limit": limit, "seed": seed}
    asked |= {"methods": list(chosen), "candidates": num_candidates, "memorisation": memorisation, "kinds": kinds}
    asked |= {"served_as": served_as.value, "language": language}
    as_served = [method for method in chosen if method in SERVED]
    with Front(info) as front:

        def result_of(numbered: tuple[int, Task]) -> dict[str, JSON]:
            task = numbered[1]
            request = front.plan(task.source, [task.span.start], served_as)
            result = measure(loaded, task, request, [method for method in chosen if method not in SERVED])
            for method in as_served:
                given, verdict = served(
                    loaded, task, front, num_candidates, with_memory=SERVED[method], served_as=served_as
                )
                result["methods"][method] = score(loaded, task, given)
                if SERVED[method]:
                    result["filter"] = verdict
            if runs:
                text = _text_of(request)
                for scored in result["methods"].values():
                    scored["memorised"] = runs.verdict(scored["fill"], text)
            return result

        header = {"command": "in-domain", **asked}
        results = answered(
            tasks, lambda task: key_of(*task), result_of, record=record, header=header, label="in-domain"
        )
    figures = {
        **_figures_of(results),
        "by_language": {name: _figures_of(part) for name, part in by_language(results).items()},
        "memorised": list(memorised_rows(results, chosen)) if runs else [],
    }
    if as_json:
        print(json.dumps({**asked, **figures}, indent=1))
        return
    print(f"{info.name} {info.revision}, {limit} holes of each kind, {split} packages, seed {seed}")
    _print(figures)
    for name, part in figures["by_language"].items():
        print(f"\n{name}")
        _print(part)
    for row in figures["memorised"]:
        print(
            "{method}: {corpus:.1%} of {num_fills} fills repeat 30 or more tokens of the training corpus, another "
            "{corpus_and_request:.1%} that stand in the request too; {long_enough} are long enough to".format(**row)
        )


def _figures_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"rows": list(rows_of(results, ROWS, AGAINST_COPY)), "filter": list(filter_rows(results))}


def _print(figures: Mapping[str, Any]) -> None:
    print("\n".join(lines_of(figures["rows"])))
    for row in figures["filter"]:
        before, after = (
            "{:.1%} ({:.1%}..{:.1%})".format(row[share], *row[f"{share}_interval"]) for share in FILTER_SHARES
        )
        print(f"{row['kind']}: {before} parse in place before the filter, {after} after")


FILTER_SHARES = ("first_parses", "parses")


def filter_rows(results: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Shares of the tasks of each row of the table that parse in place before and after the filter; no row for tasks
    that were not measured as served."""
    for name, kinds in ROWS.items():
        verdicts = [result["filter"] for result in results if result["kind"] in kinds and "filter" in result]
        if verdicts:
            shares: dict[str, Any] = {key: fmean(verdict[key] for verdict in verdicts) for key in FILTER_SHARES}
            shares |= {f"{key}_interval": bootstrap([verdict[key] for verdict in verdicts]) for key in FILTER_SHARES}
            yield {"kind": name, "num_tasks": len(verdicts), **shares}


def memorised_rows(results: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> Iterator[dict[str, Any]]:
    """For each method the shares of its fills that repeat the training corpus."""
    for method in methods:
        counts = Counter(result["methods"][method]["memorised"] for result in results)
        yield {
            "method": method,
            "num_fills": len(results),
            "long_enough": len(results) - counts["too short"],
            "corpus": counts["corpus"] / len(results),
            "corpus_and_request": counts["corpus and request"] / len(results),
        }


def _text_of(request: InfillRequest) -> str:
    texts = [part.text for part in request.parts if isinstance(part, TextPart)]
    return "\n".join([*texts, *(snippet.text for snippet in request.context)])
