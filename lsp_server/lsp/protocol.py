"""What this server does differently from pygls, and what it needs to know of a client. LSP types, no features.

pygls keeps a workspace of its own, which loses its place at form feeds and U+2028; its handlers of the document
notifications are taken out, so that every edit is applied once, by `document.py`. Commands go through an ordinary
request handler, which makes them cancellable.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import JsonRPCNotification

from midfill.lsp_server.lsp.document import DocumentSnapshot, PositionEncoding
from midfill.lsp_server.lsp.errors import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    PARSE_ERROR,
    InternalError,
    InvalidArgumentsError,
    InvalidRequestError,
    NotInitializedError,
)
from midfill.lsp_server.text.holes import Span

OWN_METHODS = (
    types.TEXT_DOCUMENT_DID_OPEN,
    types.TEXT_DOCUMENT_DID_CHANGE,
    types.TEXT_DOCUMENT_DID_CLOSE,
    types.NOTEBOOK_DOCUMENT_DID_OPEN,
    types.NOTEBOOK_DOCUMENT_DID_CHANGE,
    types.NOTEBOOK_DOCUMENT_DID_CLOSE,
    types.WORKSPACE_EXECUTE_COMMAND,
    types.EXIT,  # pygls would end the process, and with it everybody else's connection
)
FILL_HOLE = "midfill.fillHole"
FILL_ALL_HOLES = "midfill.fillAllHoles"
FILL_FUNCTION = "midfill.fillFunction"
FILL_SELECTION = "midfill.fillSelection"
PROPOSE_FILL = "midfill.proposeFill"
REWRITE_REGION = "midfill.rewriteRegion"
PROPOSE_REWRITE = "midfill.proposeRewrite"
FILL_SPOTS = "midfill.fillSpots"
UPDATE_CALLS = "midfill.updateCalls"
COMPLETE_INLINE = "midfill.completeInline"
ACCEPTED = "midfill.accepted"
DID_CHANGE_STATUS = "midfill/didChangeStatus"
DRAFT = "midfill/draft"
UNCERTAIN_SPOTS = "midfill/uncertainSpots"

log = logging.getLogger(__name__)


class Protocol(LanguageServerProtocol):
    """pygls's protocol without its document handlers, and with an answer to every malformed request."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        for method in OWN_METHODS:
            self.fm.builtin_features.pop(method)
        self._is_initialized = False
        self._is_leaving = False

    def receive(self, body: bytes) -> None:
        """Handle one message. What is none gets an error too: somebody may be waiting for an answer."""
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            self._refuse(None, PARSE_ERROR, "The message is not JSON.")
            return
        if not isinstance(data, dict) or data.get("jsonrpc") != self.VERSION or not {"method", "id"} & set(data):
            id_ = data.get("id") if isinstance(data, dict) else None
            self._refuse(id_, INVALID_REQUEST, "The message is no JSON-RPC 2.0 request, notification or response.")
            return
        self.handle_message(self.structure_message(data))

    def _refuse(self, id_: Any, code: int, sentence: str) -> None:
        log.error("Refused what came from the editor: %s", sentence)
        self._send_data({"jsonrpc": self.VERSION, "id": id_, "error": {"code": code, "message": sentence}})

    def handle_message(self, message: Any) -> None:
        """Handle one typed message if it may come now; a request that may not is answered with the reason."""
        method = getattr(message, "method", None)
        if method is not None and hasattr(message, "id"):
            if error := self._untimely(method):
                self._send_response(message.id, error=error.to_response_error())
                return
            self._is_initialized |= method == types.INITIALIZE
            self._is_leaving |= method == types.SHUTDOWN
        elif method is not None and method != types.EXIT and not self._is_initialized:
            return  # LSP: notifications before `initialize` are dropped, except for `exit`
        super().handle_message(message)

    def _untimely(self, method: str) -> JsonRpcException | None:
        if self._is_leaving:
            return InvalidRequestError(f"{method} came after shutdown; only exit may follow.")
        if method == types.INITIALIZE:
            return InvalidRequestError("initialize came twice; nothing was done.") if self._is_initialized else None
        return None if self._is_initialized else NotInitializedError()

    def _execute_handler(self, msg_id: Any, *arguments: Any, **named: Any) -> None:
        """pygls keeps the future of every notification for ever; here it goes when it is done."""
        super()._execute_handler(msg_id, *arguments, **named)
        if (future := self._request_futures.get(msg_id)) is not None:
            future.add_done_callback(lambda done: self._forget(msg_id, done))

    def _forget(self, msg_id: Any, future: Any) -> None:
        if self._request_futures.get(msg_id) is future:
            del self._request_futures[msg_id]

    @property
    def was_shut_down(self) -> bool:
        return self._shutdown

    def plain(self, value: Any) -> Any:
        """A value of LSP's types as JSON data: for the results of commands, whose type is not LSP's to say."""
        return self._converter.unstructure(value)

    def structure_message(self, data: dict[str, Any]) -> Any:
        """The typed message. pygls would leave a request that does not fit its type without an answer."""
        try:
            return super().structure_message(data)
        except JsonRpcException:
            method = data.get("method")
            log.error("Ignored a malformed message (%s).", method or "a response")
            if method is None:
                self._handle_response(data["id"], error=types.ResponseError(INTERNAL_ERROR, "malformed response"))
            elif "id" in data:
                error = InvalidArgumentsError(f"The parameters of {method} are not what LSP defines; nothing was done.")
                self._send_response(data["id"], error=error.to_response_error())
            return JsonRPCNotification(method="$/malformed", jsonrpc="2.0", params=None)


