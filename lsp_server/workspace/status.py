"""The one line that an editor shows of midfill, in the shape that Copilot's language server has made common.

Knows neither LSP nor the session: `status_of` makes the line from what is the case, `StatusBoard` decides when it is
worth telling.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from midfill.lsp_server.resident.resident import ResidentState
from midfill.lsp_server.workspace.pauses import Pauses

BUSY_AFTER_S = 0.2  # what is done sooner would only flicker

RESTART_RESIDENT = "midfill.restartResident"
RESUME = "midfill.resume"


@dataclass(frozen=True)
class StatusCommand:
    """What a click on the status does."""

    title: str
    command: str
    argument: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Status:
    """busy: something runs that a person may be waiting for. Inactive: nothing comes before it is asked for."""

    busy: bool
    message: str
    kind: Literal["Normal", "Warning", "Error", "Inactive"]
    command: StatusCommand | None = None

    def to_json(self) -> dict[str, Any]:
        data: dict[str, Any] = {"busy": self.busy, "message": self.message, "kind": self.kind}
        if self.command is not None:
            arguments = [dict(self.command.argument)]
            data["command"] = {"title": self.command.title, "command": self.command.command, "arguments": arguments}
        return data


def status_of(resident: ResidentState | None, pauses: Pauses, is_working: bool) -> Status:
    """The line. A pause of everything goes before all else: while it lasts, the model's state is of no interest."""
    if pauses.everything:
        resume = StatusCommand("Resume", RESUME, (("scope", "global"),))
        return Status(False, "Paused: nothing is sent and nothing is filled.", "Inactive", resume)
    restart = StatusCommand("Restart the model", RESTART_RESIDENT)
    if resident is None:
        return Status(False, "The model is not loaded yet.", "Inactive")
    match resident.kind:
        case "starting":
            return Status(True, resident.detail, "Normal")
        case "loading":
            return Status(True, f"Loading the model, {100 * resident.progress:.0f} %: {resident.detail}", "Normal")
        case "lost":
            return Status(True, resident.detail, "Warning", restart)
        case "failed":
            return Status(False, resident.detail, "Error", restart)
        case "stopped":
            return Status(False, resident.detail, "Inactive", restart)
    partly = [*sorted(pauses.languages), *sorted(pauses.folders)]
    return Status(is_working, resident.detail + (f" Paused for {', '.join(partly)}." if partly else ""), "Normal")


class StatusBoard:
    """Tells the status when it has changed. Use it on one event loop."""

    def __init__(self, tell: Callable[[Status], None]) -> None:
        self._tell = tell
        self._told: Status | None = None
        self._resident: ResidentState | None = None
        self._pauses = Pauses()
        self._is_working = False
        self._work_begins: asyncio.TimerHandle | None = None

    @property
    def status(self) -> Status:
        return status_of(self._resident, self._pauses, self._is_working)

    def show_resident(self, state: ResidentState | None) -> None:
        self._resident = state
        self._refresh()

    def show_pauses(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._refresh()

    def show_work(self, num_running: int) -> None:
        """How many requests the model works on for this session."""
        if num_running and self._work_begins is None:
            self._work_begins = asyncio.get_running_loop().call_later(BUSY_AFTER_S, self._set_working, True)
        elif not num_running and self._work_begins is not None:
            self._work_begins.cancel()
            self._work_begins = None
            self._set_working(False)

    def _set_working(self, is_working: bool) -> None:
        self._is_working = is_working
        self._refresh()

    def _refresh(self) -> None:
        if self.status != self._told:
            self._told = self.status
            self._tell(self._told)
