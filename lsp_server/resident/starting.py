"""Starting the user's own resident. Knows how it is called and where its log is; asks it nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from midfill.lsp_server.resident.spawning import last_line, spawn
from midfill.lsp_server.resident.wire import ResidentError
from midfill.model.wire.address import VLLM_SCHEME, log_path
from midfill.model.wire.install_command import install_command

FIRST_BACKOFF_S = 0.5
ANSWER_TIMEOUT_S = 60.0  # a started process must answer /healthz by then; loading itself may take as long as it takes
POLL_S = 0.05

IsAnswering = Callable[[], Awaitable[bool]]
Keep = Callable[[subprocess.Popen[bytes]], None]


def check_installed(model: str) -> None:
    """Raises ResidentError if what serves the model is not installed beside this front."""
    needed, extra = (("fastapi",), "vllm") if model.startswith(VLLM_SCHEME) else (("torch", "fastapi"), "local")
    if any(importlib.util.find_spec(name) is None for name in needed):
        raise ResidentError(
            "The model cannot run here because midfill was installed without it; set an endpoint, or run: "
            f"{install_command(extra)}"
        )


async def start_resident(model: str, keep_alive_s: float, is_answering: IsAnswering, keep: Keep) -> None:
    """Start a resident that outlives this process, hand it to `keep`, and wait until it, or the one that won the race,
    answers. Raises ResidentError."""
    give_up_at_s, pause_s = time.monotonic() + ANSWER_TIMEOUT_S, FIRST_BACKOFF_S
    while not await _start_once(model, keep_alive_s, is_answering, keep, give_up_at_s):
        # It found the lock taken, and yet nobody answers: the other one is on its way in, or out.
        await asyncio.sleep(pause_s)
        pause_s *= 2


async def _start_once(
    model: str, keep_alive_s: float, is_answering: IsAnswering, keep: Keep, give_up_at_s: float
) -> bool:
    """Whether a resident answers; False if the one started here left politely and no other does."""
    try:
        log = log_path(model)
        child, log_start = spawn(resident_command(model, keep_alive_s), log)
    except OSError as error:
        raise ResidentError(f"The model could not be started: {error}.") from None
    keep(child)
    while not await is_answering():
        if child.poll() == 0:
            return await is_answering()
        if child.returncode is not None:
            reason = last_line(log, log_start) or f"it exited with status {child.returncode}"
            raise ResidentError(f"The model did not start: {reason.rstrip('.')}. Its log is {log}.")
        if time.monotonic() > give_up_at_s:
            raise ResidentError(f"The model did not answer within {ANSWER_TIMEOUT_S:.0f} s; its log is {log}.")
        await asyncio.sleep(POLL_S)
    return True


def resident_command(model: str, keep_alive_s: float) -> list[str]:
    """How the user's own resident is started. `-P`: never import from the folder that happens to be the current one."""
    idle_exit = ["--idle-exit-s", str(keep_alive_s)]
    return [sys.executable, "-P", "-m", "midfill.model.serving.serve", "--model", model, *idle_exit]
