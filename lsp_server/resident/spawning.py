"""Starting a process that outlives this one, with its output in a log. Knows neither models nor editors."""

from __future__ import annotations

import subprocess
from pathlib import Path


def spawn(command: list[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The process, detached so that it outlives this one (asyncio's own would be killed with the loop), and the size
    of its log before it, in bytes."""
    with log.open("ab") as output:
        log_start = output.tell()
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent, start_new_session=True
        )
        return child, log_start


def last_line(log: Path, start: int) -> str:
    """The last line that is not empty of what was written to the log after `start` (bytes)."""
    with log.open("rb") as lines:
        lines.seek(start)
        text = lines.read().decode("utf-8", "replace").strip()
    return text.rpartition("\n")[2]
