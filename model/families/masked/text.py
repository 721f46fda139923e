"""What a masked diffusion model reads of a request: snippets of other files, and the text, as ids that fit.

Knows no network and no canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill.model.families.masked.tokenizer import MaskedTokenizer
from midfill.model.families.request_text import short_path, texts_around
from midfill.model.wire.api import InfillRequest

MAX_TOKENS = 2048
"""What Dream's family was trained to read at once, the holes included (DreamOn's README); LLaDA reads twice as much."""
MAX_PREFIX_CHARS = 4_000
MAX_SUFFIX_CHARS = 2_000
MAX_SNIPPET_CHARS = 2_000
MAX_JOINT_CHARS = 2_000
_SUFFIX_SHARE = 1 / 3
"""Of the room, where prefix and suffix do not both fit."""


@dataclass(frozen=True, slots=True)
class RequestIds:
    """begin_id: what a document begins with; snippets: each; before: the first hole; behind: each hole, the last with
    the end of the document; line_breaks: the ids that end a line."""

    begin_id: int
    snippets: tuple[tuple[int, ...], ...]
    before: tuple[int, ...]
    behind: tuple[tuple[int, ...], ...]
    line_breaks: frozenset[int]


@dataclass(frozen=True, slots=True)
class FittingIds:
    """before: everything before the first hole; behind: each hole."""

    before: tuple[int, ...]
    behind: tuple[tuple[int, ...], ...]


def request_ids(request: InfillRequest, tokenizer: MaskedTokenizer) -> RequestIds:
    """Text is tokenised between the holes, each piece for itself. A snippet is text before, under its file's name."""
    before, *behind = (tuple(tokenizer.encode(text)) for text in texts_around(request))
    snippets = (f"# {short_path(snippet.path)}\n{snippet.text.rstrip()}\n\n" for snippet in request.context)
    return RequestIds(
        begin_id=tokenizer.begin_id,
        snippets=tuple(tuple(tokenizer.encode(text)) for text in snippets),
        before=before,
        behind=(*behind[:-1], (*behind[-1], tokenizer.end_id)),
        line_breaks=frozenset(tokenizer.line_break_ids),
    )


def fitting_ids(ids: RequestIds, room: int) -> FittingIds | None:
    """What of a request fits `room` tokens: all between the holes, then of both sides what is nearest in whole lines,
    then snippets. None where not even what is between the holes does."""
    room -= 1 + sum(len(between) for between in ids.behind[:-1])
    if room < 0:
        return None
    last = ids.behind[-1]
    num_behind = min(len(last), max(int(room * _SUFFIX_SHARE), room - len(ids.before)))
    behind = last if num_behind == len(last) else _first_lines(last[:num_behind], ids.line_breaks)
    num_before = min(len(ids.before), room - len(behind))
    whole = num_before == len(ids.before)
    before = ids.before if whole else _last_lines(ids.before[len(ids.before) - num_before :], ids.line_breaks)
    room -= len(before) + len(behind)
    fitting = list[int]()
    for snippet in ids.snippets:
        if len(snippet) <= room - len(fitting):
            fitting += snippet
    return FittingIds((ids.begin_id, *fitting, *before), (*ids.behind[:-1], tuple(behind)))


def _first_lines(ids: Sequence[int], line_breaks: frozenset[int]) -> Sequence[int]:
    """Up to the last line break; everything where there is none."""
    ends = [index + 1 for index, token in enumerate(ids) if token in line_breaks]
    return ids[: ends[-1]] if ends else ids


def _last_lines(ids: Sequence[int], line_breaks: frozenset[int]) -> Sequence[int]:
    """From behind the first line break; everything where there is none."""
    starts = [index + 1 for index, token in enumerate(ids) if token in line_breaks]
    return ids[starts[0] :] if starts else ids
