"""The code actions "Fill this hole" and "Fill all N holes": offered at once, computed when chosen, never applied to
another version than the one they were asked for.

The same target (`FillTarget`) travels as a code action's data and as a command's argument.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from lsprotocol import types

from midfill.lsp_server.document import DocumentSnapshot, PositionEncoding, UnknownDocumentError
from midfill.lsp_server.errors import InvalidArgumentsError, RefusedError, StaleDocumentError
from midfill.lsp_server.filling import FilledHole, FillError, FillPlan, plan_fill
from midfill.lsp_server.holes import Span, find_markers
from midfill.lsp_server.joint import fill_in_groups
from midfill.lsp_server.protocol import FILL_ALL_HOLES, FILL_HOLE, lsp_range, span_of
from midfill.lsp_server.resident import ResidentError
from midfill.lsp_server.session import Session
from midfill.model.api import Infill

KIND = types.CodeActionKind.RefactorRewrite


@dataclass(frozen=True)
class FillTarget:
    """Which holes of which version of a document. position: (line, character) in the client's units, None for all
    holes. version None: the document as it is."""

    uri: str
    version: int | None
    position: tuple[int, int] | None

    @classmethod
    def from_json(cls, data: Any) -> FillTarget:
        """Raises InvalidArgumentsError for anything but `{uri, version?, position?: {line, character}}`."""
        if not isinstance(data, dict) or not isinstance(data.get("uri"), str):
            raise InvalidArgumentsError("A fill needs an object with the document's `uri`.")
        version, position = data.get("version"), data.get("position")
        if version is not None and not isinstance(version, int):
            raise InvalidArgumentsError("The `version` of a fill must be the document's version, a whole number.")
        match position:
            case None:
                return cls(data["uri"], version, None)
            case {"line": int(line), "character": int(character)}:
                return cls(data["uri"], version, (line, character))
        raise InvalidArgumentsError("The `position` of a fill must be an object with `line` and `character`.")

    def to_json(self) -> dict[str, Any]:
        position = self.position and {"line": self.position[0], "character": self.position[1]}
        return {"uri": self.uri, "version": self.version, "position": position}


def list_actions(session: Session, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    """The actions at a range: one for the hole on its line, one for all holes of the document."""
    only = params.context.only
    if params.text_document.uri not in session.documents or (only and not any(_includes(kind) for kind in only)):
        return []
    snapshot = session.documents.get(params.text_document.uri)
    if session.why_not_sent(snapshot):
        return []
    holes = find_markers(snapshot.text, session.settings.marker)
    actions: list[types.CodeAction | types.Command] = []
    if here := _hole_near(snapshot, holes, span_of(snapshot, params.range, session.encoding)):
        position = snapshot.position_at(here.start, session.encoding)
        actions.append(_action(session, "Fill this hole", FillTarget(snapshot.uri, snapshot.version, position)))
    if len(holes) > 1:
        target = FillTarget(snapshot.uri, snapshot.version, None)
        actions.append(_action(session, f"Fill all {len(holes)} holes", target))
    return actions


async def resolve_action(session: Session, action: types.CodeAction) -> types.CodeAction:
    """The action with its edit. Raises StaleDocumentError, RefusedError, InvalidArgumentsError."""
    action.edit = await compute_edit(session, FillTarget.from_json(action.data))
    return action


async def compute_edit(session: Session, target: FillTarget) -> types.WorkspaceEdit:
    """Fill the target's holes jointly, for the version that it names. Raises RefusedError, StaleDocumentError."""
    snapshot, spans = _find(session, target)
    try:
        info = await session.resident.connect()

        def plan(text: str, group: Sequence[Span]) -> FillPlan:
            return plan_fill(
                text,
                group,
                language_id=snapshot.language_id,
                path=snapshot.path,
                info=info,
                max_tokens=session.settings.max_tokens,
                marker=session.settings.marker,
            )

        def ask(group_plan: FillPlan) -> Awaitable[Infill]:
            return session.resident.infill(group_plan.request)

        filled = await fill_in_groups(snapshot.text, spans, info, plan, ask)
    except (FillError, ResidentError) as error:
        sentence = str(error).rstrip(".")
        raise RefusedError(f"{sentence[0].upper()}{sentence[1:]}.") from None
    if not session.is_current(snapshot):
        raise StaleDocumentError
    return _workspace_edit(session, snapshot, filled.holes)


def _find(session: Session, target: FillTarget) -> tuple[DocumentSnapshot, list[Span]]:
    try:
        snapshot = session.documents.get(target.uri)
    except UnknownDocumentError as error:
        raise RefusedError(str(error)) from None
    if target.version is not None and target.version != snapshot.version:
        raise StaleDocumentError
    if reason := session.why_not_sent(snapshot):
        raise RefusedError(reason)
    spans = list(find_markers(snapshot.text, session.settings.marker))
    if target.position is not None:
        offset = snapshot.offset_at(*target.position, session.encoding)
        here = _hole_near(snapshot, tuple(spans), Span(offset, offset))
        spans = [here] if here else []
    if not spans:
        where = "on this line" if target.position else "in this document"
        raise RefusedError(f"There is no {session.settings.marker} {where}; write one where code is to be filled in.")
    return snapshot, spans


def _hole_near(snapshot: DocumentSnapshot, holes: tuple[Span, ...], selection: Span) -> Span | None:
    """The hole that the selection touches, else the nearest one on its lines."""
    first, last = (
        snapshot.position_at(offset, PositionEncoding.UTF32)[0] for offset in (selection.start, selection.end)
    )
    start, end = snapshot.line_start(first), snapshot.line_end(last)
    on_lines = [hole for hole in holes if hole.start <= end and hole.end >= start]
    return min(on_lines, key=lambda hole: max(selection.start - hole.end, hole.start - selection.end), default=None)


def _includes(wanted: str) -> bool:
    """A client that wants `refactor` wants `refactor.rewrite`."""
    return wanted == "" or KIND.value == wanted or KIND.value.startswith(f"{wanted}.")


def _action(session: Session, title: str, target: FillTarget) -> types.CodeAction | types.Command:
    """The action as this client can take it: resolved later, or as the command that does the same."""
    client, data = session.client, target.to_json()
    command = types.Command(
        title=title, command=FILL_ALL_HOLES if target.position is None else FILL_HOLE, arguments=[data]
    )
    if not client.action_literals:
        return command
    action = types.CodeAction(title=title, kind=KIND)
    if client.marks_llm_actions:
        action.tags = [types.CodeActionTag.LlmGenerated]
    if client.resolves_edits:
        action.data = data
    else:
        action.command = command
    return action


def _workspace_edit(session: Session, snapshot: DocumentSnapshot, holes: Sequence[FilledHole]) -> types.WorkspaceEdit:
    """One text edit per hole; with the document's version where the client can check it."""
    edits = [
        types.TextEdit(range=lsp_range(snapshot, hole.span, session.encoding), new_text=hole.fill) for hole in holes
    ]
    if not session.client.versioned_edits:
        return types.WorkspaceEdit(changes={snapshot.uri: edits})
    document = types.OptionalVersionedTextDocumentIdentifier(uri=snapshot.uri, version=snapshot.version)
    return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(text_document=document, edits=list(edits))])
