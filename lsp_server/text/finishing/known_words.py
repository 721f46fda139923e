"""Whether a fill makes, of a name that is complete, a word that nobody knows: `include_views` and a fill `s`.

A word is complete where the file has it elsewhere or the language has it; then a fill that goes on with a letter must
make another word that is known. Words in comments and strings count: what is not shown for them costs little.
Knows words and texts, no syntax.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PYTHON = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "self", "cls"})
_SCRIPT = _words(
    "any arguments as async await boolean break case catch class const console continue debugger default delete do "
    "document else enum export extends false finally for from function get if implements import in instanceof "
    "interface let module never new null number object of private protected public readonly require return set static "
    "string super switch this throw true try type typeof undefined unknown var void while window with yield Array "
    "Boolean Date Error JSON Map Math Number Object Promise Record RegExp Set String Symbol"
)
_OF_LANGUAGE = {"python": _PYTHON, **dict.fromkeys(("javascript", "typescript", "tsx"), _SCRIPT)}


def makes_unknown_word(
    before: str, fill: str, after: str, language: str | None = None, open_texts: Iterable[str] = ()
) -> bool:
    """Whether `fill` continues a complete word at the end of `before` to one that neither the file (`before` and
    `after`) nor the language nor another of the `open_texts` has."""
    begun, added = word_before(before), _word_at_start(fill)
    if not added or not begun.isidentifier():
        return False
    before = before[: -len(begun)]
    if len(added) == len(fill):
        rest = _word_at_start(after)
        added, after = added + rest, after[len(rest) :]
    words = _OF_LANGUAGE.get(language or "", frozenset())
    if begun not in words and not any(_has_word(text, begun) for text in (before, after)):
        return False
    made = begun + added
    return made not in words and not any(_has_word(text, made) for text in (before, after, *open_texts))


def word_before(text: str) -> str:
    """The letters, digits and underscores that `text` ends with."""
    start = len(text)
    while start and _is_part(text[start - 1]):
        start -= 1
    return text[start:]


def _word_at_start(text: str) -> str:
    end = next((index for index, char in enumerate(text) if not _is_part(char)), len(text))
    return text[:end]


def _has_word(text: str, word: str) -> bool:
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not (at and _is_part(text[at - 1])) and not _is_part(text[end : end + 1]):
            return True
        at = text.find(word, end)
    return False


def _is_part(char: str) -> bool:
    return char.isalnum() or char == "_"
