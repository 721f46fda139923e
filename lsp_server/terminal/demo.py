"""`midfill demo`: what midfill does, on a bundled file, through the real language server, with its times.

Nothing is prepared: what the model answers is shown beside what the file's author had written, right or wrong.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.resources
import re
import time
from dataclasses import dataclass

from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from midfill.lsp_server.terminal.canvas_runs import printable
from midfill.lsp_server.terminal.connection import LoadDisplay, connected
from midfill.lsp_server.terminal.diff import unified_diff
from midfill.lsp_server.terminal.editor import Editor, editing
from midfill.lsp_server.terminal.render import diff_view, make_console
from midfill.lsp_server.text.holes import DEFAULT_MARKER, Span, find_markers
from midfill.model.wire.api import ModelInfo

NAME = "stock.py"
HOW_OFTEN = "Chosen from places where it is right. In code it never saw: 6 of 10 rests of lines, 2 of 10 whole lines."
"""Of the shipped model, by its card."""
_MARK = re.compile(r"\[\[(rest|fill|line)\|(.*?)\]\]", re.DOTALL)
_FIRST_ANSWER_S = 5.0


@dataclass(frozen=True)
class Scene:
    """The example with one kind of place open: `spans` are those places in `text`, `written` what the author wrote."""

    text: str
    spans: tuple[Span, ...]
    written: tuple[str, ...]


def scene(marked: str, kind: str) -> Scene:
    """The places of one `kind` open (fill: a marker; the others: empty), all others as written."""
    pieces, spans, written = [], [], []
    offset = length = 0
    for mark in _MARK.finditer(marked):
        original = mark[2]
        shown = original if mark[1] != kind else DEFAULT_MARKER if kind == "fill" else ""
        pieces += [marked[offset : mark.start()], shown]
        length += mark.start() - offset
        if mark[1] == kind:
            spans.append(Span(length, length + len(shown)))
            written.append(original)
        length += len(shown)
        offset = mark.end()
    return Scene("".join([*pieces, marked[offset:]]), tuple(spans), tuple(written))


def run_demo(*, plain: bool, endpoint: str | None) -> None:
    """Raises TerminalError when the model or the language server cannot be used."""
    console = make_console(plain)
    asyncio.run(_show_all(console, endpoint))


async def _show_all(console: Console, endpoint: str | None) -> None:
    marked = (importlib.resources.files(__package__) / "demo.py.txt").read_text(encoding="utf-8")
    console.print(Text(f"midfill {importlib.metadata.version('midfill')}", style="bold"))
    started_s = time.perf_counter()
    display = LoadDisplay(console)
    async with connected(endpoint, display) as (_, info):
        console.print(_model_line(info, 1000 * (time.perf_counter() - started_s)))
        async with editing(endpoint) as editor:
            await _show_ghost_text(console, editor, scene(marked, "rest"), "1. Ghost text for the rest of a line")
            await _show_ghost_text(console, editor, scene(marked, "line"), "2. Ghost text on an empty line")
            await _show_joint_fill(console, editor, scene(marked, "fill"))
    console.print(Rule(style="dim"))
    if info.family == "embedded":
        console.print(Text(HOW_OFTEN, style="dim"))
    console.print(Text("Next: write <fill> where code is missing in a file, and run: midfill fill FILE"))


def _model_line(info: ModelInfo, ready_ms: float) -> Text:
    size = f"{info.num_parameters / 1e6:.1f}M parameters"
    return Text(
        f"{info.name} ({info.family}, {size}, {info.precision} on {info.device})\nready after {ready_ms:.0f} ms"
    )


async def _show_ghost_text(console: Console, editor: Editor, opened: Scene, title: str) -> None:
    (cursor,) = opened.spans
    editor.open(f"file:///demo/{cursor.start}/{NAME}", "python", opened.text)
    give_up_at_s = time.perf_counter() + _FIRST_ANSWER_S
    while True:  # the server has only just started, and answers with nothing until it has found the model
        asked_s = time.perf_counter()
        items = await editor.ghost_texts(cursor.start, invoked=True)
        if items or asked_s > give_up_at_s:
            break
        await asyncio.sleep(0.05)
    _heading(console, title, 1000 * (time.perf_counter() - asked_s))
    before, after = _lines_around(opened.text, cursor)
    view = Text(printable(before))
    if items:
        inserted = items[0].insert_text
        shown = printable(inserted if isinstance(inserted, str) else inserted.value)
        view.append(
            shown
            if console.color_system
            else f"\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}{shown}\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}",
            style="dim italic green",
        )
    else:
        view.append("\N{LEFT HALF BLOCK} (no suggestion)", style="yellow")
    console.print(view.append(printable(after)))
    _say_what_was_written(console, opened)


async def _show_joint_fill(console: Console, editor: Editor, opened: Scene) -> None:
    editor.open(f"file:///demo/fill/{NAME}", "python", opened.text)
    asked_s = time.perf_counter()
    actions = await editor.code_actions(opened.spans[0].start)
    title = f"Fill all {len(find_markers(opened.text))} holes"
    edits = [edit for action in actions if action.title == title for edit in await editor.edits_of(action)]
    _heading(console, f'3. Several holes jointly: the code action "{title}"', 1000 * (time.perf_counter() - asked_s))
    for span, new in reversed(edits):
        editor.replace(span.start, span.end, new)
    _print_diff(console, opened, edits)
    _say_what_was_written(console, opened)


def _print_diff(console: Console, opened: Scene, edits: list[tuple[Span, str]]) -> None:
    diff = unified_diff(opened.text, edits, NAME)
    if diff:
        console.print(diff_view(diff), end="")
    else:
        console.print(Text("(as it was)" if edits else "(no suggestion)", style="yellow"))


def _heading(console: Console, title: str, took_ms: float) -> None:
    console.print()
    console.print(Rule(Text(title, style="bold"), align="left", style="dim"))
    console.print(Text(f"{took_ms:.0f} ms", style="cyan"))


def _lines_around(text: str, span: Span) -> tuple[str, str]:
    """Four lines before the span's line, two after it."""
    start = span.start
    for _ in range(5):
        start = text.rfind("\n", 0, max(start, 0))
    end = span.end
    for _ in range(3):
        end = text.find("\n", end + 1)
    return text[start + 1 : span.start], text[span.end : end]


def _say_what_was_written(console: Console, opened: Scene) -> None:
    console.print(Text("the author had written: " + " | ".join(opened.written), style="dim"))
