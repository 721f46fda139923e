"""The commands that fill: everything that the features do, for any client that can run a command.

Each takes one object as its argument. Those that fill apply through `workspace/applyEdit`; `midfill.proposeFill` and
`midfill.completeInline` return what they found, for clients that show it in their own way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsprotocol import types

from midfill.lsp_server.features.inline_completion import complete_inline
from midfill.lsp_server.features.proposals import Proposal, expect, is_reviewed, propose, workspace_edit
from midfill.lsp_server.features.spots import propose_spots
from midfill.lsp_server.features.targets import FillTarget, position_of
from midfill.lsp_server.lsp.errors import InvalidArgumentsError, RefusedError
from midfill.lsp_server.lsp.fill_progress import FillProgress
from midfill.lsp_server.lsp.protocol import (
    COMPLETE_INLINE,
    FILL_ALL_HOLES,
    FILL_FUNCTION,
    FILL_HOLE,
    FILL_SELECTION,
    FILL_SPOTS,
    PROPOSE_FILL,
    lsp_range,
    plain_range,
)

if TYPE_CHECKING:
    from midfill.lsp_server.server import Server

Token = types.ProgressToken | None


async def fill_hole(ls: Server, argument: Any, token: Token) -> None:
    """The hole at a position: its marker, or the empty body around it."""
    target = FillTarget.from_json(_without(argument, "range", "scope"))
    if target.kind != "hole":
        raise InvalidArgumentsError(f"{FILL_HOLE} needs the `position` of a hole.")
    await _fill_and_apply(ls, "Fill this hole", target, token)


async def fill_all_holes(ls: Server, argument: Any, token: Token) -> None:
    """All holes of a document."""
    target = FillTarget.from_json(_without(argument, "range", "scope", "position"))
    await _fill_and_apply(ls, "Fill all holes", target, token)


async def fill_function(ls: Server, argument: Any, token: Token) -> None:
    """All holes of the function around a position."""
    asked = _without(argument, "range")
    target = FillTarget.from_json({**asked, "scope": "function"} if isinstance(asked, dict) else asked)
    await _fill_and_apply(ls, "Fill the holes of this function", target, token)


async def fill_selection(ls: Server, argument: Any, token: Token) -> None:
    """A fill in place of the selected text."""
    target = FillTarget.from_json(argument)
    if target.kind != "selection":
        raise InvalidArgumentsError(f"{FILL_SELECTION} needs the `range` that is to be filled.")
    await _fill_and_apply(ls, "Fill the selection", target, token)


async def fill_spots(ls: Server, argument: Any, token: Token) -> None:
    """Other code for the uncertain spots at a position, or for all of them."""
    session, label = ls.session, "Fill the uncertain spots again"
    async with FillProgress(ls.work_done_progress, label, token, session.client.shows_progress) as shown:
        target = FillTarget.from_json(_without(argument, "range", "scope"))
        proposal = await propose_spots(session, target, shown.report)
    await apply(ls, proposal, label)


async def propose_fill(ls: Server, argument: Any, token: Token) -> dict[str, Any]:
    """What filling would change, and nothing applied."""
    session = ls.session
    async with FillProgress(ls.work_done_progress, "Propose fills", token, can_create=False) as shown:
        proposal = await propose(session, FillTarget.from_json(argument), shown.report)
    expect(session, proposal.snapshot, [proposal.holes])
    return {
        "uri": proposal.snapshot.uri,
        "version": proposal.snapshot.version,
        "holes": [
            {
                "id": hole.id,
                "range": plain_range(lsp_range(proposal.snapshot, hole.span, session.encoding)),
                "newText": hole.fill,
                "confidence": hole.confidence,
            }
            for hole in proposal.holes
        ],
    }


async def complete_inline_now(ls: Server, argument: Any, token: Token) -> list[dict[str, Any]]:
    """The items of `textDocument/inlineCompletion`, for clients without it; asked for, unless `triggerKind` says 2."""
    if not isinstance(argument, dict) or not isinstance(argument.get("uri"), str):
        raise InvalidArgumentsError(f"{COMPLETE_INLINE} needs an object with the document's `uri` and a `position`.")
    kind = argument.get("triggerKind", types.InlineCompletionTriggerKind.Invoked.value)
    if kind not in tuple(types.InlineCompletionTriggerKind):
        raise InvalidArgumentsError("The `triggerKind` must be 1 (asked for) or 2 (while typing).")
    params = types.InlineCompletionParams(
        text_document=types.TextDocumentIdentifier(uri=argument["uri"]),
        position=types.Position(*position_of(argument.get("position"), "position")),
        context=types.InlineCompletionContext(trigger_kind=types.InlineCompletionTriggerKind(kind)),
    )
    items = await ls.session.latest(argument["uri"], complete_inline(ls.session, params))
    return [ls.protocol.plain(item) for item in items]


FILL_COMMANDS = {
    FILL_HOLE: fill_hole,
    FILL_ALL_HOLES: fill_all_holes,
    FILL_FUNCTION: fill_function,
    FILL_SELECTION: fill_selection,
    PROPOSE_FILL: propose_fill,
    FILL_SPOTS: fill_spots,
    COMPLETE_INLINE: complete_inline_now,
}


async def apply(ls: Server, proposal: Proposal, label: str) -> None:
    """Have the editor apply what was computed, or show it for review. Raises RefusedError if it does not."""
    edit = workspace_edit(ls.session, proposal)
    expect(ls.session, proposal.snapshot, [proposal.holes])
    answer = await ls.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit=edit, label=label))
    if not answer.applied and (answer.failure_reason or not is_reviewed(ls.session, proposal)):
        raise RefusedError(f"The editor did not apply the edit: {answer.failure_reason or 'it gave no reason'}.")


async def _fill_and_apply(ls: Server, label: str, target: FillTarget, token: Token) -> None:
    session = ls.session
    async with FillProgress(ls.work_done_progress, label, token, session.client.shows_progress) as shown:
        proposal = await propose(session, target, shown.report)
    await apply(ls, proposal, label)


def _without(argument: Any, *names: str) -> Any:
    """The argument without what another command would read from it."""
    if not isinstance(argument, dict):
        return argument
    return {key: value for key, value in argument.items() if key not in names}
