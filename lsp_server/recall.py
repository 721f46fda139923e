"""What a text itself says comes next: the rest of a line that followed the same words elsewhere.

This is the only source of ghost text nobody asked for in languages that the model was not trained for. It would rather
say nothing: the match must be long, and the places where the longest one recurs must go on alike. Knows `str` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

LEAST_LEXEMES = 4
LEAST_CHARS = 12
"""Of a match, visible characters: `} else {` recurs everywhere and says nothing."""
LEAST_RECALLED = 3
"""Visible characters: less is typed as quickly as it is read."""
_MOST_CHARS = 200_000
_MOST_PLACES = 50
_LOOKED_BACK = 600

_LEXEME = re.compile(r"\w+|[^\w\s]|\n")


def recalled(before: str, after: str, elsewhere: Sequence[str] = ()) -> str:
    """The rest of the line as it followed the longest recurring run of lexemes before the cursor, in the same text or
    `elsewhere` in other texts; "" when the run is short or the places disagree. All with `\\n` line ends."""
    run = _shortest_run(before[-_LOOKED_BACK:])
    if run is None:
        return ""
    cursor = _lexemes_back(before, len(before))
    longest = 0
    ways_on: set[str] = set()
    for text in (before[-_MOST_CHARS:], after[:_MOST_CHARS], *(text[:_MOST_CHARS] for text in elsewhere)):
        for place in _places(run, text):
            length = _num_common(cursor, _lexemes_back(text, place))
            if length > longest:
                longest, ways_on = length, set()
            if length == longest:
                ways_on.add(text[place:].partition("\n")[0].rstrip())
    if len(ways_on) != 1:
        return ""
    way_on = ways_on.pop()
    return way_on if sum(not char.isspace() for char in way_on) >= LEAST_RECALLED else ""


def _shortest_run(before: str) -> re.Pattern[str] | None:
    """The last lexemes, just enough of them to mean something, as a pattern that any white space between them fits."""
    if before != before.rstrip(" \t") and before.rstrip(" \t").endswith("\n"):
        before = before.rstrip(" \t")  # the indentation of a line that is still empty
    visible = 0
    starts: list[int] = []
    lexemes = list(_LEXEME.finditer(before))
    for lexeme in reversed(lexemes):
        starts.append(lexeme.start())
        visible += 0 if lexeme[0] == "\n" else len(lexeme[0])
        if len(starts) >= LEAST_LEXEMES and visible >= LEAST_CHARS:
            break
    else:
        return None
    words = [lexeme[0] for lexeme in lexemes[-len(starts) :]]
    pattern = r"[ \t]*".join(r"\n\s*" if word == "\n" else re.escape(word) for word in words)
    tail = before[lexemes[-1].end() :]
    boundary = r"(?<!\w)" if words[0][0].isalnum() else ""
    return re.compile(f"{boundary}{pattern}{re.escape(tail)}")


def _places(run: re.Pattern[str], text: str) -> Iterator[int]:
    """Ends of the latest places where the run stands and something follows it on its line."""
    ends = [match.end() for match in run.finditer(text) if match.end() < len(text)]
    return (end for end in ends[-_MOST_PLACES:] if text[end : end + 1] != "\n")


def _lexemes_back(text: str, end: int) -> list[str]:
    """The lexemes that end at `end`, the last first."""
    return _LEXEME.findall(text[max(end - _LOOKED_BACK, 0) : end])[::-1]


def _num_common(left: Sequence[str], right: Sequence[str]) -> int:
    pairs = zip(left, right, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))
