"""The model's loading as the client's own progress display (`$/progress`). One display at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.progress import Progress

from midfill.lsp_server.resident.resident import ResidentState


class LoadProgress:
    """Shows `starting` and `loading`, and ends at any other state. on_cancel: the person does not want to wait."""

    def __init__(
        self,
        progress: Progress,
        run_in_background: Callable[[Coroutine[Any, Any, None]], object],
        on_cancel: Callable[[], None],
    ) -> None:
        self._progress = progress
        self._run_in_background = run_in_background
        self._on_cancel = on_cancel
        self._num_shown = 0
        self._token: str | None = None
        self._latest = (0, "")
        self._begun = asyncio.Event()

    def show(self, state: ResidentState) -> None:
        if state.kind not in ("starting", "loading"):
            self._end(state.detail)
            return
        latest = (round(100 * state.progress), state.detail)
        if self._token is None:
            self._num_shown += 1
            self._token, self._begun = f"midfill-load-{self._num_shown}", asyncio.Event()
            self._run_in_background(self._begin(self._token))
        elif self._begun.is_set() and latest != self._latest:
            report = types.WorkDoneProgressReport(message=latest[1], percentage=latest[0])
            self._progress.report(self._token, report)
        self._latest = latest

    async def _begin(self, token: str) -> None:
        try:
            await self._progress.create_async(token)
        except JsonRpcException:  # the client will not show it, which is its right
            return
        if self._token != token:  # over before the client was ready to show it
            self._progress.tokens.pop(token, None)
            return
        self._progress.tokens[token].add_done_callback(lambda future: self._on_cancel() if future.cancelled() else None)
        percentage, message = self._latest
        begin = types.WorkDoneProgressBegin(title="midfill", message=message, percentage=percentage, cancellable=True)
        self._progress.begin(token, begin)
        self._begun.set()

    def _end(self, message: str) -> None:
        if self._token is not None and self._begun.is_set():
            self._progress.end(self._token, types.WorkDoneProgressEnd(message=message))
            self._progress.tokens.pop(self._token, None)
        self._token = None
