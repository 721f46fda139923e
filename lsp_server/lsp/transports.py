"""How messages come and go: stdin and stdout, TCP, WebSocket. Bytes in, bytes out; knows no LSP and no session.

TCP and WebSocket listen on loopback only and want a token: every program of this machine can reach a local port, and
every web page can try to, so a WebSocket that names an origin is refused too unless that origin was allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol
from urllib.parse import parse_qs, urlsplit

from midfill.lsp_server.resident.loopback import is_loopback
from midfill.model.wire.install_command import install_command

TOKEN_VARIABLE = "MIDFILL_LSP_TOKEN"
FIRST_LINE_TIMEOUT_S = 10.0
LONGEST_MESSAGE_BYTES = 2**28
REFUSED = -32600

log = logging.getLogger(__name__)


class TransportError(Exception):
    """Nothing can be listened to as asked; the message says why and what to do."""


class Server(Protocol):
    """One client's server. `left` is set when the client said goodbye, or nobody is there any more."""

    left: asyncio.Event

    def attach(self, writer: Any, *, with_headers: bool) -> None: ...

    def receive(self, body: bytes) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Listening:
    """Where to listen, and who may come. port 0: any free one. origins: web pages that may open a WebSocket."""

    host: str
    port: int
    token: str
    origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise TransportError(
                f"{self.host} can be reached from other machines, and the connection is not encrypted. Listen on "
                f"127.0.0.1 and forward the port: ssh -L {self.port}:127.0.0.1:{self.port} THIS_MACHINE"
            )


