"""How much memory this machine has and can still give. Standard library only: the front asks too, without torch."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits")
_ANSWER_S = 10.0


@dataclass(frozen=True)
class Memory:
    """Of one device, in bytes. free_bytes: what a new process can get."""

    name: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Machine:
    """gpus: NVIDIA's, as nvidia-smi lists them; a model runs on one of them, so it is the freest that counts."""

    host: Memory
    gpus: tuple[Memory, ...]

    @property
    def freest_gpu(self) -> Memory | None:
        return max(self.gpus, key=lambda gpu: gpu.free_bytes, default=None)


def this_machine() -> Machine:
    return Machine(host_memory(), gpu_memory())


def host_memory() -> Memory:
    """Free is what Linux calls available, elsewhere all there is."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        free, total = (int(lines[key].split()[0]) * 1024 for key in ("MemAvailable", "MemTotal"))
        return Memory("RAM", free, total)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Memory("RAM", total, total)


def gpu_memory() -> tuple[Memory, ...]:
    """None where there is no nvidia-smi, or none that answers."""
    try:
        listed = subprocess.run(_NVIDIA_SMI, capture_output=True, text=True, check=True, timeout=_ANSWER_S).stdout
        rows = [line.rsplit(",", 2) for line in listed.splitlines() if line.strip()]
        return tuple(Memory(name.strip(), int(free) * 2**20, int(total) * 2**20) for name, free, total in rows)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
