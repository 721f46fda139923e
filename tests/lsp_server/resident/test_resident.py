"""A front finds, starts, loses and finds again its resident; every failure is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from midfill.lsp_server.resident import resident as resident_module
from midfill.lsp_server.resident import starting
from midfill.lsp_server.resident.resident import Resident, ResidentError, ResidentLostError, ResidentState
from midfill.model.wire.address import log_path, resident_socket
from midfill.model.wire.api import (
    Candidate,
    ContextBudget,
    Fill,
    Health,
    Hole,
    HolePart,
    Infill,
    InfillRequest,
    ModelInfo,
    Step,
    TextPart,
    Usage,
    to_json,
)

MODEL = "embedded"
ENDLESS = ("--steps", "100000", "--step-ms", "2")


def request_of(before: str = "x = ", after: str = "\n") -> InfillRequest:
    return InfillRequest((TextPart(before), HolePart(Hole("1")), TextPart(after)))


@contextlib.asynccontextmanager
async def opened(*arguments: object) -> AsyncIterator[tuple[Resident, list[ResidentState]]]:
    states: list[ResidentState] = []
    resident = Resident(*arguments, on_state=states.append)  # type: ignore[arg-type]
    try:
        yield resident, states
    finally:
        await resident.close()


async def test_several_fronts_start_one_resident(
    scripted: Callable[..., None], resident_pid: Callable[[], int]
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        fronts = [await stack.enter_async_context(opened()) for _ in range(4)]
        await asyncio.gather(*(front.connect() for front, _ in fronts))
        pids = {(await front.health()).pid for front, _ in fronts}
        assert pids == {resident_pid()}
        assert all(states[-1].kind == "ready" for _, states in fronts)


async def test_a_proxy_is_not_asked_for_this_machine(
    scripted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy, or with no network at all, the model here is reached as ever."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    async with opened() as (front, _):
        assert (await front.infill(request_of())).candidates


async def test_loading_is_reported_until_ready(scripted: Callable[..., None]) -> None:
    scripted("--load-s", "1")
    async with opened() as (front, states):
        info = await front.connect()
        assert info.name == MODEL
        kinds = list(dict.fromkeys(state.kind for state in states))
        assert kinds == ["starting", "loading", "ready"]
        loading = [state.progress for state in states if state.kind == "loading"]
        assert loading == sorted(loading)
        assert "Reading the script." in {state.detail for state in states}


async def test_a_fill_plain_and_streamed(scripted: Callable[..., None]) -> None:
    async with opened() as (front, _):
        plain = await front.infill(request_of())
        streamed = [item async for item in front.stream(request_of(after="  # expect: a\u2028b\x85c\n"))]
        assert plain.candidates[0].fills[0].text == "filled_1"
        assert [type(item) for item in streamed] == [*[Step] * (len(streamed) - 1), Infill]
        assert len(streamed) > 2
        assert streamed[-1].candidates[0].fills[0].text == "a\u2028b\x85c"  # type: ignore[union-attr]


async def test_half_a_surrogate_pair_is_no_obstacle(scripted: Callable[..., None]) -> None:
    async with opened() as (front, _):
        assert (await front.infill(request_of(before="x = '\ud83d'; y = "))).candidates


async def test_a_refused_request_says_why(scripted: Callable[..., None]) -> None:
    parts = tuple(HolePart(Hole(str(index))) for index in range(17))
    async with opened() as (front, states):
        with pytest.raises(ResidentError, match="17 holes are too many"):
            await front.infill(InfillRequest(parts))
        assert states[-1].kind == "ready"


@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_stops_the_model(
    scripted: Callable[..., None], until_running: Callable[[int], Awaitable[None]], streamed: bool
) -> None:
    scripted(*ENDLESS)
    async with opened() as (front, states):

        async def ask() -> None:
            if streamed:
                async for _ in front.stream(request_of()):
                    pass
            else:
                await front.infill(request_of())

        await front.connect()
        task = asyncio.create_task(ask())
        await until_running(1)
        task.cancel()
        await until_running(0)
        assert task.cancelled()
        assert states[-1].kind == "ready"


async def test_a_death_is_told_once_and_the_next_request_served(
    scripted: Callable[..., None],
    until_running: Callable[[int], Awaitable[None]],
    kill_resident: Callable[[], None],
    resident_pid: Callable[[], int],
) -> None:
    scripted(*ENDLESS)
    async with opened() as (front, states):
        await front.connect()
        first_pid = resident_pid()
        asked = [asyncio.create_task(front.infill(request_of())) for _ in range(3)]
        await until_running(3)
        scripted()
        kill_resident()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ResidentLostError}
        assert (await front.infill(request_of())).candidates
        assert resident_pid() != first_pid
        assert [state.kind for state in states].count("lost") == 1
        assert states[-1].kind == "ready"


async def test_one_that_left_when_idle_is_started_again_quietly(scripted: Callable[..., None]) -> None:
    async with opened(None, MODEL, 1.0) as (front, states):
        await front.infill(request_of())
        assert front._child is not None
        await asyncio.to_thread(front._child.wait, 20)
        assert (await front.infill(request_of())).candidates
        assert {state.kind for state in states} <= {"starting", "loading", "ready"}


async def test_failing_starts_are_spaced_out(scripted: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "resident_command", lambda *_: [sys.executable, "-c", "raise SystemExit(3)"])
    async with opened() as (front, _):
        started_s = []
        for _ in range(3):
            with pytest.raises(ResidentError):
                await front.connect()
            started_s.append(asyncio.get_running_loop().time())
        assert started_s[1] - started_s[0] >= resident_module.FIRST_BACKOFF_S
        assert started_s[2] - started_s[1] >= 2 * resident_module.FIRST_BACKOFF_S


async def check_refused(expected: str, *arguments: object) -> None:
    async with opened(*arguments) as (front, states):
        with pytest.raises(ResidentError, match=expected) as refused:
            await front.connect()
        assert "\n" not in str(refused.value)
        assert [state.detail for state in states if state.kind == "failed"] == [str(refused.value)]


async def test_a_failing_load_is_the_residents_own_sentence(scripted: Callable[..., None]) -> None:
    scripted("--fail", "The checkpoint is truncated.")
    await check_refused("did not load: The checkpoint is truncated")


async def test_a_crash_at_start_shows_the_last_line_of_its_log(
    scripted: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_path(MODEL).write_text("an older line\n")
    program = "print('first'); raise SystemExit('out of luck')"
    monkeypatch.setattr(starting, "resident_command", lambda *_: [sys.executable, "-c", program])
    await check_refused("did not start: out of luck. Its log is .*")


async def test_without_the_local_extra(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    await check_refused(r"pip install .*\[local\]'")


async def test_a_foreign_file_at_the_socket_is_left_alone(scripted: Callable[..., None]) -> None:
    resident_socket(MODEL).write_text("mine")
    await check_refused("is not a socket; move it away")
    assert resident_socket(MODEL).read_text() == "mine"


async def test_a_foreign_server_is_recognised(scripted: Callable[..., None]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, resident_socket(MODEL)):
        await check_refused("is not a midfill model")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://127.0.0.1:9", "Nobody answers at http://127.0.0.1:9; start it there"),
        ("unix:/nowhere/model.sock", "Nobody answers at /nowhere/model.sock"),
        ("ftp://host", "ftp://host"),
        ("http://gpu.example", "unencrypted"),
    ],
)
async def test_an_endpoint_is_never_started_from_here(
    scripted: Callable[..., None], monkeypatch: pytest.MonkeyPatch, endpoint: str, expected: str
) -> None:
    monkeypatch.setenv("MIDFILL_TOKEN", "secret")
    await check_refused(expected, endpoint)
    assert not resident_socket(MODEL).exists()


async def test_the_environment_names_an_endpoint(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(resident_module.ENDPOINT_VARIABLE, "http://127.0.0.1:9")
    await check_refused("http://127.0.0.1:9")


async def test_a_document_is_one_session(places: Path) -> None:
    one, other = (
        InfillRequest((HolePart(Hole("1")),), path="/a.py"),
        InfillRequest((HolePart(Hole("1")),), path="/b.py"),
    )
    async with opened() as (front, _), opened() as (another, _):
        assert front.session_of(one) == front.session_of(one)
        assert len({front.session_of(one), front.session_of(other), another.session_of(one)}) == 3
        front.scatters = True
        assert front.session_of(one) != front.session_of(one)


STEP = Step(0, 1, ())


@contextlib.asynccontextmanager
async def gateway(num_failures: int, *, breaks_off: bool = False) -> AsyncIterator[str]:
    """A proxy with a model behind it: so many requests to fill meet status 500 and words of the proxy's own.
    breaks_off: what it streams is a step and then such words."""
    health = Health("ready", 1.0, "", 1)
    filled = Infill((Candidate((Fill("1", "1", 0.5),), 0.5),), "closed", Usage(), "model")
    info = ModelInfo("m", "m", "1", "", (), (), 1, 64, ContextBudget(1, 1, 1, 1), 1, "cpu", "float32")
    left = num_failures

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, body = 200, json.dumps(to_json({"/healthz": health, "/v1/model": info}.get(head.split()[1], filled)))
        if head.startswith("POST") and left > 0:
            left, status, body = left - 1, 500, "The actor is dead."
        elif head.startswith("POST") and breaks_off:
            body = f"event: step\ndata: {json.dumps(to_json(STEP))}\n\nevent: error\ndata: The actor is dead.\n\n"
        writer.write(f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_request_is_asked_again_where_others_may_answer(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident_module, "FAILOVER_PAUSES_S", (0.01, 0.01))
    async with gateway(3) as endpoint, opened(endpoint) as (front, states):
        assert (await front.infill(request_of())).candidates
        assert [state.kind for state in states] == ["ready"]


async def test_what_was_heard_is_not_asked_again(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy breaks an answer off in words of its own: another answer could contradict the step that was shown."""
    monkeypatch.setattr(resident_module, "FAILOVER_PAUSES_S", (0.01, 0.01))
    async with gateway(0, breaks_off=True) as endpoint, opened(endpoint) as (front, _):
        heard = list[Step | Infill]()

        async def hear() -> None:
            async for item in front.stream(request_of()):
                heard.append(item)

        with pytest.raises(ResidentError, match=f"No model answers behind {endpoint}"):
            await hear()
        assert heard == [STEP]


async def test_a_request_that_nobody_answers_is_given_up(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident_module, "FAILOVER_PAUSES_S", (0.01, 0.01))
    async with gateway(4) as endpoint, opened(endpoint) as (front, _):
        with pytest.raises(ResidentError, match=rf"No model answers behind {endpoint} \(status 500\)"):
            await front.infill(request_of())
        assert (await front.infill(request_of())).candidates
