"""Ghost text: one hole at the cursor, while typing and on demand. Nothing rather than noise.

What is shown stays while it is typed through, and the suggestion after it is thought of before it is accepted
(`suggestions`). The cursor's context is encoded while nothing else is to be done (`prime_at`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lsprotocol import types

from midfill.lsp_server.features.ghost_text import shown
from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.lsp.protocol import ACCEPTED, lsp_range, span_of
from midfill.lsp_server.resident.resident import ResidentError
from midfill.lsp_server.text.filling import INLINE_CANDIDATES, FilledCandidate, FillError, FillPlan, choose, plan_fill
from midfill.lsp_server.text.finishing.finish import normalise_line_endings, trim_suffix_overlap
from midfill.lsp_server.text.finishing.known_words import makes_unknown_word
from midfill.lsp_server.text.finishing.repeats import repeats_neighbour
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.recall import recalled
from midfill.lsp_server.text.syntax import cursor_place, language_of
from midfill.lsp_server.workspace.session import Session
from midfill.lsp_server.workspace.settings import Settings
from midfill.lsp_server.workspace.suggestions import Moment, Suggested
from midfill.model.wire.api import ModelInfo

CYCLED_CHOICES = 3  # for clients that never say that more is wanted
INVOKED_CHOICES = 4  # each costs a canvas of its own
DEBOUNCE_S = 0.075  # VS Code asks at every key, about 40 ms apart
REST_S = 0.15  # a cursor that has stood still for so long rests


@dataclass(frozen=True)
class Request:
    """One request for ghost text at a moment of a document. range: what the items replace, on one line, and begin:
    the text they begin with, where the item that is selected in the completion list is not in the document yet."""

    snapshot: DocumentSnapshot
    moment: Moment
    range: types.Range
    begin: str
    invoked: bool


async def complete_inline(session: Session, params: types.InlineCompletionParams) -> list[types.InlineCompletionItem]:
    """The items for one request, best first; empty when there is nothing worth showing or the model cannot be asked.

    Automatic requests get nothing in strings and comments, behind a deletion, and below the model's threshold, and in
    languages the model does not know only what the text itself says; a person who asks gets what there is."""
    if params.text_document.uri not in session.documents:
        return []
    request = _request_of(session, params)
    source = session.inline_source(request.snapshot)
    if session.why_not_sent(request.snapshot) or (source == "off" and not request.invoked):
        return []
    info = session.resident.info_if_ready
    if info is None:
        session.warm()
        return []
    if not request.invoked and session.typing(request.snapshot.uri).follows_deletion(request.moment):
        _prime_in_background(session, request.snapshot, request.moment.offset)
        return []
    fills = await _fills(session, request, info, "model" if request.invoked else source)
    if not session.is_current(request.snapshot):
        return []
    return _items(session, request, fills)


def is_welcome(moment: Moment, language: str | None, settings: Settings) -> bool:
    """Whether anything is shown unasked: not in a comment, not in a string, and not in the middle of a word."""
    inside_word = moment.text[moment.offset - 1 : moment.offset + 1] if moment.offset else ""
    if len(inside_word) == 2 and all(char.isalnum() or char == "_" for char in inside_word):
        return False
    allowed = {"code": True, "string": settings.inline_in_strings, "comment": settings.inline_in_comments}
    return allowed[cursor_place(moment.text, moment.offset, language).kind]


def prime_at(session: Session, uri: str, position: types.Position) -> None:
    """Encode the context of a cursor that rests, in the background, so that the next key finds it in the cache."""
    if uri in session.documents:
        snapshot = session.documents.get(uri)
        _prime_in_background(session, snapshot, snapshot.offset_at(position.line, position.character, session.encoding))


def _prime_in_background(session: Session, snapshot: DocumentSnapshot, offset: int) -> None:
    typing = session.typing(snapshot.uri)
    if session.inline_source(snapshot) == "model" and not typing.thinks_ahead:
        typing.think(session.run_in_background(_prime(session, snapshot, Moment(snapshot.text, offset))))


async def _fills(
    session: Session, request: Request, info: ModelInfo, source: Literal["model", "memory", "off"]
) -> tuple[str, ...]:
    """What is shown at the moment, best first, in the text's own line ends."""
    snapshot, moment, typing = request.snapshot, request.moment, session.typing(request.snapshot.uri)
    await typing.until_thought_of(moment)
    fills = typing.recall(moment, request.invoked)
    if fills is None:
        language = language_of(snapshot.language_id, snapshot.path)
        if not request.invoked and not is_welcome(moment, language, session.settings_of(snapshot)):
            return ()
        if source == "memory":
            return _from_memory(session, snapshot, moment)
        typing.rest()
        if not request.invoked:
            await asyncio.sleep(_debounce_s(session, snapshot))
        fills = await _ask(session, request, info)
        if fills is None:
            return ()
        typing.remember(Suggested(moment, fills, request.invoked))
    if fills and source == "model":
        _look_ahead(session, snapshot, moment.accepted(fills[0]))
    return fills


