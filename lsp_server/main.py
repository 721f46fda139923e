"""`midfill lsp`: its arguments, its log, and the way it speaks with editors."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from pathlib import Path

from midfill.lsp_server.lsp.transports import (
    TOKEN_VARIABLE,
    Listening,
    TransportError,
    read_token,
    serve_stdio,
    serve_tcp,
    serve_ws,
)
from midfill.lsp_server.server import Server


def main(argv: list[str]) -> int:
    """Run the language server until its client leaves. 0 after a proper shutdown, 1 otherwise, 2 for bad arguments."""
    options = _read_arguments(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="midfill: %(message)s")
    # pygls writes whole messages, which hold people's code, into its records; what matters is logged at our boundary.
    logging.getLogger("pygls").setLevel(logging.CRITICAL)
    try:
        if options.tcp is None and options.ws is None:
            return asyncio.run(_run_stdio())
        port = options.ws if options.tcp is None else options.tcp
        listening = Listening(options.host, port, read_token(options.token_file), tuple(options.allow_origin))
        asyncio.run((serve_ws if options.tcp is None else serve_tcp)(Server, listening))
    except TransportError as error:
        print(f"midfill: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


async def _run_stdio() -> int:
    if sys.stdin.isatty():
        print("midfill: an editor starts this and speaks LSP with it; Ctrl-C ends it.", file=sys.stderr)
    server = Server()
    server.watches_parent = True
    with contextlib.suppress(NotImplementedError):  # Windows ends a process without asking it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.left.set)
    await serve_stdio(server)
    return 0 if server.protocol.was_shut_down else 1


def _read_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="midfill lsp", description="The language server, for an editor to start.")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--stdio", action="store_true", help="speak over stdin and stdout (the default)")
    way.add_argument("--tcp", type=_port, metavar="PORT", help="listen for TCP connections; 0 takes a free port")
    way.add_argument("--ws", type=_port, metavar="PORT", help="listen for WebSockets; 0 takes a free port")
    parser.add_argument("--host", default="127.0.0.1", help="the loopback address to listen on (default 127.0.0.1)")
    token_help = f"file with the token that clients must give (default: ${TOKEN_VARIABLE}, else a new one is printed)"
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=token_help)
    origin_help = "a web page's origin that may open a WebSocket; repeatable (default: no web page may)"
    parser.add_argument("--allow-origin", action="append", default=[], metavar="ORIGIN", help=origin_help)
    return parser.parse_args(argv)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, got {text!r}")
    return int(text)
