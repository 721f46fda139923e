import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import pytest

from midfill.model.engine.engine import MAX_UNFINISHED, OWNER_THREAD, Engine, ProblemError, ReportProgress
from midfill.model.wire.api import (
    ContextBudget,
    Hole,
    HoleDraft,
    HolePart,
    Infill,
    InfillRequest,
    ModelInfo,
    Step,
    TextPart,
    Usage,
)
from midfill.model.wire.errors import CheckpointError, RequestError

INFO = ModelInfo(
    "stepped", "stepped", "1", "none", ("python",), (), 1, 64, ContextBudget(1, 1, 1, 1), 1, "cpu", "float32"
)
SECRET = "password = 'hunter2'"


@dataclass
class SteppedModel:
    """Each request runs one encoding unit and two denoising steps, each as soon as `may_step` allows; all are noted."""

    info: ModelInfo = INFO
    units: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    began: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_step: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def infill(self, request: InfillRequest, received_at_s: float) -> Iterator[Step | Infill | None]:
        if request.path == "refuse":
            raise RequestError("This model has one hole.")
        return self._run(request)

    def _run(self, request: InfillRequest) -> Iterator[Step | Infill | None]:
        try:
            for unit in range(3):
                self.units.append(f"{request.path}{unit}")
                self.threads.add(threading.current_thread().name)
                self.began.release()
                assert self.may_step.acquire(timeout=10)
                if request.path == "break":
                    raise ValueError(SECRET)
                if request.path == "end":
                    return
                yield Step(0, unit, (HoleDraft("1", ()),)) if unit else None
            yield Infill((), "closed", Usage(forward_passes=2), "stepped")
        finally:
            self.closed.append(request.path or "")
            self.threads.add(threading.current_thread().name)

    def allow(self, num_units: int = 10_000) -> None:
        self.may_step.release(num_units)

    async def begun(self, num_units: int) -> None:
        """Wait until so many more units have begun."""
        for _ in range(num_units):
            assert await asyncio.to_thread(self.began.acquire, timeout=10)


def request(path: str, priority: Literal["inline", "edit"] = "edit", stream: bool = False) -> InfillRequest:
    return InfillRequest((TextPart(SECRET), HolePart(Hole("1"))), path=path, priority=priority, stream=stream)


Start = Callable[[Callable[[ReportProgress], SteppedModel]], Engine]


@pytest.fixture
def start() -> Iterator[Start]:
    engines: list[Engine] = []

    def start(load: Callable[[ReportProgress], SteppedModel]) -> Engine:
        engines.append(Engine(load))
        return engines[-1]

    yield start
    for engine in engines:
        engine.stop(10)


@pytest.fixture
async def model() -> AsyncIterator[SteppedModel]:
    model = SteppedModel()
    yield model
    model.allow()


@pytest.fixture
async def engine(model: SteppedModel, start: Start) -> Engine:
    engine = start(lambda report: model)
    await loaded(engine)
    return engine


async def loaded(engine: Engine) -> None:
    await until(lambda: engine.health.status != "loading")


async def until(condition: Callable[[], object]) -> None:
    def poll() -> None:
        give_up_at_s = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < give_up_at_s
            time.sleep(0.001)

    await asyncio.to_thread(poll)


async def gather(engine: Engine, *requests: InfillRequest) -> list[Step | Infill]:
    """All items of all requests, in the order in which they arrived."""
    items: list[Step | Infill] = []

    async def collect(ask: InfillRequest) -> None:
        async for item in engine.submit(ask):
            items.append(item)

    async with asyncio.timeout(10):
        await asyncio.gather(*(collect(ask) for ask in requests))
    return items


async def test_requests_take_turns_and_inline_ones_go_first(engine: Engine, model: SteppedModel) -> None:
    running = asyncio.create_task(gather(engine, request("a")))
    await model.begun(1)
    others = asyncio.create_task(gather(engine, request("b"), request("x", "inline"), request("y", "inline")))
    await until(lambda: engine.num_unfinished == 4)
    model.allow()
    await asyncio.gather(running, others)
    assert " ".join(model.units) == "a0 x0 y0 x1 y1 x2 y2 b0 a1 b1 a2 b2"
    assert model.threads == {OWNER_THREAD}


async def test_only_a_stream_gets_steps(engine: Engine, model: SteppedModel) -> None:
    model.allow()
    assert [type(item) for item in await gather(engine, request("a"))] == [Infill]
    assert [type(item) for item in await gather(engine, request("a", stream=True))] == [Step, Step, Infill]


