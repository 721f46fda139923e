"""How things look at a terminal: the canvas while it settles, and diffs. Text in, rich renderables out."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from midfill.lsp_server.holes import Span
from midfill.model.api import DraftPiece, HoleDraft, Step

_NUM_CONTEXT_LINES = 2
_UNSETTLED = "dim italic"
_SETTLED = "green"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", "\\": "dim"}


def make_console(plain: bool = False) -> Console:
    """Standard output. Where it cannot show a character, a replacement is shown instead of a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False, no_color=plain or None, force_terminal=False if plain else None)


def printable(text: str) -> str:
    """Control characters of a file (escape sequences above all) are shown, not obeyed."""
    return _CONTROL.sub(lambda found: "" if found[0] == "\r" else "\N{REPLACEMENT CHARACTER}", text)


def diff_view(lines: Sequence[str]) -> Text:
    view = Text(no_wrap=True, overflow="ignore", end="")
    for line in lines:
        style = "bold" if line.startswith(("--- ", "+++ ")) else _DIFF_STYLES.get(line[:1], "")
        view.append(printable(line) + "\n", style=style)
    return view


def canvas_view(text: str, spans: Sequence[Span], drafts: Mapping[str, HoleDraft]) -> Text:
    """Each hole with a little of what stands around it; what is settled plain, what may still change dimmed.

    Hole ids are "1", "2", ... in the order of `spans` (code points of `text`)."""
    view = Text(no_wrap=True, overflow="ellipsis")
    shown_to = 0
    for index, span in enumerate(spans):
        start = max(shown_to, _context_start(text, span.start))
        if start > shown_to:
            view.append("  \N{VERTICAL ELLIPSIS}\n", style="dim")
        view.append(printable(text[start : span.start]))
        draft = drafts.get(str(index + 1))
        view.append_text(draft_view(draft.pieces if draft else (DraftPiece("\N{LIGHT SHADE}" * 3, False),)))
        limit = spans[index + 1].start if index + 1 < len(spans) else len(text)
        shown_to = min(limit, _context_end(text, span.end))
        view.append(printable(text[span.end : shown_to]))
    return view


def draft_view(pieces: Sequence[DraftPiece]) -> Text:
    view = Text()
    for piece in pieces:
        view.append(printable(piece.text), style=_SETTLED if piece.settled else _UNSETTLED)
    return view


def drafts_of(step: Step) -> dict[str, HoleDraft]:
    return {draft.id: draft for draft in step.drafts}


def _context_start(text: str, offset: int) -> int:
    for _ in range(_NUM_CONTEXT_LINES + 1):
        offset = text.rfind("\n", 0, max(0, offset))
        if offset < 0:
            return 0
    return offset + 1


def _context_end(text: str, offset: int) -> int:
    for _ in range(_NUM_CONTEXT_LINES + 1):
        offset = text.find("\n", offset) + 1
        if not offset:
            return len(text)
    return offset
