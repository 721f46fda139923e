"""The language server: every feature's registration. Handlers only adapt; the work is in the features.

Nothing here imports torch, httpx, typer or rich: `initialize` is answered about as fast as by an empty pygls server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal

from lsprotocol import types
from pygls.exceptions import FeatureRequestError, JsonRpcException
from pygls.lsp.server import LanguageServer

from midfill.lsp_server.features.call_actions import CALL_COMMANDS
from midfill.lsp_server.features.code_actions import KIND, list_actions, resolve_action
from midfill.lsp_server.features.commands import FILL_COMMANDS
from midfill.lsp_server.features.completion_items import complete_items
from midfill.lsp_server.features.inline_completion import complete_inline, prime_at
from midfill.lsp_server.features.rewrite_commands import REWRITE_COMMANDS
from midfill.lsp_server.features.spots import hints, spots_note
from midfill.lsp_server.features.state_commands import STATE_COMMANDS, run_state_command
from midfill.lsp_server.lsp.document import Change, DocumentSnapshot, PositionEncoding, path_of
from midfill.lsp_server.lsp.errors import InvalidArgumentsError
from midfill.lsp_server.lsp.fill_progress import FillProgress
from midfill.lsp_server.lsp.parent import is_running, until_gone
from midfill.lsp_server.lsp.progress import LoadProgress
from midfill.lsp_server.lsp.protocol import DID_CHANGE_STATUS, UNCERTAIN_SPOTS, ClientTraits, Protocol, guarded
from midfill.lsp_server.resident.resident import ResidentState
from midfill.lsp_server.workspace.session import Session
from midfill.lsp_server.workspace.settings import SECTION
from midfill.lsp_server.workspace.status import Status

VERSION = "0.1.0"

log = logging.getLogger(__name__)


class Server(LanguageServer):
    """One client's server: pygls for the messages, a Session for the state."""

    protocol: Protocol

    def __init__(self) -> None:
        super().__init__("midfill", VERSION, protocol_cls=Protocol, notebook_document_sync=NOTEBOOKS)
        self.session = Session(self)
        self.left = asyncio.Event()
        self.watches_parent = False
        self._load_progress = LoadProgress(
            self.work_done_progress, self.session.run_in_background, lambda: self.session.resident.stop_connecting()
        )
        for method, (handler, options) in FEATURES.items():
            self.feature(method, options)(guarded(handler))
        for name in (*EDIT_COMMANDS, *STATE_COMMANDS):
            self.command(name)(execute_command)  # advertised; the request handler below runs them

    def attach(self, writer: Any, *, with_headers: bool) -> None:
        self.protocol.set_writer(writer, include_headers=with_headers)

    def receive(self, body: bytes) -> None:
        self.protocol.receive(body)

    async def close(self) -> None:
        await self.session.close()

    def show(self, level: Literal["error", "warning"], sentence: str) -> None:
        kind = types.MessageType.Error if level == "error" else types.MessageType.Warning
        self.window_show_message(types.ShowMessageParams(type=kind, message=sentence))

    def show_state(self, state: ResidentState) -> None:
        if self.session.client.shows_progress:
            self._load_progress.show(state)

    def show_status(self, status: Status) -> None:
        if self.session.client.shows_status:
            self.protocol.notify(DID_CHANGE_STATUS, status.to_json())

    def show_spots(self, snapshot: DocumentSnapshot) -> None:
        if self.session.client.shows_spots:
            self.protocol.notify(UNCERTAIN_SPOTS, spots_note(self.session, snapshot))
        if self.session.settings_of(snapshot).uncertain_hints:
            self.text_document_publish_diagnostics(hints(self.session, snapshot))

    def report_server_error(self, error: Exception, source: Any) -> None:
        """A message that could not be read or a notification that failed: for the log, without its content. (A request
        that failed has its answer.)"""
        if source is not FeatureRequestError:
            log.error("A message from the editor was not handled (%s).", type(error).__name__)


