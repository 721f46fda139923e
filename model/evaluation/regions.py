"""Code that stands in a file and is to be written anew: how the model is asked for it, and which answers count.

Shared by `repair` and `rewriting`. Of the candidates those that parse in place and differ from what stands there are
offered, at most NUM_OFFERED: what a person would be shown.
"""

from __future__ import annotations

import ast
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from midfill.model.api import Hole, HolePart, InfillRequest
from midfill.model.evaluation.baselines import same
from midfill.model.evaluation.in_domain import Task, request_of
from midfill.model.evaluation.intervals import bootstrap
from midfill.model.evaluation.methods import Answer, answer, candidates, embedded
from midfill.model.evaluation.records import JSON, answered
from midfill.model.infill import DenoisingModel
from midfill.model.training.spans import CharSpan

STRENGTHS = (0.3, 0.6, 1.0)
"""Shares of the draft that are masked before denoising; at 1.0 nothing of it is left: a cold canvas."""
NUM_ASKED = 4
NUM_OFFERED = 3


@dataclass(frozen=True, slots=True)
class Region:
    """`draft` stands where text[start:end], code points, is wanted. kind: a fault, a verb, or a kind of hole."""

    kind: str
    text: str
    start: int
    end: int
    draft: str

    @property
    def truth(self) -> str:
        return self.text[self.start : self.end]

    def with_fill(self, fill: str) -> str:
        return self.text[: self.start] + fill + self.text[self.end :]


def results_of(
    regions: Sequence[Region],
    measure: Callable[[Region], dict[str, JSON]],
    record: Path | None,
    command: str,
    asked: Mapping[str, JSON],
) -> list[dict[str, JSON]]:
    """What `measure` says of each region, in their order, kept in `record`. asked: what decides the results."""
    return answered(
        list(enumerate(regions)),
        lambda numbered: key_of(*numbered),
        lambda numbered: measure(numbered[1]),
        record=record,
        header={"command": command, **asked},
        label=command,
    )


def key_of(number: int, region: Region) -> str:
    """A name that no other region has: `number` is its place in the list."""
    content = f"{region.start} {region.end} {region.draft} {region.text}".encode("utf-8", "replace")
    return f"{region.kind} {number} {hashlib.blake2b(content, digest_size=8).hexdigest()}"


def has_room(region: Region, model: DenoisingModel) -> bool:
    """Whether the draft, an eighth more, and the truth fit into the longest canvas."""
    encode = embedded(model).tokenizer.encode
    longest = model.info.max_canvas_tokens * 8 // 9
    return len(encode(region.draft)) <= longest and len(encode(region.truth)) <= longest


def request_for(
    region: Region, model: DenoisingModel, strength: float | None, instruction: str | None = None
) -> InfillRequest:
    """The region as a hole that may get a good deal longer than its draft. strength: None to keep the draft back."""
    num_tokens = len(embedded(model).tokenizer.encode(region.draft))
    max_tokens = min(max(31, 2 * num_tokens), model.info.max_canvas_tokens)
    task = Task(region.kind, region.text, CharSpan(region.start, region.end))
    request = request_of(task, model, max_tokens)
    hole = Hole("1", max_tokens) if strength is None else Hole("1", max_tokens, region.draft, strength)
    parts = tuple(HolePart(hole) if isinstance(part, HolePart) else part for part in request.parts)
    return replace(request, parts=parts, instruction=instruction)


def drafted(region: Region, model: DenoisingModel, strength: float, instruction: str | None = None) -> dict[str, JSON]:
    """The score of the candidates that begin from the draft."""
    return score_of(region, candidates(model, request_for(region, model, strength, instruction), NUM_ASKED))


def baseline(region: Region, model: DenoisingModel, method: str) -> dict[str, JSON]:
    """The score of one of `methods.METHODS`, which knows nothing of the draft and has one answer."""
    before, after = region.text[: region.start], region.text[region.end :]
    return score_of(region, [answer(model, request_for(region, model, None), method, before, after)])


def score_of(region: Region, answers: Sequence[Answer]) -> dict[str, JSON]:
    """fills: those offered, best first; first and any: whether the first, and whether one of them, is right; parse: the
    share of all answers that parse in place; first_draft_ms: until something could be seen."""
    fills = offered(region, [given.text for given in answers])
    right = [is_right(region, fill) for fill in fills]
    return {
        "fills": fills,
        "offers": bool(fills),
        "first": right[:1] == [True],
        "any": any(right),
        "parse": fmean([tree_of(region.with_fill(given.text)) is not None for given in answers]) if answers else 0.0,
        "forwards": answers[0].forwards if answers else 0,
        "milliseconds": answers[0].milliseconds if answers else 0.0,
        "first_draft_ms": answers[0].first_draft_ms if answers else 0.0,
    }


def offered(region: Region, fills: Sequence[str]) -> list[str]:
    """At most NUM_OFFERED fills that parse in place, differ from the draft and from each other."""
    chosen: list[str] = []
    for fill in fills:
        is_new = not same(fill, region.draft) and not any(same(fill, other) for other in chosen)
        if len(chosen) < NUM_OFFERED and is_new and tree_of(region.with_fill(fill)) is not None:
            chosen.append(fill)
    return chosen


def is_right(region: Region, fill: str) -> bool:
    """Exact but for white space at the ends of lines, or the whole file has the same syntax tree."""
    if same(fill, region.truth):
        return True
    trees = tree_of(region.with_fill(fill)), tree_of(region.text)
    return trees[0] is not None and trees[1] is not None and ast.dump(trees[0]) == ast.dump(trees[1])


def tree_of(text: str) -> ast.Module | None:
    """None for what does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def share_row(results: Sequence[Mapping[str, Any]], kind: str, method: str) -> dict[str, Any]:
    """The shares of one method on the results of one kind, each with its 95 % interval over regions."""
    scores = [result["methods"][method] for result in results]
    row: dict[str, Any] = {"kind": kind, "method": method, "num_regions": len(scores)}
    for share in ("offers", "first", "any"):
        row[share] = fmean(score[share] for score in scores)
        row[f"{share}_interval"] = bootstrap([score[share] for score in scores])
    for mean in ("parse", "forwards", "milliseconds", "first_draft_ms"):
        row[mean] = fmean(score[mean] for score in scores)
    denoising_s = (row["milliseconds"] - row["first_draft_ms"]) / 1000
    row["drafts_per_s"] = (row["forwards"] - 1) / denoising_s if row["first_draft_ms"] and denoising_s > 0 else 0.0
    return row


def lines_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows of `share_row` as a table for a terminal."""
    lines = [
        f"{'kind':14}{'method':28}{'regions':>8}{'offers any':>12}{'first right, 95 %':>24}"
        f"{f'one of {NUM_OFFERED} right, 95 %':>24}{'parse':>8}{'forwards':>10}{'ms':>8}"
        f"{'first ms':>10}{'drafts/s':>10}"
    ]
    for row in rows:
        first, any_of = (
            "{:.1%} ({:.1%}..{:.1%})".format(row[share], *row[f"{share}_interval"]) for share in ("first", "any")
        )
        lines.append(
            f"{row['kind']:14}{row['method']:28}{row['num_regions']:>8}{row['offers']:>12.1%}{first:>24}{any_of:>24}"
            f"{row['parse']:>8.1%}{row['forwards']:>10.1f}{row['milliseconds']:>8.0f}"
            f"{row['first_draft_ms']:>10.0f}{row['drafts_per_s']:>10.1f}"
        )
    return lines
