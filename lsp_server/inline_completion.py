"""Ghost text: one hole at the cursor, while typing and on demand. Nothing rather than noise."""

from __future__ import annotations

from lsprotocol import types

from midfill.lsp_server.document import DocumentSnapshot
from midfill.lsp_server.filling import FilledCandidate, FillError, choose, plan_fill
from midfill.lsp_server.holes import Span
from midfill.lsp_server.protocol import lsp_range
from midfill.lsp_server.resident import ResidentError
from midfill.lsp_server.session import Session
from midfill.lsp_server.syntax import completion_shape, language_of
from midfill.model.api import ModelInfo

NUM_CHOICES = 2  # enough to cycle; each costs its own canvas


async def complete_inline(session: Session, params: types.InlineCompletionParams) -> list[types.InlineCompletionItem]:
    """The items for one request, best first; empty when there is nothing worth showing or the model cannot be asked.

    Automatic requests get nothing in strings and comments, in languages the model does not know, and below its
    threshold; a person who asks gets what there is."""
    uri, invoked = params.text_document.uri, params.context.trigger_kind is types.InlineCompletionTriggerKind.Invoked
    if uri not in session.documents:
        return []
    snapshot = session.documents.get(uri)
    if session.why_not_sent(snapshot) or not (invoked or session.settings.inline):
        return []
    info = session.resident.info_if_ready
    if info is None:
        session.warm()
        return []
    offset = snapshot.offset_at(params.position.line, params.position.character, session.encoding)
    if not invoked and not is_welcome(snapshot, offset, info):
        return []
    candidates = await _ask(session, snapshot, offset, info, invoked or session.client.never_says_invoked)
    if not session.is_current(snapshot):
        return []
    shown = candidates if invoked else [one for one in candidates if is_worth_showing(one, info)]
    return [item for candidate in shown for item in _items(session, snapshot, candidate)]


def is_welcome(snapshot: DocumentSnapshot, offset: int, info: ModelInfo) -> bool:
    """Whether the model is asked unasked: in its languages, and in no comment and no string."""
    language = language_of(snapshot.language_id, snapshot.path)
    return language in info.languages and completion_shape(snapshot.text, offset, language) != "none"


def is_worth_showing(candidate: FilledCandidate, info: ModelInfo) -> bool:
    """Whether a candidate that nobody asked for is shown."""
    return candidate.confidence >= info.show_threshold and candidate.parses is not False


async def _ask(
    session: Session, snapshot: DocumentSnapshot, offset: int, info: ModelInfo, several: bool
) -> tuple[FilledCandidate, ...]:
    try:
        plan = plan_fill(
            snapshot.text,
            [Span(offset, offset)],
            language_id=snapshot.language_id,
            path=snapshot.path,
            info=info,
            candidates=NUM_CHOICES if several else 1,
            max_tokens=session.settings.max_tokens,
            priority="inline",
            anchor=session.anchors.get(snapshot.uri),
            inline=True,
            marker=session.settings.marker,
        )
        session.anchors[snapshot.uri] = plan.anchor
        return choose(plan, await session.resident.infill(plan.request))
    except (FillError, ResidentError):  # a lost resident is told through its state, once
        return ()


def _items(
    session: Session, snapshot: DocumentSnapshot, candidate: FilledCandidate
) -> list[types.InlineCompletionItem]:
    """One item, or none for blank text and for a range over several lines, which editors do not show. The range is
    always given: without one VS Code replaces the rest of the line. Line ends are `\\n`: Neovim inserts `^M` else."""
    if not candidate.fills or not candidate.fills[0].fill.strip():
        return []
    hole = candidate.fills[0]
    range_ = lsp_range(snapshot, hole.span, session.encoding)
    if range_.start.line != range_.end.line:
        return []
    text = hole.fill.replace("\r\n", "\n").replace("\r", "\n")
    return [types.InlineCompletionItem(insert_text=text, range=range_)]
