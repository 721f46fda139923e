"""Windows of source files that are typed anew, and a person who types them and takes what suggestions are right.

Windows of 30 lines of code (`code_lines`) are typed character by character; the rest of the file stands behind them.
Comments, docstrings and blank lines are not typed: they appear when they are reached; indentation is the editor's. So
every other character is one key, the end of a line too. Knows text and offsets in code points; no model, no front.
"""

from __future__ import annotations

import hashlib
import itertools
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from midfill.model.measuring.code_lines import code_lines, parses
from midfill.model.measuring.spans import CharSpan
from midfill.model.measuring.split import SplitFile, family_of, in_equal_shares

NUM_LINES = 30
LEAST_ACCEPTED = 4
"""Characters: a person does not reach for the key that accepts a word for less."""
_PAUSES = re.compile(r"[.(\[{,= :]|(?<!\w)[^\W\d]\w")
_WORDS = re.compile(r"(?:(?<!\s)\s+)?(?:\w+|[^\w\s]+)")

Accept = Callable[[str, str], tuple[int, int]]
"""Of (suggestion, what the person goes on to type): characters that are accepted, and keys that this costs."""


@dataclass(frozen=True)
class Window:
    """`text[start:end]` is typed; lines: the spans in it that are code, without indentation. language: a grammar's
    name; path: as of `front.Source`."""

    text: str
    lines: tuple[CharSpan, ...]
    language: str = "python"
    path: str | None = None

    @property
    def family(self) -> str:
        return family_of(self.language)

    @property
    def start(self) -> int:
        return self.lines[0].start

    @property
    def end(self) -> int:
        return self.lines[-1].end

    @cached_property
    def _keys_before(self) -> list[int]:
        is_key = bytearray(self.end + 1 - self.start)
        for line in self.lines:
            for offset in range(line.start, line.end + 1):
                is_key[offset - self.start] = 1
        return [0, *itertools.accumulate(is_key)]

    def num_keys(self, start: int, end: int) -> int:
        """Keys that type what stands from `start` to `end`, offsets in `text`."""
        return self._keys_before[end - self.start] - self._keys_before[start - self.start]

    @property
    def key(self) -> str:
        return f"{hashlib.blake2b(self.text.encode('utf-8', 'replace'), digest_size=6).hexdigest()} {self.start}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sums over one window: keys without suggestions, keys saved, suggestions shown, and those not accepted."""

    keys: int
    saved: int = 0
    shown: int = 0
    wrong: int = 0


def draw_windows(files: Sequence[SplitFile], num_windows: int, seed: int = 0) -> list[Window]:
    """Windows that differ, in equal shares of the languages and spread over the files, the same for the same seed;
    fewer if the files have no more. None is in a file that does not parse."""
    shares = in_equal_shares(num_windows, files).items()
    return [
        window
        for family, (group, num) in shares
        for window in _draw_windows(group, num, random.Random(f"{seed} {family}"))
    ]


def _draw_windows(files: Sequence[SplitFile], num_windows: int, rng: random.Random) -> list[Window]:
    found: dict[str, Window] = {}
    order = rng.sample(files, len(files))
    for file in itertools.chain.from_iterable(itertools.repeat(order, 5)):
        if len(found) == num_windows:
            break
        lines = code_lines(file.text, file.language) if parses(file.text, file.language) else []
        if len(lines) >= NUM_LINES:
            first = rng.randrange(len(lines) - NUM_LINES + 1)
            window = Window(file.text, tuple(lines[first : first + NUM_LINES]), file.language, file.path)
            found[window.key] = window
    return list(found.values())


def pauses(window: Window) -> Iterator[int]:
    """Offsets at which a suggestion is asked for: where a line begins behind its indentation, after each of
    `. ( [ { , = space :`, and once in each identifier, behind its second character."""
    for line in window.lines:
        typed = window.text[line.start : line.end]
        yield line.start
        yield from (line.start + match.end() for match in _PAUSES.finditer(typed))


def accept_whole(suggestion: str, typed: str) -> tuple[int, int]:
    """The suggestion, if it is all of the rest of the line (of several lines, all of them)."""
    suggestion = suggestion.rstrip()
    is_right = typed.startswith(suggestion) and not typed[len(suggestion) :].partition("\n")[0].strip()
    return (len(suggestion), 1) if is_right else (0, 0)


def accept_words(suggestion: str, typed: str) -> tuple[int, int]:
    """The suggestion whole, or word by word, a key each, as long as they are right and come to LEAST_ACCEPTED."""
    num_chars, num_keys = accept_whole(suggestion, typed)
    if num_chars:
        return num_chars, num_keys
    for word in _WORDS.findall(suggestion):
        if not typed.startswith(word, num_chars):
            break
        num_chars, num_keys = num_chars + len(word), num_keys + 1
    return (num_chars, num_keys) if num_chars >= LEAST_ACCEPTED else (0, 0)


POLICIES: Mapping[str, Accept] = {"whole": accept_whole, "by word": accept_words}


def replay(window: Window, shown: Mapping[int, str], accept: Accept) -> Outcome:
    """A person who takes everything that is right as soon as it is shown. shown: by offset; "" shows nothing."""
    position, saved, num_shown, num_wrong = window.start, 0, 0, 0
    for offset, suggestion in sorted(shown.items()):
        if offset < position or not suggestion:
            continue
        num_shown += 1
        num_chars, num_keys = accept(suggestion, window.text[offset : window.end])
        num_wrong += num_chars == 0
        position = offset + num_chars
        saved += window.num_keys(offset, position) - num_keys
    return Outcome(window.num_keys(window.start, window.end + 1), saved, num_shown, num_wrong)
