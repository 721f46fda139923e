"""How long something takes on a device. Knows no model."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

_COPIED_BYTES = {"cuda": 4 * 2**30, "cpu": 256 * 2**20}


def wait_for(device: torch.device) -> None:
    """A GPU works behind the program's back: only what it has finished counts."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def elapsed_ms(device: torch.device, work: Callable[[], object]) -> float:
    wait_for(device)
    started_s = time.perf_counter()
    work()
    wait_for(device)
    return 1000 * (time.perf_counter() - started_s)


def median_ms(device: torch.device, work: Callable[[], object], num_rounds: int, num_unmeasured: int = 2) -> float:
    """The median of `num_rounds`, after `num_unmeasured` in which memory is found and kernels are compiled."""
    for _ in range(num_unmeasured):
        work()
    return statistics.median(elapsed_ms(device, work) for _ in range(num_rounds))


def bytes_per_s(device: torch.device) -> float:
    """What the memory gives when it is read and written in one stream, by copying a large tensor."""
    source = torch.empty(_COPIED_BYTES.get(device.type, _COPIED_BYTES["cpu"]), dtype=torch.uint8, device=device).fill_(
        1
    )
    target = torch.empty_like(source)
    took_ms = median_ms(device, lambda: target.copy_(source), num_rounds=5)
    return 2 * source.numel() / (took_ms / 1000)
