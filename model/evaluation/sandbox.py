"""Running a program that nobody has read: in a process of its own, with limits, without network, and told apart from
one that only pretends to have passed.

What protects:
- a fresh interpreter of the same version without site-packages, in a new session, in an empty folder that is deleted
  afterwards, with an empty environment, nothing to read, and everything printed thrown away;
- limits on wall clock, CPU time, memory, processes, open files and the size of a file, no core dumps; at the end, and
  at the latest when its time is up, the whole process group is killed, and it is killed too when this process ends;
- where the system lets users have namespaces (`unshare`): no network but a loopback that is down, and no process that
  outlives the first one, whatever it does; `namespaces()` tells;
- everywhere: an audit hook that refuses sockets, other processes, signals, ctypes, tracing, writing outside the folder,
  and /proc;
- success is a random token on a private pipe, sent once program and tests have run to their ends. Leaving early is no
  success, and the tests are compiled apart, so no open quote in a program swallows them.

What does not: files of the user can be read (they cannot be sent anywhere where namespaces are to be had); the folder
can be filled with many small files for as long as the time lasts; and the hook is Python inside the interpreter that it
guards. A program written against this very file could get past it: by a weakness of the interpreter, or by catching the
hook at work from a finaliser. And no sandbox sees that a program makes its tests pass by objects that equal
everything. Models write no such things by accident; for programs of people who mean harm, use a virtual machine.
"""

from __future__ import annotations

import functools
import marshal
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path

from midfill.model.measuring.children import ends_with_parent

_CHILD = str(Path(__file__).with_name("sandbox_child.py"))
_FLAGS = ("-P", "-s", "-S", "-B", "-X", "utf8")
_ENVIRONMENT = {"PYTHONHASHSEED": "0"}
"""Sets in the same order every time; removed before the program runs. With -P and -s the flags then do what -I does."""
_MOST_READ = 4096


class SandboxUnavailableError(RuntimeError):
    """This system cannot run programs behind limits; the message says why."""


class Reason(Enum):
    """How a program ended."""

    PASSED = "passed"
    FAILED = "failed"  # an exception, an assertion's too, or it does not compile
    EXITED = "exited"  # before the tests were done
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASHED = "crashed"  # killed by a signal


@dataclass(frozen=True, slots=True)
class Limits:
    """wall_s: generous, for a machine that is busy; cpu_s: whole seconds; num_processes counts all of a user who is not
    root, so that 1 allows no further process or thread."""

    wall_s: float = 45.0
    cpu_s: int = 15
    memory_bytes: int = 512 * 2**20
    file_bytes: int = 2**20
    num_files: int = 32
    num_processes: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name} must be more than 0, got {getattr(self, field.name)}")

    @property
    def by_resource(self) -> dict[str, int]:
        return {
            "RLIMIT_CPU": self.cpu_s,
            "RLIMIT_AS": self.memory_bytes,
            "RLIMIT_FSIZE": self.file_bytes,
            "RLIMIT_NOFILE": self.num_files,
            "RLIMIT_NPROC": self.num_processes,
            "RLIMIT_CORE": 0,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """detail: the exception of a program that failed, else a word or nothing; milliseconds: wall clock."""

    reason: Reason
    detail: str
    milliseconds: float

    @property
    def passed(self) -> bool:
        return self.reason is Reason.PASSED


def run_program(program: str, limits: Limits, tests: str = "") -> Verdict:
    """Run `program`, then `tests` in its namespace. It passes if both run to their ends without an exception.

    Raises SandboxUnavailableError where there is no such sandbox: everywhere but on Linux. Threads may call it."""
    _require_linux()
    started = time.perf_counter()
    token = secrets.token_bytes(16)
    with tempfile.TemporaryDirectory(prefix="midfill-run-", ignore_cleanup_errors=True) as work:
        with tempfile.TemporaryFile() as job:
            marshal.dump((program, tests, token, limits.by_resource), job)
            job.seek(0)
            process = subprocess.Popen(
                ends_with_parent([*namespaces(), sys.executable, *_FLAGS, _CHILD]),
                stdin=job,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=work,
                env=_ENVIRONMENT,
                start_new_session=True,
                bufsize=0,
            )
        assert process.stdout is not None
        with process.stdout as result:
            said, in_time = _read(result.fileno(), token, started + limits.wall_s)
            status, cpu_s = _end(process, at_once=token in said or not in_time)
    reason, detail = _judge(said, token, status)
    if reason is not Reason.PASSED and (not in_time or cpu_s >= limits.cpu_s - 0.1):
        reason, detail = Reason.TIMEOUT, f"after {cpu_s:.1f} s of CPU time"
    return Verdict(reason, detail, (time.perf_counter() - started) * 1000)


@functools.cache
def namespaces() -> tuple[str, ...]:
    """The command in front of another that takes its network away and ends all its processes with it; () where the
    system does not let this user."""
    program = shutil.which("unshare")
    for spaces in (("--user", "--net", "--pid"), ("--net", "--pid")) if program else ():
        command = (str(program), *spaces, "--fork", "--kill-child", "--")
        tried = subprocess.run(
            [*command, sys.executable, "-S", "-c", ""], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if tried.returncode == 0:
            return command
    return ()


def _require_linux() -> None:
    if sys.platform != "linux":
        raise SandboxUnavailableError(
            f"Programs are run on Linux only; {sys.platform} does not hold them to limits. Use a Linux container."
        )


def _read(result: int, token: bytes, deadline_s: float) -> tuple[bytes, bool]:
    """What the child says until it says the token, ends or says too much; and whether it did so in time."""
    said = b""
    poll = select.poll()
    poll.register(result, select.POLLIN | select.POLLHUP)
    while token not in said and len(said) < _MOST_READ:
        if not poll.poll(max(deadline_s - time.perf_counter(), 0) * 1000):
            return said, False
        piece = os.read(result, _MOST_READ)
        if not piece:
            break
        said += piece
    return said, True


def _end(process: subprocess.Popen[bytes], *, at_once: bool) -> tuple[int, float]:
    """Kill what is left of the process group. Returns exit status (-N: by signal N) and CPU seconds.

    at_once: else a child that has closed its pipe, so is ending, has a moment in which to get a status of its own."""
    if at_once or not _ends_soon(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def _ends_soon(pid: int) -> bool:
    """Whether the process is over within 50 ms; it stays to be waited for."""
    for _ in range(25):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return True
        time.sleep(0.002)
    return False


def _judge(said: bytes, token: bytes, status: int) -> tuple[Reason, str]:
    if token in said:
        return Reason.PASSED, ""
    word, _, detail = said.decode("utf-8", "replace").partition(" ")
    if word in (Reason.FAILED.value, Reason.MEMORY.value, Reason.EXITED.value):
        return Reason(word), detail
    if status < 0:
        return Reason.CRASHED, signal.Signals(-status).name
    return Reason.EXITED, f"with status {status}"
