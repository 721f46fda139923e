"""What a fill was asked for, and the places in the text that this means. The server and the terminal share it.

Where somebody has written markers, those are the holes; where there are none, the bodies that are still empty are.
Text in, offsets (code points) out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NoReturn

from midfill.lsp_server.text.bodies import EmptyBody, empty_bodies, enclosing_function
from midfill.lsp_server.text.holes import DEFAULT_MARKER, HoleError, Place, Span, find_markers, lines_around, trimmed
from midfill.lsp_server.text.syntax import language_of

ScopeKind = Literal["hole", "selection", "function", "file", "bodies"]


_START = Span(0, 0)


@dataclass(frozen=True)
class Scope:
    """hole: the one at `span`, a cursor. selection: the text of `span`. function: all holes of the innermost function
    around it. file: all holes. bodies: the empty bodies of the file, whether or not it has markers."""

    kind: ScopeKind
    span: Span = _START


@dataclass(frozen=True)
class Source:
    """A text and what tells its language. `language_id` is an editor's name for it, "" where the path must tell."""

    text: str
    language_id: str = ""
    path: str | None = None
    marker: str = DEFAULT_MARKER

    @property
    def language(self) -> str | None:
        return language_of(self.language_id, self.path)

    def markers(self, within: Span | None = None) -> tuple[Place, ...]:
        return _inside([Place(span) for span in find_markers(self.text, self.marker)], within)

    def bodies(self, within: Span | None = None) -> tuple[Place, ...]:
        """The empty bodies; none in a stub file, whose bodies are all meant to be empty."""
        return _inside([body.place for body in self._bodies()], within)

    def hole_at(self, cursor: Span) -> Place | None:
        """The marker that the cursor touches, else the nearest one on its lines, else the empty body around it."""
        lines = lines_around(self.text, cursor)
        markers = [place for place in self.markers() if place.span.start <= lines.end and place.span.end >= lines.start]
        if markers:
            return min(markers, key=lambda place: max(cursor.start - place.span.end, place.span.start - cursor.end))
        around = [body for body in self._bodies() if body.owner.start <= cursor.start <= body.owner.end]
        return max(around, key=lambda body: body.owner.start).place if around else None

    def holes(self, within: Span | None = None) -> tuple[Place, ...]:
        return self.markers(within) or self.bodies(within)

    def function_at(self, cursor: Span) -> Span | None:
        return enclosing_function(self.text, cursor.start, self.language, self.marker)

    def _bodies(self) -> tuple[EmptyBody, ...]:
        if self.path is not None and self.path.endswith(".pyi"):
            return ()
        return empty_bodies(self.text, self.language, self.marker)


def find_places(source: Source, scope: Scope) -> tuple[Place, ...]:
    """In document order, at least one. Raises HoleError with a sentence that says what is missing, and where."""
    match scope.kind:
        case "hole":
            here = source.hole_at(scope.span)
            return (here,) if here else _nothing(f"no {source.marker} on this line and no empty body around it", source)
        case "selection":
            return (Place(trimmed(source.text, scope.span)),)
        case "function":
            function = source.function_at(scope.span)
            if function is None:
                raise HoleError("there is no function around this place; go into one, or fill the whole file")
            return source.holes(function) or _nothing(f"no {source.marker} and no empty body in this function", source)
        case "bodies":
            return source.bodies() or _nothing("no body in this file that is only ..., pass or a TODO comment", source)
        case "file":
            return source.holes() or _nothing(f"no {source.marker} and no empty body in this file", source)


def _inside(places: list[Place], within: Span | None) -> tuple[Place, ...]:
    if within is None:
        return tuple(places)
    return tuple(place for place in places if within.start <= place.span.start and place.span.end <= within.end)


def _nothing(what: str, source: Source) -> NoReturn:
    raise HoleError(f"there is {what}; write {source.marker} where code is to be filled in")
