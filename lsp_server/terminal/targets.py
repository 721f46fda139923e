"""Which places of a file a command was asked to fill or to rewrite; what they mean in the text is `scopes`' to say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from midfill.lsp_server.terminal.errors import bad_input
from midfill.lsp_server.text.holes import (
    DEFAULT_MARKER,
    HoleError,
    Place,
    Span,
    span_at_position,
    span_of_lines,
    trimmed,
)
from midfill.lsp_server.text.scopes import Scope, Source, find_places


@dataclass(frozen=True)
class Target:
    """As typed: `at` is LINE:COL, `lines` is A-B, `function` a line in one (all from 1), `bodies` the empty bodies;
    without any of them all holes of the file."""

    at: str | None = None
    lines: str | None = None
    function: int | None = None
    bodies: bool = False
    marker: str = DEFAULT_MARKER


def places_of(target: Target, text: str, file: Path) -> tuple[Place, ...]:
    """In document order, at least one. Raises TerminalError when the text has no such place."""
    given = [
        option
        for option, value in (
            ("--at", target.at),
            ("--lines", target.lines),
            ("--function", target.function),
            ("--bodies", target.bodies or None),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise bad_input(f"{' and '.join(given)} exclude each other; give one of them.")
    try:
        if target.at is not None:
            numbers = _numbers(r"(\d+):(\d+)", "--at", "LINE:COL", target.at)
            return (Place(span_at_position(text, *numbers, target.marker)),)
        return find_places(Source(text, "", str(file), target.marker), _scope_of(target, text))
    except HoleError as error:
        raise bad_input(f"{file}: {error}.") from None


def lines_of_file(lines: str, text: str, file: Path) -> Span:
    """Lines A-B of a text, without the last one's line end. Raises TerminalError when they are not in it."""
    try:
        return span_of_lines(text, *_numbers(r"(\d+)-(\d+)", "--lines", "A-B", lines))
    except HoleError as error:
        raise bad_input(f"{file}: {error}.") from None


def _scope_of(target: Target, text: str) -> Scope:
    if target.lines is not None:
        return Scope("selection", span_of_lines(text, *_numbers(r"(\d+)-(\d+)", "--lines", "A-B", target.lines)))
    if target.function is not None:
        line = trimmed(text, span_of_lines(text, target.function, target.function))
        return Scope("function", Span(line.start, line.start))
    return Scope("bodies" if target.bodies else "file")


def _numbers(pattern: str, option: str, form: str, value: str) -> tuple[int, int]:
    found = re.fullmatch(pattern, value.strip(), re.ASCII)
    if not found or len(value) > 20:
        raise bad_input(f"{option} must be {form}, such as {re.sub('[A-Z]+', '12', form)}, and not {value!r}.")
    return int(found[1]), int(found[2])
