"""Code that stands in a file and is to be written anew: how the model is asked for it, and which answers count.

Shared by `repair` and `rewriting`. The front makes the request and says which versions a person can choose from: those
that parse in place and differ from what stands there, at most NUM_OFFERED of them.
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

from midfill.model.engine.infill import DenoisingModel
from midfill.model.measuring.baselines import same
from midfill.model.measuring.front import Front, FrontRefusedError, Source
from midfill.model.measuring.intervals import bootstrap
from midfill.model.measuring.methods import answer, embedded, timed
from midfill.model.measuring.records import JSON, answered

STRENGTHS = (0.3, 0.6, 1.0)
"""Shares of the draft that are masked before denoising; at 1.0 nothing of it is left: a cold canvas."""
NUM_OFFERED = 3


@dataclass(frozen=True, slots=True)
class Region:
    """`draft` stands where text[start:end], code points, is wanted. kind: a fault, a verb, or a kind of hole. language
    and path: as of `front.Source`. diagnosed: where in the file with the draft somebody sees a fault, code points
    [start, end); None where a person selects the draft."""

    kind: str
    text: str
    start: int
    end: int
    draft: str
    language: str = "python"
    path: str | None = None
    diagnosed: tuple[int, int] | None = None

    @property
    def truth(self) -> str:
        return self.text[self.start : self.end]

    @property
    def source(self) -> Source:
        """The file as a person has it, with the draft."""
        return Source(self.with_fill(self.draft), self.language, self.path)

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


def drafted(
    region: Region, model: DenoisingModel, front: Front, strength: float, verb: str | None = None
) -> dict[str, JSON]:
    """The score of what a person can choose from when the draft is rewritten. For a diagnostic the front chooses what
    that is, and tries the next where nothing came of the first."""
    source = region.source
    spans = [(region.start, region.start + len(region.draft))]
    if region.diagnosed is not None:
        spans = front.regions(source, *region.diagnosed)
    score, forwards, milliseconds, first_draft_ms = dict(NONE_OFFERED), 0, 0.0, 0.0
    for start, end in spans:
        try:
            rewriting = front.plan_rewrite(source, start, end, verb=verb, strength=strength)
        except FrontRefusedError:
            continue
        given = timed(model, rewriting.request)
        raw = [candidate.fills[0].text for candidate in given.infill.candidates if candidate.fills]
        fills = front.versions(given.infill)[:NUM_OFFERED]
        score = score_of(fills, [rewriting.applied(fill) for fill in fills], region)
        score["parse"] = _parse_share([rewriting.applied(fill) for fill in raw])
        first_draft_ms = first_draft_ms or milliseconds + given.first_draft_ms
        forwards, milliseconds = forwards + given.infill.usage.forward_passes, milliseconds + given.milliseconds
        if fills:
            break
    return {**score, "forwards": forwards, "milliseconds": milliseconds, "first_draft_ms": first_draft_ms}


def baseline(region: Region, model: DenoisingModel, front: Front, method: str) -> dict[str, JSON]:
    """The score of one of `methods.METHODS`, which knows nothing of the draft and has one answer, as long as a
    rewriting may get. Offered is what parses in place and differs from the draft."""
    before, after = region.text[: region.start], region.text[region.end :]
    try:
        rewriting = front.plan_rewrite(region.source, region.start, region.start + len(region.draft))
        longest = rewriting.request.holes[0].max_tokens
        source = replace(region.source, text=before + after)
        request = front.plan(source, [region.start], candidates=1, max_tokens=longest)
    except FrontRefusedError:
        return dict(NONE_OFFERED)
    given = answer(model, request, method, before, after)
    text = region.with_fill(given.text)
    fills = [given.text] if tree_of(text) is not None and not same(given.text, region.draft) else []
    return {
        **score_of(fills, [text for _ in fills], region),
        "parse": _parse_share([text]),
        "forwards": given.forwards,
        "milliseconds": given.milliseconds,
        "first_draft_ms": 0.0,
    }


def score_of(fills: Sequence[str], texts: Sequence[str], region: Region) -> dict[str, JSON]:
    """fills: those offered, best first, and texts: the file with each. first and any: whether the first, and whether
    one of them, is right."""
    right = [is_right(region, text) for text in texts]
    return {"fills": list(fills), "offers": bool(fills), "first": right[:1] == [True], "any": any(right)}


NONE_OFFERED: Mapping[str, JSON] = {
    **{"fills": [], "offers": False, "first": False, "any": False},
    **{"parse": 1.0, "forwards": 0, "milliseconds": 0.0, "first_draft_ms": 0.0},
}


def _parse_share(texts: Sequence[str]) -> float:
    return fmean([tree_of(text) is not None for text in texts]) if texts else 0.0


def is_right(region: Region, text: str) -> bool:
    """Whether a file is what it was but for white space at the ends of lines, or has the same syntax tree."""
    if same(text, region.text):
        return True
    trees = tree_of(text), tree_of(region.text)
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
