"""Making a fill's lines stand where the hole stands, in the file's own tabs or spaces. Knows no grammar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from midfill.lsp_server.text.brackets import open_brackets

_LEAD = re.compile(r"[ \t]*")
_OPENER = re.compile(r"(?:[:{(\[]|\b(?:then|do|else|repeat)|\bfunction\s{0,9}[\w.:]{0,200}\([^)]{0,400}\))\s*$")
_STARTS_AFRESH = re.compile(r"(?:@|(?:async )?def |class |if __name__|import |from |[)\]}#])")
_DEFINITION = re.compile(r"(?:async )?def |class |.*\{\s*$|.*\bfunction\b")
_LAST_STATEMENT = re.compile(r"\s*(?:return|raise|pass|continue|break)\b")


@dataclass(frozen=True, slots=True)
class IndentStyle:
    """One level of indentation: a tab, or a number of spaces."""

    unit: str


def reindent(fill: str, prefix: str, suffix: str = "") -> str:
    """`fill` with its first line fitting the column that `prefix` ends at, and the following lines fitting the first.

    A fill that was written as if the hole stood at the margin is moved to where it stands. `\\n` line ends."""
    current = prefix[prefix.rfind("\n") + 1 :]
    style = style_of(prefix, suffix)
    if style is not None:
        fill = _in_style(fill, style)
    if any(prefix.count(quotes) % 2 for quotes in ('"""', "'''")):
        return fill  # prose
    base = _lead(current)
    if not current.strip():
        if not current:
            return fill
        fill = re.sub(r"\A(?:[ \t]*\n)+", "", fill)
        fill = _with_first_line_at(fill, base, prefix, style)
    first, *following = fill.split("\n")
    margin = _missing_margin(current + first, following, base, prefix, style)
    return "\n".join([first, *(margin + line if line.strip() else line for line in following)])


def style_of(prefix: str, suffix: str = "") -> IndentStyle | None:
    """What the text around the hole indents with; None when no line says."""
    leads = [lead for line in f"{prefix}{suffix}".split("\n") if line.strip() and (lead := _lead(line))]
    if not leads:
        current = prefix[prefix.rfind("\n") + 1 :]
        leads = [current] if current and current.isspace() else []
    if not leads:
        return None
    if sum(lead[0] == "\t" for lead in leads) * 2 > len(leads):
        return IndentStyle("\t")
    lines = [line for line in f"{prefix}\n{suffix}".split("\n") if line.strip()]
    steps = [len(_lead(below)) - len(_lead(above)) for above, below in pairwise(lines) if _OPENER.search(above)]
    step = max((step for step in set(steps) if step > 0), key=steps.count, default=0)
    return IndentStyle(
        " " * (step or next((step for step in (4, 2) if all(len(lead) % step == 0 for lead in leads)), 4))
    )


def _with_first_line_at(fill: str, base: str, prefix: str, style: IndentStyle | None) -> str:
    """The fill for a hole that stands behind nothing but `base`, which its first line may repeat or overshoot."""
    first, *following = fill.split("\n")
    lead = _lead(first)
    above = next((line for line in reversed(prefix.split("\n")[:-1]) if line.strip()), "")
    if _continues(prefix) and len(lead) not in (len(base), len(_lead(above))):
        return fill  # aligned with something
    expected = _lead(above) + (style.unit if style and _OPENER.search(above) else "")
    absolute = len(base) <= len(lead) == len(expected)
    if absolute and (_OPENER.search(first) or not following):
        return fill[len(base) :]
    if not lead or (len(base) + len(lead) <= len(expected) and not absolute):
        return fill
    leads = [len(_lead(line)) for line in following if line.strip()]
    if leads and min(leads) >= len(base) + len(lead):
        following = [line[min(len(lead), len(_lead(line))) :] for line in following]
    return "\n".join([first[len(base if absolute else lead) :], *following])


def _missing_margin(first_line: str, following: list[str], base: str, prefix: str, style: IndentStyle | None) -> str:
    """What the lines after `first_line` lack on their left: `base`, when they were written as if for the margin."""
    lines = [line for line in following if line.strip()]
    if not base or not lines or _continues(prefix) or first_line.lstrip().startswith(("#", "//")):
        return ""
    width = len(_lead(lines[0]))
    bracketed = _up_to_close(first_line, lines)
    if bracketed and min(len(_lead(line)) for line in bracketed) < len(base):
        return base
    if width == 0 and first_line.rstrip().endswith(":"):
        return base + (style.unit if style else "")
    if _OPENER.search(first_line):
        return base if width <= len(base) and not lines[0].lstrip().startswith((")", "]", "}")) else ""
    if width > 0 or not following[0].strip() or _STARTS_AFRESH.match(lines[0]) or _LAST_STATEMENT.match(first_line):
        return ""
    outermost = next((line for line in reversed(prefix.split("\n")[:-1]) if line.strip() and not _lead(line)), "")
    return base if _DEFINITION.match(outermost) else ""


def _continues(prefix: str) -> bool:
    """Whether the hole's line goes on with a list or call that an earlier line opened."""
    return open_brackets(prefix[: prefix.rfind("\n") + 1])[-1:] in (("(",), ("[",))


def _up_to_close(first_line: str, lines: list[str]) -> list[str]:
    """The lines in the brackets that `first_line` leaves open, with the one that closes them."""
    depth, inside = _depth(first_line), []
    for line in lines:
        if depth <= 0:
            break
        inside.append(line)
        depth += _depth(line)
    return inside


def _depth(line: str) -> int:
    return sum(line.count(char) for char in "([{") - sum(line.count(char) for char in ")]}")


def _in_style(fill: str, style: IndentStyle) -> str:
    lines = fill.split("\n")
    leads = [_lead(line) for line in lines if line.strip()]
    if style.unit == "\t":
        steps = [len(lead) for lead in leads if lead.startswith("  ")]
        step = next((step for step in (4, 2) if all(width % step == 0 for width in steps)), 4)
        return "\n".join(re.sub(r"^[ ]+", lambda match: _tabs(match[0], step), line) for line in lines)
    return "\n".join(_LEAD.sub(lambda match: match[0].replace("\t", style.unit), line, count=1) for line in lines)


def _tabs(spaces: str, step: int) -> str:
    return "\t" * (len(spaces) // step) + " " * (len(spaces) % step)


def _lead(line: str) -> str:
    match = _LEAD.match(line)
    return match[0] if match else ""
