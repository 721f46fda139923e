"""Find and speak to the resident model; have it started, reconnect when it died; cancel by closing the connection.

Knows the wire's types; knows neither LSP nor documents nor tensors. The connection itself is `http_client.py`'s, the
start `starting.py`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import secrets
import signal
import stat
import subprocess
import time
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from midfill.lsp_server.resident.http_client import import_httpx, open_client, why_unreachable
from midfill.lsp_server.resident.loopback import is_loopback_url
from midfill.lsp_server.resident.starting import (
    ANSWER_TIMEOUT_S,
    FIRST_BACKOFF_S,
    POLL_S,
    check_installed,
    start_resident,
)
from midfill.lsp_server.resident.wire import (
    EVENT_TYPES,
    GatewayError,
    ResidentError,
    ResidentLostError,
    decode,
    encode_request,
    problem_of,
    read_events,
)
from midfill.model.wire.address import Address, AddressError, address_of, log_path
from midfill.model.wire.api import SESSION_HEADER, WIRE_VERSION, Health, Infill, InfillRequest, ModelInfo, Step

if typing.TYPE_CHECKING:
    import httpx

ENDPOINT_VARIABLE = "MIDFILL_ENDPOINT"

LONGEST_BACKOFF_S = 30.0
FAILOVER_PAUSES_S = (0.25, 1.0, 2.0, 4.0)
"""Between the attempts at a request while a cluster finds out that the replica it gave it to is gone."""

T = TypeVar("T")

__all__ = ["Resident", "ResidentError", "ResidentLostError", "ResidentState"]


@dataclass(frozen=True)
class ResidentState:
    """What there is to tell a person. progress is 0 to 1 and meaningful while `loading`. stopped: by a person."""

    kind: Literal["starting", "loading", "ready", "lost", "failed", "stopped"]
    progress: float
    detail: str


class Resident:
    """The connection of one front to its resident model. Use it on one event loop.

    endpoint: None (the user's own resident on this machine, started when needed), `unix:/path.sock`, `http://…` or
    `https://…` (somebody else starts those); the environment variable MIDFILL_ENDPOINT stands in for None.
    keep_alive_s: idle seconds after which a resident started from here exits. on_state: called on the loop.
    on_work: called on the loop with the number of requests that run, whenever it changes.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        model: str = "embedded",
        keep_alive_s: float = 900.0,
        on_state: Callable[[ResidentState], None] | None = None,
        on_work: Callable[[int], None] | None = None,
    ) -> None:
        self._endpoint = endpoint or os.environ.get(ENDPOINT_VARIABLE) or None
        self._model = model
        self._keep_alive_s = keep_alive_s
        self._on_state = on_state
        self._on_work = on_work
        self._num_running = 0
        self._state: ResidentState | None = None
        self._client: httpx.AsyncClient | None = None
        self._info: ModelInfo | None = None
        self._connecting: asyncio.Task[ModelInfo] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._num_failures = 0
        self._failed_at_s = 0.0
        self._session_salt = secrets.token_hex(8)
        self.scatters = False
        """Whether any replica of a cluster is asked, to measure what it is worth to ask the one that knows."""

    @functools.cached_property
    def address(self) -> Address:
        """Where the resident is. Raises ResidentError for an endpoint or a directory that cannot be used."""
        try:
            address = address_of(self._endpoint, self._model)
        except (AddressError, OSError) as error:
            raise ResidentError(str(error)) from None
        if address.token and address.url.startswith("http:") and not is_loopback_url(address.url):
            raise ResidentError(f"The token would travel unencrypted to {address.url}; use https:// or an SSH tunnel.")
        return address

    @property
    def place(self) -> str:
        """The address as a person knows it: the socket's path or the URL."""
        return self.address.socket_path or self.address.url

    @property
    def info_if_ready(self) -> ModelInfo | None:
        """The model, if it was ready when last heard of; never waits."""
        return self._info

    async def connect(self) -> ModelInfo:
        """Wait until the resident is ready, starting it if it is ours to start. Raises ResidentError.

        Callers at the same time share one attempt; cancelling one of them leaves the attempt to the others."""
        if self._info is not None:
            return self._info
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_retrieve_exception)
        connecting = self._connecting
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if connecting.cancelled() and this is not None and not this.cancelling():
                raise ResidentError("The model was stopped while it was loading; ask again to load it.") from None
            raise

    @property
    def is_stopped(self) -> bool:
        """Whether a person has stopped the loading, and nobody has asked for the model since."""
        return self._state is not None and self._state.kind == "stopped"

    def stop_connecting(self) -> None:
        """End the attempt to connect. A process that was started for it and is still loading ends too; one that another
        window had started goes on."""
        if self._connecting is None or self._connecting.done():
            return
        self._connecting.cancel()
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
        self._tell(ResidentState("stopped", 0.0, "The loading was stopped; the model loads when a fill is asked for."))

    async def restart(self) -> ModelInfo:
        """End the user's own resident, for every window, and start a new one. Raises ResidentError."""
        if self._endpoint is not None:
            raise ResidentError(f"The model at {self.place} was not started from here; restart it there.")
        self.stop_connecting()
        health = await self._health_if_any()
        if health is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(health.pid, signal.SIGTERM)
            await self._wait_until_gone(health.pid)
        self._info = None
        self._num_failures = 0
        return await self.connect()

    async def _wait_until_gone(self, pid: int) -> None:
        give_up_at_s = time.monotonic() + ANSWER_TIMEOUT_S
        while (health := await self._health_if_any()) is not None and health.pid == pid:
            if time.monotonic() > give_up_at_s:
                raise ResidentError(f"The model (process {pid}) did not end within {ANSWER_TIMEOUT_S:.0f} s; end it.")
            await asyncio.sleep(POLL_S)

    async def infill(self, request: InfillRequest) -> Infill:
        """One answer. Cancelling the awaiting task closes the connection, which stops the model within one step."""
        async with self._at_work(), contextlib.aclosing(self._answers(request, stream=False)) as answers:
            async for item in answers:
                if isinstance(item, Infill):
                    return item
        raise ResidentError(f"The model at {self.place} ended its answer too early; try again.")

    async def stream(self, request: InfillRequest) -> AsyncGenerator[Step | Infill, None]:
        """Every denoising step, then the answer. Closing the iterator closes the connection."""
        async with self._at_work(), contextlib.aclosing(self._answers(request, stream=True)) as answers:
            async for item in answers:
                yield item

    async def info(self) -> ModelInfo:
        """What is served, asked anew. Starts nothing."""
        return await self._get("/v1/model", ModelInfo)

    async def health(self) -> Health:
        """How the resident is. Starts nothing: raises ResidentError if nobody answers."""
        return await self._get("/healthz", Health)

    async def close(self) -> None:
        """Drop the connection. The resident lives on: other windows use it."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        self._info = None

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        self._count_running(+1)
        try:
            yield
        finally:
            self._count_running(-1)

    def _count_running(self, change: int) -> None:
        self._num_running += change
        if self._on_work is not None:
            self._on_work(self._num_running)

    async def _answers(self, request: InfillRequest, stream: bool) -> AsyncGenerator[Step | Infill, None]:
        """Items of one request. A resident that had gone before it read the request is started again, quietly: it goes
        when idle. One that dies while answering is reported as lost; where others serve beside it, they are asked
        instead, unless something was heard already: another answer could contradict it."""
        httpx = await import_httpx()
        pauses_s = [0.0] if self._endpoint is None else [0.0, *FAILOVER_PAUSES_S]
        heard = False
        while True:
            await self.connect()
            try:
                async with contextlib.aclosing(self._post(request, stream)) as items:
                    async for item in items:
                        heard = True
                        yield item
                self._num_failures = 0
                return
            except httpx.ConnectError:
                self._info = None
                if self._child is not None and self._child.poll() not in (None, 0):
                    self._tell_lost()
                if not pauses_s:
                    raise self._tell_lost() from None
            except httpx.TransportError:
                if heard and self._endpoint is not None and await self._is_alive():
                    raise ResidentLostError(f"A model at {self.place} stopped while it answered; ask again.") from None
                if heard or not pauses_s or (self._endpoint is None and not await self._is_alive()):
                    raise self._tell_lost() from None
            except GatewayError:
                if heard or not pauses_s:
                    raise
            await asyncio.sleep(pauses_s.pop(0))

    async def _post(self, request: InfillRequest, stream: bool) -> AsyncGenerator[Step | Infill, None]:
        client = await self._open_client()
        headers = {"content-type": "application/json", SESSION_HEADER: self.session_of(request)}
        async with client.stream(
            "POST", "/v1/infill", content=encode_request(request, stream), headers=headers
        ) as response:
            if response.status_code != 200:
                problem = problem_of(await response.aread(), response.status_code, self.place)
                if response.status_code == 503 and not isinstance(problem, GatewayError):
                    self._info = None  # loading again: the next request waits for it
                raise problem
            if not stream:
                yield decode(Infill, await response.aread(), self.place)
                return
            async for event, data in read_events(response.aiter_bytes()):
                if event == "error":
                    raise problem_of(data, 500, self.place)
                if event in EVENT_TYPES:  # a newer resident may send more
                    yield decode(EVENT_TYPES[event], data, self.place)

    def session_of(self, request: InfillRequest) -> str:
        """Requests about one document go to one replica of a cluster: it has their context in its cache."""
        if self.scatters:
            return secrets.token_hex(8)
        path = f"{self._session_salt}{request.path}".encode("utf-8", "surrogatepass")  # a name that is no UTF-8
        return hashlib.sha256(path).hexdigest()[:16]

    async def _get(self, path: str, kind: type[T]) -> T:
        httpx = await import_httpx()
        client = await self._open_client()
        try:
            response = await client.get(path, timeout=5.0)
        except httpx.TransportError as error:
            if self._endpoint is not None and isinstance(error, httpx.ReadTimeout):
                raise GatewayError(f"{self.place} was reached and does not answer; look after it there.") from None
            raise _UnreachableError(why_unreachable(error, self.place, self._advice())) from None
        if response.status_code != 200 and not (kind is Health and response.status_code == 503):
            raise problem_of(response.content, response.status_code, self.place)
        return decode(kind, response.content, self.place)

    async def _open_client(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = await open_client(self.address)
        return self._client

    async def _connect(self) -> ModelInfo:
        backoff_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** (self._num_failures - 1)) if self._num_failures else 0
        await asyncio.sleep(max(0.0, self._failed_at_s + backoff_s - time.monotonic()))
        try:
            self._check_socket_file()
            if await self._health_if_any() is None:
                await self._start()
            await self._wait_until_loaded()
            info = await self.info()
            if info.wire_version != WIRE_VERSION:
                raise ResidentError(
                    f"The model at {self.place} speaks version {info.wire_version} of the wire and this midfill "
                    f"version {WIRE_VERSION}; stop it and install one version everywhere."
                )
        except ResidentError as error:
            self._note_failure()
            self._tell(ResidentState("failed", 0.0, str(error)))
            raise
        self._info = info
        self._tell(ResidentState("ready", 1.0, f"{info.name} is ready on {info.device} ({info.precision})."))
        return info

    def _check_socket_file(self) -> None:
        path = self.address.socket_path
        if path is not None and Path(path).exists() and not stat.S_ISSOCK(Path(path).stat().st_mode):
            raise ResidentError(f"{path} is in the way: it is not a socket; move it away and try again.")

    async def _health_if_any(self) -> Health | None:
        try:
            return await self.health()
        except _UnreachableError:
            if self._endpoint is None:
                return None
            raise

    async def _start(self) -> None:
        check_installed(self._model)
        self._tell(ResidentState("starting", 0.0, "Starting the model."))

        async def is_answering() -> bool:
            return await self._health_if_any() is not None

        def keep(child: subprocess.Popen[bytes]) -> None:
            self._child = child

        await start_resident(self._model, self._keep_alive_s, is_answering, keep)

    async def _wait_until_loaded(self) -> None:
        while True:
            health = await self.health()
            if health.status == "failed":
                raise ResidentError(f"The model did not load: {health.detail}")
            if health.status == "ready":
                return
            self._tell(ResidentState("loading", health.progress, health.detail))
            await asyncio.sleep(POLL_S)

    async def _is_alive(self) -> bool:
        try:
            return (await self.health()).status == "ready"
        except GatewayError:
            return True
        except ResidentError:
            return False

    def _note_failure(self) -> None:
        self._num_failures += 1
        self._failed_at_s = time.monotonic()

    def _tell_lost(self) -> ResidentLostError:
        """Report the loss once: requests that were running side by side died of the same death."""
        where = "" if self._endpoint is None else f" at {self.place}"
        detail = f"The model{where} stopped while it was answering; {self._advice()}"
        self._info = None
        if self._state is not None and self._state.kind == "ready":
            self._note_failure()
            self._tell(ResidentState("lost", 0.0, detail))
        return ResidentLostError(detail)

    def _tell(self, state: ResidentState) -> None:
        if state != self._state and self._on_state is not None:
            self._on_state(state)
        self._state = state

    def _advice(self) -> str:
        if self._endpoint is None:
            return f"it is started again when it is needed; its log is {log_path(self._model)}."
        return "start it there, or change the endpoint."


class _UnreachableError(ResidentError):
    """Nobody listens, or what listens breaks off."""


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Everybody who waited may have been cancelled; a failure was told through `on_state` already."""
    if not task.cancelled():
        task.exception()
