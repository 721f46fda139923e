"""The server starts light, speaks to recorded clients byte for byte, and keeps nothing of what has passed."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types

from midfill.lsp_server.main import main
from midfill.lsp_server.server import VERSION, Server

HERE = Path(__file__).parent
HEAVY = ("torch", "transformers", "numpy", "httpx", "typer", "rich", "fastapi")
LOADED = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"


def frame(message: dict[str, Any]) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("recorded", ["vscode", "neovim-0.12"])
def test_a_recorded_client_byte_for_byte(recorded: str, places: Path) -> None:
    """`midfill lsp` as an editor starts it; afterwards nothing heavy was loaded, and stdout held messages only."""
    params = json.loads((HERE / "clients" / f"{recorded}.json").read_text().replace("{workspace}", str(places)))
    messages = [
        {"id": 1, "method": "initialize", "params": params},
        {"id": 2, "method": "shutdown"},
        {"method": "exit"},
    ]
    program = "from midfill.lsp_server.cli import main\ncode = main(['lsp', '--stdio'])\n"
    report = f"import sys; sys.stdout = sys.stderr; {LOADED}\nsys.exit(code)"
    done = subprocess.run(
        [sys.executable, "-c", program + report], input=b"".join(map(frame, messages)), capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr.strip()) == (0, b"")
    bodies = [json.loads(part.partition(b"\r\n\r\n")[2]) for part in done.stdout.split(b"Content-Length: ")[1:]]
    assert [body["id"] for body in bodies] == [1, 2]
    assert bodies[0]["result"]["serverInfo"]["name"] == "midfill"


def test_importing_the_server_loads_nothing_heavy() -> None:
    program = f"import midfill.lsp_server.server, midfill.lsp_server.resident.resident\n{LOADED}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == ""


def test_the_version_is_the_distributions() -> None:
    assert importlib.metadata.version("midfill") == VERSION


def test_bad_arguments_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--port", "x"])
    assert left.value.code == 2
    assert "--port" in capsys.readouterr().err


async def test_a_long_session_keeps_nothing(places: Path, scripted: Callable[..., None]) -> None:
    server, sent = Server(), []

    class Writer:
        def write(self, data: bytes) -> None:
            sent.append(json.loads(data))

    server.protocol.set_writer(Writer(), include_headers=False)  # type: ignore[arg-type]

    def receive(message: dict[str, Any]) -> None:
        server.protocol.handle_message(
            json.loads(json.dumps({"jsonrpc": "2.0", **message}), object_hook=server.protocol.structure_message)
        )

    receive({"id": 0, "method": "initialize", "params": {"capabilities": {}, "processId": None, "rootUri": None}})
    document = {"uri": "file:///a.py", "languageId": "python", "version": 0, "text": ""}
    receive({"method": types.TEXT_DOCUMENT_DID_OPEN, "params": {"textDocument": document}})
    before = len(server.protocol._request_futures)
    for index in range(1, 51):
        place = {"uri": "file:///a.py", "version": index}
        receive(
            {
                "method": types.TEXT_DOCUMENT_DID_CHANGE,
                "params": {"textDocument": place, "contentChanges": [{"text": "x"}]},
            }
        )
        position = {"position": {"line": 0, "character": 1}, "context": {"triggerKind": 2}}
        receive(
            {
                "id": index,
                "method": types.TEXT_DOCUMENT_INLINE_COMPLETION,
                "params": {"textDocument": place, **position},
            }
        )
        receive({"method": types.WORKSPACE_DID_CHANGE_CONFIGURATION, "params": {"settings": None}})
    async with asyncio.timeout(10):
        while len([message for message in sent if "id" in message]) < 51:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert len(server.protocol._request_futures) == before
    assert sorted(message["id"] for message in sent if "id" in message) == list(range(51))
    assert len(server.workspace.text_documents) == 0  # pygls keeps no second copy
    await server.session.close()
