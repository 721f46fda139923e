"""Exact match on held-out packages: diffusion, left to right on the same weights, same-file copy, and an empty fill."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from midfill.model.api import Hole, HolePart, Infill, InfillRequest, Snippet, TextPart
from midfill.model.evaluation.baselines import copy_from_same_file, left_to_right, same
from midfill.model.families.embedded import EmbeddedDenoiser
from midfill.model.infill import DenoisingModel
from midfill.model.training.spans import CharSpan, SourceFile

KINDS = ("end of line", "rest of line", "line", "node", "block")
METHODS = ("diffusion", "without memory", "left to right", "same-file copy", "empty")


@dataclass(frozen=True, slots=True)
class Task:
    """One hole in one file: code points [start, end) of text."""

    kind: str
    text: str
    span: CharSpan

    @property
    def truth(self) -> str:
        return self.text[self.span.start : self.span.end]


@dataclass
class Score:
    """Sums over the tasks of one kind and one method."""

    num_tasks: int = 0
    num_exact: int = 0
    similarity: float = 0.0
    weight: int = 0
    forwards: int = 0
    tokens: int = 0
    outcomes: list[bool] = field(default_factory=list)

    def add(self, fill: str, truth: str, forwards: int, tokens: int) -> None:
        exact = same(fill, truth)
        weight = max(1, len(truth))
        self.num_tasks += 1
        self.num_exact += exact
        self.outcomes.append(exact)
        self.similarity += weight * SequenceMatcher(None, fill.strip(), truth.strip(), autojunk=False).ratio()
        self.weight += weight
        self.forwards += forwards
        self.tokens += tokens


def draw_tasks(texts: Sequence[str], num_per_kind: int, seed: int = 0, kinds: Sequence[str] = KINDS) -> Iterator[Task]:
    """`num_per_kind` holes of each kind, spread over the files, the same for the same seed."""
    for kind in kinds:
        rng = random.Random(f"{seed} {kind}")
        found = 0
        for index in rng.choices(range(len(texts)), k=20 * num_per_kind):
            task = _draw(kind, texts[index], rng)
            if task is not None:
                found += 1
                yield task
            if found == num_per_kind:
                break


def _draw(kind: str, text: str, rng: random.Random) -> Task | None:
    source = SourceFile(text)
    code = [line for line in source.lines if line.start > 200 and text[line.start] not in "#\"'"]
    if not code:
        return None
    line = rng.choice(code)
    if kind == "line":
        return Task(kind, text, line)
    if kind == "rest of line":
        return Task(kind, text, CharSpan(rng.randint(line.start, max(line.start, line.end - 1)), line.end))
    if kind == "end of line":
        starts = _lexeme_starts(text, line)
        return Task(kind, text, CharSpan(starts[-min(rng.randint(1, 4), len(starts))], line.end))
    if kind == "node":
        nodes = [span for span in source.nodes if 4 <= span.end - span.start <= 120 and span.start > 200]
        return Task(kind, text, rng.choice(nodes)) if nodes else None
    index = code.index(line)
    last = code[min(index + rng.randint(1, 4), len(code) - 1)]
    return Task(kind, text, CharSpan(line.start, last.end)) if last.end - line.start <= 300 else None


def _lexeme_starts(text: str, line: CharSpan) -> list[int]:
    return [line.start + match.start() for match in re.finditer(r"\w+|[^\w\s]", text[line.start : line.end])]


def measure(model: DenoisingModel, tasks: Sequence[Task]) -> Iterator[dict[tuple[str, str], Score]]:
    """Run every method on every task; yields the scores so far, by kind and method, after each task."""
    denoiser = model.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    scores = {(kind, method): Score() for kind in KINDS for method in METHODS}
    without_memory = DenoisingModel(denoiser, with_memory=False)
    for task in tasks:
        request = request_of(task, model)
        for method, asked in (("diffusion", model), ("without memory", without_memory)):
            answer = next(item for item in asked.infill(request, time.monotonic()) if isinstance(item, Infill))
            fill = answer.candidates[0].fills[0].text if answer.candidates else ""
            usage = answer.usage
            scores[task.kind, method].add(fill, task.truth, usage.forward_passes, usage.fill_tokens)
        fill, forwards = left_to_right(denoiser, request)
        scores[task.kind, "left to right"].add(fill, task.truth, forwards, forwards - 1)
        copied = copy_from_same_file(task.text[: task.span.start], task.text[task.span.end :])
        scores[task.kind, "same-file copy"].add(copied, task.truth, 0, 0)
        scores[task.kind, "empty"].add("", task.truth, 0, 0)
        yield scores


def request_of(task: Task, model: DenoisingModel) -> InfillRequest:
    """The hole with as much of its file as the model's card says it can use."""
    budget = model.info.context
    before = task.text[max(0, task.span.start - budget.prefix_chars) : task.span.start]
    if len(before) == budget.prefix_chars:
        before = before[before.find("\n") + 1 :]
    after = task.text[task.span.end : task.span.end + budget.suffix_chars]
    begin, end = task.span.start - len(before), task.span.end + len(after)
    half = budget.snippet_chars // 2
    elsewhere = (task.text[max(0, begin - half) : begin], task.text[end : end + half])
    context = tuple(Snippet("", text) for text in elsewhere if text)
    max_tokens = 31 if "line" in task.kind else 63 if task.kind == "node" else 126
    return InfillRequest(parts=(TextPart(before), HolePart(Hole("1", max_tokens)), TextPart(after)), context=context)
