"""The code actions that fill: offered at once, computed when chosen, never applied to another version than the one
they were asked for."""

from __future__ import annotations

from lsprotocol import types

from midfill.lsp_server.document import DocumentSnapshot
from midfill.lsp_server.fill_target import FillTarget
from midfill.lsp_server.holes import Place
from midfill.lsp_server.proposals import Report, propose, source_of, workspace_edit
from midfill.lsp_server.protocol import FILL_ALL_HOLES, FILL_FUNCTION, FILL_HOLE, FILL_SELECTION, span_of
from midfill.lsp_server.scopes import ScopeKind, Source
from midfill.lsp_server.session import Session

KIND = types.CodeActionKind.RefactorRewrite
COMMANDS: dict[ScopeKind, str] = {
    "hole": FILL_HOLE,
    "selection": FILL_SELECTION,
    "function": FILL_FUNCTION,
    "file": FILL_ALL_HOLES,
}


def list_actions(session: Session, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    """What can be filled at a range: the hole there, the selection, all holes of the function, all of the file."""
    only = params.context.only
    if params.text_document.uri not in session.documents or (only and not any(_includes(kind) for kind in only)):
        return []
    snapshot = session.documents.get(params.text_document.uri)
    if params.range.end.line >= snapshot.num_lines or session.why_not_sent(snapshot):
        return []
    source, selected = source_of(session, snapshot), span_of(snapshot, params.range, session.encoding)
    actions: list[types.CodeAction | types.Command] = []
    here = source.hole_at(selected)
    if here is not None:
        title = "Fill this hole" if _is_marked(source, here) else "Fill this empty body"
        actions.append(_action(session, title, _target(session, snapshot, "hole", here.span.start, here.span.start)))
    if snapshot.text[selected.start : selected.end].strip():
        target = _target(session, snapshot, "selection", selected.start, selected.end)
        actions.append(_action(session, "Fill the selection", target))
    everywhere = source.holes()
    if len(everywhere) > 2 and (function := source.function_at(selected)) is not None:
        holes = source.holes(function)
        if 1 < len(holes) < len(everywhere):
            target = _target(session, snapshot, "function", selected.start, selected.start)
            actions.append(_action(session, f"Fill the {_counted(source, holes)} of this function", target))
    if len(everywhere) > 1:
        title = f"Fill all {_counted(source, everywhere)}"
        actions.append(_action(session, title, FillTarget(snapshot.uri, snapshot.version)))
    return actions


async def resolve_action(session: Session, action: types.CodeAction, report: Report) -> types.CodeAction:
    """The action with its edit. Raises StaleDocumentError, RefusedError, InvalidArgumentsError."""
    action.edit = workspace_edit(session, await propose(session, FillTarget.from_json(action.data), report))
    return action


def _target(session: Session, snapshot: DocumentSnapshot, kind: ScopeKind, start: int, end: int) -> FillTarget:
    first, last = (snapshot.position_at(offset, session.encoding) for offset in (start, end))
    return FillTarget(snapshot.uri, snapshot.version, kind, first, last)


def _is_marked(source: Source, place: Place) -> bool:
    return source.text.startswith(source.marker, place.span.start)


def _counted(source: Source, places: tuple[Place, ...]) -> str:
    return f"{len(places)} {'holes' if _is_marked(source, places[0]) else 'empty bodies'}"


def _includes(wanted: str) -> bool:
    """A client that wants `refactor` wants `refactor.rewrite`."""
    return wanted == "" or KIND.value == wanted or KIND.value.startswith(f"{wanted}.")


def _action(session: Session, title: str, target: FillTarget) -> types.CodeAction | types.Command:
    """The action as this client can take it: resolved later, or as the command that does the same."""
    client, data = session.client, target.to_json()
    command = types.Command(title=title, command=COMMANDS[target.kind], arguments=[data])
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
