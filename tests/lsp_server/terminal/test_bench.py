"""`midfill bench`: every figure is there, and the typing that is replayed is real typing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal import bench
from midfill.lsp_server.terminal.typing_replay import keystrokes, without

TEXT = "a = 1\nb = [f(x), {1: (2, 3)}]\nc = 3\n"


def test_typing_everything_gives_the_text() -> None:
    start, end = 6, 30
    *_, last = keystrokes(TEXT, start, end)
    assert last.text == TEXT


def test_brackets_close_themselves_and_are_typed_over() -> None:
    keys = list(keystrokes("f(x)\n", 0, 4))
    assert [(key.offset, key.inserted, key.text) for key in keys] == [
        (0, "f", "f\n"),
        (1, "()", "f()\n"),
        (2, "x", "f(x)\n"),
    ]


def test_each_keystroke_is_an_edit_of_the_text_before() -> None:
    before = without(TEXT, 6, 30)
    for key in keystrokes(TEXT, 6, 30):
        assert key.text == before[: key.offset] + key.inserted + before[key.offset :]
        before = key.text


def test_every_figure_is_measured(
    midfill: Callable[..., Any], endpoint: str, private_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "NUM_KEYSTROKES", 12)
    ran = midfill("bench", "latency", "--json", "--runs", "1", "--endpoint", endpoint)
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert figures["start"]["ratio"] > 0
    assert figures["typing"]["all"]["count"] >= 12
    assert 0 < figures["typing"]["all"]["p50_ms"] <= figures["typing"]["all"]["p95_ms"]
    assert figures["jump"]["count"] == bench.NUM_JUMPS
    assert figures["decoding"]["forward_passes_per_answer"] >= 1
    assert 0 < figures["decoding"]["cached_context_share"] < 1
    assert figures["memory"]["language_server_bytes"] > 1_000_000
    assert figures["memory"]["resident_bytes"] > 1_000_000
    assert figures["model"]["name"] == "embedded"
    started = list(private_places.rglob("embedded*.lock"))
    assert started == [], "a resident of this machine was started though one was named"


def test_a_file_too_short_to_measure_with(midfill: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "short.py").write_text("a = 1\n", encoding="utf-8")
    ran = midfill("bench", "latency", "--file", tmp_path / "short.py")
    assert (ran.code, ran.out) == (2, "")
    assert "give one of 4000 or more" in ran.err


@pytest.mark.parametrize("options", [(), ("--scatter",)])
def test_what_many_people_get_is_measured(midfill: Callable[..., Any], endpoint: str, options: tuple[str, ...]) -> None:
    ran = midfill("bench", "load", "--json", "--people", "3", "--seconds", "1", "--endpoint", endpoint, *options)
    assert ran.code == 0, ran.err
    figures = json.loads(ran.out)
    assert figures["people"] == 3
    assert figures["answers"] > 3
    assert figures["answers_per_second"] > 1
    assert 0 < figures["p50_ms"] <= figures["p95_ms"]


def test_an_endpoint_that_is_not_there_is_said(midfill: Callable[..., Any]) -> None:
    ran = midfill("bench", "load", "--endpoint", "http://127.0.0.1:9")
    assert (ran.code, ran.out) == (1, "")
    assert "Nobody answers at http://127.0.0.1:9" in ran.err
