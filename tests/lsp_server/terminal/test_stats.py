"""`midfill stats` shows the counters of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.workspace.stats import Counts, add_counts, stats_path


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_before_the_first_suggestion(midfill: Callable[..., Any]) -> None:
    assert "Nothing is counted yet" in midfill("stats").out


def test_the_counters_and_their_shares(midfill: Callable[..., Any]) -> None:
    add_counts(stats_path(), Counts(200, 50, 40, "2026-01-31"))
    lines = midfill("stats").out.splitlines()
    assert lines[0].startswith("Since 2026-01-31")
    assert [" ".join(line.split()) for line in lines[1:4]] == [
        "shown 200",
        "accepted 50 25 % of those shown",
        "kept after a minute 40 80 % of those accepted",
    ]


def test_as_json(midfill: Callable[..., Any]) -> None:
    add_counts(stats_path(), Counts(2, 1, 0, "2026-01-31"))
    counts = json.loads(midfill("stats", "--json").out)
    assert counts == {"shown": 2, "accepted": 1, "kept": 0, "since": "2026-01-31"}
