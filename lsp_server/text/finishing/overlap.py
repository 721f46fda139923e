"""Cutting from a fill what the text after the hole already says: the first thing people complain of.

Three kinds: the rest of the line repeated (brackets that the editor closed by itself), the next lines repeated, and a
fill that ran on into the text after it. What a fill needs to be balanced stays. Knows no grammar: brackets and quotes
are counted, and two readings of a fill are only ever compared with each other.
"""

from __future__ import annotations

import re

from midfill.lsp_server.text.brackets import CLOSING, OPENING, SCANNED_CHARS, marks, open_brackets, scan

_LONGEST_OVERLAP = 400
_SCANNED_SUFFIX = 2000
_MAX_LINES = 60
"""Of a fill, at whose ends the rest of the hole's line is looked for."""
_NEVER_DOUBLED = (":", ";", ",")
_CLOSES_ALONE = ("|", ">")
"""Of a block's parameters, of a tag: closing only where nothing else follows, operators elsewhere."""


def trim_suffix_overlap(fill: str, suffix: str, prefix: str = "") -> str:
    """`fill` without what `suffix` repeats. `\\n` line ends; by `prefix` brackets balance or not."""
    rest, _, following = suffix.partition("\n")
    prefix = prefix[-SCANNED_CHARS:]
    if rest.strip():
        return _trim_rest_of_line(fill, rest, suffix, prefix)
    return _trim_next_lines(fill, following, prefix)


def _trim_rest_of_line(fill: str, rest: str, suffix: str, prefix: str) -> str:
    rest = rest.rstrip()
    body = fill.rstrip(" \n\t") or fill
    best, fewest = body, _imbalance(prefix, body, suffix)
    for length in range(1, min(len(body), len(suffix), _LONGEST_OVERLAP) + 1):
        overlap = suffix[:length]
        if not overlap.strip() or not body.endswith(overlap):
            continue
        kept = body[:-length]
        imbalance = _imbalance(prefix, kept, suffix)
        says_something = _has_word(overlap) and (length >= len(rest) or _stands_apart(kept, overlap, suffix))
        says_something = says_something or (bool(kept.strip()) and _is_never_doubled(overlap, rest))
        if imbalance < fewest or (says_something and imbalance[0] == fewest[0]):
            best, fewest = kept, imbalance
    if best is not body:
        return best
    if rest.lstrip()[0] not in ")]}":
        return fill
    for line_end in _line_ends(fill)[:_MAX_LINES]:  # the fill closes what the rest of the line closes, and goes on
        kept = fill[:line_end].rstrip(" \t")
        if kept.endswith(rest.strip()):
            kept = kept[: -len(rest.strip())]
            if _num_unbalanced(prefix, kept, rest) < fewest[0]:
                return kept
    kept = _before_closing(fill, prefix, rest.lstrip()[0])
    return kept if _num_unbalanced(prefix, kept, rest) < fewest[0] else fill


def _before_closing(fill: str, prefix: str, closing: str) -> str:
    """The fill up to where it closes, with `closing`, what the text before it opened: the rest of the line does so."""
    line_start = prefix.rfind("\n") + 1
    stack = list(open_brackets(prefix[line_start:], open_brackets(prefix[:line_start])))
    depth = len(stack)
    for offset, mark in marks(fill):
        if mark in CLOSING:
            stack.append(mark)
        elif mark in OPENING and stack and stack[-1] == OPENING[mark]:
            if len(stack) <= depth and mark == closing:
                return fill[:offset]
            stack.pop()
            depth = min(depth, len(stack))
    return fill


def _line_ends(text: str) -> list[int]:
    return [offset for offset, char in enumerate(text) if char == "\n"]


def _imbalance(prefix: str, fill: str, suffix: str) -> tuple[int, int]:
    """How far the hole's line is from balanced, and, where that does not tell, the lines after it too."""
    return (
        _num_unbalanced(prefix, fill, suffix[:_SCANNED_SUFFIX].partition("\n")[0]),
        _num_unbalanced(prefix, fill, suffix),
    )


def _is_never_doubled(overlap: str, rest: str) -> bool:
    return overlap in _NEVER_DOUBLED or (overlap in _CLOSES_ALONE and rest.strip() == overlap)


def _stands_apart(kept: str, overlap: str, suffix: str) -> bool:
    """Whether an overlap with a part of the line is whole words, and long enough to be no accident."""
    joins_before = kept[-1:].isalnum() and overlap[0].isalnum()
    joins_after = overlap[-1].isalnum() and suffix[len(overlap) : len(overlap) + 1].isalnum()
    return len(overlap) >= 3 and not joins_before and not joins_after


def _trim_next_lines(fill: str, following: str, prefix: str) -> str:
    current = prefix[prefix.rfind("\n") + 1 :]
    lines = (current + fill).split("\n")
    filled = [(index, line.rstrip()) for index, line in enumerate(lines) if line.strip()]
    texts = [line for _, line in filled]
    after = [line.rstrip() for line in following[: 2 * len(fill) + 2000].split("\n") if line.strip()]
    first = _first_repeated(texts, after)
    if first is None:
        return fill
    kept = "\n".join(lines[: filled[first][0]])[len(current) :].rstrip()
    repeated = texts[first:]
    if not any(map(_has_word, repeated)):  # nothing but brackets: repeated only if they close too much
        closing = "\n" + "\n".join(after[: len(repeated)])
        if _num_unbalanced(prefix, kept, closing) >= _num_unbalanced(prefix, fill, closing):
            return fill
    return kept


_OPENS_A_DEFINITION = re.compile(r"\s*(?:(?:async )?def |class |fn |func |function )")


def _first_repeated(texts: list[str], after: list[str]) -> int | None:
    """Index of the fill's line from which on it says what the next lines say. Blank lines are left out of both."""
    for index in range(len(texts) - 1):
        pair = texts[index : index + 2]
        if pair == after[:2] and sum(char.isalnum() for char in "".join(pair)) >= 8:
            return index
        if texts[index] in after[:1] and _OPENS_A_DEFINITION.match(texts[index]):
            return index
    for length in range(min(len(texts), len(after)), 0, -1):
        tail = texts[-length:]
        if tail == after[:length]:
            return len(texts) - length
        cut_off = tail[:-1] == after[: length - 1] and after[length - 1].startswith(tail[-1])
        if cut_off and (length > 1 or _looks_unfinished(tail[-1])):
            return len(texts) - length
    return None


def _looks_unfinished(line: str) -> bool:
    return len(line.strip()) >= 3 and (line[-1] in "([{,.=+-*/\\" or _num_unbalanced("", line, "") > 0)


def _has_word(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _num_unbalanced(prefix: str, fill: str, after: str) -> int:
    """How many brackets of `fill + after` close nothing or stay open, and how many quotes stand alone.

    Brackets that `prefix` opened may be closed, and need not be."""
    line_start = prefix.rfind("\n") + 1
    above, line = open_brackets(prefix[:line_start]), prefix[line_start:]
    num_opened = len(open_brackets(line, above))
    stack, num_wrong = scan(line + fill + after[:_SCANNED_SUFFIX], above)
    return num_wrong + max(len(stack) - num_opened, 0)
