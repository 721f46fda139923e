"""What a hole on a line of its own is likely to begin with, judging by the text behind it.

A small model reads the suffix less well than the prefix. Two things can be read off it by rule: a name that is used
below and defined nowhere wants to be defined, and a line that stands deeper than the hole's wants a header above it.
Each beginning is worth one reading; whether it is right is left to the judge. Knows text only, and no grammar.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterator

MAX_BEGINNINGS = 3
NEAR_LINES = 8
"""Lines behind the hole in which a name is looked for."""
HEADERS = ("if", "for", "while")
_NAMES = re.compile(
    r"""(?P<string>"[^"\n]*"|'[^'\n]*')|(?<![\w.])(?P<name>[^\W\d]\w*)(?P<after>\s*(?:=>|=(?!=)|\(|:=)?)"""
)
_DEFINING = ("for", "as", "def", "class", "import", "from", "let", "const", "var", "function", "lambda")
_SCRIPT_WORDS = """
await case catch const default delete do else export extends false finally function if in instanceof let new null of
return super switch this throw true try type typeof undefined var void while yield async static public private
"""
_KNOWN = frozenset((*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls", *_SCRIPT_WORDS.split()))
"""Words of Python and JavaScript that nobody has to define."""


def likely_beginnings(before: str, after: str) -> list[str]:
    """Of a hole between two texts, at most MAX_BEGINNINGS; none where the hole's line has other text."""
    line = before[before.rfind("\n") + 1 :]
    rest, _, below = after.partition("\n")
    if line.strip() or rest.strip():
        return []
    lines = [text for text in below.split("\n", 4 * NEAR_LINES)[: 4 * NEAR_LINES] if text.strip()][:NEAR_LINES]
    if lines and line and _indentation(lines[0]) > len(line) and _indentation(lines[0]) > _indentation(_last(before)):
        return list(HEADERS)[:MAX_BEGINNINGS]
    return list(_undefined(before, lines))[: MAX_BEGINNINGS - 1]


def _undefined(before: str, lines: list[str]) -> Iterator[str]:
    """Names that the lines use before they define them, and that the text before does not have, in order."""
    seen = set(re.findall(r"[^\W\d]\w*", before)) | _KNOWN
    for line in lines:
        last, assigned = "", set[str]()
        for match in _NAMES.finditer(line):
            name, after = match["name"], (match["after"] or "").strip()
            if name is None:
                continue
            if last in _DEFINING or after == "=>":
                seen.add(name)
            elif after in ("=", ":="):
                assigned.add(name)
            elif not after and name not in seen:
                seen.add(name)
                yield name
            last = name
        seen |= assigned  # the right side is read before the left one is defined


def _last(before: str) -> str:
    """The last line that is not blank."""
    return next((line for line in reversed(before.split("\n")[:-1]) if line.strip()), "")


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
