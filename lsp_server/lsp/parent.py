"""Noticing that the editor's process is gone, when it left without a word. Knows process ids only."""

from __future__ import annotations

import asyncio
import os
import sys

POLL_S = 1.0


async def until_gone(pid: int) -> None:
    """Return when the process has ended. Where the system tells (Linux) at once, elsewhere within a second."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except (AttributeError, OSError):  # another system, or one that forbids it
        while is_running(pid):  # noqa: ASYNC110 - it is another process's state
            await asyncio.sleep(POLL_S)
        return
    gone, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def is_running(pid: int) -> bool:
    """Whether a process of this id can be seen from here. Windows: always, for `os.kill` would end it there."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
