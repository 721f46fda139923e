"""A resident for the length of one terminal command: its loading shown, its failures as one sentence."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console

from midfill.lsp_server.resident.resident import ENDPOINT_VARIABLE, Resident, ResidentError, ResidentState
from midfill.lsp_server.terminal.errors import TerminalError, bad_input
from midfill.model.wire.address import AddressError
from midfill.model.wire.api import ModelInfo


class LoadDisplay:
    """The resident's start and loading: a line that moves at a terminal, elsewhere a line per sentence."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("Looking for the model.")
        self._told = ""

    def show(self, state: ResidentState) -> None:
        if state.kind not in ("starting", "loading"):
            self._status.stop()
        elif self._console.is_terminal:
            share = f" {100 * state.progress:.0f} %" if state.kind == "loading" else ""
            self._status.update(state.detail + share)
            self._status.start()
        elif state.detail != self._told:
            self._console.print(state.detail)
            self._told = state.detail

    def stop(self) -> None:
        self._status.stop()


@asynccontextmanager
async def connected(
    endpoint: str | None, display: LoadDisplay | None = None, model: str = "embedded"
) -> AsyncIterator[tuple[Resident, ModelInfo]]:
    """Find the resident (or start it; it stays for the next command) and close the connection at the end.

    Raises TerminalError when it cannot be reached, or fails while it is used."""
    try:
        resident = Resident(endpoint, model, on_state=display.show if display else None)
        try:
            yield resident, await resident.connect()
        finally:
            if display:
                display.stop()
            await resident.close()
    except (ResidentError, AddressError) as error:
        raise TerminalError(str(error)) from error


def named_model(model: str) -> str:
    """The name as a resident takes it: a folder by its whole path. Raises TerminalError where another one would be
    asked instead."""
    if os.environ.get(ENDPOINT_VARIABLE):
        raise bad_input(f"{ENDPOINT_VARIABLE} is set, so that model would be asked and not {model}; unset it first.")
    folder = Path(model).expanduser()
    return str(folder.resolve()) if folder.is_dir() else model
