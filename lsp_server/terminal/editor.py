"""An editor without a screen: one document, opened in a language server over stdio, as an editor would do it.

`midfill demo` and `midfill bench` look at the server through it, never at its insides.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from midfill.lsp_server.lsp.document import DocumentSnapshot, PositionEncoding
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.text.holes import Span

LANGUAGE_SERVER = (sys.executable, "-P", "-m", "midfill.lsp_server", "lsp", "--stdio")
_ENCODING = PositionEncoding.UTF16
_ANSWER_S = 120.0


class Editor:
    """A client with one open document. Offsets count code points of `text`; edits are the editor's own until sent."""

    def __init__(self, client: LanguageClient, pid: int, initialize_s: float) -> None:
        self._client = client
        self.pid = pid
        self.initialize_s = initialize_s
        self._document = DocumentSnapshot("", 0, "", "")

    @property
    def text(self) -> str:
        return self._document.text

    def open(self, uri: str, language_id: str, text: str) -> None:
        self._document = DocumentSnapshot(uri, 1, language_id, text)
        item = types.TextDocumentItem(uri=uri, language_id=language_id, version=1, text=text)
        self._client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))

    def replace(self, start: int, end: int, new: str) -> None:
        """Edit [start, end) and tell the server, incrementally."""
        before = self._document
        change = types.TextDocumentContentChangePartial(range=self._range(start, end), text=new)
        text = before.text[:start] + new + before.text[end:]
        self._document = DocumentSnapshot(before.uri, (before.version or 0) + 1, before.language_id, text)
        document = types.VersionedTextDocumentIdentifier(uri=before.uri, version=self._document.version or 0)
        self._client.text_document_did_change(
            types.DidChangeTextDocumentParams(text_document=document, content_changes=[change])
        )

    async def ghost_texts(self, offset: int, invoked: bool) -> list[types.InlineCompletionItem]:
        """The inline completions at an offset: asked for by the person, or because they typed."""
        kind = types.InlineCompletionTriggerKind
        answer = await self._answer(
            self._client.text_document_inline_completion_async(
                types.InlineCompletionParams(
                    text_document=types.TextDocumentIdentifier(uri=self._document.uri),
                    position=self._position(offset),
                    context=types.InlineCompletionContext(trigger_kind=kind.Invoked if invoked else kind.Automatic),
                )
            )
        )
        return list(answer.items if isinstance(answer, types.InlineCompletionList) else answer or [])

    async def code_actions(self, offset: int) -> list[types.CodeAction]:
        answer = await self._answer(
            self._client.text_document_code_action_async(
                types.CodeActionParams(
                    text_document=types.TextDocumentIdentifier(uri=self._document.uri),
                    range=self._range(offset, offset),
                    context=types.CodeActionContext(diagnostics=[]),
                )
            )
        )
        return [action for action in answer or [] if isinstance(action, types.CodeAction)]

    async def edits_of(self, action: types.CodeAction) -> list[tuple[Span, str]]:
        """The edits that choosing an action makes, in document order; for exactly the version that is open."""
        resolved = await self._answer(self._client.code_action_resolve_async(action))
        edits = []
        for change in (resolved.edit and resolved.edit.document_changes) or []:
            if isinstance(change, types.TextDocumentEdit) and change.text_document.version == self._document.version:
                edits += [(self._span(edit.range), edit.new_text) for edit in change.edits if hasattr(edit, "new_text")]
        return sorted(edits)

    async def _answer(self, waiting: Any) -> Any:
        try:
            return await asyncio.wait_for(waiting, _ANSWER_S)
        except JsonRpcException as error:
            raise TerminalError(f"The language server refused: {error.message}") from None
        except TimeoutError:
            raise TerminalError(f"The language server did not answer within {_ANSWER_S:.0f} s.") from None
        except RuntimeError as error:  # how pygls's client says that the server ended
            raise TerminalError(f"The language server stopped: {error}; run `midfill doctor`.") from None

    def _position(self, offset: int) -> types.Position:
        line, character = self._document.position_at(offset, _ENCODING)
        return types.Position(line=line, character=character)

    def _range(self, start: int, end: int) -> types.Range:
        return types.Range(start=self._position(start), end=self._position(end))

    def _span(self, range_: types.Range) -> Span:
        start, end = (
            self._document.offset_at(place.line, place.character, _ENCODING) for place in (range_.start, range_.end)
        )
        return Span(start, end)


@contextlib.asynccontextmanager
async def editing(endpoint: str | None, command: Sequence[str] = LANGUAGE_SERVER) -> AsyncIterator[Editor]:
    """Start a language server, initialize it, and shut it down properly at the end."""
    client = LanguageClient("midfill-terminal", "1")
    started_s = time.perf_counter()
    await client.start_io(*command)
    editor = Editor(client, client._server.pid if client._server else 0, 0.0)
    try:
        options = {"endpoint": endpoint} if endpoint else {}
        await editor._answer(client.initialize_async(_initialize_params(options)))
        editor.initialize_s = time.perf_counter() - started_s
        client.initialized(types.InitializedParams())
        yield editor
        await editor._answer(client.shutdown_async(None))
        client.exit(None)
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(client.stop(), 5)  # type: ignore[no-untyped-call]


def _initialize_params(options: dict[str, Any]) -> types.InitializeParams:
    resolves = types.ClientCodeActionResolveOptions(properties=["edit"])
    kinds = types.ClientCodeActionKindOptions(value_set=[types.CodeActionKind.RefactorRewrite])
    return types.InitializeParams(
        client_info=types.ClientInfo(name="midfill-terminal"),
        initialization_options=options,
        capabilities=types.ClientCapabilities(
            general=types.GeneralClientCapabilities(position_encodings=[types.PositionEncodingKind.Utf16]),
            text_document=types.TextDocumentClientCapabilities(
                inline_completion=types.InlineCompletionClientCapabilities(),
                code_action=types.CodeActionClientCapabilities(
                    code_action_literal_support=types.ClientCodeActionLiteralOptions(code_action_kind=kinds),
                    data_support=True,
                    resolve_support=resolves,
                ),
            ),
            workspace=types.WorkspaceClientCapabilities(
                workspace_edit=types.WorkspaceEditClientCapabilities(document_changes=True)
            ),
        ),
    )
