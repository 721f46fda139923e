"""The language server: every feature's registration, and `main`. Handlers only adapt; the work is in the features.

Nothing here imports torch, httpx, typer or rich: `initialize` is answered about as fast as by an empty pygls server.
"""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any, Literal

from lsprotocol import types
from pygls.exceptions import FeatureRequestError, JsonRpcException
from pygls.lsp.server import LanguageServer

from midfill.lsp_server.code_actions import KIND, FillTarget, compute_edit, list_actions, resolve_action
from midfill.lsp_server.document import Change, PositionEncoding, path_of
from midfill.lsp_server.errors import InvalidArgumentsError, RefusedError
from midfill.lsp_server.inline_completion import complete_inline, prime_at
from midfill.lsp_server.progress import LoadProgress
from midfill.lsp_server.protocol import (
    DID_CHANGE_STATUS,
    FILL_ALL_HOLES,
    FILL_HOLE,
    ClientTraits,
    Protocol,
    guarded,
)
from midfill.lsp_server.resident import ResidentState
from midfill.lsp_server.session import Session
from midfill.lsp_server.settings import SECTION
from midfill.lsp_server.state_commands import STATE_COMMANDS, run_state_command
from midfill.lsp_server.status import Status

VERSION = "0.1.0"

log = logging.getLogger(__name__)


class Server(LanguageServer):
    """One client's server: pygls for the messages, a Session for the state."""

    protocol: Protocol

    def __init__(self) -> None:
        super().__init__("midfill", VERSION, protocol_cls=Protocol)
        self.session = Session(self)
        self._load_progress = LoadProgress(
            self.work_done_progress, self.session.run_in_background, lambda: self.session.resident.stop_connecting()
        )
        for method, (handler, options) in FEATURES.items():
            self.feature(method, options)(guarded(handler))
        for name in (*COMMANDS, *STATE_COMMANDS):
            self.command(name)(execute_command)  # advertised; the request handler below runs them

    def show(self, level: Literal["error", "warning"], sentence: str) -> None:
        kind = types.MessageType.Error if level == "error" else types.MessageType.Warning
        self.window_show_message(types.ShowMessageParams(type=kind, message=sentence))

    def show_state(self, state: ResidentState) -> None:
        if self.session.client.shows_progress:
            self._load_progress.show(state)

    def show_status(self, status: Status) -> None:
        if self.session.client.shows_status:
            self.protocol.notify(DID_CHANGE_STATUS, status.to_json())

    def report_server_error(self, error: Exception, source: Any) -> None:
        """A message that could not be read or a notification that failed: for the log, without its content. (A request
        that failed has its answer.)"""
        if source is not FeatureRequestError:
            log.error("A message from the editor was not handled (%s).", type(error).__name__)


def initialize(ls: Server, params: types.InitializeParams) -> None:
    encoding = PositionEncoding(ls.workspace.position_encoding or PositionEncoding.UTF16)  # the client's first choice
    ls.session.start(ClientTraits.of(params), encoding, params.initialization_options)
    _take_folders(ls)


def initialized(ls: Server, params: types.InitializedParams) -> None:
    ls.session.run_in_background(_settle_in(ls))


async def shutdown(ls: Server, params: None) -> None:
    await ls.session.close()


def did_open(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
    document = params.text_document
    ls.session.documents.open(document.uri, document.language_id, document.version, document.text)


def did_change(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
    changes = [_change_of(event) for event in params.content_changes]
    ls.session.change(params.text_document.uri, params.text_document.version, changes)


def did_close(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
    ls.session.forget(params.text_document.uri)


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


def code_action(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction | types.Command]:
    prime_at(ls.session, params.text_document.uri, params.range.end)  # editors ask for actions where the cursor rests
    return list_actions(ls.session, params)


async def code_action_resolve(ls: Server, action: types.CodeAction) -> types.CodeAction:
    return await resolve_action(ls.session, action)


async def execute_command(ls: Server, params: types.ExecuteCommandParams) -> Any:
    """Commands come here as ordinary requests, so that cancelling one stops its work."""
    if params.command in STATE_COMMANDS:
        return await run_state_command(ls.session, params.command, tuple(params.arguments or ()))
    command = COMMANDS.get(params.command)
    if command is None:
        raise InvalidArgumentsError(f"There is no command {params.command!r} here.")
    return await command(ls, *(params.arguments or []))


async def fill_hole(ls: Server, *arguments: Any) -> None:
    target = FillTarget.from_json(arguments[0] if arguments else None)
    if target.position is None:
        raise InvalidArgumentsError(f"{FILL_HOLE} needs the `position` of a hole.")
    await _fill_and_apply(ls, "Fill this hole", target)


async def fill_all_holes(ls: Server, *arguments: Any) -> None:
    target = FillTarget.from_json(arguments[0] if arguments else None)
    await _fill_and_apply(ls, "Fill all holes", FillTarget(target.uri, target.version, None))


FEATURES: dict[str, tuple[Any, Any]] = {
    types.INITIALIZE: (initialize, None),
    types.INITIALIZED: (initialized, None),
    types.SHUTDOWN: (shutdown, None),
    types.TEXT_DOCUMENT_DID_OPEN: (did_open, None),
    types.TEXT_DOCUMENT_DID_CHANGE: (did_change, None),
    types.TEXT_DOCUMENT_DID_CLOSE: (did_close, None),
    types.WORKSPACE_DID_CHANGE_CONFIGURATION: (did_change_configuration, None),
    types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS: (did_change_folders, None),
    # Without the (empty) options pygls advertises nothing, and no client ever asks.
    types.TEXT_DOCUMENT_INLINE_COMPLETION: (inline_completion, types.InlineCompletionOptions()),
    types.TEXT_DOCUMENT_CODE_ACTION: (
        code_action,
        types.CodeActionOptions(code_action_kinds=[KIND], resolve_provider=True),
    ),
    types.CODE_ACTION_RESOLVE: (code_action_resolve, None),
    types.WORKSPACE_EXECUTE_COMMAND: (execute_command, None),
}
COMMANDS = {FILL_HOLE: fill_hole, FILL_ALL_HOLES: fill_all_holes}


async def _fill_and_apply(ls: Server, label: str, target: FillTarget) -> None:
    edit = await compute_edit(ls.session, target)
    answer = await ls.workspace_apply_edit_async(types.ApplyWorkspaceEditParams(edit=edit, label=label))
    if not answer.applied:
        raise RefusedError(f"The editor did not apply the edit: {answer.failure_reason or 'it gave no reason'}.")


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


def main(argv: list[str]) -> int:
    """Run the language server until its client leaves. 0 after a proper shutdown, 1 otherwise, 2 for bad arguments."""
    parser = argparse.ArgumentParser(prog="midfill lsp", description="The language server, for an editor to start.")
    parser.add_argument("--stdio", action="store_true", help="speak over stdin and stdout (the default)")
    parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="midfill: %(message)s")
    # pygls writes whole messages, which hold people's code, into its records; what matters is logged at our boundary.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    server = Server()
    server.start_io()
    return 0 if server.protocol.was_shut_down else 1
