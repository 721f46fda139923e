"""Fills computed for one version of a document, and as the edit that a client can check and a person can review."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from lsprotocol import types

from midfill.lsp_server.features.targets import FillTarget
from midfill.lsp_server.lsp.document import DocumentSnapshot, PositionEncoding, UnknownDocumentError
from midfill.lsp_server.lsp.errors import RefusedError, StaleDocumentError
from midfill.lsp_server.lsp.protocol import lsp_range
from midfill.lsp_server.resident.resident import ResidentError
from midfill.lsp_server.text.excerpt import within_budget
from midfill.lsp_server.text.filling import FilledHole, FillPlan, apply_fills, plan_fill
from midfill.lsp_server.text.holes import HoleError, Place, Span, lines_around
from midfill.lsp_server.text.joint import FillSteps, Pick, best, fill_in_groups
from midfill.lsp_server.text.scopes import Source, find_places
from midfill.lsp_server.workspace.session import Session
from midfill.model.wire.api import Infill, Snippet

Report = Callable[[int, int], None]
"""Told how many holes are done, of how many."""


@dataclass(frozen=True)
class Proposal:
    """Holes in document order, none of them applied yet; for exactly this snapshot. replaces_code: what is replaced is
    somebody's code and no hole, so that a person confirms it even where it is one edit."""

    snapshot: DocumentSnapshot
    holes: tuple[FilledHole, ...]
    replaces_code: bool = False


def source_of(session: Session, snapshot: DocumentSnapshot) -> Source:
    return Source(snapshot.text, snapshot.language_id, snapshot.path, session.settings_of(snapshot).marker)


def snapshot_of(session: Session, target: FillTarget) -> DocumentSnapshot:
    """The document, if it is open, of the version that the target names, and may be sent. Raises RefusedError,
    StaleDocumentError."""
    try:
        snapshot = session.documents.get(target.uri)
    except UnknownDocumentError as error:
        raise RefusedError(str(error)) from None
    if target.version is not None and target.version != snapshot.version:
        raise StaleDocumentError
    if reason := session.why_not_sent(snapshot):
        raise RefusedError(reason)
    return snapshot


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """What cannot be filled, or asked of the model, as the error of a request: a sentence of its own."""
    try:
        yield
    except (HoleError, ResidentError) as error:
        sentence = str(error).rstrip(".")
        raise RefusedError(f"{sentence[0].upper()}{sentence[1:]}.") from None


async def propose(session: Session, target: FillTarget, report: Report = lambda done, total: None) -> Proposal:
    """Fill the target's holes jointly, for the version that it names. Raises RefusedError, StaleDocumentError,
    InvalidArgumentsError."""
    snapshot = snapshot_of(session, target)
    scope = target.scope_in(snapshot, session.encoding)
    with refusals():
        places = find_places(source_of(session, snapshot), scope)
        holes = await fill_places(session, snapshot, places, report)
    if not session.is_current(snapshot):
        raise StaleDocumentError
    return Proposal(snapshot, holes)


async def fill_places(
    session: Session,
    snapshot: DocumentSnapshot,
    places: Sequence[Place],
    report: Report = lambda done, total: None,
    beside: Sequence[Snippet] = (),
    pick: Pick = best,
) -> tuple[FilledHole, ...]:
    """The places of a text filled jointly, in document order. beside: what the model is to see of the document in any
    case; pick: which of its answers is taken. Raises HoleError, ResidentError."""
    page = session.page_of(snapshot)
    info = await session.resident.connect()
    settings = session.settings_of(snapshot)
    related = session.related_to(snapshot, places[0].span.start, info.context.snippet_chars, rank_anew=True)

    def plan(text: str, group: Sequence[Span]) -> FillPlan:
        planned = plan_fill(
            text,
            group,
            language_id=snapshot.language_id,
            path=snapshot.path,
            info=info,
            max_tokens=settings.max_tokens,
            marker=settings.marker,
            context=related,
        )
        context = within_budget((*beside, *planned.request.context), info.context.snippet_chars)
        return replace(planned, request=replace(planned.request, context=context))

    def ask(group_plan: FillPlan) -> Awaitable[Infill]:
        return session.resident.infill(group_plan.request)

    filled = await fill_in_groups(page.text, [*map(page.placed, places)], info, FillSteps(plan, ask, report, pick))
    return tuple(map(page.taken_back, filled.holes))


