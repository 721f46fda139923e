"""Typing, replayed: a stretch of a text is keyed in character by character, brackets closed as editors do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_CLOSERS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Keystroke:
    """At `offset` (code points), `inserted` appears; the cursor then stands at `offset + 1`. `text` is the result."""

    offset: int
    inserted: str
    text: str

    @property
    def cursor(self) -> int:
        return self.offset + 1


def without(text: str, start: int, end: int) -> str:
    """The text before anything of [start, end) is typed."""
    return text[:start] + text[end:]


def keystrokes(text: str, start: int, end: int) -> Iterator[Keystroke]:
    """Type `text[start:end]` into `without(text, start, end)`. An opening bracket brings its closing one along; typing
    that one moves the cursor over it, which changes nothing and is no keystroke here."""
    now, cursor = without(text, start, end), start
    pending: list[str] = []
    for typed in text[start:end]:
        if pending and typed == pending[-1] and now[cursor : cursor + 1] == typed:
            pending.pop()
            cursor += 1
            continue
        inserted = typed + _CLOSERS.get(typed, "")
        pending += inserted[1:]
        now = now[:cursor] + inserted + now[cursor:]
        yield Keystroke(cursor, inserted, now)
        cursor += 1
