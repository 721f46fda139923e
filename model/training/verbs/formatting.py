"""An f-string written with `.format`, `%` or `+`; knows one string literal, no file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_LITERAL = re.compile(r"(?:[fF](?P<raw>[rR]?)|(?P<raw_first>[rR])[fF])(?P<quote>['\"])(?!(?P=quote))(?P<body>.*)", re.S)
_PERCENT_SPEC = re.compile(r"0?\d*(\.\d+)?[dfeEgxX]|")


@dataclass(frozen=True, slots=True)
class Field:
    """`{code!conversion:spec}` of an f-string."""

    code: str
    conversion: str
    spec: str


def formatted(literal: str, node: ast.JoinedStr, style: str) -> str | None:
    """`literal`, the text of `node`, in the style "format", "percent" or "plus"; None for what is not one plain
    literal on one line or has no field. Falls back to "format" where the style cannot say the same."""
    match = _LITERAL.fullmatch(literal)
    if match is None or not literal.endswith(match["quote"]) or "\n" in literal or "\\N{" in literal:
        return None
    pieces = list(_pieces(match["body"][:-1], match["quote"]))
    fields = [piece for piece in pieces if isinstance(piece, Field)]
    values = [value for value in node.values if isinstance(value, ast.FormattedValue)]
    if not fields or len(fields) != len(values) or not all(map(_is_field_of, fields, values)):
        return None
    prefix = match["raw"] or match["raw_first"] or ""
    quoted = f"{prefix}{match['quote']}{{}}{match['quote']}"
    if style == "plus" and not any(field.spec for field in fields):
        return _added(pieces, quoted)
    codes = ", ".join(field.code for field in fields)
    if style == "percent" and None not in map(_percent, fields):
        text = "".join(
            _percent(piece) or "" if isinstance(piece, Field) else _plain(piece).replace("%", "%%") for piece in pieces
        )
        alone = len(fields) == 1 and isinstance(values[0].value, (ast.Name, ast.Attribute, ast.Subscript, ast.Call))
        return f"{quoted.format(text)} % " + (codes if alone else f"({codes})")
    text = "".join(_braces(piece) if isinstance(piece, Field) else piece for piece in pieces)
    return f"{quoted.format(text)}.format({codes})"


def _pieces(body: str, quote: str) -> Iterator[str | Field]:
    """Literal runs, braces still doubled, and fields; nothing sensible for what is not one literal: the caller
    compares the fields with the syntax tree."""
    at = start = 0
    while at < len(body):
        if body[at] == quote:
            yield Field("", "", "")  # the literal ended here: an implicit concatenation
            return
        if body[at : at + 2] in ("{{", "}}") or body[at] == "\\":
            at += 2
        elif body[at] == "{":
            if at > start:
                yield body[start:at]
            end = _field_end(body, at + 1)
            yield _field(body[at + 1 : end])
            at = start = end + 1
        else:
            at += 1
    if start < len(body):
        yield body[start:]


def _field_end(body: str, at: int) -> int:
    depth = 0
    for index in range(at, len(body)):
        if body[index] in "{[(":
            depth += 1
        elif body[index] in "]})":
            if body[index] == "}" and depth == 0:
                return index
            depth -= 1
    return len(body)


def _field(inside: str) -> Field:
    depth = 0
    for index, char in enumerate(inside):
        depth += (char in "{[(") - (char in "]})")
        if depth == 0 and (char == ":" or (char == "!" and inside[index + 1 : index + 2] != "=")):
            conversion, _, spec = inside[index + 1 :].partition(":") if char == "!" else ("", "", inside[index + 1 :])
            return Field(inside[:index].strip(), conversion.strip(), spec)
    return Field(inside.strip(), "", "")


def _is_field_of(field: Field, value: ast.FormattedValue) -> bool:
    """Whether the text was cut where Python cuts it; also false for `{x=}` and for fields inside a spec."""
    if "{" in field.spec or value.conversion != (ord(field.conversion) if field.conversion else -1):
        return False
    try:
        code = ast.parse(field.code, mode="eval").body
    except SyntaxError:
        return False
    return not isinstance(code, (ast.Starred, ast.Tuple)) and ast.dump(code) == ast.dump(value.value)


def _percent(field: Field) -> str | None:
    if field.conversion:
        return f"%{field.conversion}" if not field.spec else None
    if not field.spec:
        return "%s"
    return f"%{field.spec}" if _PERCENT_SPEC.fullmatch(field.spec) else None


def _braces(field: Field) -> str:
    return "{" + (f"!{field.conversion}" if field.conversion else "") + (f":{field.spec}" if field.spec else "") + "}"


def _plain(literal: str) -> str:
    return literal.replace("{{", "{").replace("}}", "}")


def _added(pieces: list[str | Field], quoted: str) -> str:
    call = {"": "str", "s": "str", "r": "repr", "a": "ascii"}
    return " + ".join(
        f"{call[piece.conversion]}({piece.code})" if isinstance(piece, Field) else quoted.format(_plain(piece))
        for piece in pieces
    )
