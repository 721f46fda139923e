"""From a recorded editor through `midfill lsp` and the resident to the weights that ship, and back to the document."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.real_model

BEFORE = '''"""Counting words."""

from collections import Counter


def count_words(path: str) -> Counter[str]:
    counter: Counter[str] = Counter()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            counter.update('''
AFTER = """)
    return counter


def most_common(path: str, limit: int = 10) -> list[str]:
    counter = count_words(<fill>)
    return [word for word, _ in counter.most_common(<fill>)]
"""
TEXT = f"{BEFORE}<fill>{AFTER}"


async def test_an_editor_gets_ghost_text_and_both_actions(editor: Any) -> None:
    await editor.start()
    editor.open(BEFORE + AFTER)
    await editor.until_loaded()
    items = await editor.complete(len(BEFORE), invoked=True)
    assert items, "a person who asks gets what there is"
    assert all(item.insert_text.strip() and item.range.start.line == item.range.end.line for item in items)
    editor.replace(len(BEFORE), len(BEFORE), "<fill>")
    actions = await editor.actions(len(BEFORE))
    assert list(actions) == ["Fill this hole", "Fill all 3 holes"]
    resolved = await editor.client.code_action_resolve_async(actions["Fill this hole"])
    editor.apply(resolved.edit)
    assert editor.text.count("<fill>") == 2
    assert editor.text.startswith(BEFORE)


async def test_the_server_and_the_terminal_give_equal_fills(editor: Any) -> None:
    await editor.start()
    editor.open(TEXT)
    await editor.until_loaded()
    resolved = await editor.client.code_action_resolve_async((await editor.actions(0))["Fill all 3 holes"])
    editor.apply(resolved.edit)
    path = Path(editor.workspace) / "a.py"
    path.write_text(TEXT)
    command = [sys.executable, "-P", "-m", "midfill.lsp_server", "fill", str(path)]
    answer = json.loads((await asyncio.to_thread(run, [*command, "--json"])).stdout)
    filled = TEXT
    for hole in reversed(answer["holes"]):
        filled = filled[: hole["start"]] + hole["fill"] + filled[hole["end"] :]
    assert filled == editor.text
    usage = answer["usage"]
    assert usage["forward_passes"] >= 1
    assert usage["canvas_tokens"] >= usage["fill_tokens"] >= 1
    await asyncio.to_thread(run, [*command, "--write"])
    assert path.read_text() == editor.text


SCOPES = {
    "selection": (["--lines", "10-10"], "midfill.fillSelection", {"range": {"start": (9, 0), "end": (10, 0)}}),
    "empty bodies": (["--bodies"], "midfill.fillAllHoles", {}),
    "function": (["--function", "16"], "midfill.fillFunction", {"position": (15, 0)}),
}
BODIES = f"""{BEFORE}line.split(){AFTER.split("def most_common")[0]}def is_empty(path: str) -> bool:
    # TODO: whether the file has no word
    pass


def num_words(path: str) -> int: ...
"""


@pytest.mark.parametrize("scope", list(SCOPES))
@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_the_server_and_the_terminal_give_equal_fills_of_every_scope(editor: Any, scope: str) -> None:
    options, command, where = SCOPES[scope]
    text = TEXT if scope == "function" else BODIES
    await editor.start()
    await editor.until_loaded()
    editor.open(text)
    await editor.command(command, version=1, **{name: _lsp_of(place) for name, place in where.items()})
    path = Path(editor.workspace) / "a.py"
    path.write_text(text)
    terminal = [sys.executable, "-P", "-m", "midfill.lsp_server", "fill", str(path), "--write", *options]
    await asyncio.to_thread(run, terminal)
    assert path.read_text() == editor.text
    assert editor.text != text


def _lsp_of(place: Any) -> dict[str, Any]:
    if isinstance(place, dict):
        return {name: _lsp_of(end) for name, end in place.items()}
    return dict(zip(("line", "character"), place, strict=True))


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
