"""The calls of a function whose header a person has changed, brought after it in the same file.

What the two signatures tell is an exact edit; the model is asked, for all calls jointly, only for the values of new
parameters without a default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midfill.lsp_server.calls.argument_text import HOLE
from midfill.lsp_server.calls.call_sites import function_at
from midfill.lsp_server.calls.plan import CallUpdates, filled, opened, plan_updates
from midfill.lsp_server.features.commands import apply
from midfill.lsp_server.features.proposals import Proposal, Report, fill_places, refusals, snapshot_of
from midfill.lsp_server.features.targets import FillTarget
from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.lsp.errors import InvalidArgumentsError, RefusedError, StaleDocumentError
from midfill.lsp_server.lsp.fill_progress import FillProgress
from midfill.lsp_server.lsp.protocol import UPDATE_CALLS
from midfill.lsp_server.text.filling import FilledHole
from midfill.lsp_server.text.holes import FillError, Span
from midfill.lsp_server.workspace.header_edits import ChangedHeader
from midfill.lsp_server.workspace.session import Session
from midfill.model.wire.api import Snippet

if TYPE_CHECKING:
    from lsprotocol import types

    from midfill.lsp_server.server import Server


def updates_at(session: Session, snapshot: DocumentSnapshot, cursor: Span) -> CallUpdates | None:
    """What a change of the function around the cursor leaves to do, else of the function that is called there."""
    found = _updates_at(session, snapshot, cursor)
    return found[1] if found else None


async def propose_call_updates(session: Session, target: FillTarget, report: Report) -> Proposal:
    """The edits, for the version that the target names. Raises RefusedError, StaleDocumentError,
    InvalidArgumentsError."""
    snapshot = snapshot_of(session, target)
    found = _updates_at(session, snapshot, target.scope_in(snapshot, session.encoding).span)
    if found is None:
        raise RefusedError(
            "There are no calls to update for this place; go to a function whose header you have changed since the "
            "file was opened, or to a call of it."
        )
    header, updates = found
    with refusals():
        fills = await _fills(session, snapshot, header, updates, report) if updates.num_holes else []
    if not session.is_current(snapshot):
        raise StaleDocumentError
    holes = filled(snapshot.text, updates, fills)
    if not holes:
        raise RefusedError(
            f"The model found no argument for the calls of {updates.name}, so nothing was changed; "
            "give the new parameter a default, or write the arguments yourself."
        )
    return Proposal(snapshot, holes, replaces_code=True)


async def update_calls(ls: Server, argument: Any, token: types.ProgressToken | None) -> None:
    """The calls of the function at a position; where the client can, a person confirms them one by one."""
    asked = argument if not isinstance(argument, dict) else {**argument, "range": None, "scope": None}
    target = FillTarget.from_json(asked)
    if target.kind != "hole":
        raise InvalidArgumentsError(f"{UPDATE_CALLS} needs a `position` in a function or on a call of it.")
    label = "Update the calls"
    async with FillProgress(ls.work_done_progress, label, token, ls.session.client.shows_progress) as shown:
        proposal = await propose_call_updates(ls.session, target, shown.report)
    await apply(ls, proposal, label)


CALL_COMMANDS = {UPDATE_CALLS: update_calls}


def _updates_at(session: Session, snapshot: DocumentSnapshot, cursor: Span) -> tuple[ChangedHeader, CallUpdates] | None:
    calls: list[tuple[ChangedHeader, CallUpdates]] = []
    functions: list[tuple[int, ChangedHeader, CallUpdates]] = []
    for header in session.header_edits(snapshot.uri).changed_headers(snapshot.text):
        updates = plan_updates(snapshot.text, header)
        if updates is None:
            continue
        function = function_at(snapshot.text, header.span.start)
        if function is not None and function.start <= cursor.start <= function.end:
            functions.append((function.start, header, updates))
        if any(use.span.start <= cursor.start <= use.span.end for use in updates.uses):
            calls.append((header, updates))
    innermost = max(functions, key=lambda one: one[0], default=None)
    return innermost[1:] if innermost else calls[0] if calls else None


async def _fills(
    session: Session, snapshot: DocumentSnapshot, header: ChangedHeader, updates: CallUpdates, report: Report
) -> list[FilledHole | None]:
    """For every hole what the model found; nothing for all of them, where there is something to do without."""
    text, places = opened(snapshot.text, updates)
    written = DocumentSnapshot(snapshot.uri, snapshot.version, snapshot.language_id, text)
    shown = Snippet(snapshot.path or "", snapshot.text[header.span.start : header.span.end])
    try:
        holes = await fill_places(session, written, places, report, [shown])
    except FillError:
        if all(HOLE in edit.text for edit in updates.edits):
            raise
        holes = ()
    by_place = {hole.span: hole for hole in holes}
    return [by_place.get(place.span) for place in places]
