"""The commands that rewrite a region: one applies the best version, one returns all of them for the client to show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from midfill.lsp_server.features.commands import apply
from midfill.lsp_server.features.drafts import DraftNotes
from midfill.lsp_server.features.proposals import Proposal, expect
from midfill.lsp_server.features.rewrites import WatchSteps, propose_rewrite, wish_from_json
from midfill.lsp_server.features.targets import FillTarget
from midfill.lsp_server.lsp.errors import InvalidArgumentsError
from midfill.lsp_server.lsp.protocol import DRAFT, PROPOSE_REWRITE, REWRITE_REGION, lsp_range, plain_range

if TYPE_CHECKING:
    from lsprotocol import types

    from midfill.lsp_server.server import Server


async def rewrite_region(ls: Server, argument: Any, token: types.ProgressToken | None) -> None:
    """The best version in place of the region; where the client can, a person confirms it first."""
    target, wish = _region_of(argument), wish_from_json(argument)
    found = await propose_rewrite(ls.session, target, wish)
    await apply(ls, Proposal(found.snapshot, found.candidates[:1], replaces_code=True), "Rewrite the region")


async def propose_rewriting(ls: Server, argument: Any, token: types.ProgressToken | None) -> dict[str, Any]:
    """Every version that parses and differs; nothing is applied. With a `draftsToken` drafts are told on the way."""
    target, wish = _region_of(argument), wish_from_json(argument)
    found = await propose_rewrite(ls.session, target, wish, _watch(ls, argument.get("draftsToken")))
    expect(ls.session, found.snapshot, [[one] for one in found.candidates])
    return {
        "uri": found.snapshot.uri,
        "version": found.snapshot.version,
        "range": plain_range(lsp_range(found.snapshot, found.candidates[0].span, ls.session.encoding)),
        "oldText": found.old,
        "candidates": [{"newText": one.fill, "confidence": one.confidence} for one in found.candidates],
    }


REWRITE_COMMANDS = {REWRITE_REGION: rewrite_region, PROPOSE_REWRITE: propose_rewriting}


def _region_of(argument: Any) -> FillTarget:
    target = FillTarget.from_json(argument)
    if target.kind != "selection":
        raise InvalidArgumentsError("A rewriting needs the `range` that is to be written again.")
    return target


def _watch(ls: Server, token: Any) -> WatchSteps | None:
    if token is None:
        return None
    if isinstance(token, bool) or not isinstance(token, (str, int)):
        raise InvalidArgumentsError("The `draftsToken` of a rewriting must be a string or a whole number.")
    return DraftNotes(token, lambda params: ls.protocol.notify(DRAFT, params)).show