async def read_bodies(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The bodies of LSP's framing (`Content-Length: N`, a blank line, N bytes), until the other side closes. Raises
    TransportError for a length that is none: from there on nothing can be told apart."""
    length = None
    while line := await reader.readline():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = _length(value)
        elif not line.strip() and length is not None:
            try:
                yield await reader.readexactly(length)
            except asyncio.IncompleteReadError:
                return
            length = None


def _length(value: bytes) -> int:
    if value.strip().isdigit() and int(value) <= LONGEST_MESSAGE_BYTES:
        return int(value)
    raise TransportError(
        f"Content-Length must be a number of at most {LONGEST_MESSAGE_BYTES} bytes, got {value[:40]!r}."
    )


async def converse(server: Server, bodies: AsyncIterator[bytes]) -> None:
    """Give a server its messages until one of the two leaves; whatever happens, the server is closed."""

    async def hand_over() -> None:
        async for body in bodies:
            server.receive(body)
            await asyncio.sleep(0)  # what a message has started gets its turn, even when the next one is here already

    tasks = [asyncio.ensure_future(hand_over()), asyncio.ensure_future(server.left.wait())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if (error := task.exception()) is not None:
                log.error(
                    "The connection ends: %s", error if isinstance(error, TransportError) else type(error).__name__
                )
    finally:
        for task in tasks:
            task.cancel()
        await server.close()


async def serve_stdio(server: Server) -> None:
    """Speak with whoever started this process. stdin is read in a thread that ends with the process: a read that waits
    for a client that never closes must not keep anybody."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    threading.Thread(target=_feed, args=(sys.stdin.fileno(), reader, loop), daemon=True).start()
    server.attach(_StdoutWriter(sys.stdout.buffer), with_headers=True)
    await converse(server, read_bodies(reader))


def _feed(descriptor: int, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
        while chunk := os.read(descriptor, 2**16):
            loop.call_soon_threadsafe(reader.feed_data, chunk)
        loop.call_soon_threadsafe(reader.feed_eof)


class _StdoutWriter:
    """A client that is gone reads nothing; that it is gone shows at stdin."""

    def __init__(self, stdout: BinaryIO) -> None:
        self._stdout = stdout

    def write(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stdout.write(data)
            self._stdout.flush()


async def serve_tcp(make_server: Callable[[], Server], listening: Listening) -> None:
    """One server for each connection, for ever. A connection's first line is `Authorization: Bearer TOKEN`; it may be
    the first header of the first message. Raises TransportError for a port that is taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(FIRST_LINE_TIMEOUT_S):
                first_line = await reader.readline()
            name, _, value = first_line.decode("latin-1").partition(":")
            if name.lower() == "authorization" and _is_authorization(value, listening.token):
                server = make_server()
                server.attach(writer, with_headers=True)
                await converse(server, read_bodies(reader))
            else:
                await _refuse(reader, writer)
        except (TimeoutError, ValueError, ConnectionError):
            pass  # says nothing, or nothing that could be a line of ours
        finally:
            writer.close()

    try:
        listener = await asyncio.start_server(connected, listening.host, listening.port)
    except OSError as error:
        raise _taken(listening, error) from None
    _announce("tcp", listening, listener.sockets[0].getsockname()[1])
    async with listener:
        await listener.serve_forever()


async def serve_ws(make_server: Callable[[], Server], listening: Listening) -> None:
    """One server for each WebSocket, for ever; one message is one JSON body. The token comes as the header
    `Authorization: Bearer TOKEN` or as `?token=TOKEN`. Raises TransportError."""
    try:
        from websockets.asyncio.server import ServerConnection, serve
        from websockets.exceptions import ConnectionClosed
        from websockets.http11 import Request, Response
    except ImportError:
        run = install_command("ws")
        raise TransportError(f"--ws needs the package websockets, which is not installed; run: {run}") from None

    def check(connection: ServerConnection, request: Request) -> Response | None:
        given = (
            request.headers.get("Authorization")
            or "Bearer " + parse_qs(urlsplit(request.path).query).get("token", [""])[0]
        )
        if _is_authorization(given, listening.token):
            return None
        return connection.respond(401, "Give this server's token: Authorization: Bearer TOKEN, or ?token=TOKEN.\n")

    async def connected(connection: ServerConnection) -> None:
        async def bodies() -> AsyncIterator[bytes]:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    yield await connection.recv(decode=False)

        async def send() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await connection.send((await writer.get()).decode())

        writer = _QueueWriter()
        server = make_server()
        server.attach(writer, with_headers=False)
        sending = asyncio.ensure_future(send())
        try:
            await converse(server, bodies())
        finally:
            sending.cancel()

    origins = [None, *listening.origins]  # None: a client that is no web page names no origin
    try:
        listener = await serve(
            connected,
            listening.host,
            listening.port,
            origins=origins,  # type: ignore[arg-type]
            process_request=check,
            max_size=LONGEST_MESSAGE_BYTES,
            compression=None,
        )
    except OSError as error:
        raise _taken(listening, error) from None
    _announce("ws", listening, next(iter(listener.sockets)).getsockname()[1])
    await listener.serve_forever()


class _QueueWriter(asyncio.Queue[bytes]):
    """What a server writes, in order, for a connection that sends one message at a time."""

    def write(self, data: bytes) -> None:
        self.put_nowait(data)


def read_token(file: Path | None) -> str:
    """The token: of the file, of $MIDFILL_LSP_TOKEN, or a new one, which is printed. Raises TransportError."""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise TransportError(f"The token cannot be read from {file}: {error}.") from None
    else:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            import secrets

            token = secrets.token_urlsafe(24)
            print(f"midfill: the token is {token}", file=sys.stderr, flush=True)
    if not token or not token.isprintable() or not token.isascii() or " " in token:
        raise TransportError(f"The token of {file or TOKEN_VARIABLE} must be one line of visible ASCII without spaces.")
    return token


def _is_authorization(value: str, token: str) -> bool:
    return hmac.compare_digest(value.strip().encode(), f"Bearer {token}".encode())


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say why, and read on for a moment: closed on unread bytes, the connection would be reset before it is heard."""
    sentence = "The first line must be `Authorization: Bearer TOKEN`, with the token that this server was given."
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": {"code": REFUSED, "message": sentence}}).encode()
    writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    writer.write_eof()
    async with asyncio.timeout(1.0):
        while await reader.read(2**16):
            pass


def _taken(listening: Listening, error: OSError) -> TransportError:
    reason = error.strerror or type(error).__name__
    return TransportError(
        f"{listening.host}:{listening.port} cannot be listened to: {reason}. Take another port, or 0."
    )


def _announce(scheme: str, listening: Listening, port: int) -> None:
    host = f"[{listening.host}]" if ":" in listening.host else listening.host
    print(f"midfill: listening on {scheme}://{host}:{port}", file=sys.stderr, flush=True)
