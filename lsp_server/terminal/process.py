"""What the system tells of another process, without a package for it. None where it does not tell."""

from __future__ import annotations

import subprocess
from pathlib import Path


def memory_bytes(pid: int) -> int | None:
    """The resident set: physical memory that the process holds, shared pages included."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return _memory_from_ps(pid)
    lines = [line.split() for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0][1]) * 1024 if lines else None


def _memory_from_ps(pid: int) -> int | None:
    """macOS and the BSDs have no /proc."""
    try:
        listed = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return int(listed.stdout) * 1024 if listed.stdout.strip().isdigit() else None
