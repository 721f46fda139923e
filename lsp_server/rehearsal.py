"""The front as a process that answers JSON lines, so that what is measured is what people get.

`python -P -m midfill.lsp_server.rehearsal INFO`, where INFO is the JSON of a `ModelInfo`. Each line on stdin is an
object with "ask", the name of a question, and its arguments; each answer is one line on stdout. Texts are whole files
of Python, places and offsets are code points in them. A question without an answer ends the process with an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from midfill.lsp_server.document import DocumentSnapshot
from midfill.lsp_server.excerpt import WindowAnchor, group_spans
from midfill.lsp_server.filling import FillError, FillPlan, plan_fill
from midfill.lsp_server.filling import choose as chosen_of
from midfill.lsp_server.ghost_text import shown
from midfill.lsp_server.holes import Span
from midfill.lsp_server.inline_completion import is_welcome
from midfill.lsp_server.settings import Settings
from midfill.lsp_server.suggestions import Moment
from midfill.lsp_server.syntax import parses_in_place
from midfill.model.api import Infill, ModelInfo, from_json, to_json

JSON = Any
LANGUAGE = "python"
NO_MARKER = "\0"
"""For texts whose holes are given by their places: nothing in them stands for a hole."""


@dataclass(slots=True)
class Rehearsal:
    """The front beside a model of this info. last_plan: what `choose` and `show` finish; anchor: where the window of
    the last inline request began, as an open document has one."""

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


def groups(front: Rehearsal, text: str, places: Sequence[int]) -> list[list[int]]:
    """The places in groups that can each be filled in one request."""
    found = group_spans(text, _spans(places), front.info.context, front.info.max_holes)
    return [[span.start for span in group] for group in found]


def plan(
    front: Rehearsal, text: str, places: Sequence[int], candidates: int, max_tokens: int, single_line: bool = False
) -> dict[str, JSON]:
    """The request for all holes at `places` as "request", or why the front would not ask the model as "refused"."""
    try:
        front.last_plan = plan_fill(
            text,
            _spans(places),
            language_id=LANGUAGE,
            path=None,
            info=front.info,
            candidates=candidates,
            max_tokens=max_tokens,
            single_line=single_line,
            marker=NO_MARKER,
        )
    except FillError as error:
        return {"refused": str(error)}
    return {"request": to_json(front.planned.request)}


def choose(front: Rehearsal, infill: JSON) -> dict[str, JSON]:
    """Of an answer to the planned request the best candidate: a fill for each hole, "" where there is none."""
    best = next(iter(chosen_of(front.planned, from_json(Infill, infill))), None)
    found = {hole.id: hole.fill for hole in best.fills} if best else {}
    fills = [found.get(hole.id, "") for hole in front.planned.request.holes]
    return {"fills": fills, "parses": bool(best and best.parses)}


def verdict(front: Rehearsal, before: str, after: str, first: str, infill: JSON) -> dict[str, JSON]:
    """Of one hole between `before` and `after`: whether `first` parses there as it is, and what `choose` makes of all
    candidates ("" if it would show none)."""
    text, place = before + after, len(before)
    planned = plan_fill(text, _spans([place]), language_id=LANGUAGE, path=None, info=front.info)
    best = next(iter(chosen_of(planned, from_json(Infill, infill))), None)
    parses = best.parses if best else parses_in_place(text, place, place, "", LANGUAGE)
    return {
        "first_parses": bool(parses_in_place(text, place, place, first, LANGUAGE)),
        "fill": best.fills[0].fill if best else "",
        "parses": bool(parses),
    }


def plan_unasked(front: Rehearsal, text: str, offset: int, jumped: bool) -> JSON:
    """The request that typing at `offset` leads to; None where the front would not ask the model. jumped: the cursor
    came from elsewhere, so the window that the model sees is chosen anew."""
    snapshot = DocumentSnapshot("file:///typed.py", 1, LANGUAGE, text)
    if LANGUAGE not in front.info.languages or not is_welcome(Moment(text, offset), LANGUAGE, Settings()):
        return None
    try:
        front.last_plan = plan_fill(
            snapshot.text,
            _spans([offset]),
            language_id=snapshot.language_id,
            path=snapshot.path,
            info=front.info,
            priority="inline",
            anchor=None if jumped else front.anchor,
            inline=True,
        )
    except FillError:
        return None
    front.anchor = front.planned.anchor
    return to_json(front.planned.request)


def show(front: Rehearsal, infill: JSON) -> str:
    """Of an answer to the request of `plan_unasked` what is shown unasked, "" for nothing."""
    best = shown(chosen_of(front.planned, from_json(Infill, infill)), front.info.show_threshold)[:1]
    return best[0].fills[0].fill if best else ""


QUESTIONS: Mapping[str, Callable[..., JSON]] = {
    question.__name__: question for question in (groups, plan, choose, verdict, plan_unasked, show)
}


def _spans(places: Sequence[int]) -> list[Span]:
    return [Span(place, place) for place in places]


def main() -> None:
    front = Rehearsal(from_json(ModelInfo, json.loads(sys.argv[1])))
    for line in sys.stdin:
        print(json.dumps(front.answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
