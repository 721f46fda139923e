"""All holes of a text filled jointly, in as few requests as the model allows; the server and the terminal share it.

Holes too many or too far apart for one request are filled in groups, in document order; a later group sees the fills of
the earlier ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from midfill.lsp_server.text.excerpt import group_spans
from midfill.lsp_server.text.filling import FilledCandidate, FilledHole, FillPlan, apply_fills, choose
from midfill.lsp_server.text.holes import FillError, Place, Span
from midfill.model.wire.api import Infill, ModelInfo, Usage

Pick = Callable[[FillPlan, Sequence[FilledCandidate]], FilledCandidate]


def best(plan: FillPlan, candidates: Sequence[FilledCandidate]) -> FilledCandidate:
    return candidates[0]


@dataclass(frozen=True)
class FillSteps:
    """What the server and the terminal do each in their own way. plan: a request for a group of holes of a text. ask:
    its answer. report: told how many holes are done, of how many, before the first group and after each. pick: one of a
    group's candidates, which come best first."""

    plan: Callable[[str, Sequence[Span]], FillPlan]
    ask: Callable[[FillPlan], Awaitable[Infill]]
    report: Callable[[int, int], None] = lambda done, total: None
    pick: Pick = best


@dataclass(frozen=True)
class JointFill:
    """The holes in document order, ids "1" to "n", spans in the text as it was, without the empty bodies that the model
    found nothing for; what all requests cost together."""

    holes: tuple[FilledHole, ...]
    usage: Usage


async def fill_in_groups(text: str, places: Sequence[Place], info: ModelInfo, steps: FillSteps) -> JointFill:
    """Plan and ask for each group in turn. Raises FillError when the model finds nothing for a hole."""
    places = sorted(places)
    opened, spans = _opened(text, places)
    holes: list[FilledHole] = []
    usage = Usage()
    steps.report(0, len(spans))
    for group in group_spans(opened, spans, info.context, info.max_holes):
        so_far = apply_fills(opened, holes)
        shift = len(so_far) - len(opened)
        plan = steps.plan(so_far, [Span(span.start + shift, span.end + shift) for span in group])
        infill = await steps.ask(plan)
        candidates = choose(plan, infill)
        fills = {hole.id: hole for hole in steps.pick(plan, candidates).fills} if candidates else {}
        for number, span in enumerate(group, start=1):
            if str(number) not in fills:
                raise _nothing_for(places[len(holes)], text)
            holes.append(dataclasses.replace(fills[str(number)], id=str(len(holes) + 1), span=span))
        usage = sum_of_usage(usage, infill.usage)
        steps.report(len(holes), len(spans))
    closed = [_closed(hole, place) for hole, place in zip(holes, places, strict=True) if _is_filled(hole, place)]
    if not closed:
        raise _nothing_for(places[0], text)
    return JointFill(tuple(closed), usage)


def _is_filled(hole: FilledHole, place: Place) -> bool:
    return bool(hole.fill.strip()) or not place.needs_code


def _nothing_for(place: Place, text: str) -> FillError:
    line = text.count("\n", 0, place.span.start) + 1
    return FillError(f"the model found nothing for the hole in line {line}; nothing was changed")


def _opened(text: str, places: Sequence[Place]) -> tuple[str, list[Span]]:
    """The text with every lead in place of what its fill replaces, and the holes in it."""
    pieces: list[str] = []
    spans: list[Span] = []
    end = length = 0
    for place in places:
        kept = text[end : place.span.start] + place.lead
        replaced = "" if place.lead else text[place.span.start : place.span.end]
        start = length + len(kept)
        spans.append(Span(start, start + len(replaced)))
        pieces += [kept, replaced]
        length, end = start + len(replaced), place.span.end
    return "".join([*pieces, text[end:]]), spans


def _closed(hole: FilledHole, place: Place) -> FilledHole:
    """The fill of an opened text as an edit of the text as it was: with its lead."""
    moved = len(place.lead)
    confidences = tuple(
        dataclasses.replace(span, start=span.start + moved, end=span.end + moved) for span in hole.spans
    )
    return dataclasses.replace(hole, span=place.span, fill=place.lead + hole.fill, spans=confidences)


def sum_of_usage(left: Usage, right: Usage) -> Usage:
    """What two requests cost together; asked side by side, both their times count."""
    names = [field.name for field in dataclasses.fields(Usage)]
    return Usage(**{name: getattr(left, name) + getattr(right, name) for name in names})
