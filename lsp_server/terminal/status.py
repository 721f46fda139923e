"""`midfill status`: the resident models that run for this person."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text

from midfill.lsp_server.resident.resident import Resident, ResidentError
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.terminal.process import memory_bytes
from midfill.lsp_server.terminal.render import make_console
from midfill.model.wire.address import AddressError, resident_directory
from midfill.model.wire.api import Health


@dataclass(frozen=True)
class RunningResident:
    """One socket that answers. uptime_s: seconds since it began to listen; memory_bytes: its resident set."""

    pid: int
    state: str
    model: str
    device: str
    precision: str
    uptime_s: float
    memory_bytes: int | None
    socket: str


def run_status(*, as_json: bool) -> None:
    """Raises TerminalError when the private directory cannot be used."""
    try:
        sockets = sorted(resident_directory().glob("*.sock"))
    except AddressError as error:
        raise TerminalError(str(error)) from None
    running = asyncio.run(_ask_all(sockets))
    if as_json:
        print(json.dumps([asdict(resident) for resident in running], indent=2))
        return
    console = make_console()
    if not running:
        console.print("No resident model is running; it starts with the first request (or `midfill serve`).")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("pid", "state", "model", "runs on", "up", "memory", "socket"):
        table.add_column(heading, overflow="fold")
    for resident in running:
        memory = "?" if resident.memory_bytes is None else f"{resident.memory_bytes / 2**20:.0f} MiB"
        where = f"{resident.device} {resident.precision}"
        cells = (str(resident.pid), resident.state, resident.model, where, _duration(resident.uptime_s), memory)
        table.add_row(*map(Text, (*cells, resident.socket)))
    console.print(table)


async def _ask_all(sockets: list[Path]) -> list[RunningResident]:
    found = await asyncio.gather(*map(ask, sockets))
    return [resident for resident in found if resident is not None]


async def ask(socket: Path) -> RunningResident | None:
    """None when nobody answers at the socket, or somebody who is not midfill."""
    resident = Resident(f"unix:{socket}")
    try:
        health = await resident.health()
        model, device, precision = await _model_of(resident, health)
    except ResidentError:
        return None
    finally:
        await resident.close()
    memory = memory_bytes(health.pid)
    uptime_s = _seconds_since_made(socket)
    return RunningResident(health.pid, health.status, model, device, precision, uptime_s, memory, str(socket))


def _seconds_since_made(socket: Path) -> float:
    """0 for a socket that has gone in the meantime."""
    return max(0.0, time.time() - socket.stat().st_mtime) if socket.exists() else 0.0


async def _model_of(resident: Resident, health: Health) -> tuple[str, str, str]:
    if health.status != "ready":
        return "", "", ""
    info = await resident.info()
    return info.name, info.device, info.precision


def _duration(seconds: float) -> str:
    minutes = int(seconds) // 60
    return f"{int(seconds)} s" if minutes < 1 else f"{minutes} min" if minutes < 60 else f"{minutes / 60:.1f} h"
