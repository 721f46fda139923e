"""All holes of a text filled jointly, in as few requests as the model allows; the server and the terminal share it.

Holes too many or too far apart for one request are filled in groups, in document order; a later group sees the fills of
the earlier ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from midfill.lsp_server.excerpt import group_spans
from midfill.lsp_server.filling import FilledHole, FillPlan, apply_fills, choose
from midfill.lsp_server.holes import FillError, Span
from midfill.model.api import Infill, ModelInfo, Usage

PlanGroup = Callable[[str, Sequence[Span]], FillPlan]
Ask = Callable[[FillPlan], Awaitable[Infill]]


@dataclass(frozen=True)
class JointFill:
    """Every hole in document order, ids "1" to "n", spans in the text as it was; what all requests cost together."""

    holes: tuple[FilledHole, ...]
    usage: Usage


async def fill_in_groups(text: str, spans: Sequence[Span], info: ModelInfo, plan: PlanGroup, ask: Ask) -> JointFill:
    """Plan and ask for each group in turn. Raises FillError when the model finds nothing for a hole."""
    holes: list[FilledHole] = []
    usage = Usage()
    for group in group_spans(text, spans, info.context, info.max_holes):
        so_far = apply_fills(text, holes)
        shift = len(so_far) - len(text)
        group_plan = plan(so_far, [Span(span.start + shift, span.end + shift) for span in group])
        infill = await ask(group_plan)
        candidates = choose(group_plan, infill)
        fills = {hole.id: hole for hole in candidates[0].fills} if candidates else {}
        for number, span in enumerate(group, start=1):
            if str(number) not in fills:
                line = text.count("\n", 0, span.start) + 1
                raise FillError(f"the model found nothing for the hole in line {line}; nothing was changed")
            holes.append(dataclasses.replace(fills[str(number)], id=str(len(holes) + 1), span=span))
        usage = _sum(usage, infill.usage)
    return JointFill(tuple(holes), usage)


def _sum(left: Usage, right: Usage) -> Usage:
    names = [field.name for field in dataclasses.fields(Usage)]
    return Usage(**{name: getattr(left, name) + getattr(right, name) for name in names})
