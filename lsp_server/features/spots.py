"""Uncertain spots of open documents: told to the client, and denoised again, one alone or all together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from lsprotocol import types

from midfill.lsp_server.features.proposals import Proposal, Report, fill_places, refusals, snapshot_of
from midfill.lsp_server.features.targets import FillTarget
from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.lsp.errors import RefusedError, StaleDocumentError
from midfill.lsp_server.lsp.protocol import lsp_range, plain_range
from midfill.lsp_server.text.filling import FilledCandidate, FillPlan
from midfill.lsp_server.text.holes import Place, Span
from midfill.lsp_server.workspace.session import Session
from midfill.lsp_server.workspace.uncertain import Spot

SOURCE = "midfill"
"""Of our own diagnostics, which are no mistakes."""


def spots_at(session: Session, snapshot: DocumentSnapshot, cursor: Span) -> list[Spot]:
    """Those that a cursor or a selection touches."""
    return [
        spot
        for spot in session.uncertain.of(snapshot.uri)
        if spot.span.start <= cursor.end and spot.span.end >= cursor.start
    ]


async def propose_spots(session: Session, target: FillTarget, report: Report = lambda done, total: None) -> Proposal:
    """Other code in place of the spots at the target's position, or of all spots where it names none. Raises
    RefusedError, StaleDocumentError, InvalidArgumentsError."""
    snapshot = snapshot_of(session, target)
    spots: Sequence[Spot] = session.uncertain.of(snapshot.uri)
    if target.kind != "file":
        spots = spots_at(session, snapshot, target.scope_in(snapshot, session.encoding).span)
    if not spots:
        raise RefusedError("There is no uncertain spot here; they are found in fills that you have taken.")
    with refusals():
        places = [Place(spot.span) for spot in spots]
        holes = await fill_places(session, snapshot, places, report, pick=_most_different)
    if not session.is_current(snapshot):
        raise StaleDocumentError
    others = [hole for hole in holes if hole.fill != snapshot.text[hole.span.start : hole.span.end]]
    if not others:
        raise RefusedError("The model found nothing else for it, so nothing was changed.")
    return Proposal(snapshot, tuple(dataclasses.replace(hole, id=str(n)) for n, hole in enumerate(others, start=1)))


def spots_note(session: Session, snapshot: DocumentSnapshot) -> dict[str, Any]:
    """The params of `midfill/uncertainSpots`."""
    spots = [
        {"range": plain_range(lsp_range(snapshot, spot.span, session.encoding)), "confidence": spot.confidence}
        for spot in session.uncertain.of(snapshot.uri)
    ]
    return {"uri": snapshot.uri, "version": snapshot.version, "spots": spots}


def hints(session: Session, snapshot: DocumentSnapshot) -> types.PublishDiagnosticsParams:
    """The spots as diagnostics that an editor shows as lightly as it can."""
    diagnostics = [
        types.Diagnostic(
            range=lsp_range(snapshot, spot.span, session.encoding),
            message=f"The model was only {spot.confidence:.0%} sure of this.".replace("%", " %"),
            severity=types.DiagnosticSeverity.Hint,
            source=SOURCE,
        )
        for spot in session.uncertain.of(snapshot.uri)
    ]
    return types.PublishDiagnosticsParams(uri=snapshot.uri, version=snapshot.version, diagnostics=diagnostics)


def _most_different(plan: FillPlan, candidates: Sequence[FilledCandidate]) -> FilledCandidate:
    """The best of those candidates that parse and change the most of the spots."""
    usable = [candidate for candidate in candidates if candidate.parses is not False] or candidates

    def num_changed(candidate: FilledCandidate) -> int:
        return sum(hole.fill != plan.text[hole.span.start : hole.span.end] for hole in candidate.fills)

    return max(usable, key=num_changed)
