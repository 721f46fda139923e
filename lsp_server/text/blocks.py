"""Blocks of source found by their lines, without a parse: the top-level block around a place, and empty bodies.

A block runs from one line at the margin that begins something to the next. Where the lines mislead (a string with text
at the margin), callers compare two parses of the same block, so a wrong guess costs a verdict, never correctness.
"""

from __future__ import annotations

import re

_FARTHEST = 20_000
"""Characters looked at to either side: a longer block is cut there, at a line."""

_CONTINUES = re.compile(r"[)\]}\s#*]|/[/*]|(?:else|elif|except|finally|catch|end|until|while|then|case|where)\b|\{")
_ENDS = re.compile(r"(?:[}\];)]|\bend)[;,)]*\s*$")


def enclosing_block(text: str, start: int, end: int, language: str) -> tuple[int, int]:
    """Bounds of the top-level lines that hold [start, end): whole lines."""
    lowest = max(start - _FARTHEST, 0)
    highest = min(end + _FARTHEST, len(text))
    first = text.rfind("\n", 0, start) + 1
    at_margin = first == start  # what stands in the hole's own place says nothing
    while first > lowest and (at_margin or not _begins_block(text, first, language)):
        at_margin = False
        first = text.rfind("\n", 0, first - 1) + 1
    last = text.find("\n", end) + 1
    while 0 < last < highest and not _begins_block(text, last, language):
        last = text.find("\n", last) + 1
    return first, last if last > 0 else len(text)


def _begins_block(text: str, line_start: int, language: str) -> bool:
    line = text[line_start : line_start + 80]
    if not line.strip() or _CONTINUES.match(line):
        return False
    above_start = text.rfind("\n", 0, line_start - 1) + 1
    above = text[max(above_start, line_start - 400) : line_start].strip()
    if language == "python":
        return not above.startswith("@") and not above.endswith(("\\", '"""', "'''"))
    return not above or bool(_ENDS.search(above))


_PYTHON_OPENER = re.compile(
    r"\s*(?:async\s|def\b|class\b|if\b|elif\b|else\b|for\b|while\b|with\b|try\b|except\b|finally\b|match\b|case\b|\)).*:$"
)
_LUA_OPENER = re.compile(r".*\b(?:then|do|else|repeat|function\b[^()]{0,200}\([^()]{0,400}\))$")
_COMMENT_LINE = re.compile(r"\s*(?:#|//|--)")
_COMMENT_AT_END = re.compile(r"\s(?:#|//|--).*$")


def opens_empty_body(text: str, offset: int, language: str) -> bool:
    """Whether the cursor stands behind `:` or `{` (Lua: `then`, `do`, ...) or on an empty line after it, and nothing
    of the body is there yet (but a docstring)."""
    text = text.replace("\r\n", " \n").replace("\r", "\n")  # the same length
    line_start = text.rfind("\n", 0, offset) + 1
    before = text[line_start:offset]
    rest, _, following = text[offset:].partition("\n")
    if rest.strip() not in ("", "}", "end"):
        return False
    below = next((line for line in [rest, *following[:4000].split("\n")] if line.strip()), "")
    if before.strip():
        opener = before
    else:
        above = [line for line in text[max(line_start - 4000, 0) : line_start].split("\n")]
        above = [line for line in above if line.strip() and not _COMMENT_LINE.match(line)]
        opener = _above_docstring(above)
    if not _is_opener(opener, language):
        return False
    return _indentation(below) <= _indentation(opener) or not below


_CLOSES = {"(": ")", "[": "]", "{": "}"}


def opens_empty_brackets(text: str, offset: int) -> bool:
    """Whether the cursor stands alone on its line, behind a line that ends in an opening bracket and before one that
    begins with its closing one: a list of arguments or of elements that is still empty."""
    line_start = text.rfind("\n", 0, offset) + 1
    rest, _, following = text[offset:].partition("\n")
    if text[line_start:offset].strip() or rest.strip():
        return False
    above = text[max(line_start - 4000, 0) : line_start].rstrip()
    return above[-1:] in _CLOSES and following[:4000].lstrip().startswith(_CLOSES[above[-1]])


def _is_opener(line: str, language: str) -> bool:
    line = _COMMENT_AT_END.sub("", line).rstrip()
    if language == "python":
        return _PYTHON_OPENER.match(line) is not None
    if language == "lua":
        return _LUA_OPENER.match(line) is not None
    return line.endswith("{") and not line.endswith(("${", "= {", "({", ": {"))


def _above_docstring(lines: list[str]) -> str:
    """The last line, or, where a docstring ends there, the line above the docstring."""
    for quotes in ('"""', "'''"):
        if lines and lines[-1].rstrip().endswith(quotes):
            if lines[-1].count(quotes) == 2:
                return lines[-2] if len(lines) > 1 else ""
            opening = next((index for index in range(len(lines) - 2, 0, -1) if quotes in lines[index]), 0)
            return lines[opening - 1] if opening else ""
    return lines[-1] if lines else ""


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
