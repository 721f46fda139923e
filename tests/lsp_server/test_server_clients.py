"""What a client supports decides the form of an action: a literal resolved later, one with a command, a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from midfill.lsp_server.features.code_actions import list_actions
from midfill.lsp_server.lsp.document import PositionEncoding
from midfill.lsp_server.lsp.protocol import ClientTraits
from midfill.lsp_server.workspace.session import Session

TARGET = {"uri": "file:///a.py", "version": 7, "position": {"line": 0, "character": 4}}
COMMAND = types.Command(title="Fill this hole", command="midfill.fillHole", arguments=[TARGET])
REWRITE = types.CodeActionKind.RefactorRewrite


class SilentEditor:
    def show(self, level: str, sentence: str) -> None: ...

    def show_state(self, state: Any) -> None: ...

    def show_status(self, status: Any) -> None: ...


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        (ClientTraits(), COMMAND),
        (ClientTraits(action_literals=True), types.CodeAction("Fill this hole", kind=REWRITE, command=COMMAND)),
        (
            ClientTraits(action_literals=True, resolves_edits=True, marks_llm_actions=True),
            types.CodeAction("Fill this hole", kind=REWRITE, data=TARGET, tags=[types.CodeActionTag.LlmGenerated]),
        ),
    ],
)
async def test_the_form_of_an_action(places: Path, traits: ClientTraits, expected: Any) -> None:
    session = Session(SilentEditor())
    session.start(traits, PositionEncoding.UTF16, None)
    session.documents.open("file:///a.py", "python", 7, "x = <fill>")
    here = types.Range(types.Position(0, 0), types.Position(0, 0))
    document = types.TextDocumentIdentifier(uri="file:///a.py")
    params = types.CodeActionParams(text_document=document, range=here, context=types.CodeActionContext(diagnostics=[]))
    assert await list_actions(session, params) == [expected]


def test_a_client_that_says_nothing_supports_nothing() -> None:
    params = types.InitializeParams(capabilities=types.ClientCapabilities(), process_id=None, root_uri=None)
    assert ClientTraits.of(params) == ClientTraits()