def guarded(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The job boundary: a defect becomes one sentence for the client and a place in the log, never the text at hand."""
    if asyncio.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def guarded_coroutine(*arguments: Any) -> Any:
            try:
                return await handler(*arguments)
            except JsonRpcException:
                raise
            except Exception as error:
                raise _internal_error(handler, error) from None

        return guarded_coroutine

    @functools.wraps(handler)
    def guarded_function(*arguments: Any) -> Any:
        try:
            return handler(*arguments)
        except JsonRpcException:
            raise
        except Exception as error:
            raise _internal_error(handler, error) from None

    return guarded_function


def _internal_error(handler: Callable[..., Any], error: Exception) -> InternalError:
    places = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s failed with %s at\n%s", handler.__name__, type(error).__name__, places)
    return InternalError()


@dataclass(frozen=True)
class ClientTraits:
    """What the client told about itself, as far as anything here depends on it."""

    name: str = ""
    versioned_edits: bool = False
    confirms_edits: bool = False
    resolves_edits: bool = False
    action_literals: bool = False
    marks_llm_actions: bool = False
    shows_progress: bool = False
    answers_configuration: bool = False
    registers_configuration: bool = False
    shows_status: bool = False
    shows_spots: bool = False

    @classmethod
    def of(cls, params: types.InitializeParams) -> ClientTraits:
        document = params.capabilities.text_document or types.TextDocumentClientCapabilities()
        workspace = params.capabilities.workspace or types.WorkspaceClientCapabilities()
        window = params.capabilities.window or types.WindowClientCapabilities()
        action = document.code_action or types.CodeActionClientCapabilities()
        edit, changes = workspace.workspace_edit, workspace.did_change_configuration
        return cls(
            name=params.client_info.name if params.client_info else "",
            versioned_edits=bool(edit and edit.document_changes),
            confirms_edits=bool(edit and edit.document_changes and edit.change_annotation_support),
            resolves_edits=bool(
                action.data_support and action.resolve_support and "edit" in action.resolve_support.properties
            ),
            action_literals=action.code_action_literal_support is not None,
            marks_llm_actions=bool(
                action.tag_support and types.CodeActionTag.LlmGenerated in action.tag_support.value_set
            ),
            shows_progress=bool(window.work_done_progress),
            answers_configuration=bool(workspace.configuration),
            registers_configuration=bool(changes and changes.dynamic_registration),
            shows_status=_experimental(params.capabilities, "midfill", "status") is True,
            shows_spots=_experimental(params.capabilities, "midfill", "uncertainSpots") is True,
        )

    @property
    def never_says_invoked(self) -> bool:
        """Neovim's requests are all automatic, so its people can cycle only if each brings several candidates."""
        return self.name.startswith("Neovim")

    @property
    def waits_between_keys(self) -> bool:
        """Neovim asks for ghost text only 200 ms after the last key; VS Code asks at every key."""
        return self.name.startswith("Neovim")


def _experimental(capabilities: types.ClientCapabilities, *path: str) -> Any:
    """A value under `experimental`, which a client may fill with anything."""
    value: Any = capabilities.experimental
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def lsp_range(snapshot: DocumentSnapshot, span: Span, encoding: PositionEncoding) -> types.Range:
    start, end = (snapshot.position_at(offset, encoding) for offset in (span.start, span.end))
    return types.Range(start=types.Position(*start), end=types.Position(*end))


def span_of(snapshot: DocumentSnapshot, range_: types.Range, encoding: PositionEncoding) -> Span:
    start = snapshot.offset_at(range_.start.line, range_.start.character, encoding)
    end = snapshot.offset_at(range_.end.line, range_.end.character, encoding)
    return Span(min(start, end), max(start, end))


def plain_range(range_: types.Range) -> dict[str, Any]:
    """As JSON data, for the results of commands."""
    return {
        name: {"line": place.line, "character": place.character}
        for name, place in (("start", range_.start), ("end", range_.end))
    }