async def test_usage_tells_waiting_and_total_time(engine: Engine, model: SteppedModel) -> None:
    first = asyncio.create_task(gather(engine, request("a", "inline")))
    await model.begun(1)
    second = asyncio.create_task(gather(engine, request("b")))
    await asyncio.sleep(0.05)
    model.allow()
    (a,), (b,) = await first, await second
    assert isinstance(a, Infill)
    assert isinstance(b, Infill)
    assert b.usage.queue_ms > 40 > a.usage.queue_ms
    assert b.usage.total_ms >= b.usage.queue_ms
    assert b.usage.forward_passes == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cancelled_request_runs_no_further_unit(engine: Engine, model: SteppedModel, stream: bool) -> None:
    ticket = engine.submit(request("a", stream=stream))
    model.allow(1)
    await model.begun(2)
    ticket.cancel()
    assert [item async for item in ticket] == []
    model.allow()
    assert len(await gather(engine, request("b"))) == 1
    assert model.units == ["a0", "a1", "b0", "b1", "b2"]
    assert model.closed == ["a", "b"]
    assert model.threads == {OWNER_THREAD}
    assert engine.num_unfinished == 0


async def test_a_request_cancelled_while_waiting_never_begins(engine: Engine, model: SteppedModel) -> None:
    running = asyncio.create_task(gather(engine, request("a")))
    await model.begun(1)
    engine.submit(request("b")).cancel()
    model.allow()
    await running
    assert model.units == ["a0", "a1", "a2"]


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("refuse", 422, "This model has one hole."),
        ("break", 500, "ValueError at test_engine.py"),
        ("end", 500, "StopIteration"),
    ],
)
async def test_a_failing_request_has_a_sentence_and_the_next_is_served(
    engine: Engine, model: SteppedModel, path: str, status: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    model.allow()
    with caplog.at_level(logging.DEBUG), pytest.raises(ProblemError) as failure:
        await gather(engine, request(path))
    assert failure.value.problem.status == status
    assert sentence in failure.value.problem.detail
    assert "hunter2" not in caplog.text + failure.value.problem.detail
    assert len(await gather(engine, request("a"))) == 1


async def test_too_many_waiting_requests_are_turned_away(engine: Engine, model: SteppedModel) -> None:
    waiting = [engine.submit(request("a")) for _ in range(MAX_UNFINISHED)]
    with pytest.raises(ProblemError) as failure:
        engine.submit(request("b"))
    assert failure.value.problem.status == 503
    assert failure.value.retry_after_s == 1
    for ticket in waiting:
        ticket.cancel()
    model.allow()
    await until(lambda: engine.num_unfinished == 0)
    assert len(await gather(engine, request("b"))) == 1


async def test_until_the_model_is_loaded_requests_are_told_how_far_it_is(start: Start) -> None:
    go_on = threading.Event()

    def load(report: ReportProgress) -> SteppedModel:
        report(0.4, "Reading the weights.")
        assert go_on.wait(10)
        return SteppedModel()

    engine = start(load)
    await until(lambda: engine.health.progress)
    with pytest.raises(ProblemError, match=r"40%.*Reading the weights") as failure:
        engine.submit(request("a"))
    assert failure.value.retry_after_s == 1
    assert engine.idle_s() == 0
    go_on.set()
    await loaded(engine)
    assert engine.info == INFO


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (CheckpointError("model.safetensors is truncated. Install it again."), "model.safetensors is truncated"),
        (OSError("no disk"), "The model cannot be loaded: OSError: no disk"),
    ],
)
async def test_a_model_that_cannot_be_loaded_is_told(start: Start, error: Exception, sentence: str) -> None:
    def load(report: ReportProgress) -> SteppedModel:
        raise error

    engine = start(load)
    await loaded(engine)
    assert engine.health.status == "failed"
    with pytest.raises(ProblemError, match=sentence) as failure:
        engine.submit(request("a"))
    assert failure.value.retry_after_s is None


async def test_stopping_ends_every_request(engine: Engine, model: SteppedModel) -> None:
    waiting = asyncio.create_task(gather(engine, request("a")))
    await model.begun(1)
    stopping = asyncio.create_task(asyncio.to_thread(engine.stop, 10))
    assert not await asyncio.to_thread(engine.stop, 0.01)
    model.allow(1)
    assert await stopping
    with pytest.raises(ProblemError, match="stopping"):
        await waiting
    with pytest.raises(ProblemError, match="stopping"):
        engine.submit(request("b"))
    assert model.units == ["a0"]
    assert model.closed == ["a"]
