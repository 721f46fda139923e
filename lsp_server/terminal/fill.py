"""`midfill fill`: the holes of a file filled jointly, seen settling, shown as a diff or JSON, or written.

The plan, the choice among candidates and the finished text are `filling`'s, as in the language server: the same file
gets the same fills from both.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.live import Live

from midfill.lsp_server.filling import FilledHole, FillError, FillPlan, apply_fills, plan_fill
from midfill.lsp_server.holes import Place, Span
from midfill.lsp_server.joint import FillSteps, fill_in_groups
from midfill.lsp_server.resident import Resident
from midfill.lsp_server.terminal.connection import LoadDisplay, connected
from midfill.lsp_server.terminal.diff import unified_diff
from midfill.lsp_server.terminal.errors import TerminalError, bad_input
from midfill.lsp_server.terminal.render import canvas_view, diff_view, drafts_of, make_console
from midfill.lsp_server.terminal.source_file import SourceFile, read_source, require_writable, write_source
from midfill.lsp_server.terminal.targets import Target, places_of
from midfill.model.api import Infill, ModelInfo, Usage, to_json

_MODEL_FIELDS = ("name", "family", "revision", "licence", "device", "precision")


@dataclass(frozen=True)
class FillOptions:
    """What was typed. `output`: show is a diff, at a terminal after the canvas was seen settling."""

    file: Path
    target: Target
    candidates: int | None = None
    max_tokens: int | None = None
    output: Literal["show", "json", "diff", "write"] = "show"
    endpoint: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class FilledFile:
    """`holes` have spans in the file's text as it was read (code points)."""

    holes: tuple[FilledHole, ...]
    usage: Usage
    info: ModelInfo

    @property
    def edits(self) -> list[tuple[Span, str]]:
        return [(hole.span, hole.fill) for hole in self.holes]


def run_fill(options: FillOptions) -> None:
    """Raises TerminalError; the file is then as it was."""
    source = read_source(options.file)
    places = places_of(options.target, source.text, options.file)
    if options.output == "write":
        require_writable(source)
    console = make_console()
    is_seen = console.is_terminal and options.output in ("show", "write")
    filled = asyncio.run(fill_file(source, places, options, console if is_seen else None))
    if options.output == "json":
        print(json.dumps(as_json(options.file, filled), ensure_ascii=False, indent=2))
        return
    diff = unified_diff(source.text, filled.edits, options.file.as_posix().lstrip("/"))
    if console.is_terminal:
        console.print(diff_view(diff), end="")
    elif options.output != "write":
        sys.stdout.write("".join(line + "\n" for line in diff))
    if options.output == "write":
        write_source(source, apply_fills(source.text, filled.holes))
    print(_summary(options, filled), file=sys.stderr)


async def fill_file(
    source: SourceFile, places: Sequence[Place], options: FillOptions, console: Console | None
) -> FilledFile:
    """All places. With a console the canvas is shown there while it settles."""
    display = LoadDisplay(console) if console else None
    async with connected(options.endpoint, display) as (resident, info):

        def plan(text: str, group: Sequence[Span]) -> FillPlan:
            return _plan(text, group, options, info)

        def ask(group_plan: FillPlan) -> Awaitable[Infill]:
            return _ask(resident, group_plan, console)

        try:
            filled = await fill_in_groups(source.text, places, info, FillSteps(plan, ask))
        except FillError as error:
            raise bad_input(f"{options.file}: {error}.") from error
    return FilledFile(filled.holes, filled.usage, info)


def _plan(text: str, spans: Sequence[Span], options: FillOptions, info: ModelInfo) -> FillPlan:
    plan = plan_fill(
        text,
        tuple(spans),
        language_id="",
        path=str(options.file.absolute()),
        info=info,
        candidates=options.candidates,
        max_tokens=options.max_tokens,
        marker=options.target.marker,
    )
    return dataclasses.replace(plan, request=dataclasses.replace(plan.request, seed=options.seed))


async def _ask(resident: Resident, plan: FillPlan, console: Console | None) -> Infill:
    if console is None:
        return await resident.infill(plan.request)
    with Live(console=console, transient=True, refresh_per_second=20) as live:
        async for event in resident.stream(plan.request):
            if isinstance(event, Infill):
                return event
            if event.candidate == 0:
                live.update(canvas_view(plan.text, plan.spans, drafts_of(event)))
    raise TerminalError("The resident ended its answer early; run `midfill doctor`.")


def as_json(file: Path, filled: FilledFile) -> dict[str, Any]:
    return {
        "file": str(file),
        "holes": [
            {
                "id": hole.id,
                "start": hole.span.start,
                "end": hole.span.end,
                "fill": hole.fill,
                "confidence": hole.confidence,
            }
            for hole in filled.holes
        ],
        "usage": to_json(filled.usage),
        "model": {name: getattr(filled.info, name) for name in _MODEL_FIELDS},
    }


def _summary(options: FillOptions, filled: FilledFile) -> str:
    usage = filled.usage
    done = "written" if options.output == "write" else "not written (--write does)"
    holes = "1 hole" if len(filled.holes) == 1 else f"{len(filled.holes)} holes"
    return (
        f"{holes} filled in {usage.total_ms:.0f} ms, {usage.forward_passes} forward passes, "
        f"{usage.fill_tokens} tokens; {done}."
    )
