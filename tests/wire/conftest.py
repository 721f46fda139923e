"""A scripted model behind the real app on a real Unix socket, and resident processes with the scripted model."""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

from midfill.model.engine.engine import Engine, ReportProgress
from midfill.model.serving.listening import unix_listener
from midfill.model.serving.serve import build_server
from midfill.model.wire.api import (
    Candidate,
    ContextBudget,
    DraftPiece,
    Fill,
    HoleDraft,
    Infill,
    InfillRequest,
    ModelInfo,
    Step,
    Usage,
)
from midfill.model.wire.errors import RequestError

NUM_STEPS = 5
TEXT = "\u2028é\x0b\n😀"
INFO = ModelInfo(
    "stepped", "stepped", "1", "none", ("python",), (), 1, 64, ContextBudget(1, 1, 1, 1), 1, "cpu", "float32"
)


@dataclass
class SteppedModel:
    """Runs each denoising step when `may_step` allows it, and notes every step that began."""

    info: ModelInfo = INFO
    units: list[str] = field(default_factory=list)
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_step: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    closed: threading.Event = field(default_factory=threading.Event)

    def infill(self, request: InfillRequest, received_at_s: float) -> Iterator[Step | Infill | None]:
        if len(request.holes) > 1:
            raise RequestError("This model fills one hole at a time.")
        return self._run(request)

    def _run(self, request: InfillRequest) -> Iterator[Step | Infill | None]:
        try:
            for step in range(1, NUM_STEPS + 1):
                self.units.append(f"{request.path}{step}")
                self.began.release()
                assert self.may_step.acquire(timeout=20)
                if request.path == "break" and step == 2:
                    raise RuntimeError("out of memory")
                yield Step(0, step, (HoleDraft("1", (DraftPiece(TEXT, False),)),))
            answer = Candidate((Fill("1", TEXT, 0.5),), 0.5)
            yield Infill((answer,), "closed", Usage(10, 5, 64, 4, NUM_STEPS), "stepped")
        finally:
            self.closed.set()

    def wait_for_step(self, num_steps: int = 1) -> None:
        """Until so many more steps have begun."""
        for _ in range(num_steps):
            assert self.began.acquire(timeout=10)

    def allow(self, num_steps: int = 10_000) -> None:
        self.may_step.release(num_steps)


def client_of(socket_path: Path) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(socket_path), verify=False)
    return httpx.Client(transport=transport, base_url="http://m", timeout=20)


@dataclass
class Resident:
    """A served model and how to speak to it."""

    socket_path: Path
    model: SteppedModel

    def client(self) -> httpx.Client:
        return client_of(self.socket_path)

    def send(self, body: bytes, content_length: int | None = None) -> socket.socket:
        """A connection over which this POST /v1/infill has been sent."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(self.socket_path))
        length = len(body) if content_length is None else content_length
        head = f"POST /v1/infill HTTP/1.1\r\nHost: m\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection

    def wait_for_metric(self, line: str) -> None:
        """Until /metrics has this line."""
        with self.client() as client:
            give_up_at_s = time.monotonic() + 10
            while line not in client.get("/metrics").text.splitlines():
                assert time.monotonic() < give_up_at_s, line
                time.sleep(0.01)


Serve = Callable[[Callable[[ReportProgress], SteppedModel]], Resident]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary directory whose name leaves room for a socket's path."""
    directory = Path(tempfile.mkdtemp(prefix="mf"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def model() -> Iterator[SteppedModel]:
    model = SteppedModel()
    yield model
    model.allow()


@pytest.fixture
def serve(short_path: Path, model: SteppedModel) -> Iterator[Serve]:
    """Serve what the given function loads, on a thread of this process, until the test ends."""
    stops: list[Callable[[], None]] = []

    def serve(load: Callable[[ReportProgress], SteppedModel]) -> Resident:
        path = short_path / "m.sock"
        listening = unix_listener(path)
        listener = listening.__enter__()
        engine = Engine(load)
        server = build_server(engine)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()

        def stop() -> None:
            server.should_exit = True
            model.allow()
            thread.join()
            assert engine.stop(10)
            listening.__exit__(None, None, None)

        stops.append(stop)
        return Resident(path, model)

    yield serve
    for stop in stops:
        stop()


@pytest.fixture
def resident(serve: Serve, model: SteppedModel) -> Resident:
    """The stepped model, loaded and served."""
    resident = serve(lambda report: model)
    with resident.client() as client:
        give_up_at_s = time.monotonic() + 10
        while client.get("/healthz").json()["status"] == "loading":
            assert time.monotonic() < give_up_at_s
            time.sleep(0.005)
    return resident


@pytest.fixture
def ask() -> Callable[..., dict[str, Any]]:
    """A request with one hole, as JSON data."""

    def ask(path: str = "a", priority: Literal["inline", "edit"] = "edit", **more: Any) -> dict[str, Any]:
        parts = [{"text": "x = "}, {"hole": {"id": "1"}}, {"text": "\n"}]
        return {"parts": parts, "path": path, "priority": priority, **more}

    return ask


@dataclass
class Process:
    """A resident process; its log is complete once it has ended."""

    popen: subprocess.Popen[str]
    socket_path: Path

    def client(self) -> httpx.Client:
        return client_of(self.socket_path)

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """Until a line of the log matches."""
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"the process ended with {self.popen.wait()} and no line {pattern!r}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(15)


Launch = Callable[..., Process]


@pytest.fixture
def launch(short_path: Path) -> Iterator[Launch]:
    """Start a resident process (the scripted one unless told otherwise) whose runtime directory is the test's."""
    processes: list[subprocess.Popen[str]] = []
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(short_path)}
    scripted = [str(Path(__file__).with_name("scripted_resident.py"))]

    def launch(*arguments: str, program: list[str] = scripted) -> Process:
        command = [sys.executable, *program, *arguments]
        popen = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        processes.append(popen)
        return Process(popen, short_path / "midfill" / "embedded.sock")

    yield launch
    for popen in processes:
        popen.kill()
        popen.wait()
        assert popen.stderr is not None
        popen.stderr.close()
