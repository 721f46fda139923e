"""Which holes of which version of a document a fill is for, as a code action's data and a command's argument say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeGuard

from midfill.lsp_server.lsp.document import DocumentSnapshot, Position, PositionEncoding
from midfill.lsp_server.lsp.errors import InvalidArgumentsError
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.scopes import Scope, ScopeKind


@dataclass(frozen=True)
class FillTarget:
    """version None: the document as it is. start and end: the cursor or the selection, in the client's units; unused
    for all holes of a file."""

    uri: str
    version: int | None
    kind: ScopeKind = "file"
    start: Position = (0, 0)
    end: Position = (0, 0)

    @classmethod
    def from_json(cls, data: Any) -> FillTarget:
        """Raises InvalidArgumentsError for anything but `{uri, version?}` with `position`, `range` or `scope`: "file",
        the default, or "function", which needs the position."""
        if not isinstance(data, dict) or not isinstance(data.get("uri"), str):
            raise InvalidArgumentsError("A fill needs an object with the document's `uri`.")
        version, scope = data.get("version"), data.get("scope")
        if version is not None and not _is_whole(version):
            raise InvalidArgumentsError("The `version` of a fill must be the document's version, a whole number.")
        if data.get("range") is not None:
            start, end = _range_of(data["range"])
            return cls(data["uri"], version, "selection", start, end)
        if scope not in (None, "file", "function"):
            raise InvalidArgumentsError('The `scope` of a fill must be "file" or "function".')
        if data.get("position") is not None and scope != "file":
            position = position_of(data["position"], "position")
            return cls(data["uri"], version, "function" if scope else "hole", position, position)
        if scope == "function":
            raise InvalidArgumentsError("A fill of a function needs a `position` in it.")
        return cls(data["uri"], version)

    def to_json(self) -> dict[str, Any]:
        start, end = ({"line": line, "character": character} for line, character in (self.start, self.end))
        where: dict[ScopeKind, dict[str, Any]] = {
            "hole": {"position": start},
            "selection": {"range": {"start": start, "end": end}},
            "function": {"scope": "function", "position": start},
        }
        return {"uri": self.uri, "version": self.version, **where.get(self.kind, {})}

    def scope_in(self, snapshot: DocumentSnapshot, encoding: PositionEncoding) -> Scope:
        """Raises InvalidArgumentsError for a place outside the document: clamped, it would be another place."""
        for line, _ in (self.start, self.end):
            if line >= snapshot.num_lines:
                raise InvalidArgumentsError(
                    f"Line {line} is outside the document, whose last line is {snapshot.num_lines - 1} (from 0)."
                )
        start, end = (snapshot.offset_at(*place, encoding) for place in (self.start, self.end))
        return Scope(self.kind, Span(start, end))


def _range_of(data: Any) -> tuple[Position, Position]:
    if not isinstance(data, dict):
        raise InvalidArgumentsError("The `range` of a fill must be an object with `start` and `end`.")
    start, end = (position_of(data.get(name), f"range.{name}") for name in ("start", "end"))
    if end < start:
        raise InvalidArgumentsError("The `range` of a fill must not end before it starts.")
    return start, end


def position_of(data: Any, name: str) -> Position:
    line, character = (data.get("line"), data.get("character")) if isinstance(data, dict) else (None, None)
    if _is_whole(line) and _is_whole(character) and line >= 0 and character >= 0:
        return line, character
    raise InvalidArgumentsError(
        f"The `{name}` of a fill must be an object with `line` and `character`, whole numbers from 0."
    )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
