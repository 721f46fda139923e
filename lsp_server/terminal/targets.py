"""Which places of a file `midfill fill` was asked to fill: every marker, a position, or a range of lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from midfill.lsp_server.holes import DEFAULT_MARKER, HoleError, Span, find_markers, span_at_position, span_of_lines
from midfill.lsp_server.terminal.errors import bad_input


@dataclass(frozen=True)
class Target:
    """As typed: `at` is LINE:COL, `lines` is A-B (both from 1); without either, every `marker`."""

    at: str | None = None
    lines: str | None = None
    marker: str = DEFAULT_MARKER


def spans_of(target: Target, text: str, file: Path) -> tuple[Span, ...]:
    """In document order, at least one. Raises TerminalError when the text has no such place."""
    if target.at is not None and target.lines is not None:
        raise bad_input("--at and --lines exclude each other; give one of them.")
    try:
        if target.at is not None:
            return (span_at_position(text, *_numbers(r"(\d+):(\d+)", "--at", "LINE:COL", target.at), target.marker),)
        if target.lines is not None:
            return (span_of_lines(text, *_numbers(r"(\d+)-(\d+)", "--lines", "A-B", target.lines)),)
        markers = find_markers(text, target.marker)
    except HoleError as error:
        raise bad_input(f"{file}: {error}.") from None
    if not markers:
        raise bad_input(
            f"There is no {target.marker} in {file}; put it where code is missing, or give --at or --lines."
        )
    return markers


def _numbers(pattern: str, option: str, form: str, value: str) -> tuple[int, int]:
    found = re.fullmatch(pattern, value.strip(), re.ASCII)
    if not found or len(value) > 20:
        raise bad_input(f"{option} must be {form}, such as {re.sub('[A-Z]+', '12', form)}, and not {value!r}.")
    return int(found[1]), int(found[2])
