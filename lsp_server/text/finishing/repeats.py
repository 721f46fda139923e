"""Whether a fill says once more what stands right above or below it: the line above, its own last line, the next line.

Some lines may stand twice: closing brackets, `pass` and the like, very short ones, elements of a list, and lines of
literals between other brackets. Lines are compared with their indentation, but for headers of blocks: a header that
follows itself is wrong at any depth. Knows lines and brackets, no grammar; `\\n` line ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from midfill.lsp_server.text.brackets import open_brackets

LOOKED_AT_CHARS = 4000
"""To either side of the fill."""
_MIN_WORD_CHARS = 3
"""Fewer letters and digits say nothing that is worth calling a repeat: `i++`, `a,`."""
_STRUCTURE = frozenset(
    {
        *("pass", "else", "try", "finally", "continue", "break", "return", "raise", "yield", "super", "default"),
        *("end", "do", "then", "begin", "next", "fi", "done", "esac"),
    }
)
"""Alone on their line, with signs at most."""
_LITERALS = frozenset({"None", "True", "False", "null", "nil", "true", "false", "undefined"})
_STRING = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'")
_NAME = re.compile(r"[^\W\d]\w*")


def repeats_neighbour(before: str, fill: str, after: str) -> bool:
    """Whether a line of `fill`, between `before` and `after`, is the line above it or the line below the fill once
    more, or all its lines are the lines above."""
    before, after = before[-LOOKED_AT_CHARS:], after[:LOOKED_AT_CHARS]
    above, first_line = _split_last_line(before)
    rest, _, below = after.partition("\n")
    lines = (first_line + fill + rest).split("\n")
    if not fill.partition("\n")[0].strip() and len(lines) > 1:  # the fill begins behind the line that is there
        above, lines = f"{above}{lines[0]}\n", lines[1:]
    if not fill.rpartition("\n")[2].strip() and len(lines) > 1 and lines[-1].strip():
        below, lines = f"{lines[-1]}\n{below}", lines[:-1]
    lines_above, lines, lines_below = _visible(above.split("\n")), _visible(lines), _visible(below.split("\n"))
    if not lines or _is_allowed_everywhere(lines, open_brackets(above)):
        return False
    if len(lines) > 1 and lines_above[-len(lines) :] == lines:
        return True
    neighbours = [*lines_above[-1:], *lines, *lines_below[:1]]
    return any(_is_again(line, of_above) and not _is_structure(line) for of_above, line in pairwise(neighbours))


def _is_again(line: str, above: str) -> bool:
    return line == above or (line[-1] in ":{" and line.lstrip() == above.lstrip())


def _is_structure(line: str) -> bool:
    words = _NAME.findall(line)
    return sum(char.isalnum() for char in line) < _MIN_WORD_CHARS or (len(words) == 1 and words[0] in _STRUCTURE)


def _is_allowed_everywhere(lines: Sequence[str], opened: Sequence[str]) -> bool:
    """Whether the lines are elements, of a list or else without a name, between brackets that `opened` before them."""
    if not opened:
        return False
    return opened[-1] == "[" or all(map(_is_literal, lines))


def _is_literal(line: str) -> bool:
    """Whether the line has no name and, as keys would, no colon."""
    bare = _STRING.sub("", line)
    return ":" not in bare and _LITERALS.issuperset(_NAME.findall(bare))


def _split_last_line(text: str) -> tuple[str, str]:
    start = text.rfind("\n") + 1
    return text[:start], text[start:]


def _visible(lines: Sequence[str]) -> list[str]:
    return [line.rstrip() for line in lines if line.strip()]
