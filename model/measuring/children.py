"""Child processes that end with the process that started them, however that one ends: nothing goes on computing."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # man 2 prctl
_ASK_FOR_SIGNAL = (
    "import ctypes, os, signal, sys\n"
    f"ctypes.CDLL(None).prctl({_PR_SET_PDEATHSIG}, signal.SIGKILL)\n"
    "os.execv(sys.argv[1], sys.argv[1:])\n"
)
BY_PYTHON = (sys.executable, "-I", "-S", "-c", _ASK_FOR_SIGNAL)


def ends_with_parent(command: Sequence[str]) -> list[str]:
    """A command that becomes `command`, killed when the thread that starts it is gone. On Linux; elsewhere `command`
    as it is. Its program must be a path."""
    return [*_prefix(), *command]


@functools.cache
def _prefix() -> tuple[str, ...]:
    """`setpriv` starts at once; the interpreter does the same where there is none, or one that is too old."""
    if sys.platform != "linux":
        return ()
    program = shutil.which("setpriv")
    by_setpriv = (program, "--pdeathsig", "KILL", "--") if program else ()
    if by_setpriv:
        tried = subprocess.run(
            [*by_setpriv, sys.executable, "-S", "-c", ""], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if tried.returncode == 0:
            return by_setpriv
    return BY_PYTHON
