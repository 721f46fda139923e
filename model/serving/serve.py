"""`python -m midfill.model.serving.serve`: the resident model process.

It listens at once, loads the model on the engine's thread, serves until it is idle or told to stop, and leaves no
socket behind. One line on stderr per event, never source text.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from midfill.model.engine.engine import OWNER_THREAD, Engine, ReportProgress
from midfill.model.engine.family import Model
from midfill.model.serving.choice import MissingPackagesError
from midfill.model.serving.listening import (
    AlreadyServed,
    ListenError,
    TcpBinding,
    check_binding,
    check_tls,
    tcp_listener,
    token_of,
    unix_listener,
)
from midfill.model.serving.serve_options import binding_of, choice_of, cluster_of, parser
from midfill.model.wire.address import AddressError, resident_socket, token_path

if TYPE_CHECKING:
    from uvicorn import Server

FAILED_LINGER_S = 3.0
"""How long a resident whose model cannot be loaded still answers, so that the front can read why."""
_GRACE_S = 3
_STOP_S = 2.0
_KEEP_ALIVE_S = 120

log = logging.getLogger("midfill.model")


def run(
    load: Callable[[ReportProgress], Model],
    *,
    model_name: str,
    idle_exit_s: float,
    socket_path: Path | None = None,
    tcp: TcpBinding | None = None,
) -> int:
    """Serve what `load` gives until idle for `idle_exit_s` (0: for ever) or stopped; the process's exit code.

    Listens on `tcp` if given, else on the Unix socket `socket_path`, else on the person's own socket for `model_name`.
    Raises ListenError and AddressError (before anything is loaded) and AlreadyServed.
    """
    if tcp is None:
        path = socket_path or resident_socket(model_name)
        with _signals(_leave), unix_listener(path) as listener:
            log.info("serving %s at unix:%s, pid %d", model_name, path, os.getpid())
            engine = Engine(load)
            return asyncio.run(_serve(engine, build_server(engine), listener, idle_exit_s))
    check_binding(tcp)
    if tcp.tls is not None:
        check_tls(tcp.tls)
    token = token_of(tcp.token_file, token_path(model_name))
    with _signals(_leave), tcp_listener(tcp) as listener:
        scheme = "http" if tcp.tls is None else "https"
        log.info("serving %s at %s://%s:%d", model_name, scheme, tcp.host, listener.getsockname()[1])
        engine = Engine(load)
        return asyncio.run(_serve(engine, build_server(engine, token, tcp.tls), listener, idle_exit_s))


def build_server(engine: Engine, token: str | None = None, tls: tuple[Path, Path] | None = None) -> Server:
    """The HTTP server in front of `engine`; `serve(sockets=[...])` runs it until `should_exit` is set."""
    import uvicorn

    from midfill.model.serving.app import create_app

    config = uvicorn.Config(
        create_app(engine, token),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=tls[0] if tls else None,
        ssl_keyfile=tls[1] if tls else None,
    )
    return uvicorn.Server(config)


async def _serve(engine: Engine, server: Server, listener: socket.socket, idle_exit_s: float) -> int:
    def stop(number: int, frame: FrameType | None) -> None:  # uvicorn stops at a signal too, then raises it again
        server.should_exit = True

    watcher = asyncio.create_task(_stop_when_over(server, engine, idle_exit_s))
    with _signals(stop):
        await server.serve(sockets=[listener])
        watcher.cancel()
        stopped = await asyncio.to_thread(engine.stop, _STOP_S)
        log.info("stopped%s", "" if stopped else "; the model was still busy")
    return 1 if engine.health.status == "failed" else 0


async def _stop_when_over(server: Server, engine: Engine, idle_exit_s: float) -> None:
    """Stop the server some seconds after loading failed, or once nobody has asked for anything in `idle_exit_s`."""
    while engine.health.status != "failed":
        remaining_s = idle_exit_s - engine.idle_s()
        if idle_exit_s and remaining_s <= 0:
            log.info("nothing was asked for %g s; stopping", idle_exit_s)
            server.should_exit = True
            return
        await asyncio.sleep(min(max(remaining_s, 0.01), 0.5) if idle_exit_s else 0.5)
    await asyncio.sleep(FAILED_LINGER_S)
    server.should_exit = True


@contextlib.contextmanager
def _signals(react: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """SIGTERM and SIGINT call `react` meanwhile; the main thread alone can ask for them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, react) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    choice = choice_of(options)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        choice.check_packages()
        tcp = binding_of(options)
        if options.ray and tcp is not None:
            from midfill.model.serving.cluster_start import serve_on_ray

            return serve_on_ray(cluster_of(options, choice), tcp, options.cluster)
        idle_exit_s = options.idle_exit_s if options.idle_exit_s is not None else (900.0 if tcp is None else 0.0)
        return run(choice.load, model_name=choice.name, idle_exit_s=idle_exit_s, socket_path=options.socket, tcp=tcp)
    except MissingPackagesError as error:
        print(error, file=sys.stderr)
        return 3
    except AlreadyServed as already:
        print(f"{choice.name} is {already}.", file=sys.stderr)
        return 0
    except (ListenError, AddressError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    sys.stderr.flush()
    if any(thread.name == OWNER_THREAD for thread in threading.enumerate()):
        os._exit(code)  # the owner is inside a unit or loading, and native code does not survive the interpreter's end
    sys.exit(code)
