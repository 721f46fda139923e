"""From an editor through `midfill lsp` and `midfill serve` to a tiny DiffusionGemma that was trained on a toy language,
and back to the document: the right answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

CHECKPOINT = Path(__file__).parents[1] / "data" / "toy-gemma"
pytestmark = [pytest.mark.real_model, pytest.mark.parametrize("editor", ["vscode"], indirect=True)]

OTHER = "def mul(kappa, theta_delta):\n    return kappa * theta_delta\n"
ONE_HOLE = f"{OTHER}\ndef sub(gamma_alpha, beta):\n    return <fill> - beta\n"
JOINT = f"{OTHER}\ndef add(<fill>, sigma):\n    return <fill> + sigma\n"
LONG = """def mul(kappa_beta, theta_delta):
    return kappa_beta * theta_delta

def sub(gamma_alpha, sigma_omega):
    return gamma_alpha - sigma_omega
"""
FUNCTION = "def add(alpha, beta):\n    return alpha + beta\n"


WISHES = (
    ({"instruction": "make it subtract"}, "def sub(alpha, beta):\n    return alpha - beta\n"),
    ({"instruction": "swap the names"}, FUNCTION.replace("alpha + beta", "beta + alpha")),
    ({}, FUNCTION.replace("alpha + beta", "beta + alpha")),
)


async def started(editor: Any) -> None:
    await editor.start({"model": str(CHECKPOINT)})
    await editor.until_ready()


async def resolve(editor: Any, title: str, offset: int) -> None:
    action = (await editor.actions(offset))[title]
    editor.apply((await editor.client.code_action_resolve_async(action)).edit)


async def test_holes_are_filled(editor: Any) -> None:
    """Ghost text at a cursor, one hole, and two that only have to agree with each other."""
    before, after = ONE_HOLE.split("<fill>")
    filled = ONE_HOLE.replace("<fill>", "gamma_alpha")
    await started(editor)
    editor.open(before + after, "toy.py")
    items = await editor.complete(len(before), invoked=True)
    assert [item.insert_text for item in items][:1] == ["gamma_alpha"]
    editor.replace(0, len(editor.text), ONE_HOLE)  # the toy has never seen another file beside its own
    await resolve(editor, "Fill this hole", len(before))
    assert editor.text == filled
    editor.replace(0, len(editor.text), JOINT)
    await resolve(editor, "Fill all 2 holes", 0)
    name = editor.text.partition("def add(")[2].partition(",")[0]
    assert name.isidentifier()
    assert name != "sigma"
    assert editor.text == JOINT.replace("<fill>", name)


async def test_a_region_is_rewritten_and_its_drafts_are_streamed(editor: Any) -> None:
    await started(editor)
    drafts: list[Any] = []
    editor.client.feature("midfill/draft")(lambda params: drafts.append(params))
    editor.open(f"{OTHER}\n{FUNCTION}", "toy.py")
    region = editor.range_of(len(OTHER) + 1, len(editor.text))
    for number, (wish, new) in enumerate(WISHES):
        proposal = await editor.command("midfill.proposeRewrite", range=region, draftsToken=number, **wish)
        assert proposal["candidates"][0]["newText"] == new.rstrip()
        told = [params for params in drafts if params.token == number]
        assert {params.canvas for params in told} == ({0, 1} if wish else {0})
        assert told[0].step == 1


async def test_a_cancelled_rewriting_stops_the_model(editor: Any, metric: Any) -> None:
    """Of sixteen candidates, two canvases each."""
    await started(editor)
    editor.open(LONG, "toy.py")
    begun = asyncio.Event()
    editor.client.feature("midfill/draft")(lambda params: begun.set())
    argument = {
        "uri": editor.uri,
        "range": editor.range_of(0, len(LONG)),
        "instruction": "swap the names",
        "candidates": 16,
        "draftsToken": "t",
    }
    params = types.ExecuteCommandParams(command="midfill.proposeRewrite", arguments=[argument])
    answer = asyncio.ensure_future(
        editor.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params, msg_id="rewrite")
    )
    await begun.wait()
    editor.client.cancel_request(types.CancelParams(id="rewrite"))
    with pytest.raises(JsonRpcException) as cancelled:
        await answer
    assert cancelled.value.code == -32800
    async with asyncio.timeout(10):
        while await metric("midfill_running_requests", str(CHECKPOINT)):  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.01)
    passes = await metric("midfill_forward_passes_total", str(CHECKPOINT))
    assert passes == 0  # none of it came to an answer
    assert editor.edits == []
