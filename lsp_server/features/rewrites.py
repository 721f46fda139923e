"""Rewriting a region of an open document: computed for one version of it, applied when a person has accepted it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from midfill.lsp_server.features.proposals import refusals, snapshot_of
from midfill.lsp_server.features.targets import FillTarget
from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.lsp.errors import InvalidArgumentsError, RefusedError, StaleDocumentError
from midfill.lsp_server.lsp.protocol import lsp_range, plain_range
from midfill.lsp_server.text.filling import FilledHole, FillPlan
from midfill.lsp_server.text.holes import Place, Span
from midfill.lsp_server.text.rewriting import Wish, canvases_differ, plan_rewriting, rewritten
from midfill.lsp_server.text.syntax import language_of
from midfill.lsp_server.workspace.repair import NUM_OFFERED, STRENGTH, regions_around
from midfill.lsp_server.workspace.session import Session
from midfill.model.wire.api import MAX_CANDIDATES, Infill, Step

WatchSteps = Callable[[dict[str, Any], int, Step], None]
"""Told of every denoising step, with the region as an LSP range and how many canvases are worth seeing."""


@dataclass(frozen=True)
class RewriteProposal:
    """What stands in the region and what may stand there instead, best first, at least one; for this snapshot."""

    snapshot: DocumentSnapshot
    old: str
    candidates: tuple[FilledHole, ...]


def wish_from_json(data: Any) -> Wish:
    """`{verb?, instruction?, strength?, seed?, candidates?}`. Raises InvalidArgumentsError for other types; whether the
    model can do it is asked later."""
    if not isinstance(data, dict):
        raise InvalidArgumentsError("A rewriting needs an object that says what is wanted.")
    verb, instruction, strength = data.get("verb"), data.get("instruction"), data.get("strength")
    seed, candidates = data.get("seed", 0), data.get("candidates", Wish.candidates)
    for name, value in (("verb", verb), ("instruction", instruction)):
        if value is not None and not isinstance(value, str):
            raise InvalidArgumentsError(f"The `{name}` of a rewriting must be a string.")
    if strength is not None and (isinstance(strength, bool) or not isinstance(strength, (int, float))):
        raise InvalidArgumentsError("The `strength` of a rewriting must be a number above 0 and up to 1.")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise InvalidArgumentsError("The `seed` of a rewriting must be a whole number from 0.")
    if isinstance(candidates, bool) or not isinstance(candidates, int) or not 1 <= candidates <= MAX_CANDIDATES:
        raise InvalidArgumentsError(f"The `candidates` of a rewriting must be from 1 to {MAX_CANDIDATES}.")
    return Wish(verb, instruction, strength, seed, candidates)


async def propose_rewrite(
    session: Session, target: FillTarget, wish: Wish, watch: WatchSteps | None = None
) -> RewriteProposal:
    """Write the target's region again, for the version that it names. Raises RefusedError, StaleDocumentError,
    InvalidArgumentsError."""
    snapshot = snapshot_of(session, target)
    return await _rewrite(session, snapshot, target.scope_in(snapshot, session.encoding).span, wish, watch)


def can_repair(session: Session, snapshot: DocumentSnapshot) -> bool:
    """Whether the model is there, knows the language, and can start from existing code."""
    info = session.resident.info_if_ready
    language = language_of(snapshot.language_id, snapshot.path)
    return info is not None and language in info.languages and "draft" in info.capabilities


async def look_for_repairs(session: Session, snapshot: DocumentSnapshot, diagnosed: Span) -> tuple[FilledHole, ...]:
    """Other versions of the code at a diagnostic, best first; none where nothing was found that parses and differs."""
    language = language_of(snapshot.language_id, snapshot.path)
    for region in regions_around(snapshot.text, diagnosed, language):
        with contextlib.suppress(RefusedError):
            return (await _rewrite(session, snapshot, region, Wish(strength=STRENGTH))).candidates[:NUM_OFFERED]
    return ()


async def _rewrite(
    session: Session, snapshot: DocumentSnapshot, selection: Span, wish: Wish, watch: WatchSteps | None = None
) -> RewriteProposal:
    page = session.page_of(snapshot)
    with refusals():
        info = await session.resident.connect()
        plan = plan_rewriting(
            page.text,
            page.placed(Place(selection)).span,
            wish,
            language_id=snapshot.language_id,
            path=snapshot.path,
            info=info,
            context=session.related_to(snapshot, selection.start, info.context.snippet_chars, rank_anew=True),
            marker=session.settings_of(snapshot).marker,
        )
        region = page.span_taken_back(plan.spans[0])
        if region.start < 0 or region.end > len(snapshot.text):
            raise RefusedError("The region leaves its notebook cell; select code of one cell.")
        place = plain_range(lsp_range(snapshot, region, session.encoding))
        num_shown = 2 if canvases_differ(plan, info) else 1
        infill = await _answer(session, plan, watch and functools.partial(watch, place, num_shown))
        found = rewritten(plan, infill)
    if not session.is_current(snapshot):
        raise StaleDocumentError
    candidates = tuple(page.taken_back(candidate.fills[0]) for candidate in found.candidates)
    return RewriteProposal(snapshot, found.old, tuple(replace(one, id="1") for one in candidates))


async def _answer(session: Session, plan: FillPlan, show: Callable[[Step], None] | None) -> Infill:
    if show is None:
        return await session.resident.infill(plan.request)
    async for event in session.resident.stream(plan.request):
        if isinstance(event, Infill):
            return event
        show(event)
    raise RefusedError("The model ended its answer too early, so nothing was changed; try again.")
