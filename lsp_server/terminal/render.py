"""How things look at a terminal: the canvas while it settles, and diffs. Text in, rich renderables out."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from midfill.lsp_server.terminal.canvas_runs import Run, RunKind, diff_runs

_STYLES: dict[RunKind, str] = {
    "code": "",
    "settled": "green",
    "open": "dim italic",
    "skipped": "dim",
    "added": "green",
    "removed": "red",
    "place": "cyan",
    "file": "bold",
}


def make_console(plain: bool = False) -> Console:
    """Standard output. Where it cannot show a character, a replacement is shown instead of a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, no_color=plain or None, force_terminal=False if plain else None)


def runs_view(runs: Iterable[Run]) -> Text:
    view = Text(no_wrap=True, overflow="ellipsis")
    for run in runs:
        view.append(run.text, style=_STYLES[run.kind])
    return view


def diff_view(lines: Sequence[str]) -> Text:
    view = runs_view(diff_runs(lines))
    view.overflow, view.end = "ignore", ""
    return view
