"""How suggestions fare, counted on this machine: shown, accepted, kept after a minute. Numbers only, never text.

The totals of all servers stand in one file of the state directory. Each server adds what it has counted under a lock
and replaces the file whole, so that several at once lose nothing and a crash leaves no half of a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.text.holes import Span

KEPT_AFTER_S = 60.0
WRITTEN_AFTER_S = 5.0
NUM_REMEMBERED = 64  # shown suggestions that can still be accepted

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Counts:
    """since: the day of the first count, `2026-01-31`, None before it."""

    shown: int = 0
    accepted: int = 0
    kept: int = 0
    since: str | None = None

    def __add__(self, other: Counts) -> Counts:
        since = min((day for day in (self.since, other.since) if day), default=None)
        return Counts(self.shown + other.shown, self.accepted + other.accepted, self.kept + other.kept, since)

    @property
    def is_empty(self) -> bool:
        return not (self.shown or self.accepted or self.kept)


@dataclass(frozen=True)
class _Suggestion:
    """What to look for in a document. line: the beginning of its line and the suggestion; num_before: how often the
    document held that when the suggestion was shown."""

    uri: str
    line: str
    num_before: int


class Stats:
    """One session's counters. Use it on one event loop.

    file: where all servers' totals stand. text_of: an open document's text by URI, None for others."""

    def __init__(self, file: Path, text_of: Callable[[str], str | None]) -> None:
        self.is_on = True
        self._file = file
        self._text_of = text_of
        self._unwritten = Counts()
        self._numbers = itertools.count(1)
        self._shown: dict[str, _Suggestion] = {}
        self._accepted: dict[str, tuple[_Suggestion, asyncio.TimerHandle]] = {}
        self._writing: asyncio.TimerHandle | None = None

    def shown(self, snapshot: DocumentSnapshot, span: Span, texts: Sequence[str]) -> list[str]:
        """Count a suggestion, with its alternatives, that replaces `span`; return an id for each text, under which it
        can be accepted (an item's command is `midfill.accepted` with `{"id": id}`). What is typed through is the same
        suggestion still, and counted once."""
        line = snapshot.text[snapshot.text.rfind("\n", 0, span.start) + 1 : span.start].lstrip()
        ids = [self._remember(snapshot, _comparable(line + text.rstrip())) for text in texts]
        if any(is_new for _, is_new in ids):
            self._count(Counts(shown=1))
        return [id_ for id_, _ in ids]

    def accept(self, id_: str) -> bool:
        """Count an accepted suggestion; False for one that is unknown, forgotten or counted already."""
        suggestion = self._shown.pop(id_, None)
        if suggestion is None:
            return False
        self._count(Counts(accepted=1))
        self._accepted[id_] = suggestion, asyncio.get_running_loop().call_later(KEPT_AFTER_S, self._judge, id_)
        return True

    def before_close(self, uri: str) -> None:
        """Judge a document's suggestions before it closes, by what is there now."""
        for id_ in [id_ for id_, (suggestion, _) in self._accepted.items() if suggestion.uri == uri]:
            self._judge(id_)

    def totals(self) -> Counts:
        """The counts of all servers and all sessions so far."""
        self._write()
        return read_counts(self._file) + self._unwritten

    def close(self) -> None:
        """Judge what was accepted by what is there now, and write everything."""
        for id_ in list(self._accepted):
            self._judge(id_)
        self._shown.clear()
        self._write()

    def _remember(self, snapshot: DocumentSnapshot, line: str) -> tuple[str, bool]:
        """The id of a suggestion, and whether it is new."""
        for id_, known in self._shown.items():
            if (known.uri, known.line) == (snapshot.uri, line):
                return id_, False
        id_ = f"s{next(self._numbers)}"
        self._shown[id_] = _Suggestion(snapshot.uri, line, _comparable(snapshot.text).count(line))
        while len(self._shown) > NUM_REMEMBERED:
            del self._shown[next(iter(self._shown))]
        return id_, True

    def _judge(self, id_: str) -> None:
        suggestion, timer = self._accepted.pop(id_)
        timer.cancel()
        text = self._text_of(suggestion.uri)
        if text is not None and _comparable(text).count(suggestion.line) > suggestion.num_before:
            self._count(Counts(kept=1))

    def _count(self, counts: Counts) -> None:
        if not self.is_on:
            return
        self._unwritten += replace(counts, since=time.strftime("%Y-%m-%d"))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(WRITTEN_AFTER_S, self._write)

    def _write(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        if self._unwritten.is_empty:
            return
        try:
            add_counts(self._file, self._unwritten)
        except OSError as error:  # counted on, and tried again with the next count
            log.warning("The counters could not be written to %s: %s.", self._file, error.strerror)
            return
        self._unwritten = Counts()


def stats_path() -> Path:
    """The file of the counters in this person's state directory."""
    from platformdirs import user_state_path

    return user_state_path("midfill", appauthor=False) / "stats.json"


def read_counts(file: Path) -> Counts:
    """The totals; nothing where there is no file, or one that is none of ours."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        counts = Counts(**{field.name: data[field.name] for field in fields(Counts)})
        return counts if all(isinstance(n, int) for n in (counts.shown, counts.accepted, counts.kept)) else Counts()
    except (OSError, ValueError, KeyError, TypeError):
        return Counts()


def add_counts(file: Path, counts: Counts) -> None:
    """Add to the totals. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file.with_suffix(".lock")):
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(read_counts(file) + counts)) + "\n", encoding="utf-8")
        unfinished.replace(file)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held for about a millisecond, so it is waited for. The lock goes with its process."""
    import fcntl

    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _comparable(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
