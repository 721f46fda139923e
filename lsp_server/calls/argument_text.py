"""The text of a call's arguments, written anew with as much of the old text as possible: line breaks, comments and a
comma at the end stay as they are. Pure text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from midfill.lsp_server.calls.call_sites import Call
from midfill.lsp_server.calls.rebinding import NewArgument
from midfill.lsp_server.text.holes import Span

HOLE = "\0"
"""Stands for an argument that is not known; no source has one."""


@dataclass(frozen=True)
class _Piece:
    """lead: the white space before an argument. after: the comma and the comment behind it."""

    lead: str
    after: str


def written(text: str, call: Call, arguments: Sequence[NewArgument], text_in: Callable[[Span], str]) -> str | None:
    """What is to stand between the brackets; None where a comment would be lost or swallow code. text_in: a span of the
    text as it is to be, with the calls that are in it."""
    inner = call.arguments_span
    texts = [_text_of(one, text_in, is_alone=len(arguments) == 1) for one in arguments]
    if not call.arguments:
        return None if "#" in text[inner.start : inner.end] else ", ".join(texts)
    pieces, tail = _pieces(text, call)
    first, *others = pieces.values()
    if not arguments:
        return None if "#" in first.lead else ""
    own_line = re.search(r"[\r\n]\s*\Z", first.lead[len(first.lead.rstrip()) :])
    usual_lead = others[0].lead if others else own_line[0] if own_line else " "
    ends_in_comma = _without_comma([first, *others][-1].after) != [first, *others][-1].after
    new: list[str] = []
    for number, (argument, argument_text) in enumerate(zip(arguments, texts, strict=True)):
        piece = pieces[argument.old.span] if argument.old else _Piece(usual_lead, "")
        lead = first.lead if number == 0 else usual_lead if piece is first else piece.lead
        if new and "#" in new[-1] and not re.match(r"\s*[\r\n]", lead):
            return None
        after = _without_comma(piece.after)
        if number < len(arguments) - 1 or ends_in_comma:
            after = piece.after if after != piece.after else f",{after}"
        new += [lead, argument_text, after]
    return None if "#" in new[-1] and not re.match(r"\s*[\r\n]", tail) else "".join([*new, tail])


def _pieces(text: str, call: Call) -> tuple[dict[Span, _Piece], str]:
    """What is around each argument, by its span and in their order, and the white space before the bracket."""
    pieces: dict[Span, _Piece] = {}
    lead = text[call.arguments_span.start : call.arguments[0].span.start]
    ends = [*(one.span.start for one in call.arguments[1:]), call.arguments_span.end]
    for argument, end in zip(call.arguments, ends, strict=True):
        between = text[argument.span.end : end]
        after = between.rstrip(" \t\r\n\f\\")
        pieces[argument.span] = _Piece(lead, after)
        lead = between[len(after) :]
    return pieces, lead


def _without_comma(after: str) -> str:
    return re.sub(r"\A((?:\s|#[^\r\n]*[\r\n])*),", r"\1", after)


def _text_of(argument: NewArgument, text_in: Callable[[Span], str], *, is_alone: bool) -> str:
    keyword, old = argument.keyword, argument.old
    if old is None:
        value = HOLE if argument.value is None else argument.value
        return f"{keyword}={value}" if keyword else value
    value = text_in(old.value)
    is_free = {"anywhere": True, "alone": is_alone and not keyword, "by position": not keyword}[old.unbracketed]
    if not is_free:
        value = f"({value})"
    if keyword and old.keyword:
        return keyword + text_in(Span(old.span.start + len(old.keyword), old.span.end))
    return f"{keyword}={value}" if keyword else value
