"""What may be kept of a fill that does not parse: shorter or closed versions of it, longest first. Pure text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from midfill.lsp_server.text.brackets import closing_brackets

MAX_CUTS = 60


def salvaged(fill: str, max_cuts: int = MAX_CUTS) -> Iterator[str]:
    """The fill cut after one lexeme after the other from its end, each also with the brackets closed that it opens.

    Ends where no word would be left, or after `max_cuts` cuts."""
    first_word = re.search(r"\w", fill)
    if first_word is None or max_cuts < 1:
        return
    ends = [match.end() for match in re.finditer(r"\w+|[^\w\s]", fill)][-max_cuts:]
    for end in reversed(ends):
        if end <= first_word.start():
            return
        part = fill[:end]
        if part.endswith(","):
            continue
        if part != fill:
            yield part
        if closers := closing_brackets(part):
            yield part + closers
