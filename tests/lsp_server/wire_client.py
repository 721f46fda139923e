"""The language server in the test's own process, spoken to in JSON: for what an editor would never send, and for runs
in which nothing may take time."""

from __future__ import annotations

import asyncio
import json
import runpy
import time
from pathlib import Path
from typing import Any

from lsprotocol import types

from midfill.lsp_server.resident import resident
from midfill.lsp_server.server import Server
from midfill.model.wire.api import Infill, InfillRequest, ModelInfo

SCRIPTED_RESIDENT = Path(__file__).parents[1] / "wire" / "scripted_resident.py"


class AtOnce(resident.Resident):
    """The scripted model in this process: what takes time is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.model = runpy.run_path(str(SCRIPTED_RESIDENT))["ScriptedModel"](step_s=0, num_steps=1)

    @property
    def info_if_ready(self) -> ModelInfo:
        return self.model.info  # type: ignore[no-any-return]

    async def connect(self) -> ModelInfo:
        return self.info_if_ready

    async def infill(self, request: InfillRequest) -> Infill:
        await asyncio.sleep(0)
        *_, infill = self.model.infill(request, time.monotonic())
        assert isinstance(infill, Infill)
        return infill


class Wire:
    """A server in this process, without pipes between: JSON in, JSON out; for what an editor would never send."""

    uri = "file:///a.py"

    def __init__(self) -> None:
        self.server = Server()
        self.server.attach(self, with_headers=False)
        self.sent: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        message = json.loads(data)
        self.sent.append(message)
        if message.get("method") == types.WORKSPACE_APPLY_EDIT:  # an editor would apply it
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"applied": True}}
            asyncio.get_running_loop().call_soon(self.server.receive, json.dumps(answer).encode())

    def fill_at_once(self) -> None:
        """From now on the scripted model answers in this process."""
        self.server.session.resident = AtOnce()

    def notify(self, method: str, params: Any = None) -> None:
        self.server.receive(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())

    def ask(self, id_: Any, method: str, params: Any = None) -> None:
        self.server.receive(json.dumps({"jsonrpc": "2.0", "id": id_, "method": method, "params": params}).encode())

    async def answers(self, num: int) -> dict[Any, Any]:
        """Wait for so many answers; each by its id: the result or the error's code."""
        async with asyncio.timeout(120):
            while len(self._answers()) < num:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)  # a second answer to the same request would come now
        answers = self._answers()
        assert len({answer["id"] for answer in answers}) == len(answers) == num
        return {
            answer["id"]: answer["error"]["code"] if "error" in answer else answer.get("result") for answer in answers
        }

    def _answers(self) -> list[dict[str, Any]]:
        return [message for message in self.sent if "method" not in message]

    async def start(self) -> None:
        self.ask("init", types.INITIALIZE, {"capabilities": {}, "processId": None, "rootUri": None})
        await self.answers(1)
        self.sent.clear()

    def open(self, text: str) -> None:
        document = {"uri": self.uri, "languageId": "python", "version": 0, "text": text}
        self.notify(types.TEXT_DOCUMENT_DID_OPEN, {"textDocument": document})

    def complete(self, id_: Any, line: int, character: int, kind: int = 2) -> None:
        params = {"textDocument": {"uri": self.uri}, "position": {"line": line, "character": character}}
        self.ask(id_, types.TEXT_DOCUMENT_INLINE_COMPLETION, {**params, "context": {"triggerKind": kind}})
