"""An editor under test: a client with the recorded capabilities of a real one, and its own copy of one document."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lsprotocol import converters, types
from pytest_lsp import LanguageClient

HERE = Path(__file__).parent


class Editor:
    """A client and its copy of one document, with its own way of counting positions."""

    def __init__(self, client: LanguageClient, recorded: str, workspace: Path) -> None:
        self.client = client
        self.recorded = recorded
        self.workspace = workspace
        self.uri, self.text, self.version, self.encoding = "", "", 0, "utf-16"
        self.edits: list[types.WorkspaceEdit] = []
        self.experimental: dict[str, Any] | None = None  # set it before `start`
        client.feature(types.WORKSPACE_APPLY_EDIT)(lambda params: self.on_apply_edit(params))
        client.feature(types.CLIENT_REGISTER_CAPABILITY)(lambda params: None)

    async def start(self, options: dict[str, Any] | None = None) -> types.InitializeResult:
        text = (HERE / "clients" / f"{self.recorded}.json").read_text().replace("{workspace}", str(self.workspace))
        params = converters.get_converter().structure(json.loads(text), types.InitializeParams)
        params.initialization_options = options
        params.capabilities.experimental = self.experimental
        result = await self.client.initialize_session(params)
        self.encoding = result.capabilities.position_encoding or "utf-16"
        return result

    async def until_loaded(self) -> None:
        """Wait until the model's progress display ended."""
        async with asyncio.timeout(30):
            while not any(isinstance(report, types.WorkDoneProgressEnd) for report in self.reports()):
                await self.client.wait_for_notification(types.PROGRESS)

    async def until_ready(self) -> None:
        """Wait until the model can be asked, also where it was there before."""
        params = types.ExecuteCommandParams(command="midfill.status", arguments=[])
        async with asyncio.timeout(30):
            while not (await self.client.workspace_execute_command_async(params))["model"]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not is_so():  # noqa: ASYNC110 - it is another process's state
                await asyncio.sleep(0.02)

    def reports(self) -> list[Any]:
        return [report for reports in self.client.progress_reports.values() for report in reports]

    def open(self, text: str, name: str = "a.py", language_id: str = "python") -> None:
        self.uri, self.text, self.version = (self.workspace / name).as_uri(), text, 1
        document = types.TextDocumentItem(uri=self.uri, language_id=language_id, version=1, text=text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=document))

    def replace(self, start: int, end: int, replacement: str) -> None:
        """Type: change the copy and tell the server, in one range."""
        change = types.TextDocumentContentChangePartial(range=self.range_of(start, end), text=replacement)
        self.text = self.text[:start] + replacement + self.text[end:]
        self.version += 1
        document = types.VersionedTextDocumentIdentifier(uri=self.uri, version=self.version)
        self.client.text_document_did_change(
            types.DidChangeTextDocumentParams(text_document=document, content_changes=[change])
        )

    async def complete(
        self, offset: int, invoked: bool = False, selected: types.SelectedCompletionInfo | None = None
    ) -> list[types.InlineCompletionItem]:
        kind = types.InlineCompletionTriggerKind.Invoked if invoked else types.InlineCompletionTriggerKind.Automatic
        params = types.InlineCompletionParams(
            text_document=types.TextDocumentIdentifier(uri=self.uri),
            position=self.position_of(offset),
            context=types.InlineCompletionContext(trigger_kind=kind, selected_completion_info=selected),
        )
        answer = await self.client.text_document_inline_completion_async(params)
        assert isinstance(answer, list)
        return answer

    def accept(self, item: types.InlineCompletionItem) -> int:
        """Put an item into the document as an editor does; the cursor is then behind it."""
        start, end = self.offset_of(item.range.start), self.offset_of(item.range.end)
        text = item.insert_text.replace("\n", "\r\n") if "\r\n" in self.text else item.insert_text
        self.replace(start, end, text)
        return start + len(text)

    async def actions(
        self,
        start: int,
        end: int | None = None,
        only: list[str] | None = None,
        diagnostics: Sequence[types.Diagnostic] = (),
    ) -> dict[str, Any]:
        """The code actions at a range, by title."""
        context = types.CodeActionContext(diagnostics=[*diagnostics], only=only)
        params = types.CodeActionParams(
            text_document=types.TextDocumentIdentifier(uri=self.uri),
            range=self.range_of(start, start if end is None else end),
            context=context,
        )
        return {action.title: action for action in await self.client.text_document_code_action_async(params) or []}

    async def command(self, name: str, **argument: Any) -> Any:
        params = types.ExecuteCommandParams(command=name, arguments=[{"uri": self.uri, **argument}])
        return await self.client.workspace_execute_command_async(params)

    def on_apply_edit(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        self.apply(params.edit)
        return types.ApplyWorkspaceEditResult(applied=True)

    def apply(self, edit: types.WorkspaceEdit) -> None:
        """Apply an edit of this document to the copy; it must be for its present version."""
        self.edits.append(edit)
        if edit.document_changes:
            (change,) = edit.document_changes
            assert isinstance(change, types.TextDocumentEdit)
            assert (change.text_document.uri, change.text_document.version) == (self.uri, self.version)
            edits = list(change.edits)
        else:
            edits = list((edit.changes or {})[self.uri])
        for one in sorted(edits, key=lambda one: self.offset_of(one.range.start), reverse=True):
            start, end = self.offset_of(one.range.start), self.offset_of(one.range.end)
            self.text = self.text[:start] + one.new_text + self.text[end:]

    def report_last_edit(self, before: str) -> None:
        """Tell the server of an edit that it made itself, as an editor does after applying it."""
        after, self.text = self.text, before
        self.replace(0, len(before), after)

    def range_of(self, start: int, end: int) -> types.Range:
        return types.Range(start=self.position_of(start), end=self.position_of(end))

    def position_of(self, offset: int) -> types.Position:
        lines = re.split(r"\r\n|\r|\n", self.text[:offset])
        return types.Position(line=len(lines) - 1, character=self._num_units(lines[-1]))

    def offset_of(self, position: types.Position) -> int:
        ends = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", self.text))]
        offset, units = ends[position.line], position.character
        while units > 0:
            units -= self._num_units(self.text[offset])
            offset += 1
        return offset

    def _num_units(self, text: str) -> int:
        width = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[self.encoding]
        return len(text.encode({1: "utf-8", 2: "utf-16-le", 4: "utf-32-le"}[width])) // width
