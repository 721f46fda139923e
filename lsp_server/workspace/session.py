"""The loop thread's state: documents, settings, live requests, the resident. Changed only synchronously on the loop.

Knows no LSP type: what must reach the person goes through `Editor`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

from midfill.lsp_server.lsp.document import Change, DocumentSnapshot, DocumentStore, PositionEncoding
from midfill.lsp_server.lsp.protocol import ClientTraits
from midfill.lsp_server.resident.resident import Resident, ResidentError, ResidentState
from midfill.lsp_server.text.excerpt import WindowAnchor
from midfill.lsp_server.text.syntax import language_of
from midfill.lsp_server.workspace.exclusion import excluding_glob
from midfill.lsp_server.workspace.gitignore import GitIgnore
from midfill.lsp_server.workspace.header_edits import HeaderEdits
from midfill.lsp_server.workspace.notebooks import Notebooks, Page, page_of
from midfill.lsp_server.workspace.pauses import Pauses, PauseTarget
from midfill.lsp_server.workspace.related import RelatedTexts
from midfill.lsp_server.workspace.repair import Repairs
from midfill.lsp_server.workspace.settings import Settings, read_settings
from midfill.lsp_server.workspace.stats import Stats, stats_path
from midfill.lsp_server.workspace.status import Status, StatusBoard
from midfill.lsp_server.workspace.suggestions import Typing
from midfill.lsp_server.workspace.uncertain import UncertainSpots
from midfill.model.wire.api import Snippet

T = TypeVar("T")

log = logging.getLogger(__name__)


class Editor(Protocol):
    """What a session may tell the person."""

    def show(self, level: Literal["error", "warning"], sentence: str) -> None: ...

    def show_state(self, state: ResidentState) -> None: ...

    def show_status(self, status: Status) -> None: ...

    def show_spots(self, snapshot: DocumentSnapshot) -> None: ...


class Session:
    """One client's session."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self.documents = DocumentStore()
        self.client = ClientTraits()
        self.settings = Settings()
        self.roots: tuple[str, ...] = ()
        self.anchors: dict[str, WindowAnchor] = {}
        self.notebooks = Notebooks()
        self.pauses = Pauses()
        self.repairs = Repairs()
        self.uncertain = UncertainSpots()
        self.status_board = StatusBoard(editor.show_status)
        self.stats = Stats(stats_path(), self._text_of)
        self.resident = self._new_resident()
        self._related = RelatedTexts()
        self._folder_settings: dict[str, Settings] = {}
        self._typing: dict[str, Typing] = {}
        self._header_edits: dict[str, HeaderEdits] = {}
        self._inline: dict[str, asyncio.Task[Any]] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._told: set[str] = set()
        self._complaints: set[str] = set()
        self._git = GitIgnore()

    @property
    def encoding(self) -> PositionEncoding:
        return self.documents.encoding

    def start(self, client: ClientTraits, encoding: PositionEncoding, options: object) -> None:
        self.client = client
        self.documents = DocumentStore(encoding)
        self.configure(options)

    def configure(self, options: object, of_folders: Mapping[str, object] | None = None) -> None:
        """Take over new settings, and those of workspace folders by path where they may differ; the resident is changed
        only when what it depends on is another."""
        before = self.settings
        self.settings, complaints = read_settings(options)
        self._folder_settings = {}
        for folder, folder_options in (of_folders or {}).items():
            self._folder_settings[folder], more = read_settings(folder_options)
            complaints += more
        self._complain_once(complaints)
        self.stats.is_on = self.settings.stats
        for typing in self._typing.values():
            typing.rest()
        self._typing.clear()  # what was shown under other settings
        if _resident_settings(before) != _resident_settings(self.settings):
            self.run_in_background(self.resident.close())
            self.resident = self._new_resident()
            self.status_board.show_resident(None)

    def settings_of(self, snapshot: DocumentSnapshot) -> Settings:
        """The settings of the document's workspace folder."""
        folder = self.folder_of(snapshot.path) if snapshot.path else None
        return self._folder_settings.get(folder, self.settings) if folder else self.settings

    def folder_of(self, path: str) -> str | None:
        """The innermost workspace folder that holds a path."""
        holding = (root for root in self.roots if PurePath(path).is_relative_to(root))
        return max(holding, key=len, default=None)

    def warm(self) -> None:
        """Connect to the resident in the background; what happens is told through its states. Not while everything is
        paused, nor after a person has stopped the loading: then only what is asked for loads the model."""
        if not self.pauses.everything and not self.resident.is_stopped:
            self.run_in_background(self._connect(self.resident))

    def pause(self, target: PauseTarget) -> None:
        """From now on nothing of what is paused is sent; what runs for it ends with nothing."""
        self._change_pauses(self.pauses.paused(target))
        for uri, typing in self._typing.items():
            if self._is_paused(uri):
                self.supersede(uri)
                typing.rest()

    def resume(self, target: PauseTarget) -> None:
        self._change_pauses(self.pauses.resumed(target))
        if self.resident.info_if_ready is None:
            self.warm()

    def run_in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._end_background)
        return task

    def change(self, uri: str, version: int | None, changes: Sequence[Change]) -> None:
        """Take over a person's edit. Raises UnknownDocumentError."""
        self.supersede(uri)
        self.repairs.forget(uri)
        before = self.documents.get(uri)
        after = self.documents.change(uri, version, changes)
        self.typing(uri).changed(before.text, after.text)
        if self.uncertain.changed(uri, before.text, after.text):
            self._editor.show_spots(after)
        if language_of(after.language_id, after.path) == "python":
            for edit in before.edits(changes, after.text, self.encoding):
                self.header_edits(uri).changed(edit)

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self.supersede(uri)
        self.repairs.forget(uri)
        self.uncertain.forget(uri)
        self.stats.before_close(uri)
        self.documents.close(uri)
        self.anchors.pop(uri, None)
        self._header_edits.pop(uri, None)
        self._related.forget(uri)
        if typing := self._typing.pop(uri, None):
            typing.rest()

    def typing(self, uri: str) -> Typing:
        """What is known of the typing in an open document."""
        return self._typing.setdefault(uri, Typing())

    def header_edits(self, uri: str) -> HeaderEdits:
        """What was changed in the function headers of an open document."""
        return self._header_edits.setdefault(uri, HeaderEdits())

    def inline_source(self, snapshot: DocumentSnapshot) -> Literal["model", "memory", "off"]:
        """Where ghost text that nobody asked for comes from: in a language that the model was not trained for, only
        from what the open documents themselves repeat."""
        if not self.settings_of(snapshot).inline or self.why_not_sent(snapshot):
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

    def page_of(self, snapshot: DocumentSnapshot) -> Page:
        """The document as the model reads it."""
        return page_of(snapshot, self.notebooks, self.documents)

    def related_to(
        self, snapshot: DocumentSnapshot, offset: int, num_chars: int, *, rank_anew: bool
    ) -> tuple[Snippet, ...]:
        """Texts of other open documents that help to fill a hole, at most `num_chars`, best first; never of one that
        may not be sent. The same texts as for the last hole of this definition, unless they are to be ranked anew."""
        texts = None if rank_anew else self._related.found(snapshot, offset)
        if texts is None:
            others = [one for one in self.documents if self._may_help(one, snapshot)] if num_chars else []
            texts = self._related.find(snapshot, offset, others, num_chars)
        allowed = {uri for uri in {text.uri for text in texts} if self._may_be_sent(uri)}
        return tuple(text.snippet for text in texts if text.uri in allowed)

    def _may_help(self, other: DocumentSnapshot, snapshot: DocumentSnapshot) -> bool:
        """A document of the same language, and no cell of the same notebook, whose text is there already."""
        is_beside = urlsplit(other.uri)._replace(fragment="") == urlsplit(snapshot.uri)._replace(fragment="")
        return other.language_id == snapshot.language_id and not is_beside and self._may_be_sent(other.uri)

    def _may_be_sent(self, uri: str) -> bool:
        return uri in self.documents and self.why_not_sent(self.documents.get(uri)) is None

    def why_not_sent(self, snapshot: DocumentSnapshot) -> str | None:
        """Why nothing of this document may reach a model, as a sentence for a person; None if it may."""
        if reason := self.pauses.reason(snapshot.language_id, snapshot.path):
            return reason
        settings = self.settings_of(snapshot)
        if snapshot.language_id in settings.disabled_languages:
            return f"{snapshot.language_id} is one of midfill.disabledLanguages, so nothing of this file was sent."
        path = snapshot.path or PurePath(unquote(urlsplit(snapshot.uri).path)).name
        if glob := excluding_glob(path, self.roots, settings.exclude):
            return f"This file matches {glob!r} of midfill.exclude, so nothing of it was sent."
        if settings.respect_gitignore and snapshot.path and (rule := self._git.ignoring_rule(Path(snapshot.path))):
            return (
                f"Git ignores this file ({rule}), so nothing of it was sent; midfill.respectGitignore turns that off."
            )
        return None

    async def close(self) -> None:
        for task in (*self._background, *self._inline.values()):
            task.cancel()
        self.repairs.close()
        self.stats.close()
        await self.resident.close()

    def _end_background(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A background task failed (%s).", type(error).__name__)

    def _new_resident(self) -> Resident:
        settings = self.settings
        return Resident(
            settings.endpoint,
            settings.model,
            settings.keep_alive_s,
            self._on_resident_state,
            self.status_board.show_work,
        )

    async def _connect(self, resident: Resident) -> None:
        try:
            await resident.connect()
        except ResidentError:
            return  # told as the state `failed`

    def _on_resident_state(self, state: ResidentState) -> None:
        self._editor.show_state(state)
        self.status_board.show_resident(state)
        if state.kind == "ready":
            self._told.clear()
        elif state.kind == "failed":
            self._tell_once("error", state.detail)
        elif state.kind == "lost":
            self._editor.show("warning", state.detail)
            self.warm()

    def _complain_once(self, complaints: Iterable[str]) -> None:
        new = [complaint for complaint in dict.fromkeys(complaints) if complaint not in self._complaints]
        if new:
            self._complaints.update(new)
            self._editor.show("warning", f"midfill uses the default where a setting is wrong: {'; '.join(new)}.")

    def _change_pauses(self, pauses: Pauses) -> None:
        self.pauses = pauses
        self.status_board.show_pauses(pauses)

    def _is_paused(self, uri: str) -> bool:
        if uri not in self.documents:
            return False
        snapshot = self.documents.get(uri)
        return self.pauses.reason(snapshot.language_id, snapshot.path) is not None

    def _text_of(self, uri: str) -> str | None:
        return self.documents.get(uri).text if uri in self.documents else None

    def _tell_once(self, level: Literal["error", "warning"], sentence: str) -> None:
        if sentence not in self._told:
            self._told.add(sentence)
            self._editor.show(level, sentence)


def _resident_settings(settings: Settings) -> tuple[str | None, str, float]:
    return settings.endpoint, settings.model, settings.keep_alive_s
