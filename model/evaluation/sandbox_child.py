"""The inside of the sandbox: takes one program on standard input, runs it behind a fence, and says how it ended.

`midfill.model.evaluation.sandbox` runs this file by its path in an interpreter without site-packages. It imports
little, because every program that is judged waits for it.
"""

from __future__ import annotations

import marshal
import os
import resource
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

DONE = "midfill.done"
REFUSED = (
    *("socket.", "subprocess.", "ctypes.", "gc.get_", "sys.settrace", "sys.setprofile", "sys.monitoring", "pty."),
    *("sys._current_", "sys.addaudithook", "signal.pthread_kill", "syslog.", "os.fork", "os.exec", "os.posix_spawn"),
    *("os.spawn", "os.system", "os.kill", "os.chdir", "os.fchdir", "os.chown", "os.lchown", "os.link", "os.symlink"),
    *("os.setxattr", "os.removexattr", "os.chflags", "resource.setrlimit", "resource.prlimit", "cpython.run_"),
)
"""Audit events that begin so are refused."""
REFUSED_MODULES = frozenset({"ctypes", "_ctypes", "_posixsubprocess", "_xxsubinterpreters", "_testcapi"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.mkdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.utime": 1,
}
"""Audit events that change files, and how many of their arguments are paths."""


def main() -> None:
    result = os.dup(1)
    program, tests, token, limits = marshal.load(sys.stdin.buffer)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    os.environ.clear()
    for name, most in limits.items():
        resource.setrlimit(getattr(resource, name), (most, most))
    module = sys.modules["__main__"] = ModuleType("__main__")
    namespace = vars(module)
    end: Callable[[int], Any] = os._exit
    report = _reporter(result)
    try:
        codes = [compile(text, name, "exec", dont_inherit=True) for name, text in ((PROGRAM, program), (TESTS, tests))]
        sys.addaudithook(_fence(token, result, os.path.realpath("."), sys._getframe()))
        del token
        # In C from one text to the next, so that no variable holds what comes: what a program runs could change that.
        any(map(exec, (codes.pop(0), codes.pop()), (namespace, namespace)))
        sys.audit(DONE)
    except SystemExit:
        report("exited", "SystemExit")
    except MemoryError:
        report("memory", "MemoryError")
    except BaseException as error:
        report("failed", _sentence(error))
    end(0)  # without the program's exit handlers, and without waiting for its threads


PROGRAM, TESTS = "<program>", "<tests>"


def _fence(token: bytes, result: int, work: str, frame: FrameType) -> Callable[[str, tuple[Any, ...]], None]:
    """An audit hook that refuses what a program has no business with. It alone has the token, in a cell that no frame
    of the program and no module leads to, and gives it out only to `frame`: when that goes on, the tests are done."""
    getframe, write, is_directory = sys._getframe, os.write, os.path.isdir

    def fence(event: str, arguments: tuple[Any, ...]) -> None:
        if event == DONE:
            if getframe(1) is frame:
                write(result, token)
        elif event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return
            inside = _is_inside(path, work)
            if (flags & WRITING and not inside) or _is_inside(path, "/proc") or (mode is None and is_directory(path)):
                raise PermissionError(f"the sandbox does not open {path!r}")
        elif event == "import":
            if arguments[0] in REFUSED_MODULES:
                raise ImportError(f"the sandbox has no {arguments[0]}")
        elif event in CHANGING:
            paths, others = arguments[: CHANGING[event]], arguments[CHANGING[event] :]
            if _has_folder_descriptor(event, others) or not all(_is_inside(path, work) for path in paths):
                raise PermissionError(f"the sandbox does not allow {event} of {paths}")
        elif event.startswith(REFUSED):
            raise PermissionError(f"the sandbox does not allow {event}")

    return fence


def _is_inside(path: Any, folder: str) -> bool:
    if isinstance(path, int):
        return False
    real = os.path.realpath(os.fsdecode(path))
    return real == folder or real.startswith(folder + "/")


def _has_folder_descriptor(event: str, others: tuple[Any, ...]) -> bool:
    """Whether paths are relative to another folder than the working one: the last arguments, -1 where there is none."""
    return event not in ("os.truncate",) and any(isinstance(other, int) and other > 2 for other in others[-2:])


def _reporter(result: int) -> Callable[[str, str], None]:
    write = os.write

    def report(reason: str, detail: str) -> None:
        write(result, f"{reason} {detail[:200]}".encode("utf-8", "replace"))

    return report


def _sentence(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # its text is made by the program
        return type(error).__name__


if __name__ == "__main__":
    main()