async def _ask(session: Session, request: Request, info: ModelInfo) -> tuple[str, ...] | None:
    """None when there is no answer; "nothing worth showing" is one."""
    choices = INVOKED_CHOICES if request.invoked else _unasked_choices(session)
    try:
        plan = _plan(session, request.snapshot, request.moment, info, choices)
        session.anchors[request.snapshot.uri] = plan.anchor
        infill = await session.resident.infill(plan.request)
        candidates = choose(plan, infill, _open_texts(session, request.snapshot))
    except (FillError, ResidentError):  # a lost resident is told through its state, once
        return None
    if request.invoked:
        return _fills_of(candidates)
    return _unasked(session, request.snapshot, candidates, info)


def _plan(session: Session, snapshot: DocumentSnapshot, moment: Moment, info: ModelInfo, candidates: int) -> FillPlan:
    """candidates: 0 encodes the context only, while the cursor rests: then what else helps is looked for anew."""
    seen = DocumentSnapshot(snapshot.uri, snapshot.version, snapshot.language_id, moment.text)
    page, num_chars = session.page_of(seen), info.context.snippet_chars
    cursor = moment.offset + page.start
    return plan_fill(
        page.text,
        [Span(cursor, cursor)],
        language_id=snapshot.language_id,
        path=snapshot.path,
        info=info,
        candidates=candidates,
        max_tokens=session.settings_of(snapshot).max_tokens,
        priority="inline",
        anchor=session.anchors.get(snapshot.uri),
        inline=True,
        marker=session.settings_of(snapshot).marker,
        context=session.related_to(seen, moment.offset, num_chars, rank_anew=candidates == 0),
    )


def _unasked_choices(session: Session) -> int:
    return CYCLED_CHOICES if session.client.never_says_invoked else INLINE_CANDIDATES


def _unasked(
    session: Session, snapshot: DocumentSnapshot, candidates: Sequence[FilledCandidate], info: ModelInfo
) -> tuple[str, ...]:
    threshold = session.settings_of(snapshot).show_threshold
    return _fills_of(shown(candidates, info.show_threshold if threshold is None else threshold))


def _fills_of(candidates: Sequence[FilledCandidate]) -> tuple[str, ...]:
    return tuple(one.fills[0].fill for one in candidates if one.fills and one.fills[0].fill.strip())


def _open_texts(session: Session, snapshot: DocumentSnapshot) -> list[str]:
    """Those of other open documents of the same language that may be sent."""
    return [
        other.text
        for other in session.documents
        if other.language_id == snapshot.language_id and other.uri != snapshot.uri and not session.why_not_sent(other)
    ]


def _from_memory(session: Session, snapshot: DocumentSnapshot, moment: Moment) -> tuple[str, ...]:
    others = _open_texts(session, snapshot)
    before, after, *others = map(normalise_line_endings, (moment.before, moment.after, *others))
    way_on = trim_suffix_overlap(recalled(before, after, others), after, before)
    language = language_of(snapshot.language_id, snapshot.path)
    is_wrong = (
        not way_on.strip()
        or session.settings_of(snapshot).marker in way_on
        or repeats_neighbour(before, way_on, after)
        or makes_unknown_word(before, way_on, after, language, others)
    )
    return () if is_wrong else (way_on,)


