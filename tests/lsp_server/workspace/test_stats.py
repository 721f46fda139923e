"""Suggestions are counted on this machine: shown, accepted, kept after a minute; numbers only."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from midfill.lsp_server.lsp.document import DocumentStore
from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.workspace import stats as stats_module
from midfill.lsp_server.workspace.stats import Counts, Stats, add_counts, read_counts

URI = "file:///a.py"


class Desk:
    """One document, the counters of one session, and their file."""

    def __init__(self, directory: Path, text: str) -> None:
        self.documents = DocumentStore()
        self.documents.open(URI, "python", 1, text)
        self.file = directory / "state" / "stats.json"
        self.stats = Stats(self.file, lambda uri: self.documents.get(uri).text if uri in self.documents else None)

    def show(self, text: str) -> str:
        snapshot = self.documents.get(URI)
        (id_,) = self.stats.shown(snapshot, Span(len(snapshot.text), len(snapshot.text)), [text])
        return id_

    def write(self, text: str) -> None:
        self.documents.change(URI, 2, [(None, None, text)])

    def check(self, shown: int, accepted: int, kept: int) -> None:
        totals = self.stats.totals()
        assert (totals.shown, totals.accepted, totals.kept) == (shown, accepted, kept)


@pytest.mark.parametrize(
    ("before", "suggestion", "a_minute_later", "kept"),
    [
        ("x = ", "load(path)", "x = load(path)\ny = 1\n", 1),
        ("x = ", "load(path)", "# moved down\n\nx = load(path)\n", 1),
        ("x = ", "load(path)", "x = loads(path)\n", 0),
        ("x = load(path)\nx = ", "load(path)", "x = load(path)\n", 0),  # the one that stood there before is not it
        ("def f():\r\n    ", "a = 1\n    return a", "def f():\r\n    a = 1\r\n    return a\r\n", 1),
        ("x = ", "1 ", "x = 1", 1),
    ],
)
async def test_kept_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, suggestion: str, a_minute_later: str, kept: int
) -> None:
    monkeypatch.setattr(stats_module, "KEPT_AFTER_S", 0.02)
    desk = Desk(tmp_path, before)
    assert desk.stats.accept(desk.show(suggestion))
    desk.write(a_minute_later)
    async with asyncio.timeout(10):
        while desk.stats._accepted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    desk.check(1, 1, kept)


async def test_closing_the_document_counts_what_is_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "x = ")
    first, second = desk.show("1"), desk.show("2")
    assert desk.stats.accept(first)
    assert desk.stats.accept(second)
    desk.write("x = 2")
    desk.stats.before_close(URI)
    desk.check(2, 2, 1)


async def test_an_acceptance_counts_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "x = ")
    id_ = desk.show("1")
    assert desk.stats.accept(id_)
    assert not desk.stats.accept(id_)
    assert not desk.stats.accept("of another day")
    desk.check(1, 1, 0)


async def test_what_is_typed_through_is_shown_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "x = ")
    first = desk.show("load(path)")
    desk.write("x = lo")
    assert desk.show("ad(path)") == first
    desk.write("x = load(path)\n")
    assert desk.stats.accept(first)
    desk.stats.before_close(URI)
    desk.check(1, 1, 1)


async def test_alternatives_are_one_suggestion_and_each_can_be_accepted(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "x = ")
    first, second = desk.stats.shown(desk.documents.get(URI), Span(4, 4), ["1", "2"])
    assert first != second
    assert desk.stats.accept(second)
    desk.check(1, 1, 0)


async def test_switched_off_nothing_is_counted_or_written(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "x = ")
    desk.stats.is_on = False
    desk.stats.accept(desk.show("1"))
    desk.stats.close()
    desk.check(0, 0, 0)
    assert not desk.file.exists()


async def test_the_file_holds_numbers_and_a_day_only(tmp_path: Path) -> None:
    desk = Desk(tmp_path, "password = ")
    desk.stats.accept(desk.show("hunter2"))
    desk.stats.close()
    data = json.loads(desk.file.read_text())
    assert set(data) == {"shown", "accepted", "kept", "since"}
    assert len(data.pop("since")) == len("2026-01-31")
    assert all(isinstance(number, int) for number in data.values())


def test_several_servers_lose_no_count(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from midfill.lsp_server.workspace.stats import Counts, add_counts\n"
        "for _ in range(50): add_counts(Path(sys.argv[1]), Counts(1, 1, 1, '2026-01-31'))"
    )
    file = tmp_path / "stats.json"
    servers = [subprocess.Popen([sys.executable, "-c", program, str(file)]) for _ in range(4)]
    assert [server.wait(120) for server in servers] == [0] * 4
    assert read_counts(file) == Counts(200, 200, 200, "2026-01-31")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"shown": "many", "accepted": 0, "kept": 0, "since": null}'])
def test_a_broken_file_begins_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stats.json"
    file.write_text(text)
    add_counts(file, Counts(1, 0, 0, "2026-01-31"))
    assert read_counts(file) == Counts(1, 0, 0, "2026-01-31")
