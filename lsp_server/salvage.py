"""What may be kept of a fill that does not parse: shorter or closed versions of it, longest first. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_CUTS = 60
_PAIRS = {"(": ")", "[": "]", "{": "}"}


def salvaged(fill: str) -> Iterator[str]:
    """The fill cut after one lexeme after the other from its end, each also with the brackets closed that it opens.

    Ends where no word would be left, or after `MOST_CUTS` cuts."""
    ends = [match.end() for match in re.finditer(r"\w+|[^\w\s]", fill)][-MOST_CUTS:]
    for end in reversed(ends):
        part = fill[:end]
        if not re.search(r"\w", part):
            return
        if part.endswith(","):
            continue
        if part != fill:
            yield part
        if closers := _open_brackets(part):
            yield part + closers


def _open_brackets(text: str) -> str:
    """The brackets that would close what `text` opens; strings are left out of account."""
    closers: list[str] = []
    for char in re.sub(r"(\"|')(?:\\.|(?!\1).)*\1", "", text):
        if char in _PAIRS:
            closers.append(_PAIRS[char])
        elif closers and char == closers[-1]:
            closers.pop()
    return "".join(reversed(closers))