def _look_ahead(session: Session, snapshot: DocumentSnapshot, accepted: Moment) -> None:
    """Find out in the background what is suggested once the first suggestion is accepted."""
    typing = session.typing(snapshot.uri)
    if typing.thinks_of(accepted) or typing.recall(accepted) is not None:
        return
    if is_welcome(accepted, language_of(snapshot.language_id, snapshot.path), session.settings_of(snapshot)):
        typing.think(session.run_in_background(_think_ahead(session, snapshot, accepted)), accepted)


async def _think_ahead(session: Session, snapshot: DocumentSnapshot, accepted: Moment) -> None:
    info = session.resident.info_if_ready
    if info is None:
        return
    with contextlib.suppress(FillError, ResidentError):
        plan = _plan(session, snapshot, accepted, info, _unasked_choices(session))
        infill = await session.resident.infill(replace(plan.request, priority="edit"))  # what is asked for goes first
        candidates = choose(plan, infill, _open_texts(session, snapshot))
        session.typing(snapshot.uri).remember(Suggested(accepted, _unasked(session, snapshot, candidates, info)))


async def _prime(session: Session, snapshot: DocumentSnapshot, moment: Moment) -> None:
    await asyncio.sleep(REST_S)
    info = session.resident.info_if_ready
    if info is None:
        return
    with contextlib.suppress(FillError, ResidentError):
        plan = _plan(session, snapshot, moment, info, candidates=0)
        session.anchors[snapshot.uri] = plan.anchor
        await session.resident.infill(replace(plan.request, priority="edit"))


def _debounce_s(session: Session, snapshot: DocumentSnapshot) -> float:
    chosen_ms = session.settings_of(snapshot).inline_debounce_ms
    if chosen_ms is not None:
        return chosen_ms / 1000
    return 0.0 if session.client.waits_between_keys else DEBOUNCE_S


def _request_of(session: Session, params: types.InlineCompletionParams) -> Request:
    """The request in terms of text. An item selected in the completion list counts as typed: what is suggested goes on
    from it and replaces its range, else the editor would show one or the other."""
    snapshot = session.documents.get(params.text_document.uri)
    invoked = params.context.trigger_kind is types.InlineCompletionTriggerKind.Invoked
    offset = snapshot.offset_at(params.position.line, params.position.character, session.encoding)
    selected = params.context.selected_completion_info
    if selected is None or selected.range.start.line != selected.range.end.line:
        here = lsp_range(snapshot, Span(offset, offset), session.encoding)
        return Request(snapshot, Moment(snapshot.text, offset), here, "", invoked)
    span = span_of(snapshot, selected.range, session.encoding)
    text = snapshot.text[: span.start] + selected.text + snapshot.text[span.end :]
    moment = Moment(text, span.start + len(selected.text))
    return Request(snapshot, moment, lsp_range(snapshot, span, session.encoding), selected.text, invoked)


def _items(session: Session, request: Request, fills: Sequence[str]) -> list[types.InlineCompletionItem]:
    """One item per fill, whose command tells that it was accepted, unless nothing is counted.

    The range is always given: without one VS Code replaces the rest of the line. It is on one line: editors do not
    show others. Line ends are `\\n`: Neovim inserts `^M` else."""
    texts = [normalise_line_endings(request.begin + fill) for fill in fills]
    items = [types.InlineCompletionItem(insert_text=text, range=request.range) for text in texts]
    if items and session.settings.stats:
        ids = session.stats.shown(request.snapshot, span_of(request.snapshot, request.range, session.encoding), texts)
        for item, id_ in zip(items, ids, strict=True):
            item.command = types.Command(title="Accepted", command=ACCEPTED, arguments=[{"id": id_}])
    return items
