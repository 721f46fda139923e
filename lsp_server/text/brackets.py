"""Brackets and quotes of source text, found in one pass whose time is linear in the text.

Knows no grammar: closed strings in quotes or backticks are skipped, and so are comments behind `#`. A quote that does
not close stands alone, and what follows it is code. `str` and offsets (code points) only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

OPENING = {")": "(", "]": "[", "}": "{"}
CLOSING = {opening: closing for closing, opening in OPENING.items()}
QUOTES = ("'", '"')
SCANNED_CHARS = 4000

_NEXT = re.compile(r"\"\"\"|'''|[\"'`]|(?:(?<=\s)|^)#[^\n]*|[()\[\]{}]")
_INSIDE = {
    '"""': re.compile(r"(?:[^\"\\]|\\.|\"(?!\"\"))*", re.DOTALL),
    "'''": re.compile(r"(?:[^'\\]|\\.|'(?!''))*", re.DOTALL),
    '"': re.compile(r"(?:[^\"\\\n]|\\.)*", re.DOTALL),
    "'": re.compile(r"(?:[^'\\\n]|\\.)*", re.DOTALL),
    "`": re.compile(r"[^`]*"),
}
"""What a string may hold. Each alternative begins with another character and nothing follows, so none backtracks."""


def marks(text: str) -> Iterator[tuple[int, str]]:
    """(offset, character) of each bracket outside of strings and comments, and of each quote that does not close."""
    unclosed: dict[str, int] = {}  # by kind of quote: up to where none of that kind closes, so no place is read twice
    at = 0
    while token := _NEXT.search(text, at):
        kind, at = token[0], token.end()
        if kind in OPENING or kind in CLOSING:
            yield token.start(), kind
        if kind not in _INSIDE:
            continue
        if token.start() >= unclosed.get(kind, 0):
            end = _match_end(_INSIDE[kind], text, at)
            if text.startswith(kind, end):
                at = end + len(kind)
                continue
            unclosed[kind] = end
        if kind in QUOTES:
            yield token.start(), kind
        elif kind != "`":
            at = token.start() + 2  # an empty string, and a quote that may begin another


def scan(text: str, opened: Iterable[str] = ()) -> tuple[list[str], int]:
    """The brackets that are open behind `text`, outermost first, where `opened` were open before it; and how many
    brackets in it close nothing or quotes stand alone."""
    stack, num_wrong = list(opened), 0
    for _, mark in marks(text):
        if mark in CLOSING:
            stack.append(mark)
        elif mark in OPENING and stack and stack[-1] == OPENING[mark]:
            stack.pop()
        else:
            num_wrong += 1
    return stack, num_wrong


@lru_cache(maxsize=16)
def open_brackets(text: str, opened: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The brackets that the end of `text`, `SCANNED_CHARS` of it, opens and does not close, outermost first, where
    `opened` were open before it."""
    return tuple(scan(text[-SCANNED_CHARS:], opened)[0])


def closing_brackets(text: str) -> str:
    """The brackets that would close what `text` opens."""
    return "".join(CLOSING[opening] for opening in reversed(scan(text)[0]))


def has_open_quote(line: str) -> bool:
    """Whether a quote of the line does not close; an apostrophe in a word is none."""
    alone = [(offset, mark) for offset, mark in marks(line) if mark in QUOTES]
    return any(mark == '"' or not (offset and _is_word(line[offset - 1])) for offset, mark in alone)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _match_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start