def initialize(ls: Server, params: types.InitializeParams) -> None:
    encoding = PositionEncoding(ls.workspace.position_encoding or PositionEncoding.UTF16)  # the client's first choice
    ls.session.start(ClientTraits.of(params), encoding, params.initialization_options)
    _take_folders(ls)
    if ls.watches_parent and params.process_id is not None and is_running(params.process_id):
        ls.session.run_in_background(_leave_with(ls, params.process_id))


def initialized(ls: Server, params: types.InitializedParams) -> None:
    ls.session.run_in_background(_settle_in(ls))


async def shutdown(ls: Server, params: None) -> None:
    await ls.session.close()


def exit_(ls: Server, params: None) -> None:
    ls.left.set()


def did_open(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    _open_documents(ls, [params.text_document])


def did_change(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    _change_document(ls, params.text_document, params.content_changes)


def did_close(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    ls.session.forget(params.text_document.uri)


def did_open_notebook(ls: Server, params: types.DidOpenNotebookDocumentParams) -> None:
    _open_documents(ls, params.cell_text_documents)
    ls.session.notebooks.open(params.notebook_document.uri, [cell.document for cell in params.notebook_document.cells])


def did_change_notebook(ls: Server, params: types.DidChangeNotebookDocumentParams) -> None:
    """Cells come and go (`structure`) and their texts change (`text_content`), in this order."""
    changed = params.change.cells
    if changed and (structure := changed.structure):
        inserted = [cell.document for cell in structure.array.cells or []]
        uri, array = params.notebook_document.uri, structure.array
        ls.session.notebooks.splice(uri, array.start, array.delete_count, inserted)
        _open_documents(ls, structure.did_open or [])
        for closed in structure.did_close or []:
            ls.session.forget(closed.uri)
    for content in (changed and changed.text_content) or []:
        _change_document(ls, content.document, content.changes)


def did_close_notebook(ls: Server, params: types.DidCloseNotebookDocumentParams) -> None:
    ls.session.notebooks.close(params.notebook_document.uri)
    for cell in params.cell_text_documents:
        ls.session.forget(cell.uri)


def did_change_configuration(ls: Server, params: types.DidChangeConfigurationParams) -> None:
    if ls.session.client.answers_configuration:
        ls.session.run_in_background(_ask_for_settings(ls))
    elif params.settings is not None:
        ls.session.configure(params.settings)


def did_change_folders(ls: Server, params: types.DidChangeWorkspaceFoldersParams) -> None:
    _take_folders(ls)
    ls.session.run_in_background(_ask_for_settings(ls))


async def inline_completion(ls: Server, params: types.InlineCompletionParams) -> list[types.InlineCompletionItem]:
    return await ls.session.latest(params.text_document.uri, complete_inline(ls.session, params))


async def code_action(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    prime_at(ls.session, params.text_document.uri, params.range.end)  # editors ask for actions where the cursor rests
    return await list_actions(ls.session, params)


async def code_action_resolve(ls: Server, action: types.CodeAction) -> types.CodeAction:
    can_create = ls.session.client.shows_progress
    async with FillProgress(ls.work_done_progress, action.title, None, can_create) as shown:
        return await resolve_action(ls.session, action, shown.report)


async def completion(ls: Server, params: types.CompletionParams) -> types.CompletionList:
    return await complete_items(ls.session, params)


async def execute_command(ls: Server, params: types.ExecuteCommandParams) -> Any:
    """Commands come here as ordinary requests, so that cancelling one stops its work."""
    if params.command in STATE_COMMANDS:
        return await run_state_command(ls.session, params.command, tuple(params.arguments or ()))
    command = EDIT_COMMANDS.get(params.command)
    if command is None:
        raise InvalidArgumentsError(f"There is no command {params.command!r} here.")
    argument = params.arguments[0] if params.arguments else None
    return await command(ls, argument, params.work_done_token)


EDIT_COMMANDS = {**FILL_COMMANDS, **REWRITE_COMMANDS, **CALL_COMMANDS}
FEATURES: dict[str, tuple[Any, Any]] = {
    types.INITIALIZE: (initialize, None),
    types.INITIALIZED: (initialized, None),
    types.SHUTDOWN: (shutdown, None),
    types.EXIT: (exit_, None),
    types.TEXT_DOCUMENT_DID_OPEN: (did_open, None),
    types.TEXT_DOCUMENT_DID_CHANGE: (did_change, None),
    types.TEXT_DOCUMENT_DID_CLOSE: (did_close, None),
    types.NOTEBOOK_DOCUMENT_DID_OPEN: (did_open_notebook, None),
    types.NOTEBOOK_DOCUMENT_DID_CHANGE: (did_change_notebook, None),
    types.NOTEBOOK_DOCUMENT_DID_CLOSE: (did_close_notebook, None),
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: (did_change_configuration, None),
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: (did_change_folders, None),
    # Without the (empty) options pygls advertises nothing, and no client ever asks.
    types.TEXT_DOCUMENT_INLINE_COMPLETION: (inline_completion, types.InlineCompletionOptions()),
    types.TEXT_DOCUMENT_COMPLETION: (completion, types.CompletionOptions()),
    types.TEXT_DOCUMENT_CODE_ACTION: (
        code_action,
        types.CodeActionOptions(code_action_kinds=[KIND, types.CodeActionKind.QuickFix], resolve_provider=True),
    ),
    types.CODE_ACTION_RESOLVE: (code_action_resolve, None),
    types.WORKSPACE_EXECUTE_COMMAND: (execute_command, None),
}
NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        # "*" is every kind of notebook; left out, lsprotocol's own clients could not read the selector
        types.NotebookDocumentFilterWithNotebook(notebook="*", cells=[types.NotebookCellLanguage(language="python")]),
    ]
)


def _open_documents(ls: Server, documents: Sequence[types.TextDocumentItem]) -> None:
    for document in documents:
        ls.session.documents.open(document.uri, document.language_id, document.version, document.text)


def _change_document(
    ls: Server,
    document: types.VersionedTextDocumentIdentifier,
    events: Sequence[types.TextDocumentContentChangeEvent],
) -> None:
    ls.session.change(document.uri, document.version, [_change_of(event) for event in events])


async def _settle_in(ls: Server) -> None:
    """What follows `initialized`; in the background, because pygls keeps the future of every awaited notification."""
    await _ask_for_settings(ls)
    ls.session.warm()
    if ls.session.client.registers_configuration:
        registration = types.Registration(id="midfill-settings", method=types.WORKSPACE_DID_CHANGE_CONFIGURATION)
        try:
            await ls.client_register_capability_async(types.RegistrationParams(registrations=[registration]))
        except JsonRpcException as error:
            log.warning("The editor will not tell of changed settings: %s", error.message)


async def _leave_with(ls: Server, pid: int) -> None:
    """An editor that crashed says no goodbye. The resident stays: other windows use it."""
    await until_gone(pid)
    ls.left.set()


async def _ask_for_settings(ls: Server) -> None:
    """Pull the section `midfill` for the window and for each workspace folder; a client that has none keeps what came
    with `initialize`."""
    if not ls.session.client.answers_configuration:
        return
    folders = {uri: path for uri in ls.workspace.folders if (path := path_of(uri))}
    items = [types.ConfigurationItem(scope_uri=uri, section=SECTION) for uri in (None, *folders)]
    try:
        answer = await ls.workspace_configuration_async(types.ConfigurationParams(items=items))
    except JsonRpcException as error:
        log.warning("The editor did not give its settings: %s", error.message)
        return
    if answer and answer[0] is not None:
        of_folders = zip(folders.values(), answer[1:], strict=False)  # a client may answer with less than it was asked
        ls.session.configure(answer[0], {path: options for path, options in of_folders if options is not None})


def _take_folders(ls: Server) -> None:
    uris = [*ls.workspace.folders] or [uri for uri in [ls.workspace.root_uri] if uri]
    ls.session.roots = tuple(path for path in map(path_of, uris) if path)


def _change_of(event: types.TextDocumentContentChangeEvent) -> Change:
    if isinstance(event, types.TextDocumentContentChangePartial):
        start, end = event.range.start, event.range.end
        return (start.line, start.character), (end.line, end.character), event.text
    return None, None, event.text
