"""Pure text: what a model's fill becomes before it is put into a file. Knows no grammar, no offsets of the document.

Everything here works on `\\n` line ends but for `line_ending_of` and `with_line_endings`, which are the way out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate

from midfill.lsp_server.text.finishing.indentation import reindent
from midfill.lsp_server.text.finishing.overlap import trim_suffix_overlap
from midfill.model.wire.api import ConfidenceSpan

__all__ = [
    "finish_fill",
    "line_ending_of",
    "minimal_edit",
    "moved_confidences",
    "normalise_line_endings",
    "reindent",
    "trim_suffix_overlap",
    "with_line_endings",
]


def finish_fill(fill: str, prefix: str, suffix: str, *, single_line: bool = False) -> str:
    """The fill as it goes between `prefix` and `suffix`: indented like its place, without what the suffix repeats,
    with no line end too many. single_line: only its first line."""
    current = prefix[prefix.rfind("\n") + 1 :]
    rest = suffix.partition("\n")[0]
    fill = reindent(normalise_line_endings(fill), prefix, suffix)
    if current.strip() and current.endswith(" ") and re.match(r" \S", fill):
        fill = fill[1:]
    if single_line:
        fill = fill.partition("\n")[0]
    fill = trim_suffix_overlap(fill, suffix, prefix)
    if not rest.strip():
        return fill.rstrip()
    body = fill.rstrip()
    if "\n" in fill[len(body) :]:  # code follows on the fill's own last line
        return f"{body}\n{current}" if not current.strip() else body
    if rest[0] == "}" and (fill.startswith(" ") or current.endswith("{ ")):
        return fill  # { as wide as this }
    return body if rest[0] in " \t)]},;:" else fill


def minimal_edit(old: str, new: str) -> tuple[int, int, str]:
    """(start, end, replacement): the smallest single replacement in `old` that gives `new`; never half a `\\r\\n`."""
    start = _num_common(old, new)
    if old[start - 1 : start] == "\r" and "\n" in (old[start : start + 1], new[start : start + 1]):
        start -= 1
    most = min(len(old), len(new)) - start
    kept = min(_num_common(old[::-1], new[::-1]), most)
    if kept and old[len(old) - kept] == "\n" and "\r" in (old[-kept - 1 : -kept], new[-kept - 1 : -kept]):
        kept -= 1
    return start, len(old) - kept, new[start : len(new) - kept]


def line_ending_of(text: str) -> str:
    """The first line end of the text: `\\r\\n`, `\\r` or `\\n` (also where there is none)."""
    match = re.search(r"\r\n|\r|\n", text)
    return match[0] if match else "\n"


def normalise_line_endings(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def with_line_endings(text: str, eol: str) -> str:
    """`text` with every line end as `eol`."""
    text = normalise_line_endings(text)
    return text if eol == "\n" else text.replace("\n", eol)


def moved_confidences(spans: Sequence[ConfidenceSpan], fill: str, finished: str) -> tuple[ConfidenceSpan, ...]:
    """Confidences of `fill` as spans of what `finish_fill` made of it, which changed white space and cut the end: the
    characters that are no white space are counted off against each other."""
    places = [index for index, char in enumerate(finished) if not char.isspace()]
    num_visible = [0, *accumulate(not char.isspace() for char in fill)]
    moved = []
    for span in spans:
        before = num_visible[min(span.start, len(fill))]
        visible = min(num_visible[min(span.end, len(fill))], len(places)) - before
        if visible > 0:
            moved.append(ConfidenceSpan(places[before], places[before + visible - 1] + 1, span.confidence))
    return tuple(moved)


def _num_common(left: str, right: str) -> int:
    """Length of the common prefix, found in halves so that long texts cost little."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
