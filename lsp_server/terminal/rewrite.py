"""`midfill rewrite`: lines of a file written again, by a verb, an instruction or once more; seen settling, shown as a
diff or JSON, or written. What is asked for and which answers count is `rewriting`'s to say, as in the language server.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from midfill.lsp_server.terminal.connection import LoadDisplay, connected
from midfill.lsp_server.terminal.errors import TerminalError, bad_input
from midfill.lsp_server.terminal.output import Answer, Output, deliver, diff_of, hole_as_json, is_seen, what_it_cost
from midfill.lsp_server.terminal.render import make_console
from midfill.lsp_server.terminal.replay import Recorder, check_recording, write_recording
from midfill.lsp_server.terminal.source_file import SourceFile, read_source, require_writable
from midfill.lsp_server.terminal.targets import lines_of_file
from midfill.lsp_server.terminal.watching import ask
from midfill.lsp_server.text.filling import FillPlan
from midfill.lsp_server.text.holes import FillError, Span
from midfill.lsp_server.text.rewriting import Rewritten, Wish, canvases_differ, plan_rewriting, rewritten
from midfill.lsp_server.text.verbs import title_of
from midfill.model.wire.api import ModelInfo


@dataclass(frozen=True)
class RewriteOptions:
    """What was typed. lines: A-B. candidate: which of the versions found, best first, from 1. record: where a replay of
    the canvas goes."""

    file: Path
    lines: str
    wish: Wish
    candidate: int = 1
    output: Output = "show"
    endpoint: str | None = None
    record: Path | None = None


def run_rewrite(options: RewriteOptions) -> None:
    """Raises TerminalError; the file is then as it was."""
    source = read_source(options.file)
    span = lines_of_file(options.lines, source.text, options.file)
    if options.output == "write":
        require_writable(source)
    recorder = Recorder() if check_recording(options.record, source) else None
    console = make_console()
    seen_at = console if is_seen(console, options.output) else None
    found, answer = asyncio.run(rewrite_file(source, span, options, seen_at, recorder))
    if recorder is not None and options.record is not None:
        write_recording(options.record, recorder.replay(_title(options), answer, diff_of(source, answer.holes)))
    candidates = [{**hole_as_json(one.fills[0]), "parses": one.parses} for one in found.candidates]
    fields = {"old": found.old, "candidates": candidates, "chosen": options.candidate}
    deliver(source, answer, options.output, console, fields)


async def rewrite_file(
    source: SourceFile,
    span: Span,
    options: RewriteOptions,
    console: Console | None = None,
    recorder: Recorder | None = None,
) -> tuple[Rewritten, Answer]:
    """All versions that were found, and the one that was chosen. With a console the canvases are shown there."""
    display = LoadDisplay(console) if console else None
    async with connected(options.endpoint, display) as (resident, info):
        try:
            path = str(options.file.absolute())
            plan = plan_rewriting(source.text, span, options.wish, language_id="", path=path, info=info)
        except FillError as error:
            raise bad_input(f"{options.file}: {error}.") from error
        infill = await ask(resident, plan, console, recorder.see if recorder else None, _titles(plan, info))
    try:
        found = rewritten(plan, infill)
    except FillError as error:
        raise TerminalError(f"{options.file}: {error}.") from error
    num_found = len(found.candidates)
    if options.candidate > num_found:
        versions = "one version" if num_found == 1 else f"{num_found} versions"
        raise TerminalError(
            f"{options.file}: the model found {versions}, and candidate {options.candidate} was asked for, so nothing "
            "was changed; ask for an earlier one, or give another --seed."
        )
    chosen = found.candidates[options.candidate - 1]
    if recorder is not None:
        recorder.choose([plan], chosen.fills)
    done = (
        f"Lines {options.lines} rewritten in {what_it_cost(infill.usage)}; version {options.candidate} of {num_found}"
    )
    return found, Answer(chosen.fills, infill.usage, info, done)


def run_list_verbs(endpoint: str | None, as_json: bool) -> None:
    """What the loaded model can be asked for. Raises TerminalError."""
    console = make_console()

    async def ask_info() -> None:
        async with connected(endpoint, LoadDisplay(console) if console.is_terminal else None) as (_, info):
            follows = "instructions" in info.capabilities
            if as_json:
                verbs = [{"verb": verb, "title": title_of(verb)} for verb in info.verbs]
                print(json.dumps({"model": info.name, "verbs": verbs, "instructions": follows}, indent=2))
                return
            width = max((len(verb) for verb in info.verbs), default=0)
            for verb in info.verbs:
                print(f"{verb:{width}}  {title_of(verb)}")
            if not info.verbs:
                print(f"{info.name} knows no verbs.")
            print("It follows free instructions: --instruction TEXT." if follows else "It follows no --instruction.")

    asyncio.run(ask_info())


def _titles(plan: FillPlan, info: ModelInfo) -> tuple[str, ...]:
    """Of the canvases that are shown: where the model has two ways, both."""
    if not canvases_differ(plan, info):
        return ("",)
    return f"From the old text, {plan.request.holes[0].strength:.0%} of it noised:", "From nothing:"


def _title(options: RewriteOptions) -> str:
    wish = options.wish
    asked = f" --verb {wish.verb}" if wish.verb else f' --instruction "{wish.instruction}"' if wish.instruction else ""
    return f"midfill rewrite {options.file.name} --lines {options.lines}{asked}"
