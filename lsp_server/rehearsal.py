"""The front as a process that answers JSON lines, so that what is measured is what people get.

`python -P -m midfill.lsp_server.rehearsal INFO`, where INFO is the JSON of a `ModelInfo`. Each line on stdin is an
object with "ask", the name of a question, and its arguments; each answer is one line on stdout. Texts are whole files,
places and offsets are code points in them, `language` is an editor's identifier ("" where `path` must tell) and `path`
is null for a text without a file. A question without an answer ends the process with an error.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from midfill.lsp_server.features.ghost_text import shown
from midfill.lsp_server.features.inline_completion import INVOKED_CHOICES, is_welcome
from midfill.lsp_server.text.excerpt import WindowAnchor, group_spans
from midfill.lsp_server.text.filling import FillError, FillPlan, plan_fill
from midfill.lsp_server.text.filling import choose as chosen_of
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.rewriting import Wish, plan_rewriting, rewritten
from midfill.lsp_server.text.syntax import language_of, parses_in_place
from midfill.lsp_server.workspace.repair import regions_around
from midfill.lsp_server.workspace.settings import Settings
from midfill.lsp_server.workspace.suggestions import Moment
from midfill.model.wire.api import Infill, ModelInfo, from_json, to_json

JSON = Any
NO_MARKER = "\0"
"""For texts whose holes are given by their places: nothing in them stands for a hole."""


@dataclass(slots=True)
class Rehearsal:
    """The front beside a model of this info. last_plan: what the answer that comes next belongs to; anchor: where the
    window of the last inline request began, as an open document has one."""

    info: ModelInfo
    last_plan: FillPlan | None = None
    anchor: WindowAnchor | None = None

    def answer(self, question: Mapping[str, JSON]) -> JSON:
        """Raises ValueError for a question that there is not, or that comes before what it is about."""
        arguments = dict(question)
        name = arguments.pop("ask", None)
        if name not in QUESTIONS:
            raise ValueError(f"{name!r} is no question; ask one of {', '.join(QUESTIONS)}")
        return QUESTIONS[name](self, **arguments)

    @property
    def planned(self) -> FillPlan:
        if self.last_plan is None:
            raise ValueError("there is no plan that an answer could belong to; ask for one first")
        return self.last_plan

    def requested(self, make_plan: Callable[[], FillPlan]) -> dict[str, JSON]:
        """The request of a plan as "request", or why the front would not ask the model as "refused"."""
        try:
            self.last_plan = make_plan()
        except FillError as error:
            return {"refused": str(error)}
        return {"request": to_json(self.planned.request)}


def groups(front: Rehearsal, text: str, places: Sequence[int]) -> list[list[int]]:
    """The places in groups that can each be filled in one request."""
    found = group_spans(text, _spans(places), front.info.context, front.info.max_holes)
    return [[span.start for span in group] for group in found]


def plan(
    front: Rehearsal,
    text: str,
    places: Sequence[int],
    language: str,
    path: str | None,
    inline: bool,
    candidates: int | None,
    max_tokens: int | None,
) -> dict[str, JSON]:
    """The request for all holes at `places`, as `midfill fill` makes it. inline: as ghost text that a person asks for
    at the one place. candidates, max_tokens: null for what the front chooses."""
    if inline and candidates is None:
        candidates = INVOKED_CHOICES
    return front.requested(
        lambda: plan_fill(
            text,
            _spans(places),
            language_id=language,
            path=path,
            info=front.info,
            candidates=candidates,
            max_tokens=max_tokens,
            priority="inline" if inline else "edit",
            inline=inline,
            marker=NO_MARKER,
        )
    )


def choose(front: Rehearsal, infill: JSON) -> dict[str, JSON]:
    """Of an answer to the planned request the best candidate: a fill for each hole, "" where there is none."""
    best = next(iter(chosen_of(front.planned, from_json(Infill, infill))), None)
    found = {hole.id: hole.fill for hole in best.fills} if best else {}
    fills = [found.get(hole.id, "") for hole in front.planned.request.holes]
    return {"fills": fills, "parses": bool(best and best.parses)}


def verdict(front: Rehearsal, first: str, infill: JSON) -> dict[str, JSON]:
    """Of the one hole that was planned: whether `first` parses there as it is, and what `choose` makes of all
    candidates ("" if it would offer none)."""
    planned = front.planned
    (span,) = planned.spans
    best = next(iter(chosen_of(planned, from_json(Infill, infill))), None)
    fill = best.fills[0].fill if best and best.fills else ""

    def parses(fill: str) -> bool:
        return bool(parses_in_place(planned.text, span.start, span.end, fill, planned.language, planned.marker))

    return {"first_parses": parses(first), "fill": fill, "parses": bool(best.parses) if best else parses("")}


def plan_rewrite(
    front: Rehearsal,
    text: str,
    start: int,
    end: int,
    language: str,
    path: str | None,
    verb: str | None,
    strength: float | None,
) -> dict[str, JSON]:
    """The request to write `text[start:end]` again, as `midfill rewrite` and quick fixes make it, and as "span" what
    of the text that is. verb and strength: null for none, and for what suits the verb."""
    wish = Wish(verb=verb, strength=strength)
    span = Span(start, end)
    answer = front.requested(lambda: plan_rewriting(text, span, wish, language_id=language, path=path, info=front.info))
    if "request" in answer:
        (region,) = front.planned.spans
        answer["span"] = [region.start, region.end]
    return answer


def regions(front: Rehearsal, text: str, start: int, end: int, language: str, path: str | None) -> list[list[int]]:
    """What a quick fix writes again for a diagnostic at `text[start:end]`: [start, end] of each, tried in this order
    until one has versions to choose from."""
    return [[one.start, one.end] for one in regions_around(text, Span(start, end), language_of(language, path))]


def versions(front: Rehearsal, infill: JSON) -> list[str]:
    """Of an answer to the request of `plan_rewrite` what a person chooses from, best first."""
    try:
        found = rewritten(front.planned, from_json(Infill, infill))
    except FillError:
        return []
    return [one.fills[0].fill for one in found.candidates]


def plan_unasked(front: Rehearsal, text: str, offset: int, language: str, path: str | None, jumped: bool) -> JSON:
    """The request that typing at `offset` leads to; None where the front would not ask the model. jumped: the cursor
    came from elsewhere, so the window that the model sees is chosen anew."""
    grammar = language_of(language, path)
    if grammar not in front.info.languages or not is_welcome(Moment(text, offset), grammar, Settings()):
        return None
    try:
        front.last_plan = plan_fill(
            text,
            _spans([offset]),
            language_id=language,
            path=path,
            info=front.info,
            priority="inline",
            anchor=None if jumped else front.anchor,
            inline=True,
        )
    except FillError:
        return None
    front.anchor = front.planned.anchor
    return to_json(front.planned.request)


def show(front: Rehearsal, infill: JSON, threshold: float | None) -> dict[str, JSON] | None:
    """Of an answer to the request of `plan_unasked` what is shown unasked first; null for nothing. threshold: null for
    the model's own. weakest: the least certain token's probability."""
    threshold = front.info.show_threshold if threshold is None else threshold
    best = next(iter(shown(chosen_of(front.planned, from_json(Infill, infill)), threshold)), None)
    if best is None:
        return None
    (hole,) = best.fills
    weakest = min((span.confidence for span in hole.spans), default=hole.confidence)
    return {"fill": hole.fill, "confidence": best.confidence, "weakest": weakest}


QUESTIONS: Mapping[str, Callable[..., JSON]] = {
    question.__name__: question
    for question in (groups, plan, choose, verdict, regions, plan_rewrite, versions, plan_unasked, show)
}


def _spans(places: Sequence[int]) -> list[Span]:
    return [Span(place, place) for place in places]


def main() -> None:
    front = Rehearsal(from_json(ModelInfo, json.loads(sys.argv[1])))
    with contextlib.suppress(KeyboardInterrupt):  # who stops a measure stops this too, and is told by the measure
        for line in sys.stdin:
            print(json.dumps(front.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
