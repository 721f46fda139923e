"""From an editor through `midfill lsp` and `midfill serve` to a tiny masked diffusion model that was trained on a toy
language, and back to the document: the right answers. One setting, `midfill.model`, chooses it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKPOINT = Path(__file__).parents[1] / "data" / "toy-dream"
pytestmark = [pytest.mark.real_model, pytest.mark.parametrize("editor", ["vscode"], indirect=True)]

OTHER = "def mul(kappa, theta_delta):\n    return kappa * theta_delta\n"
ONE_HOLE = f"{OTHER}\ndef sub(gamma_alpha, beta):\n    return <fill> - beta\n"
TWO_HOLES = f"{OTHER}\ndef add(<fill>, <fill>):\n    return omega + sigma\n"


async def test_an_editor_and_the_terminal_fill_with_it(editor: Any) -> None:
    """Ghost text at a cursor, one hole, two holes of a header jointly; `midfill fill` says the same."""
    before, after = ONE_HOLE.split("<fill>")
    await editor.start({"model": str(CHECKPOINT)})
    editor.open(before + after)
    await editor.until_loaded()
    items = await editor.complete(len(before), invoked=True)
    assert [item.insert_text for item in items][:1] == ["gamma_alpha"]
    editor.replace(0, len(editor.text), ONE_HOLE)
    await resolve(editor, "Fill this hole", len(before))
    assert editor.text == ONE_HOLE.replace("<fill>", "gamma_alpha")
    editor.replace(0, len(editor.text), TWO_HOLES)
    await resolve(editor, "Fill all 2 holes", 0)
    assert editor.text == TWO_HOLES.replace("<fill>, <fill>", "omega, sigma")
    path = Path(editor.workspace) / "three.py"
    path.write_text(TWO_HOLES)
    command = [
        sys.executable,
        "-P",
        "-m",
        "midfill.lsp_server",
        "fill",
        str(path),
        "--json",
        "--model",
        str(CHECKPOINT),
    ]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert [hole["fill"] for hole in json.loads(ran.stdout)["holes"]] == ["omega", "sigma"]


async def resolve(editor: Any, title: str, offset: int) -> None:
    action = (await editor.actions(offset))[title]
    editor.apply((await editor.client.code_action_resolve_async(action)).edit)
