"""The loop thread's state: documents, settings, live requests, the resident. Changed only synchronously on the loop.

Knows no LSP type: what must reach the person goes through `Editor`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from midfill.lsp_server.document import Change, DocumentSnapshot, DocumentStore, PositionEncoding
from midfill.lsp_server.excerpt import WindowAnchor
from midfill.lsp_server.exclusion import excluding_glob
from midfill.lsp_server.gitignore import GitIgnore
from midfill.lsp_server.protocol import ClientTraits
from midfill.lsp_server.resident import Resident, ResidentError, ResidentState
from midfill.lsp_server.settings import Settings, read_settings
from midfill.lsp_server.suggestions import Typing
from midfill.lsp_server.syntax import language_of

T = TypeVar("T")

log = logging.getLogger(__name__)


class Editor(Protocol):
    """What a session may tell the person."""

    def show(self, level: Literal["error", "warning"], sentence: str) -> None: ...

    def show_state(self, state: ResidentState) -> None: ...


class Session:
    """One client's session."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self.documents = DocumentStore()
        self.client = ClientTraits()
        self.settings = Settings()
        self.roots: tuple[str, ...] = ()
        self.anchors: dict[str, WindowAnchor] = {}
        self.resident = self._new_resident()
        self._typing: dict[str, Typing] = {}
        self._inline: dict[str, asyncio.Task[Any]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._told: set[str] = set()
        self._git = GitIgnore()

    @property
    def encoding(self) -> PositionEncoding:
        return self.documents.encoding

    def start(self, client: ClientTraits, encoding: PositionEncoding, options: object) -> None:
        self.client = client
        self.documents = DocumentStore(encoding)
        self.configure(options)

    def configure(self, options: object) -> None:
        """Take over new settings; the resident is changed only when what it depends on is another."""
        before = self.settings
        self.settings, complaints = read_settings(options)
        if complaints:
            self._tell_once("warning", f"midfill uses the default where a setting is wrong: {'; '.join(complaints)}.")
        for typing in self._typing.values():
            typing.rest()
        self._typing.clear()  # what was shown under other settings
        if _resident_settings(before) != _resident_settings(self.settings):
            self.run_in_background(self.resident.close())
            self.resident = self._new_resident()

    def warm(self) -> None:
        """Connect to the resident in the background; what happens is told through its states."""
        self.run_in_background(self._connect(self.resident))

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._end_background)
        return task

    def change(self, uri: str, version: int | None, changes: Sequence[Change]) -> None:
        """Take over a person's edit. Raises UnknownDocumentError."""
        self.supersede(uri)
        before = self.documents.get(uri)
        self.typing(uri).changed(before.text, self.documents.change(uri, version, changes).text)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self.supersede(uri)
        self.documents.close(uri)
        self.anchors.pop(uri, None)
        if typing := self._typing.pop(uri, None):
            typing.rest()

    def typing(self, uri: str) -> Typing:
        """What is known of the typing in an open document."""
        return self._typing.setdefault(uri, Typing())

    def inline_source(self, snapshot: DocumentSnapshot) -> Literal["model", "memory", "off"]:
        """Where ghost text that nobody asked for comes from: in a language that the model was not trained for, only
        from what the open documents themselves repeat."""
        if not self.settings.inline or self.why_not_sent(snapshot):
            return "off"
        info = self.resident.info_if_ready
        language = language_of(snapshot.language_id, snapshot.path)
        return "model" if info is None or language in info.languages else "memory"

    async def latest(self, uri: str, work: Coroutine[Any, Any, list[T]]) -> list[T]:
        """Run the newest inline request of a document. The one before it answers with nothing, at once."""
        self.supersede(uri)
        task: asyncio.Task[list[T]] = asyncio.ensure_future(work)
        self._inline[uri] = task
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise  # the client's own $/cancelRequest
            return []
        finally:
            if self._inline.get(uri) is task:
                del self._inline[uri]

    def supersede(self, uri: str) -> None:
        """End the inline request of a document that moved on; its answer is for nobody."""
        if task := self._inline.pop(uri, None):
            task.cancel()

    def is_current(self, snapshot: DocumentSnapshot) -> bool:
        return snapshot.uri in self.documents and self.documents.get(snapshot.uri) is snapshot

    def why_not_sent(self, snapshot: DocumentSnapshot) -> str | None:
        """Why nothing of this document may reach a model, as a sentence for a person; None if it may."""
        if snapshot.language_id in self.settings.disabled_languages:
            return f"{snapshot.language_id} is one of midfill.disabledLanguages, so nothing of this file was sent."
        path = snapshot.path or PurePath(unquote(urlsplit(snapshot.uri).path)).name
        if glob := excluding_glob(path, self.roots, self.settings.exclude):
            return f"This file matches {glob!r} of midfill.exclude, so nothing of it was sent."
        if self.settings.respect_gitignore and snapshot.path and (rule := self._git.ignoring_rule(Path(snapshot.path))):
            return (
                f"Git ignores this file ({rule}), so nothing of it was sent; midfill.respectGitignore turns that off."
            )
        return None

    async def close(self) -> None:
        for task in (*self._background, *self._inline.values()):
            task.cancel()
        await self.resident.close()

    def _end_background(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A background task failed (%s).", type(error).__name__)

    def _new_resident(self) -> Resident:
        settings = self.settings
        return Resident(settings.endpoint, settings.model, settings.keep_alive_s, self._on_resident_state)

    async def _connect(self, resident: Resident) -> None:
        try:
            await resident.connect()
        except ResidentError:
            return  # told as the state `failed`

    def _on_resident_state(self, state: ResidentState) -> None:
        self._editor.show_state(state)
        if state.kind == "ready":
            self._told.clear()
        elif state.kind == "failed":
            self._tell_once("error", state.detail)
        elif state.kind == "lost":
            self._editor.show("warning", state.detail)
            self.warm()

    def _tell_once(self, level: Literal["error", "warning"], sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._editor.show(level, sentence)


def _resident_settings(settings: Settings) -> tuple[str | None, str, float]:
    return settings.endpoint, settings.model, settings.keep_alive_s