def expect(session: Session, snapshot: DocumentSnapshot, alternatives: Sequence[Sequence[FilledHole]]) -> None:
    """These fills leave the server now; what a person takes of them is looked at for uncertain spots."""
    if session.is_current(snapshot):
        session.uncertain.expect(snapshot.uri, snapshot.text, alternatives)


def is_reviewed(session: Session, proposal: Proposal) -> bool:
    """Whether the client lets a person accept this proposal hole by hole."""
    return session.client.confirms_edits and (proposal.replaces_code or len(proposal.holes) > 1)


def workspace_edit(session: Session, proposal: Proposal) -> types.WorkspaceEdit:
    """One text edit per hole; with the document's version where the client can check it, and with an annotation that
    needs confirmation where there is a choice and the client can offer it."""
    snapshot = proposal.snapshot
    plain = [_text_edit(session, snapshot, hole) for hole in proposal.holes]
    if not session.client.versioned_edits:
        return types.WorkspaceEdit(changes={snapshot.uri: plain})
    document = types.OptionalVersionedTextDocumentIdentifier(uri=snapshot.uri, version=snapshot.version)
    if not is_reviewed(session, proposal):
        return types.WorkspaceEdit(document_changes=[types.TextDocumentEdit(text_document=document, edits=[*plain])])
    edits = [
        types.AnnotatedTextEdit(annotation_id=hole.id, range=edit.range, new_text=edit.new_text)
        for hole, edit in zip(proposal.holes, plain, strict=True)
    ]
    annotations: dict[types.ChangeAnnotationIdentifier, types.ChangeAnnotation] = {
        hole.id: types.ChangeAnnotation(label=label, needs_confirmation=True)
        for hole, label in zip(proposal.holes, hole_labels(proposal), strict=True)
    }
    return types.WorkspaceEdit(
        document_changes=[types.TextDocumentEdit(text_document=document, edits=[*edits])],
        change_annotations=annotations,
    )


_LABEL_CHARS = 60


def hole_labels(proposal: Proposal) -> list[str]:
    """What stands where every hole was, such as `line 12: return total`; all different, since a client may put equal
    ones together."""
    text = apply_fills(proposal.snapshot.text, proposal.holes)
    labels: list[str] = []
    moved, shown = 0, 0
    for hole in proposal.holes:
        line = proposal.snapshot.position_at(hole.span.start, PositionEncoding.UTF32)[0] + 1
        start = hole.span.start + moved
        moved += len(hole.fill) - (hole.span.end - hole.span.start)
        filled = text[start : start + len(hole.fill)]
        start += len(filled) - len(filled.lstrip())
        first_line = lines_around(text, Span(start, start))
        first = text[first_line.start : first_line.end].strip()
        num_more = filled.strip().count("\n")
        more = f" (and {num_more} more {'line' if num_more == 1 else 'lines'})" if num_more > 0 else ""
        short = first if len(first) <= _LABEL_CHARS else f"{first[: _LABEL_CHARS - 1]}…"
        shown = shown + 1 if labels and labels[-1].startswith((f"line {line}:", f"line {line},")) else 1
        which = f", hole {shown}" if shown > 1 else ""
        labels.append(f"line {line}{which}: {short}{more}")
    return labels


def _text_edit(session: Session, snapshot: DocumentSnapshot, hole: FilledHole) -> types.TextEdit:
    return types.TextEdit(range=lsp_range(snapshot, hole.span, session.encoding), new_text=hole.fill)
