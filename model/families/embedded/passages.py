"""Passages: the places elsewhere in a file, or in other files, that look most like the surroundings of a hole.

A hole's window ends where its budget does; what its line copies often stands further away. The passages found here are
shown to the network beside the window, each encoded for itself. The same function chooses them for training and for
serving. Knows text only: code points, lines that end at `\\n`, no token and no tensor.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from heapq import nsmallest
from itertools import zip_longest
from typing import NamedTuple

NUM_PASSAGES = 3
MAX_RUN = 12
"""The longest run of lexemes before the hole that is looked for elsewhere."""
LINES_APART = 4
"""Two passages of one text begin at least this many lines apart."""
PASSAGE_CHARS = 240
CHARS_ABOVE = 60
"""Of the line above the one that was found, a passage has the end only."""
QUERY_LINES = (3, 2)
"""Lines before the hole, its own included, and behind it, whose words are looked for."""
COMMON_SHARE = 0.25
"""A word that stands in more than this share of a text's lines tells no place from another."""

_LEXEMES = re.compile(r"\w+|[^\w\s]|\n")
_WORDS = re.compile(r"[^\W\d]\w+")


def find_passages(texts: Sequence[str], surroundings: Sequence[tuple[str, str]]) -> list[str]:
    """Up to NUM_PASSAGES passages out of `texts` for holes between (text before, text behind), each hole's best first.

    A line's score: the rarity of the words that its surroundings share with the hole's, and twice that of the longest
    run of lexemes in it that the text before the hole ends with. A passage has the end of the line above, too.
    """
    ranked = [_ranked_lines(texts, before, behind) for before, behind in surroundings]
    taken: list[tuple[int, int]] = []
    for number, line in (place for places in zip_longest(*ranked) for place in places if place):
        if all(number != other or abs(line - at) >= LINES_APART for other, at in taken):
            taken.append((number, line))
        if len(taken) == NUM_PASSAGES:
            break
    return [_index_of(texts[number]).passage(line) for number, line in taken]


def _ranked_lines(texts: Sequence[str], before: str, behind: str) -> list[tuple[int, int]]:
    """(number of the text, line), the most alike first."""
    query = query_of(before, behind)
    places = (
        (-score, number, line) for number, text in enumerate(texts) for line, score in _index_of(text).scores(query)
    )
    return [(number, line) for _, number, line in nsmallest(NUM_PASSAGES * 2 * LINES_APART, places)]


class Query(NamedTuple):
    """What is looked for: the run of lexemes before a hole, whether the hole begins inside a word, the words around."""

    run: Sequence[str]
    is_inside: bool
    words: Sequence[str]


def query_of(before: str, behind: str) -> Query:
    run = _LEXEMES.findall(before[-400:])[-MAX_RUN:]
    is_inside = bool(before) and (before[-1].isalnum() or before[-1] == "_")
    lines_before, lines_behind = QUERY_LINES
    near = "\n".join([*before[-600:].split("\n")[-lines_before:], *behind[:300].split("\n")[:lines_behind]])
    return Query(run, is_inside, sorted(set(_WORDS.findall(near))))


class LineIndex:
    """Where the lexemes and the words of one text stand."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self._text = text
        self._line_starts = [0]
        for line in self.lines:
            self._line_starts.append(self._line_starts[-1] + len(line) + 1)
        self._lexemes: list[str] = _LEXEMES.findall(text)
        self._line_of: list[int] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        number = 0
        for place, lexeme in enumerate(self._lexemes):
            self._places[lexeme].append(place)
            self._line_of.append(number)
            number += lexeme == "\n"
        self._lines_with: dict[str, list[int]] = defaultdict(list)
        for number, text_line in enumerate(self.lines):
            for word in dict.fromkeys(_WORDS.findall(text_line)):
                self._lines_with[word].append(number)

    def passage(self, line: int) -> str:
        found = self._line_starts[line]
        start = max(self._line_starts[max(line - 1, 0)], found - CHARS_ABOVE)
        return self._text[start : start + PASSAGE_CHARS]

    def scores(self, query: Query) -> Iterator[tuple[int, float]]:
        """(line, score) of the lines that share anything with the query."""
        total: dict[int, float] = defaultdict(float)
        most = max(int(len(self.lines) * COMMON_SHARE), 2)
        for word in query.words:
            lines = self._lines_with.get(word, ())
            if 0 < len(lines) <= most:
                rarity = math.log(len(self.lines) / len(lines) + 1)
                for line in {near for found in lines for near in (found - 1, found, found + 1)}:
                    total[line] += rarity
        for line, score in self._runs(query.run, query.is_inside).items():
            total[line] += 2 * score
        return ((line, score) for line, score in total.items() if 0 <= line < len(self.lines) and score > 0)

    def _runs(self, run: Sequence[str], is_inside: bool) -> dict[int, float]:
        """The best run of each line: the summed rarity of the lexemes that a place shares with the end of `run`."""
        if not run:
            return {}
        last, earlier = run[-1], run[-2::-1]
        places = list(self._places.get(last, ()))
        if is_inside:
            for lexeme, found in self._places.items():
                if lexeme.startswith(last) and lexeme != last:
                    places += found
        rarity = {lexeme: self._rarity(lexeme) for lexeme in run}
        best: dict[int, float] = {}
        for place in places:
            score = rarity[last]
            for back, lexeme in enumerate(earlier, start=1):
                if place < back or self._lexemes[place - back] != lexeme:
                    break
                score += rarity[lexeme]
            line = self._line_of[place] + (self._lexemes[place] == "\n")
            if score > best.get(line, 0.0):
                best[line] = score
        return best

    def _rarity(self, lexeme: str) -> float:
        return math.log(len(self._lexemes) / (len(self._places.get(lexeme, ())) + 1) + 1)


@lru_cache(maxsize=64)
def _index_of(text: str) -> LineIndex:
    return LineIndex(text)
