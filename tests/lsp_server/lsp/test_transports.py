"""7. stdio, TCP and WebSocket: one server for each client, on loopback, with a token; and nobody is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from midfill.lsp_server.lsp import parent
from midfill.lsp_server.lsp.transports import Listening, TransportError, read_bodies, read_token

SERVER = (sys.executable, str(Path(__file__).parents[1] / "scripted_server.py"))
TOKEN = "correct-horse"
PATIENCE_S = 60.0


def body_of(id_: Any, method: str, params: Any = None) -> bytes:
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(message if id_ is None else {**message, "id": id_}).encode()


def framed(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def initialize(pid: int | None = None) -> bytes:
    return body_of(1, "initialize", {"capabilities": {}, "processId": pid, "rootUri": None})


async def answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_S):
        async for body in read_bodies(reader):
            message: dict[str, Any] = json.loads(body)
            if "id" in message and "method" not in message:
                return message
    raise AssertionError("the connection ended without an answer")


@contextlib.asynccontextmanager
async def started(*options: str, token: str = TOKEN) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, str]]:
    """A server that listens, its port, and what it printed."""
    environment = {**os.environ, "MIDFILL_LSP_TOKEN": token}
    server = await asyncio.create_subprocess_exec(*SERVER, *options, stderr=subprocess.PIPE, env=environment)
    assert server.stderr is not None
    printed = ""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (listening := re.search(r"listening on \w+://127\.0\.0\.1:(\d+)", printed)):
                line = await server.stderr.readline()
                assert line, printed
                printed += line.decode()
        yield server, int(listening[1]), printed
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


@pytest.fixture(autouse=True)
def scripted_residents(places: Path, resident_options: Callable[..., None]) -> None:
    """Whoever starts a model here gets a scripted one."""


async def test_7_tcp_serves_several_clients_at_once_and_goes_on_after_one_leaves() -> None:
    async with started("--tcp", "0") as (server, port, _):
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for index, (reader, writer) in enumerate(streams):
            end = b"\r\n" if index else b"\n"
            writer.write(b"Authorization: Bearer " + TOKEN.encode() + end + framed(initialize()))
            assert (await answer(reader))["result"]["serverInfo"]["name"] == "midfill"
        reader, writer = streams[0]
        writer.write(framed(body_of(2, "shutdown")) + framed(body_of(None, "exit")))
        assert (await answer(reader))["id"] == 2
        assert await reader.read() == b""
        for reader, writer in streams[1:]:
            writer.write(framed(body_of(3, "workspace/executeCommand", {"command": "midfill.status"})))
            assert (await answer(reader))["id"] == 3
            writer.close()
        assert server.returncode is None


@pytest.mark.parametrize(
    "first", [b"Authorization: Bearer wrong\r\n", framed(initialize()), b"\r\n", b"GET / HTTP/1.1\r\n"]
)
async def test_7_tcp_refuses_a_wrong_token_with_a_reason(first: bytes) -> None:
    async with started("--tcp", "0") as (_, port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(first + framed(initialize()))
        refusal = await answer(reader)
        assert "result" not in refusal
        assert "Authorization: Bearer TOKEN" in refusal["error"]["message"]
        assert await reader.read() == b""
        writer.close()


async def test_7_a_token_is_made_and_printed_when_none_is_given() -> None:
    async with started("--tcp", "0", token="") as (_, port, printed):
        token = re.search(r"the token is (\S{20,})\n", printed)
        assert token
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"Authorization: Bearer {token[1]}\r\n".encode() + framed(initialize()))
        assert (await answer(reader))["id"] == 1
        writer.close()


async def test_7_a_websocket_speaks_json_bodies() -> None:
    async with started("--ws", "0") as (_, port, _):
        header = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            connect(f"ws://127.0.0.1:{port}", additional_headers=header) as first,
            connect(f"ws://127.0.0.1:{port}/?token={TOKEN}") as second,
        ):
            for client in (first, second):
                await client.send(initialize().decode())
                async with asyncio.timeout(PATIENCE_S):
                    assert json.loads(await client.recv())["result"]["serverInfo"]["name"] == "midfill"
            await first.send(body_of(2, "shutdown").decode())
            await first.send(body_of(None, "exit").decode())
            async with asyncio.timeout(PATIENCE_S):
                assert json.loads(await first.recv())["id"] == 2
                await first.wait_closed()
                await second.send(body_of(3, "workspace/executeCommand", {"command": "midfill.stats"}).decode())
                while json.loads(await second.recv()).get("id") != 3:
                    pass


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [
        ("/", None, 401),
        ("/?token=wrong", None, 401),
        (f"/?token={TOKEN}", "https://evil.example", 403),
        (f"/?token={TOKEN}", "null", 403),
        (f"/?token={TOKEN}", "http://127.0.0.1", 403),
    ],
)
async def test_7_a_websocket_wants_the_token_and_no_web_page(path: str, origin: Any, status: int) -> None:
    async with started("--ws", "0", "--allow-origin", "https://ide.example") as (_, port, _):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{port}{path}", origin=origin):
                pass
        assert refused.value.response.status_code == status
        async with connect(f"ws://127.0.0.1:{port}/?token={TOKEN}", origin="https://ide.example"):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tcp", "7777", "--host", "0.0.0.0"], "ssh -L 7777:127.0.0.1:7777"),
        (["--ws", "7777", "--host", "192.168.1.4"], "can be reached from other machines"),
        (["--tcp", "7777", "--host", "gpu.example"], "can be reached from other machines"),
        (["--tcp", "70000"], "a port is a number from 0 to 65535"),
        (["--tcp", "1", "--ws", "2"], "not allowed with argument"),
        (["--tcp", "0", "--token-file", "/no/such/file"], "cannot be read from /no/such/file"),
    ],
)
def test_7_what_cannot_be_listened_to_is_said(options: list[str], sentence: str) -> None:
    done = subprocess.run([*SERVER, *options], capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


async def test_7_a_taken_port_is_said() -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    for way in ("--tcp", "--ws"):
        done = await asyncio.to_thread(
            subprocess.run, [*SERVER, way, str(port)], capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 2
        assert "cannot be listened to" in done.stderr
        assert "Traceback" not in done.stderr
    taken.close()


def test_7_websockets_are_named_when_they_are_missing() -> None:
    program = "import sys; sys.modules['websockets'] = None\nfrom midfill.lsp_server.main import main\n"
    done = subprocess.run(
        [sys.executable, "-c", program + "sys.exit(main(['--ws', '0']))"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert re.search(r"pip install .*\[ws\]'", done.stderr)


def test_7_loopback_addresses_are_allowed() -> None:
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert Listening(host, 1, TOKEN).host == host
    with pytest.raises(TransportError, match="ssh -L"):
        Listening("::", 1, TOKEN)


def test_7_a_token_file_holds_one_line(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  abc\n")
    assert read_token(file) == "abc"
    for bad in ("", "a b", "a\nb", "ü"):
        file.write_text(bad)
        with pytest.raises(TransportError, match="must be one line"):
            read_token(file)


@pytest.mark.parametrize(
    ("stream", "bodies"),
    [
        (b"Content-Length: 2\r\n\r\n{}Content-Length: 1\r\n\r\n3", [b"{}", b"3"]),
        (b"content-length: 2\r\nContent-Type: x\r\n\r\n{}", [b"{}"]),
        (b"Content-Type: x\r\nContent-Length:2\r\n\r\n{}", [b"{}"]),
        (b"\r\n\r\nhello\r\n\r\nContent-Length: 2\r\n\r\n{}", [b"{}"]),
        (b"Content-Length: 5\r\n\r\n{}", []),
        ('Content-Length: 4\r\n\r\n"ü"'.encode(), ['"ü"'.encode()]),
        (b"", []),
    ],
)
async def test_7_framing(stream: bytes, bodies: list[bytes]) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(stream)
    reader.feed_eof()
    assert [body async for body in read_bodies(reader)] == bodies


@pytest.mark.parametrize("length", [b"-1", b"many", b"99999999999999"])
async def test_7_a_length_that_is_none_ends_the_connection(length: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"Content-Length: " + length + b"\r\n\r\n")
    with pytest.raises(TransportError, match="Content-Length must be a number"):
        await anext(read_bodies(reader))


def run_stdio(sent: bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*SERVER, "--stdio"], input=sent, capture_output=True, timeout=PATIENCE_S, **options)


def test_7_a_client_that_dies_ends_its_server() -> None:
    done = run_stdio(framed(initialize()))  # and stdin closes
    assert done.returncode == 1
    assert b'"serverInfo"' in done.stdout
    assert b"Traceback" not in done.stderr


def test_7_leaving_without_shutdown_is_told_by_the_exit_code() -> None:
    assert run_stdio(framed(initialize()) + framed(body_of(None, "exit"))).returncode == 1
    assert (
        run_stdio(framed(initialize()) + framed(body_of(2, "shutdown")) + framed(body_of(None, "exit"))).returncode == 0
    )


@pytest.mark.parametrize("system_tells", [True, False])
async def test_7_a_process_that_ends_is_noticed(monkeypatch: pytest.MonkeyPatch, system_tells: bool) -> None:
    if not system_tells:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
        monkeypatch.setattr(parent, "POLL_S", 0.01)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    watching = asyncio.ensure_future(parent.until_gone(process.pid))
    await asyncio.sleep(0.1)
    assert not watching.done()
    assert parent.is_running(process.pid)
    process.kill()
    await process.wait()
    async with asyncio.timeout(PATIENCE_S):
        await watching
    assert not parent.is_running(process.pid)


def test_7_the_server_goes_with_its_editor_and_the_resident_stays(resident_pid: Callable[[], int]) -> None:
    """The editor is killed, and somebody else still holds the pipes open, as happens with wrappers."""
    editor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    server = subprocess.Popen([*SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    fill = {"command": "midfill.restartResident"}
    server.stdin.write(framed(initialize(editor.pid)) + framed(body_of(2, "workspace/executeCommand", fill)))
    server.stdin.flush()
    seen = b""
    while b'"id": 2' not in seen:
        chunk = os.read(server.stdout.fileno(), 2**16)
        assert chunk, seen
        seen += chunk
    assert server.poll() is None
    editor.kill()
    editor.wait()
    assert server.wait(PATIENCE_S) == 1
    os.kill(resident_pid(), 0)  # still there
    server.stdin.close()
    server.stdout.close()


def test_7_a_parent_that_cannot_be_seen_from_here_is_not_missed() -> None:
    """In a container or over ssh the editor's process id means nothing."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    messages = framed(initialize(gone.pid)) + framed(body_of(2, "shutdown")) + framed(body_of(None, "exit"))
    assert run_stdio(messages).returncode == 0


def test_7_sigterm_is_a_way_to_leave() -> None:
    server = subprocess.Popen(
        [*SERVER, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(framed(initialize()))
    server.stdin.flush()
    assert os.read(server.stdout.fileno(), 10)
    server.send_signal(signal.SIGTERM)
    _, stderr = server.communicate(timeout=PATIENCE_S)
    assert server.returncode == 1
    assert b"Traceback" not in stderr
