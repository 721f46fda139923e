"""From an editor through `midfill lsp`, over stdio, and a resident in front of a vLLM (its stand-in, over HTTP), and
back to the document."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from midfill.model.wire.address import lock_path

sys.path.insert(0, str(Path(__file__).parents[1] / "vllm"))

from stand_in import Serving, StandIn, create_app

pytestmark = [pytest.mark.real_model, pytest.mark.parametrize("editor", ["vscode"], indirect=True)]

TEXT = """def count(words):
    found = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found
"""
OLD, NEW = "found[word] = found.get(word, 0) + 1", "found[word] += 1"


@pytest.fixture
def vllm(places: Path) -> Iterator[tuple[StandIn, str]]:
    """A stand-in that knows TEXT, and the setting that names it; the resident in front of it ends with the test."""
    model = StandIn(files=[TEXT], rewrites={"with +=": (OLD, NEW)})
    serving = Serving(create_app(model))
    name = f"vllm:{serving.url}"
    yield model, name
    with suppress(FileNotFoundError, ProcessLookupError, ValueError):
        os.kill(int(lock_path(name).read_text()), signal.SIGKILL)
    serving.stop()


async def opened(editor: Any, name: str, text: str) -> None:
    await editor.start(options={"model": name})
    await editor.until_ready()
    editor.open(text)


async def test_ghost_text(vllm: Any, editor: Any) -> None:
    hidden = TEXT.index("found.get")
    text = TEXT.replace("found.get(word, 0) + 1", "")
    await opened(editor, vllm[1], text)
    items = await editor.complete(hidden, invoked=True)
    assert items[0].insert_text == "found.get(word, 0) + 1"


@pytest.mark.parametrize(
    ("hidden", "title"), [(["{}"], "Fill this hole"), (["in words", "+ 1"], "Fill all 2 holes")], ids=["one", "joint"]
)
async def test_holes_are_filled(vllm: Any, editor: Any, hidden: list[str], title: str) -> None:
    text = TEXT
    for piece in hidden:
        text = text.replace(piece, "<fill>")
    await opened(editor, vllm[1], text)
    actions = await editor.actions(text.index("<fill>"))
    editor.apply((await editor.client.code_action_resolve_async(actions[title])).edit)
    assert editor.text == TEXT


async def test_an_instruction_is_followed_and_drafts_are_told(vllm: Any, editor: Any) -> None:
    await opened(editor, vllm[1], TEXT)
    drafts: list[Any] = []
    editor.client.feature("midfill/draft")(lambda params: drafts.append(params))
    region = editor.range_of(TEXT.index(OLD), TEXT.index(OLD) + len(OLD))
    wish = {"range": region, "instruction": "count with +=", "draftsToken": "t"}
    proposal = await editor.command("midfill.proposeRewrite", **wish)
    assert [one["newText"] for one in proposal["candidates"]] == [NEW]
    assert {piece.text for draft in drafts for piece in draft.pieces} == {NEW}


async def test_cancelling_ends_the_request_in_vllm(vllm: Any, editor: Any) -> None:
    model, name = vllm
    await opened(editor, name, TEXT.replace("{}", "<fill>"))
    model.delay_s = 60.0
    before = len(model.bodies)
    params = types.ExecuteCommandParams(command="midfill.fillAllHoles", arguments=[{"uri": editor.uri}])
    asked = editor.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params, msg_id="fill")
    running = asyncio.ensure_future(asked)
    await editor.until(lambda: model.num_running > 0)
    editor.client.cancel_request(types.CancelParams(id="fill"))
    await editor.until(lambda: model.num_running == 0)
    assert model.num_cut == len(model.bodies) - before
    with pytest.raises(JsonRpcException) as failed:
        await running
    assert failed.value.code == -32800


async def test_a_vllm_that_is_not_there_is_named_once_asked_for(editor: Any) -> None:
    name = "vllm:http://127.0.0.1:9"
    await editor.start(options={"model": name})
    editor.open(TEXT)
    try:
        status = await editor.command("midfill.status")
        async with asyncio.timeout(30):
            while "Nobody answers at http://127.0.0.1:9" not in status["message"]:
                await asyncio.sleep(0.05)
                status = await editor.command("midfill.status")
    finally:
        os.kill(int(lock_path(name).read_text()), signal.SIGKILL)
