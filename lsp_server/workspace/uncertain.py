"""What the model was least sure of in fills that a person has taken: found when a fill arrives in the document, kept in
its place while the text around it changes. Text and offsets in code points; knows no LSP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from midfill.lsp_server.text.filling import FilledHole, apply_fills
from midfill.lsp_server.text.finishing.finish import minimal_edit
from midfill.lsp_server.text.holes import Span, trimmed

UNCERTAIN = 0.5
"""Tokens below this probability are spots."""


@dataclass(frozen=True, order=True)
class Spot:
    """A run of tokens; confidence: of the least sure one, 0 to 1."""

    span: Span
    confidence: float


@dataclass(frozen=True)
class _Expected:
    """What may become of a text: each alternative is a set of fills, of which a person may take some."""

    text: str = field(repr=False)
    alternatives: tuple[tuple[FilledHole, ...], ...] = field(repr=False)


class UncertainSpots:
    """The spots of the open documents, by URI. Use it on one event loop."""

    def __init__(self) -> None:
        self._expected: dict[str, _Expected] = {}
        self._of_expected: dict[str, tuple[Spot, ...]] = {}
        self._older: dict[str, tuple[Spot, ...]] = {}

    def expect(self, uri: str, text: str, alternatives: Sequence[Sequence[FilledHole]]) -> None:
        """These fills of `text` were handed out; what comes of them is seen in the changes that follow."""
        self._settle(uri)
        self._expected[uri] = _Expected(text, tuple(map(tuple, alternatives)))

    def of(self, uri: str) -> tuple[Spot, ...]:
        return tuple(sorted((*self._older.get(uri, ()), *self._of_expected.get(uri, ()))))

    def changed(self, uri: str, before: str, after: str) -> bool:
        """Follow an edit; whether the spots are others now."""
        expected, known = self._expected.get(uri), self.of(uri)
        if expected is None and not known:
            return False
        edit = minimal_edit(before, after)
        self._older[uri] = _moved(self._older.get(uri, ()), edit)
        taken = None if expected is None else _taken(expected, after)
        if taken is not None:
            self._of_expected[uri] = spots_of(taken)
            fills = _places_of(taken)
            self._older[uri] = tuple(spot for spot in self._older[uri] if not any(_meet(spot.span, at) for at in fills))
        else:
            self._of_expected[uri] = _moved(self._of_expected.get(uri, ()), edit)
            self._settle(uri)
        return self.of(uri) != known

    def forget(self, uri: str) -> None:
        for of_documents in (self._expected, self._of_expected, self._older):
            of_documents.pop(uri, None)

    def _settle(self, uri: str) -> None:
        """The text has gone its own way: what was taken stays, what was not is no longer expected."""
        self._expected.pop(uri, None)
        if spots := self._of_expected.pop(uri, ()):
            self._older[uri] = (*self._older.get(uri, ()), *spots)


def spots_of(holes: Sequence[FilledHole]) -> tuple[Spot, ...]:
    """The uncertain runs in the text with all `holes` filled, which are in document order."""
    spots: list[Spot] = []
    for hole, place in zip(holes, _places_of(holes), strict=True):
        runs: list[Spot] = []
        for piece in hole.spans:
            if piece.confidence >= UNCERTAIN or not hole.fill[piece.start : piece.end].strip():
                continue
            if runs and runs[-1].span.end == piece.start:
                joined = Span(runs[-1].span.start, piece.end)
                runs[-1] = Spot(joined, min(runs[-1].confidence, piece.confidence))
            else:
                runs.append(Spot(Span(piece.start, piece.end), piece.confidence))
        for run in runs:
            code = trimmed(hole.fill, run.span)
            spots.append(replace(run, span=Span(place.start + code.start, place.start + code.end)))
    return tuple(spots)


def _taken(expected: _Expected, text: str) -> tuple[FilledHole, ...] | None:
    """Which fills of which alternative make the expected text this one; None if none do."""
    for holes in expected.alternatives:
        taken: list[FilledHole] = []
        moved = 0
        for hole in holes:
            old = expected.text[hole.span.start : hole.span.end]
            if text.startswith(hole.fill, hole.span.start + moved) and hole.fill != old:
                taken.append(hole)
                moved += len(hole.fill) - len(old)
        if taken and apply_fills(expected.text, taken) == text:
            return tuple(taken)
    return None


def _places_of(holes: Sequence[FilledHole]) -> list[Span]:
    """Where the fills stand in the text with all of them."""
    places: list[Span] = []
    moved = 0
    for hole in holes:
        start = hole.span.start + moved
        places.append(Span(start, start + len(hole.fill)))
        moved += len(hole.fill) - (hole.span.end - hole.span.start)
    return places


def _meet(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _is_of_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _moved(spots: Sequence[Spot], edit: tuple[int, int, str]) -> tuple[Spot, ...]:
    """The spots after an edit; one that was edited is no spot any more."""
    start, end, replacement = edit
    shift = len(replacement) - (end - start)
    kept: list[Spot] = []
    for spot in spots:
        if spot.span.end <= start and not (spot.span.end == start and _is_of_word(replacement[:1])):
            kept.append(spot)
        elif spot.span.start >= end and not (spot.span.start == end and _is_of_word(replacement[-1:])):
            kept.append(replace(spot, span=Span(spot.span.start + shift, spot.span.end + shift)))
    return tuple(kept)
