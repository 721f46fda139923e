"""A fill of several holes as the client's own progress display, which a person can cancel."""

from __future__ import annotations

import asyncio
from types import TracebackType

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.progress import Progress


class FillProgress:
    """The display of one fill: `async with FillProgress(...) as shown`, and `shown.report` is told what is done. It
    appears when there are several holes. Cancelled in it, the request that it belongs to is cancelled.

    token: the client's own for this request; None: one is asked of it, if `can_create`."""

    def __init__(self, progress: Progress, title: str, token: types.ProgressToken | None, can_create: bool) -> None:
        self._progress = progress
        self._title = title
        self._given = token
        self._can_create = can_create
        self._token: types.ProgressToken | None = None
        self._creating: asyncio.Task[None] | None = None
        self._done = (0, 0)
        self._owner = asyncio.current_task()

    async def __aenter__(self) -> FillProgress:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._creating is not None:
            self._creating.cancel()
        if self._token is not None:
            ending = "Cancelled." if kind is asyncio.CancelledError else "" if kind else _progress_of(*self._done)
            self._progress.end(self._token, types.WorkDoneProgressEnd(message=ending or None))
            self._progress.tokens.pop(self._token, None)

    def report(self, done: int, total: int) -> None:
        self._done = done, total
        if total < 2:
            return
        if self._token is not None:
            report = types.WorkDoneProgressReport(message=_progress_of(done, total), percentage=100 * done // total)
            self._progress.report(self._token, report)
        elif self._given is not None:
            self._begin(self._given)
        elif self._can_create and self._creating is None:
            self._creating = asyncio.ensure_future(self._create(f"midfill-fill-{id(self)}"))

    async def _create(self, token: str) -> None:
        try:
            await self._progress.create_async(token)
        except JsonRpcException:  # the client will not show it, which is its right
            return
        self._begin(token)

    def _begin(self, token: types.ProgressToken) -> None:
        done, total = self._done
        begin = types.WorkDoneProgressBegin(
            title=self._title, cancellable=True, message=_progress_of(done, total), percentage=100 * done // total
        )
        self._progress.begin(token, begin)
        self._progress.tokens[token].add_done_callback(lambda future: self._cancel() if future.cancelled() else None)
        self._token = token

    def _cancel(self) -> None:
        if self._owner is not None:
            self._owner.cancel()


def _progress_of(done: int, total: int) -> str:
    return f"{done} of {total} holes"
