"""What a person changed in the function headers of an open document: each header's signatures as they were before, and
the places that were edited since. Knows text and offsets in code points; one per document, on the loop only.

At every key only the text around the edit is looked at. What is remembered is bounded, and is forgotten when a header
says again what it said.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from midfill.lsp_server.lsp.document import Edit
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.signatures import Signature, header_at, headers_touching, read_signature

MAX_HEADERS = 16
MAX_SIGNATURES = 4
MAX_TOUCHED = 64


@dataclass(frozen=True)
class Before:
    """A signature as it was when a person began to edit its header, and the places edited since, outside of headers:
    what stands there was written later."""

    signature: Signature
    touched: tuple[Span, ...] = ()

    def was_touched_since(self, span: Span) -> bool:
        """Whether something in the span was written when the header said something else."""
        return any(one.start < span.end and one.end > span.start for one in self.touched)


@dataclass(frozen=True)
class ChangedHeader:
    """A header that says something else than it did. befores: oldest first."""

    span: Span
    now: Signature
    befores: tuple[Before, ...]


@dataclass(frozen=True)
class _Header:
    """befores: each signature, oldest first, with the number of the edit that began to change it."""

    befores: tuple[tuple[Signature, int], ...]


class HeaderEdits:
    """Told of every edit of one document."""

    def __init__(self) -> None:
        self._num_edits = 0
        self._headers: dict[int, _Header] = {}  # by the offset of `def`
        self._in_hand: set[int] = set()
        self._touched: list[tuple[int, Span]] = []

    def changed(self, edit: Edit) -> None:
        self._num_edits += 1
        touching = headers_touching(edit.before, Span(edit.start, edit.end))
        if not touching and not self._headers:
            self._in_hand.clear()
            return
        for header in touching:
            if header.start not in self._in_hand:
                self._begin(header, read_signature(edit.before[header.start : header.end]))
        touched_starts = {header.start for header in touching}
        new_starts = _new_starts(edit, {*self._headers, *self._in_hand, *touched_starts})
        left = {new_starts[start] for start in self._in_hand - touched_starts if start in new_starts}
        self._in_hand = {new_starts[start] for start in touched_starts if start in new_starts}
        self._move_headers(new_starts, left, edit.after)
        self._touched = [
            (number, Span(_moved(span.start, edit), _moved(span.end, edit))) for number, span in self._touched
        ]
        if not any(header.start <= edit.start and edit.end <= header.end for header in touching):
            self._touch(Span(edit.start, _moved(edit.end, edit)))
        if not self._headers:
            self._touched.clear()

    def changed_headers(self, text: str) -> tuple[ChangedHeader, ...]:
        """Those that are well formed as they are now; `text` is the document's."""
        found: list[ChangedHeader] = []
        for start, header in self._headers.items():
            span = header_at(text, start)
            now = read_signature(text[span.start : span.end]) if span is not None else None
            if span is not None and now is not None:
                befores = _still_before(header.befores, text, start)
                touched = (self._touched_since(number) for _, number in befores)
                dated = tuple(Before(signature, spans) for (signature, _), spans in zip(befores, touched, strict=True))
                found += [ChangedHeader(span, now, dated)] if dated else []
        return tuple(found)

    def _begin(self, header: Span, signature: Signature | None) -> None:
        """A person begins to edit a header, or comes back to it."""
        known = self._headers.pop(header.start, None)
        befores = known.befores if known else ()
        if signature is not None and (not befores or befores[-1][0].shape != signature.shape):
            befores = (*befores[:1], *befores[1:][2 - MAX_SIGNATURES :], (signature, self._num_edits))
        if befores:
            self._headers[header.start] = _Header(befores)  # the latest is the last to be forgotten

    def _move_headers(self, new_starts: Mapping[int, int], left: Container[int], text: str) -> None:
        """A header that is left is done with, as far as it says again what it said."""
        moved: dict[int, _Header] = {}
        for start, header in self._headers.items():
            new_start = new_starts.get(start)
            if new_start is None:
                continue
            befores = _still_before(header.befores, text, new_start) if new_start in left else header.befores
            if befores:
                moved[new_start] = _Header(befores)
        self._headers = dict([*moved.items()][-MAX_HEADERS:])

    def _touch(self, span: Span) -> None:
        """Places that meet are one; of too many the oldest two become one, with all that is between them."""
        last = self._touched[-1][1] if self._touched else None
        if last is not None and last.start <= span.end and last.end >= span.start:
            self._touched.pop()
            span = Span(min(last.start, span.start), max(last.end, span.end))
        self._touched.append((self._num_edits, span))
        if len(self._touched) > MAX_TOUCHED:
            (_, first), (number, second), *others = self._touched
            hull = Span(min(first.start, second.start), max(first.end, second.end))
            self._touched = [(number, hull), *others]

    def _touched_since(self, number: int) -> tuple[Span, ...]:
        return tuple(span for at, span in self._touched if at > number)


def _still_before(
    befores: tuple[tuple[Signature, int], ...], text: str, start: int
) -> tuple[tuple[Signature, int], ...]:
    """Those of the signatures that the header does not say again; all while it is not well formed."""
    span = header_at(text, start)
    now = read_signature(text[span.start : span.end]) if span else None
    shapes = [signature.shape for signature, _ in befores]
    return befores[: shapes.index(now.shape)] if now is not None and now.shape in shapes else befores


def _moved(offset: int, edit: Edit) -> int:
    """Where an offset is after an edit; one inside of what was replaced is behind what came in its place."""
    is_before = offset < edit.end and offset <= edit.start
    return offset if is_before else max(offset, edit.end) + len(edit.after) - len(edit.before)


def _new_starts(edit: Edit, starts: Iterable[int]) -> dict[int, int]:
    """Where each of the headers begins after an edit; of those that were written anew, the ones that can be told: as
    many as there were, or by their names."""
    new_starts = {start: _moved(start, edit) for start in starts if start >= edit.end or start < edit.start}
    old = [one.start for one in headers_touching(edit.before, Span(edit.start, edit.end))]
    old = [start for start in old if edit.start <= start < edit.end]
    if not old:
        return new_starts
    end = _moved(edit.end, edit)
    new = [one.start for one in headers_touching(edit.after, Span(edit.start, end)) if edit.start <= one.start <= end]
    if len(old) == len(new):
        return {**new_starts, **dict(zip(old, new, strict=True))}
    names = {_name_at(edit.after, start): start for start in new}
    return new_starts | {start: names[name] for start in old if (name := _name_at(edit.before, start)) in names}


def _name_at(text: str, start: int) -> str:
    found = re.compile(r"def[ \t]+(\w+)").match(text, start)
    return found[1] if found else ""
