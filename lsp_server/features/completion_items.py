"""Suggestions as items of the ordinary completion list, for clients that show no inline completion. Off unless set."""

from __future__ import annotations

from lsprotocol import types

from midfill.lsp_server.features.inline_completion import complete_inline
from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.lsp.protocol import lsp_range, span_of
from midfill.lsp_server.text.finishing.known_words import word_before
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.workspace.session import Session

_LABEL_CHARS = 60


async def complete_items(session: Session, params: types.CompletionParams) -> types.CompletionList:
    """What `complete_inline` finds, as a list that the client is to ask for anew at the next key."""
    uri = params.text_document.uri
    if not session.settings.completion_items or uri not in session.documents:
        return types.CompletionList(is_incomplete=False, items=[])
    snapshot = session.documents.get(uri)
    invoked = params.context is None or params.context.trigger_kind is types.CompletionTriggerKind.Invoked
    kind = types.InlineCompletionTriggerKind.Invoked if invoked else types.InlineCompletionTriggerKind.Automatic
    asked = types.InlineCompletionParams(
        text_document=params.text_document,
        position=params.position,
        context=types.InlineCompletionContext(trigger_kind=kind),
    )
    found = await session.latest(uri, complete_inline(session, asked))
    items = [item for place, one in enumerate(found) for item in _items(session, snapshot, one, place)]
    return types.CompletionList(is_incomplete=True, items=items)


def _items(
    session: Session, snapshot: DocumentSnapshot, inline: types.InlineCompletionItem, place: int
) -> list[types.CompletionItem]:
    """The item: it replaces the word before the cursor by itself and the fill, because clients filter by that word."""
    if inline.range is None or not isinstance(inline.insert_text, str):
        return []
    span = span_of(snapshot, inline.range, session.encoding)
    line_start = snapshot.line_start(inline.range.start.line)
    typed = word_before(snapshot.text[line_start : span.start])
    text = typed + inline.insert_text
    label = text.strip().partition("\n")[0]
    return [
        types.CompletionItem(
            label=label if len(label) <= _LABEL_CHARS else f"{label[: _LABEL_CHARS - 1]}…",
            kind=types.CompletionItemKind.Text,
            detail="midfill",
            documentation=types.MarkupContent(types.MarkupKind.PlainText, text),
            sort_text=f"~midfill{place}",  # below what language servers know for certain
            filter_text=text,
            insert_text_format=types.InsertTextFormat.PlainText,
            text_edit=types.TextEdit(
                range=lsp_range(snapshot, Span(span.start - len(typed), span.end), session.encoding), new_text=text
            ),
            command=inline.command,
        )
    ]
