"""A Ray cluster of two nodes, and `midfill serve --ray` on it, as people start it; one at a time on this machine."""

from __future__ import annotations

import fcntl
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

HERE = Path(__file__).parent
START_S = 180


@dataclass
class Program:
    """A process and the lines it has written; its standard input is open."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _written: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._written:
                self.lines.append(line.rstrip("\n"))
                self._written.notify_all()

    def wait_for(self, text: str, timeout_s: float = START_S) -> str:
        """The first line with `text` in it, read once; lines before it are forgotten."""

        def found() -> bool:
            return any(text in line for line in self.lines) or self.process.poll() is not None

        with self._written:
            self._written.wait_for(found, timeout_s)
            for index, line in enumerate(self.lines):
                if text in line:
                    del self.lines[: index + 1]
                    return line
        raise AssertionError(f"no {text!r} in {timeout_s} s (exit status {self.process.poll()}): {self.lines[-20:]}")

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        self.wait_for(f"obeyed {command.split()[0]}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def started(*command: str, environment: dict[str, str]) -> Program:
    return Program(
        subprocess.Popen(
            [sys.executable, "-P", *command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of every process here. Two clusters at once would starve each other, so another test process waits."""
    with (Path(tempfile.gettempdir()) / "midfill-ray-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "OMP_NUM_THREADS": "1",
        }


@pytest.fixture(scope="module")
def nodes(environment: dict[str, str]) -> Iterator[Program]:
    """Tell it `kill`, `add` or `update ARGS`."""
    program = started(str(HERE / "two_nodes.py"), environment=environment)
    yield program
    assert program.process.stdin is not None
    program.process.stdin.close()
    program.process.wait(60)


@pytest.fixture(scope="module")
def token() -> str:
    return secrets.token_hex(16)


@pytest.fixture(scope="module")
def token_file(token: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cluster") / "token"
    path.write_text(token)
    return path


@pytest.fixture(scope="module")
def address(nodes: Program) -> str:
    """Of the cluster: HOST:PORT."""
    return nodes.wait_for("two nodes: ").removeprefix("two nodes: ")


@pytest.fixture(scope="module")
def endpoint(address: str, environment: dict[str, str], token_file: Path) -> Iterator[str]:
    """`http://…` of two replicas of the embedded model, one on each node."""
    port = str(free_port())
    arguments = ["--ray", "--cluster", address, "--replicas", "2", "--port", port, "--token-file", str(token_file)]
    arguments += ["--precision", "float32"]  # or each replica would measure which is fastest, and they may differ
    program = started("-m", "midfill.model.serving.serve", *arguments, environment=environment)
    program.wait_for("serving embedded at")
    yield f"http://127.0.0.1:{port}"
    assert program.end() == 0


@pytest.fixture
def start_midfill(environment: dict[str, str], token_file: Path) -> Iterator[Callable[..., tuple[Program, str]]]:
    """`midfill serve --ray` with more arguments, on this machine alone: the program, and where it serves."""
    programs = []

    def start(*arguments: str, wait: bool = True) -> tuple[Program, str]:
        port = str(free_port())
        own = [*arguments, "--port", port, "--token-file", str(token_file)]
        program = started("-m", "midfill.model.serving.serve", "--ray", *own, environment=environment)
        programs.append(program)
        if wait:
            program.wait_for("serving embedded at")
        return program, f"https://127.0.0.1:{port}"

    yield start
    for program in programs:
        program.process.kill()
        program.process.wait()
