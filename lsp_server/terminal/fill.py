"""`midfill fill`: the holes of a file filled jointly, seen settling, shown as a diff or JSON, or written.

The plan, the choice among candidates and the finished text are `filling`'s, as in the language server: the same file
gets the same fills from both.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from midfill.lsp_server.terminal.connection import LoadDisplay, connected, named_model
from midfill.lsp_server.terminal.errors import bad_input
from midfill.lsp_server.terminal.output import (
    Answer,
    Output,
    deliver,
    diff_of,
    hole_as_json,
    is_seen,
    what_it_cost,
)
from midfill.lsp_server.terminal.render import make_console
from midfill.lsp_server.terminal.replay import Recorder, check_recording, write_recording
from midfill.lsp_server.terminal.source_file import SourceFile, read_source, require_writable
from midfill.lsp_server.terminal.targets import Target, places_of
from midfill.lsp_server.terminal.watching import ask
from midfill.lsp_server.text.filling import FillError, FillPlan, choose, plan_fill
from midfill.lsp_server.text.holes import Place, Span
from midfill.lsp_server.text.joint import FillSteps, fill_in_groups
from midfill.model.wire.api import Infill, ModelInfo


@dataclass(frozen=True)
class FillOptions:
    """What was typed. record: where a replay of the canvas goes."""

    file: Path
    target: Target
    candidates: int | None = None
    max_tokens: int | None = None
    output: Output = "show"
    endpoint: str | None = None
    model: str | None = None
    seed: int | None = None
    record: Path | None = None


def run_fill(options: FillOptions) -> None:
    """Raises TerminalError; the file is then as it was."""
    source = read_source(options.file)
    places = places_of(options.target, source.text, options.file)
    if options.output == "write":
        require_writable(source)
    recorder = Recorder() if check_recording(options.record, source) else None
    console = make_console()
    seen_at = console if is_seen(console, options.output) else None
    answer = asyncio.run(fill_file(source, places, options, seen_at, recorder))
    if recorder is not None and options.record is not None:
        title = f"midfill fill {options.file.name}"
        write_recording(options.record, recorder.replay(title, answer, diff_of(source, answer.holes)))
    deliver(source, answer, options.output, console, {"holes": [hole_as_json(hole) for hole in answer.holes]})


async def fill_file(
    source: SourceFile,
    places: Sequence[Place],
    options: FillOptions,
    console: Console | None = None,
    recorder: Recorder | None = None,
) -> Answer:
    """All places. With a console the canvas is shown there while it settles."""
    display = LoadDisplay(console) if console else None
    if options.endpoint and options.model:
        raise bad_input("--endpoint is a model that runs already; leave --model out.")
    model = named_model(options.model) if options.model else "embedded"
    async with connected(options.endpoint, display, model) as (resident, info):

        def plan(text: str, group: Sequence[Span]) -> FillPlan:
            return _plan(text, group, options, info)

        async def ask_one(group_plan: FillPlan) -> Infill:
            infill = await ask(resident, group_plan, console, recorder.see if recorder else None)
            if recorder is not None:
                chosen = choose(group_plan, infill)[:1]
                recorder.choose([group_plan], [hole for candidate in chosen for hole in candidate.fills])
            return infill

        try:
            filled = await fill_in_groups(source.text, places, info, FillSteps(plan, ask_one))
        except FillError as error:
            raise bad_input(f"{options.file}: {error}.") from error
    holes = "1 hole" if len(filled.holes) == 1 else f"{len(filled.holes)} holes"
    num_empty = sum(not hole.fill.strip() for hole in filled.holes)
    with_nothing = f", {num_empty} of them with nothing," if num_empty else ""
    return Answer(filled.holes, filled.usage, info, f"{holes} filled{with_nothing} in {what_it_cost(filled.usage)}")


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
