"""A request asked, and its canvases seen while they settle."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from midfill.lsp_server.resident.resident import Resident
from midfill.lsp_server.terminal.canvas_runs import canvas_runs, drafts_before, drafts_of
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.terminal.render import runs_view
from midfill.lsp_server.text.filling import FillPlan
from midfill.model.wire.api import DraftPiece, Infill, Step


class SeeStep(Protocol):
    """Told of every denoising step of every candidate. elapsed_ms: since its request was asked."""

    def __call__(self, plan: FillPlan, step: Step, elapsed_ms: float) -> None: ...


async def ask(
    resident: Resident,
    plan: FillPlan,
    console: Console | None = None,
    see: SeeStep | None = None,
    titles: Sequence[str] = ("",),
) -> Infill:
    """The answer. With a console, the first candidates are shown there meanwhile, as many as there are titles."""
    if console is None and see is None:
        return await resident.infill(plan.request)
    asked_s = time.perf_counter()
    with _canvases(console, plan, titles) as show:
        async for event in resident.stream(plan.request):
            if isinstance(event, Infill):
                return event
            if see is not None:
                see(plan, event, 1000 * (time.perf_counter() - asked_s))
            show(event)
    raise TerminalError("The model ended its answer early, so nothing was changed; run `midfill doctor`.")


@contextlib.contextmanager
def _canvases(console: Console | None, plan: FillPlan, titles: Sequence[str]) -> Iterator[Callable[[Step], None]]:
    if console is None:
        yield lambda step: None
        return
    views = [_view(plan, drafts_before(plan.request))] * len(titles)
    with Live(_titled(titles, views), console=console, transient=True, refresh_per_second=20) as live:

        def show(step: Step) -> None:
            if step.candidate < len(views):
                views[step.candidate] = _view(plan, drafts_of(step))
                live.update(_titled(titles, views))

        yield show


def _view(plan: FillPlan, drafts: Mapping[str, Sequence[DraftPiece]]) -> Text:
    return runs_view(canvas_runs(plan.text, plan.spans, drafts))


def _titled(titles: Sequence[str], views: Sequence[Text]) -> Group:
    pairs = zip(titles, views, strict=True)
    return Group(*(text for title, view in pairs for text in ([Text(title, style="bold"), view] if title else [view])))
