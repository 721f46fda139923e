"""Requests asked side by side, and their canvases seen while they settle."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from midfill.lsp_server.filling import FillPlan
from midfill.lsp_server.resident import Resident
from midfill.lsp_server.terminal.canvas_runs import canvas_runs, drafts_before, drafts_of
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.terminal.render import runs_view
from midfill.model.api import DraftPiece, Infill, Step


class SeeStep(Protocol):
    """Told of every denoising step of every candidate. elapsed_ms: since its request was asked."""

    def __call__(self, plan: FillPlan, step: Step, elapsed_ms: float) -> None: ...


async def ask(
    resident: Resident, plans: Sequence[FillPlan], console: Console | None = None, see: SeeStep | None = None
) -> list[Infill]:
    """The answers of `plans`, in their order. With a console, the first candidate of each is shown there meanwhile."""
    if console is None and see is None:
        return await asyncio.gather(*(resident.infill(plan.request) for plan in plans))
    asked_s = time.perf_counter()
    with _canvases(console, plans) as show:

        def note(plan: FillPlan, step: Step) -> None:
            if see is not None:
                see(plan, step, 1000 * (time.perf_counter() - asked_s))
            show(plan, step)

        return await asyncio.gather(*(_stream(resident, plan, note) for plan in plans))


async def _stream(resident: Resident, plan: FillPlan, note: Callable[[FillPlan, Step], None]) -> Infill:
    async for event in resident.stream(plan.request):
        if isinstance(event, Infill):
            return event
        note(plan, event)
    raise TerminalError("The model ended its answer early, so nothing was changed; run `midfill doctor`.")


@contextlib.contextmanager
def _canvases(console: Console | None, plans: Sequence[FillPlan]) -> Iterator[Callable[[FillPlan, Step], None]]:
    if console is None:
        yield lambda plan, step: None
        return
    views = {id(plan): _view(plan, drafts_before(plan.request)) for plan in plans}
    begun = Group(*_titled(plans, list(views.values())))
    with Live(begun, console=console, transient=True, refresh_per_second=20) as live:

        def show(plan: FillPlan, step: Step) -> None:
            if step.candidate == 0:
                views[id(plan)] = _view(plan, drafts_of(step))
                live.update(Group(*_titled(plans, list(views.values()))))

        yield show


def _view(plan: FillPlan, drafts: Mapping[str, Sequence[DraftPiece]]) -> Text:
    return runs_view(canvas_runs(plan.text, plan.spans, drafts))


def _titled(plans: Sequence[FillPlan], views: Sequence[Text]) -> list[Text]:
    if len(plans) == 1:
        return list(views)
    titles = (Text(_begun_from(plan), style="bold") for plan in plans)
    return [text for pair in zip(titles, views, strict=True) for text in pair]


def _begun_from(plan: FillPlan) -> str:
    strength = plan.request.holes[0].strength
    return "From nothing:" if strength == 1 else f"From the old text, {strength:.0%} of it noised:"
