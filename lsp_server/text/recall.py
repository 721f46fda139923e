"""What a text itself says comes next: the rest of a line that followed the same words elsewhere.

This is the only source of ghost text nobody asked for in languages that the model was not trained for. It would rather
say nothing: one more place is not enough (half of what it says is then wrong), and all of them must go on alike. Knows
`str` only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

LEAST_LEXEMES = 3
LEAST_CHARS = 12
"""Of a match, visible characters: `} else {` recurs everywhere and says nothing."""
LEAST_PLACES = 2
LEAST_RECALLED = 3
"""Visible characters: less is typed as quickly as it is read."""
_MOST_CHARS = 200_000
_MOST_PLACES = 50
_LOOKED_BACK = 600

_LEXEME = re.compile(r"\w+|[^\w\s]|\n")


def recalled(before: str, after: str, elsewhere: Sequence[str] = ()) -> str:
    """The rest of the line as it followed the longest run of lexemes before the cursor that stands in at least two
    more places, of the same text or of others; "" when the run is short or these places disagree. `\n` line ends."""
    run = _shortest_run(before[-_LOOKED_BACK:])
    if run is None:
        return ""
    cursor = _lexemes_back(before, len(before))
    texts = (before[-_MOST_CHARS:], after[:_MOST_CHARS], *(text[:_MOST_CHARS] for text in elsewhere))
    found = [
        (_num_common(cursor, _lexemes_back(text, place)), text[place:].partition("\n")[0].rstrip())
        for text in texts
        for place in _places(run, text)
    ]
    if len(found) < LEAST_PLACES:
        return ""
    length = sorted((num_common for num_common, _ in found), reverse=True)[LEAST_PLACES - 1]
    ways_on = {way_on for num_common, way_on in found if num_common >= length}
    if len(ways_on) != 1:
        return ""
    way_on = ways_on.pop()
    return way_on if sum(not char.isspace() for char in way_on) >= LEAST_RECALLED else ""


def _shortest_run(before: str) -> re.Pattern[str] | None:
    """The last lexemes, just enough of them to mean something, as a pattern that any white space between them fits."""
    if before != before.rstrip(" \t") and before.rstrip(" \t").endswith("\n"):
        before = before.rstrip(" \t")  # the indentation of a line that is still empty
    lexemes = list(_LEXEME.finditer(before))
    first, num_visible, num_chars = len(lexemes), 0, 0
    while num_visible < LEAST_LEXEMES or num_chars < LEAST_CHARS:
        first -= 1
        if first < 0:
            return None
        num_visible += lexemes[first][0] != "\n"
        num_chars += len(lexemes[first][0].strip())
    words = [lexeme[0] for lexeme in lexemes[first:]]
    pattern = re.escape(words[0])
    for left, word in pairwise(words):  # one way to read any run of white space: nothing here can backtrack
        if word != "\n":
            pattern += (r"\s*" if left == "\n" else r"[ \t]*") + re.escape(word)
        elif left != "\n":
            pattern += r"[ \t]*\n"
    if words[-1] == "\n":
        pattern += r"\s*"
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
