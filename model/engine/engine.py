"""The engine: one thread owns the model, and running requests take turns on it, one unit of device work at a time.

It knows neither HTTP nor tensors: requests in, steps and answers out. A request waits, runs (round-robin with the
others of its priority, `inline` strictly before `edit`) and ends with an Infill, a Problem, or by being cancelled,
which takes effect before its next unit.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Literal, cast

from midfill.model.engine.family import Job, Model
from midfill.model.wire.api import Health, Infill, InfillRequest, ModelInfo, Problem, Step
from midfill.model.wire.errors import MidfillModelError

ReportProgress = Callable[[float, str], None]
"""Called while a model loads, with the share that is done (0 to 1) and a sentence for a person. A model that runs
elsewhere calls it later too: below 1 while it cannot be reached, with 1 when it is back."""

OWNER_THREAD = "midfill-model"
MAX_UNFINISHED = 64

log = logging.getLogger("midfill.model")


class ProblemError(Exception):
    """A request failed; `problem` is what its caller gets. retry_after_s: when trying again makes sense."""

    def __init__(self, kind: str, status: int, title: str, detail: str, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.problem = Problem(f"urn:midfill:{kind}", title, status, detail)
        self.retry_after_s = retry_after_s


class Ticket:
    """A submitted request. Iterate it on the event loop that submitted it: its Steps (if it asked for a stream) and,
    last, its Infill. Raises ProblemError when the request fails; ends at once when it is cancelled."""

    def __init__(self, request: InfillRequest, received_at_s: float, wake: Callable[[], None]) -> None:
        self.request = request
        self.received_at_s = received_at_s
        self.cancelled = False
        self.job: Job | None = None
        self.queue_ms = 0.0
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Step | Infill | ProblemError | None] = asyncio.Queue()
        self._ended = False

    def cancel(self) -> None:
        """Ask the engine to run no further unit of this request. Does nothing once it has ended."""
        if not self.cancelled:
            self.cancelled = True
            self._items.put_nowait(None)
            self._wake()

    def deliver(self, item: Step | Infill | ProblemError) -> None:
        """Hand an item to the iterating side; called on the owner thread."""
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    def __aiter__(self) -> Ticket:
        return self

    async def __anext__(self) -> Step | Infill:
        item = None if self._ended or self.cancelled else await self._items.get()
        self._ended = not isinstance(item, Step)
        if item is None:
            raise StopAsyncIteration
        if isinstance(item, ProblemError):
            raise item
        return item


Outcome = Step | Infill | ProblemError | Literal["encoded", "cancelled"]
"""What one turn of a request came to."""


class Engine:
    """Loads a model on a thread of its own and runs requests there."""

    def __init__(self, load: Callable[[ReportProgress], Model]) -> None:
        self._load = load
        self._wake = threading.Condition()
        self._turns: dict[Literal["inline", "edit"], deque[Ticket]] = {"inline": deque(), "edit": deque()}
        self._num_unfinished = 0
        self._quiet_since_s = time.monotonic()
        self._stopping = False
        self._info: ModelInfo | None = None
        self._health = Health("loading", 0.0, "The model is starting.", os.getpid())
        self._thread = threading.Thread(target=self._own, name=OWNER_THREAD, daemon=True)
        self._thread.start()

    @property
    def health(self) -> Health:
        return self._health

    @property
    def info(self) -> ModelInfo:
        """The model's card. Raises ProblemError while there is none."""
        if self._info is None:
            raise self._not_ready()
        return self._info

    @property
    def num_unfinished(self) -> int:
        """Requests that wait or run."""
        return self._num_unfinished

    def idle_s(self) -> float:
        """Seconds since the last request ended (or the model was loaded); 0 while one runs or the model loads."""
        with self._wake:
            busy = self._num_unfinished or (self._info is None and self._health.status == "loading")
            return 0.0 if busy else time.monotonic() - self._quiet_since_s

    def submit(self, request: InfillRequest) -> Ticket:
        """Queue a request. Raises ProblemError (503) when the model is not ready, too much waits, or it is stopping."""
        ticket = Ticket(request, time.monotonic(), self._notify)
        with self._wake:
            if self._stopping:
                raise _stopping()
            if self._info is None or self._health.status != "ready":
                raise self._not_ready()
            if self._num_unfinished >= MAX_UNFINISHED:
                detail = f"{MAX_UNFINISHED} requests are waiting already. Try again in a moment."
                raise ProblemError("overloaded", 503, "The model is busy", detail, retry_after_s=1)
            self._num_unfinished += 1
            self._turns[request.priority].append(ticket)
            self._wake.notify()
        return ticket

    def stop(self, timeout_s: float) -> bool:
        """End every request and the owner thread. False if it is still inside a unit (or loading) after `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _own(self) -> None:
        try:
            model = self._load(self._report)
            info = model.info
        except Exception as error:  # the job boundary of loading
            self._load_failed(error)
            return
        with self._wake:
            self._info = info
            self._quiet_since_s = time.monotonic()
            self._health = Health("ready", 1.0, f"{info.name} is ready on {info.device}.", os.getpid())
        log.info("ready: %s %s on %s, %s", info.name, info.revision, info.device, info.precision)
        while (ticket := self._schedule()) is not None:
            self._deliver(ticket, self._run_one_unit(model, ticket))
        self._close_all()

    def _report(self, progress: float, sentence: str) -> None:
        status: Literal["loading", "ready"] = "ready" if self._info is not None and progress >= 1 else "loading"
        self._health = Health(status, min(max(progress, 0.0), 1.0), sentence, os.getpid())
        log.info("%s %.0f %%: %s", status, 100 * progress, sentence)

    def _load_failed(self, error: Exception) -> None:
        known = isinstance(error, MidfillModelError)
        sentence = str(error) if known else f"The model cannot be loaded: {type(error).__name__}: {error}"
        log.error("loading failed: %s", sentence, exc_info=None if known else error)
        with self._wake:
            self._quiet_since_s = time.monotonic()
            self._health = Health("failed", self._health.progress, sentence, os.getpid())

    def _schedule(self) -> Ticket | None:
        """The request whose turn it is (a cancelled one first, to let go of what it holds); None when stopping."""
        with self._wake:
            while not self._stopping:
                for turns in self._turns.values():
                    for ticket in turns:
                        if ticket.cancelled:
                            turns.remove(ticket)
                            return ticket
                for turns in self._turns.values():
                    if turns:
                        return turns.popleft()
                self._wake.wait()
        return None

    def _run_one_unit(self, model: Model, ticket: Ticket) -> Outcome:
        try:
            if ticket.cancelled:
                _close(ticket)
                return "cancelled"
            if ticket.job is None:
                ticket.queue_ms = _ms_since(ticket.received_at_s)
                ticket.job = model.infill(ticket.request, ticket.received_at_s)
            item = next(ticket.job)
            if isinstance(item, Infill):
                _close(ticket)
                return _with_times(item, ticket)
            return item or "encoded"
        except MidfillModelError as error:
            return ProblemError(_kind(error), error.status, error.title, str(error))
        except Exception as error:  # the job boundary of requests; the message may quote the person's text
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
            log.error("request failed: %s; %s", where, _frames(error))
            detail = f"The model failed on this request ({where}). It still serves others; the resident's log has more."
            return ProblemError("model-failed", 500, "The model failed", detail)

    def _deliver(self, ticket: Ticket, outcome: Outcome) -> None:
        with self._wake:
            if outcome == "encoded" or isinstance(outcome, Step):
                self._turns[ticket.request.priority].append(ticket)
            else:
                self._num_unfinished -= 1
                self._quiet_since_s = time.monotonic()
        if isinstance(outcome, (Infill, ProblemError)) or (isinstance(outcome, Step) and ticket.request.stream):
            ticket.deliver(outcome)

    def _close_all(self) -> None:
        tickets = [ticket for turns in self._turns.values() for ticket in turns]
        for ticket in tickets:
            ticket.deliver(_stopping())
        for ticket in tickets:
            _close(ticket)

    def _not_ready(self) -> ProblemError:
        health = self._health
        if health.status == "failed":
            return ProblemError("load-failed", 503, "The model could not be loaded", health.detail)
        detail = f"The model is loading ({health.progress:.0%}): {health.detail}"
        return ProblemError("loading", 503, "The model is loading", detail, retry_after_s=1)

    def _notify(self) -> None:
        with self._wake:
            self._wake.notify()


def _close(ticket: Ticket) -> None:
    if ticket.job is not None:
        cast(Generator[object, None, None], ticket.job).close()


def _with_times(infill: Infill, ticket: Ticket) -> Infill:
    total_ms = _ms_since(ticket.received_at_s)
    return dataclasses.replace(
        infill, usage=dataclasses.replace(infill.usage, queue_ms=ticket.queue_ms, total_ms=total_ms)
    )


def _ms_since(moment_s: float) -> float:
    return (time.monotonic() - moment_s) * 1000


def _kind(error: MidfillModelError) -> str:
    return "request-refused" if error.status < 500 else "model-failed"


def _stopping() -> ProblemError:
    return ProblemError("stopping", 503, "The model is stopping", "The resident model is stopping. Start it again.")


def _frames(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
