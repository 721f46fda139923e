"""A canvas in the code around it, as runs of text of one kind. Knows no terminal, no page and no picture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from midfill.lsp_server.text.holes import Span
from midfill.model.wire.api import DraftPiece, InfillRequest, Step

RunKind = Literal["code", "settled", "open", "skipped", "added", "removed", "place", "file"]
"""settled and open: of a hole. skipped: stands for code that is left out. added to file: lines of a diff."""

_NOTHING = (DraftPiece("\N{LIGHT SHADE}" * 3, False),)
_DIFF_KINDS: dict[str, RunKind] = {"+": "added", "-": "removed", "@": "place", "\\": "skipped"}
# Escape sequences, what turns the direction of reading round, and what no picture or page may hold.
_NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Run:
    text: str
    kind: RunKind


def canvas_runs(
    text: str, spans: Sequence[Span], drafts: Mapping[str, Sequence[DraftPiece]], num_context_lines: int = 2
) -> list[Run]:
    """Each hole with a little of what stands around it. Hole ids are "1", "2", ... in the order of `spans` (code
    points of `text`)."""
    runs: list[Run] = []
    shown_to = 0
    for index, span in enumerate(spans):
        start = max(shown_to, _context_start(text, span.start, num_context_lines))
        if start > shown_to:
            runs.append(Run("  \N{VERTICAL ELLIPSIS}\n", "skipped"))
        runs.append(Run(printable(text[start : span.start]), "code"))
        runs += draft_runs(drafts.get(str(index + 1), _NOTHING))
        limit = spans[index + 1].start if index + 1 < len(spans) else len(text)
        shown_to = min(limit, _context_end(text, span.end, num_context_lines))
        runs.append(Run(printable(text[span.end : shown_to]), "code"))
    return runs


def drafts_before(request: InfillRequest) -> dict[str, Sequence[DraftPiece]]:
    """Before the first step: the old text where there is one, and nothing of it settled."""
    return {hole.id: (DraftPiece(hole.draft, False),) if hole.draft else _NOTHING for hole in request.holes}


def drafts_of(step: Step) -> dict[str, Sequence[DraftPiece]]:
    return {draft.id: draft.pieces for draft in step.drafts}


def draft_runs(pieces: Sequence[DraftPiece]) -> Iterator[Run]:
    return (Run(printable(piece.text), "settled" if piece.settled else "open") for piece in pieces)


def diff_runs(lines: Sequence[str]) -> Iterator[Run]:
    """A unified diff, a run a line."""
    for number, line in enumerate(lines):
        yield Run(printable(line) + "\n", "file" if number < 2 else _DIFF_KINDS.get(line[:1], "code"))


def lines_of(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs cut at line ends, which are in none of them."""
    lines: list[list[Run]] = [[]]
    for run in runs:
        for number, piece in enumerate(run.text.split("\n")):
            if number:
                lines.append([])
            if piece:
                lines[-1].append(Run(piece, run.kind))
    return lines if lines[-1] else lines[:-1]


def printable(text: str) -> str:
    """Control characters of a file (escape sequences above all) are shown, not obeyed."""
    return _NOT_SHOWN.sub(lambda found: "" if found[0] == "\r" else "\N{REPLACEMENT CHARACTER}", text)


def _context_start(text: str, offset: int, num_lines: int) -> int:
    for _ in range(num_lines + 1):
        offset = text.rfind("\n", 0, max(0, offset))
        if offset < 0:
            return 0
    return offset + 1


def _context_end(text: str, offset: int, num_lines: int) -> int:
    for _ in range(num_lines + 1):
        offset = text.find("\n", offset) + 1
        if not offset:
            return len(text)
    return offset
