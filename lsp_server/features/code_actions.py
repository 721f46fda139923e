"""The code actions. Those that fill and rewrite are offered at once and computed when chosen; a quick fix is computed
first. None is ever applied to another version of the document than the one it was asked for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from lsprotocol import types

from midfill.lsp_server.features.call_actions import propose_call_updates, updates_at
from midfill.lsp_server.features.proposals import Proposal, Report, expect, propose, source_of, workspace_edit
from midfill.lsp_server.features.rewrites import can_repair, look_for_repairs, propose_rewrite, wish_from_json
from midfill.lsp_server.features.spots import SOURCE, propose_spots, spots_at
from midfill.lsp_server.features.targets import FillTarget
from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.lsp.protocol import (
    FILL_ALL_HOLES,
    FILL_FUNCTION,
    FILL_HOLE,
    FILL_SELECTION,
    FILL_SPOTS,
    REWRITE_REGION,
    UPDATE_CALLS,
    ClientTraits,
    span_of,
)
from midfill.lsp_server.text.holes import Place, Span
from midfill.lsp_server.text.scopes import ScopeKind, Source
from midfill.lsp_server.text.verbs import may_apply, title_of
from midfill.lsp_server.workspace.repair import title_of as repair_title
from midfill.lsp_server.workspace.session import Session

KIND = types.CodeActionKind.RefactorRewrite
SPOTS = "spots"
"""Where the data of an action says that it is about uncertain spots."""
CALLS = "calls"
"""Where the data of an action says that it is about calls of a function."""
WISH = "wish"
"""Where the data of an action says what is to become of its region; a fill has none."""
COMMANDS: dict[ScopeKind, str] = {
    "hole": FILL_HOLE,
    "selection": FILL_SELECTION,
    "function": FILL_FUNCTION,
    "file": FILL_ALL_HOLES,
}


async def list_actions(session: Session, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    """What can be done at a range: fill the hole there, the selection, all holes of the function or the file; write the
    selection again; have calls follow a changed header; replace what a diagnostic complains of."""
    if params.text_document.uri not in session.documents:
        return []
    snapshot = session.documents.get(params.text_document.uri)
    if params.range.end.line >= snapshot.num_lines or session.why_not_sent(snapshot):
        return []
    selected = span_of(snapshot, params.range, session.encoding)
    only, actions = params.context.only or [""], list[types.CodeAction | types.Command]()
    if any(_includes(kind, KIND) for kind in only):
        actions += [*_fills(session, snapshot, selected), *_rewritings(session, snapshot, selected)]
        actions += [*_call_updates(session, snapshot, selected), *_spots(session, snapshot, selected)]
    if any(_includes(kind, types.CodeActionKind.QuickFix) for kind in only):
        actions += await _quick_fixes(session, snapshot, params.context.diagnostics)
    return actions


def _fills(session: Session, snapshot: DocumentSnapshot, selected: Span) -> list[types.CodeAction | types.Command]:
    source = source_of(session, snapshot)
    actions: list[types.CodeAction | types.Command] = []
    here = source.hole_at(selected)
    if here is not None:
        title = "Fill this hole" if _is_marked(source, here) else "Fill this empty body"
        actions.append(
            _fill_action(session, title, _target(session, snapshot, "hole", here.span.start, here.span.start))
        )
    if snapshot.text[selected.start : selected.end].strip():
        target = _target(session, snapshot, "selection", selected.start, selected.end)
        actions.append(_fill_action(session, "Fill the selection", target))
    everywhere = source.holes()
    if len(everywhere) > 2 and (function := source.function_at(selected)) is not None:
        holes = source.holes(function)
        if 1 < len(holes) < len(everywhere):
            target = _target(session, snapshot, "function", selected.start, selected.start)
            actions.append(_fill_action(session, f"Fill the {_counted(source, holes)} of this function", target))
    if len(everywhere) > 1:
        title = f"Fill all {_counted(source, everywhere)}"
        actions.append(_fill_action(session, title, FillTarget(snapshot.uri, snapshot.version)))
    return actions


async def resolve_action(session: Session, action: types.CodeAction, report: Report) -> types.CodeAction:
    """The action with its edit. Raises StaleDocumentError, RefusedError, InvalidArgumentsError."""
    target = FillTarget.from_json(action.data)
    wish = action.data.get(WISH) if isinstance(action.data, dict) else None
    if isinstance(action.data, dict) and action.data.get(SPOTS):
        proposal = await propose_spots(session, target, report)
    elif isinstance(action.data, dict) and action.data.get(CALLS):
        proposal = await propose_call_updates(session, target, report)
    elif wish is not None:
        found = await propose_rewrite(session, target, wish_from_json(wish))
        proposal = Proposal(found.snapshot, found.candidates[:1], replaces_code=True)
    else:
        proposal = await propose(session, target, report)
    action.edit = workspace_edit(session, proposal)
    expect(session, proposal.snapshot, [proposal.holes])
    return action


def _spots(session: Session, snapshot: DocumentSnapshot, selected: Span) -> list[types.CodeAction | types.Command]:
    """What the model was not sure of in a fill that was taken: the spots here, and all of them."""
    here, everywhere = spots_at(session, snapshot, selected), session.uncertain.of(snapshot.uri)
    actions = []
    targets = []
    if here:
        title = "Fill this uncertain spot again" if len(here) == 1 else "Fill these uncertain spots again"
        targets.append((title, _target(session, snapshot, "selection", selected.start, selected.end)))
    if here and len(everywhere) > len(here):
        title = f"Fill all {len(everywhere)} uncertain spots again"
        targets.append((title, FillTarget(snapshot.uri, snapshot.version)))
    for title, target in targets:
        data = target.to_json()
        command = types.Command(title, FILL_SPOTS, arguments=[data])
        actions.append(_action(session.client, title, {**data, SPOTS: True}, command))
    return actions


def _call_updates(
    session: Session, snapshot: DocumentSnapshot, selected: Span
) -> list[types.CodeAction | types.Command]:
    """The calls of the function here, where they have to follow its header."""
    updates = updates_at(session, snapshot, selected)
    if updates is None:
        return []
    target = _target(session, snapshot, "hole", selected.start, selected.start).to_json()
    command = types.Command(updates.title, UPDATE_CALLS, arguments=[target])
    action = _action(session.client, updates.title, {**target, CALLS: True}, command)
    if isinstance(action, types.CodeAction) and not updates.num_holes:
        action.tags = None  # no model is asked
    return [action]


def _rewritings(session: Session, snapshot: DocumentSnapshot, selected: Span) -> list[types.CodeAction | types.Command]:
    """Another version of the selection, and the verbs that the model has learnt and that could change it."""
    code, info = snapshot.text[selected.start : selected.end], session.resident.info_if_ready
    if not code.strip() or info is None or "draft" not in info.capabilities:
        return []
    wishes: list[tuple[str, dict[str, str]]] = [("Write the selection again", {})]
    wishes += [(title_of(verb), {"verb": verb}) for verb in info.verbs if may_apply(verb, code)]
    target = _target(session, snapshot, "selection", selected.start, selected.end).to_json()
    client = session.client
    return [
        _action(
            client, title, {**target, WISH: wish}, types.Command(title, REWRITE_REGION, arguments=[{**target, **wish}])
        )
        for title, wish in wishes
    ]


async def _quick_fixes(
    session: Session, snapshot: DocumentSnapshot, diagnostics: Sequence[types.Diagnostic]
) -> list[types.CodeAction]:
    """Repairs of what the editor's other tools complain of, each with its edit."""
    is_wanted = session.settings_of(snapshot).repair and session.client.action_literals
    if not is_wanted or not can_repair(session, snapshot):
        return []
    actions = []
    for diagnostic in diagnostics:
        is_grave = diagnostic.severity in (None, types.DiagnosticSeverity.Error, types.DiagnosticSeverity.Warning)
        if not is_grave or diagnostic.source == SOURCE or diagnostic.range.end.line >= snapshot.num_lines:
            continue
        span = span_of(snapshot, diagnostic.range, session.encoding)
        look = functools.partial(look_for_repairs, session, snapshot, span)
        for repair in await session.repairs.found(snapshot.uri, span, look):
            action = types.CodeAction(repair_title(snapshot.text, repair), types.CodeActionKind.QuickFix, [diagnostic])
            action.edit = workspace_edit(session, Proposal(snapshot, (repair,)))
            if session.client.marks_llm_actions:
                action.tags = [types.CodeActionTag.LlmGenerated]
            actions.append(action)
    return actions


def _target(session: Session, snapshot: DocumentSnapshot, kind: ScopeKind, start: int, end: int) -> FillTarget:
    first, last = (snapshot.position_at(offset, session.encoding) for offset in (start, end))
    return FillTarget(snapshot.uri, snapshot.version, kind, first, last)


def _is_marked(source: Source, place: Place) -> bool:
    return source.text.startswith(source.marker, place.span.start)


def _counted(source: Source, places: tuple[Place, ...]) -> str:
    return f"{len(places)} {'holes' if _is_marked(source, places[0]) else 'empty bodies'}"


def _includes(wanted: str, kind: types.CodeActionKind) -> bool:
    """A client that wants `refactor` wants `refactor.rewrite`."""
    return wanted == "" or kind.value == wanted or kind.value.startswith(f"{wanted}.")


def _action(
    client: ClientTraits, title: str, data: dict[str, Any], command: types.Command
) -> types.CodeAction | types.Command:
    """The action as this client can take it: resolved later, or as the command that does the same."""
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


def _fill_action(session: Session, title: str, target: FillTarget) -> types.CodeAction | types.Command:
    data = target.to_json()
    return _action(session.client, title, data, types.Command(title, COMMANDS[target.kind], arguments=[data]))
