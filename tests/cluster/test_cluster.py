"""midfill on a Ray cluster: a document's requests meet one replica, and whoever dies, no request is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from midfill.lsp_server.resident.resident import Resident, ResidentError
from midfill.model.wire.api import SESSION_HEADER, Hole, HolePart, Infill, InfillRequest, Step, TextPart, to_json

NUM_REPLICAS = 2
RECOVERY_S = 120


@pytest.fixture(autouse=True)
def known_token(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    monkeypatch.setenv("MIDFILL_TOKEN", token)


def request_of(document: int, line: str = "total = ") -> InfillRequest:
    """A line of one of many documents, each long enough to be worth a cache."""
    before = "".join(f"def function_{document}_{index}(a, b):\n    return a + b\n\n\n" for index in range(8))
    parts = (
        TextPart(before + line),
        HolePart(Hole("1", max_tokens=32, single_line=True)),
        TextPart("\nprint(total)\n"),
    )
    return InfillRequest(parts, path=f"/documents/{document}.py")


@contextlib.asynccontextmanager
async def opened(endpoint: str) -> AsyncIterator[Resident]:
    resident = Resident(endpoint)
    try:
        await resident.connect()
        yield resident
    finally:
        await resident.close()


LONG = InfillRequest(
    (TextPart("def work():\n    "), HolePart(Hole("1", max_tokens=120)), TextPart("\n")), path="/work.py", candidates=16
)


def text_of(infill: Infill) -> str:
    return infill.candidates[0].fills[0].text


def headers_of(session: str) -> dict[str, str]:
    return {"authorization": f"Bearer {os.environ['MIDFILL_TOKEN']}", SESSION_HEADER: session}


async def pid_for(endpoint: str, session: str) -> int:
    """The process of the replica that this session's requests go to."""
    async with httpx.AsyncClient(timeout=30, headers=headers_of(session)) as client:
        answer = await client.get(f"{endpoint}/healthz")
        return int(answer.raise_for_status().json()["pid"])


async def pids(endpoint: str) -> set[int]:
    return {await pid_for(endpoint, f"any-{number}") for number in range(16)}


async def until_whole_again(endpoint: str) -> None:
    """Until as many replicas as were asked for answer."""
    async with asyncio.timeout(RECOVERY_S):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if len(await pids(endpoint)) == NUM_REPLICAS:
                    return
            await asyncio.sleep(0.5)


async def test_a_document_has_its_replica_and_documents_spread(endpoint: str) -> None:
    assert len(await pids(endpoint)) == NUM_REPLICAS
    assert len({await pid_for(endpoint, "one document") for _ in range(6)}) == 1
    async with opened(endpoint) as front:
        for document in range(4):
            first = await front.infill(request_of(document))
            again = await front.infill(request_of(document, "total = a + "))
            assert first.usage.cached_tokens < 0.5 * first.usage.context_tokens
            assert again.usage.cached_tokens > 0.9 * first.usage.context_tokens


async def test_another_replica_answers_alike(endpoint: str) -> None:
    async with opened(endpoint) as front:
        front.scatters = True
        answers = {text_of(await front.infill(request_of(1))) for _ in range(6)}
        assert len(answers) == 1


async def test_only_the_token_opens_it(endpoint: str) -> None:
    async with httpx.AsyncClient() as client:
        for path in ("/healthz", "/v1/model", "/metrics"):
            assert (await client.get(endpoint + path)).status_code == 401


@pytest.mark.parametrize("streamed", [False, True])
async def test_closing_the_connection_stops_the_work(endpoint: str, streamed: bool) -> None:
    headers = headers_of(f"streamed: {streamed}")
    async with httpx.AsyncClient(timeout=30, headers=headers) as client:

        async def num_cancelled() -> float:
            lines = (await client.get(f"{endpoint}/metrics")).text.splitlines()
            counted = [line for line in lines if re.match(r"midfill_requests_total\{.*cancelled", line)]
            return sum(float(line.rpartition(" ")[2]) for line in counted)

        before = await num_cancelled()
        body = json.dumps(to_json(LONG) | {"stream": streamed})
        with contextlib.suppress(httpx.ReadTimeout):
            async with client.stream("POST", f"{endpoint}/v1/infill", content=body, timeout=0.5) as answer:
                async for _ in answer.aiter_bytes():
                    break
        async with asyncio.timeout(20):
            while await num_cancelled() == before:  # noqa: ASYNC110 - another process counts
                await asyncio.sleep(0.1)


async def documents_of_each(endpoint: str, front: Resident) -> dict[int, list[int]]:
    """Two documents for each replica, by its process: whichever dies, people wait for it."""
    found: dict[int, list[int]] = {}
    for document in range(100):
        found.setdefault(await pid_for(endpoint, front.session_of(request_of(document))), []).append(document)
        if len(found) == NUM_REPLICAS and all(len(documents) >= 2 for documents in found.values()):
            break
    return {pid: documents[:2] for pid, documents in found.items()}


async def keep_asking(front: Resident, document: int, until: asyncio.Event) -> list[str]:
    answers: list[str] = []
    while not until.is_set():
        answers.append(text_of(await front.infill(request_of(document))))
        await asyncio.sleep(0.1)
    return answers


async def none_is_lost(endpoint: str, happens: Callable[[int], Awaitable[None]]) -> None:
    """While four people ask all the time, two of each replica; and what they are told is what they were told before.
    `happens` gets the process of a replica."""
    async with opened(endpoint) as front:
        documents_of = await documents_of_each(endpoint, front)
        documents = [document for documents in documents_of.values() for document in documents]
        expected = [text_of(await front.infill(request_of(document))) for document in documents]
        over = asyncio.Event()
        people = [asyncio.create_task(keep_asking(front, document, over)) for document in documents]
        await asyncio.sleep(1)
        await happens(next(iter(documents_of)))
        over.set()
        for wanted, answers in zip(expected, await asyncio.gather(*people), strict=True):
            assert set(answers) == {wanted}


async def test_a_replica_that_dies_loses_no_request(endpoint: str) -> None:
    before = await pids(endpoint)

    async def die(victim: int) -> None:
        os.kill(victim, signal.SIGKILL)
        await until_whole_again(endpoint)

    await none_is_lost(endpoint, die)
    assert len(before & await pids(endpoint)) == NUM_REPLICAS - 1


async def test_what_was_heard_is_not_contradicted(endpoint: str) -> None:
    """After the first step another replica's answer could differ from what was shown: that is said, and no more."""
    async with opened(endpoint) as front:
        steps = front.stream(LONG)
        assert isinstance(await anext(steps), Step)
        os.kill(await pid_for(endpoint, front.session_of(LONG)), signal.SIGKILL)
        with pytest.raises(ResidentError, match=r"ask again|try again"):
            async for _ in steps:
                pass
        assert (await front.infill(request_of(1))).candidates
    await until_whole_again(endpoint)


def test_what_runs_there_is_not_replaced(endpoint: str, address: str, start_midfill: Any) -> None:
    program, _ = start_midfill("--cluster", address, wait=False)
    program.wait_for(f"Ray Serve runs at {address} already: use `serve deploy`")
    assert program.process.wait(60) == 1


async def test_an_update_loses_no_request(endpoint: str, nodes: Any, token_file: Path) -> None:
    """Replicas are replaced one by one, and one is asked only when its model has loaded."""
    model = {"precision": "float32", "infilling": "clamped"}  # the embedded model knows one way only: it answers alike
    args = {"model": model, "replicas": NUM_REPLICAS, "token_file": str(token_file)}

    async def update(_: int) -> None:
        await asyncio.to_thread(nodes.tell, f"update {json.dumps(args)}")

    before = await pids(endpoint)
    await none_is_lost(endpoint, update)
    assert not before & await pids(endpoint)


async def test_a_node_that_dies_loses_no_request(endpoint: str, nodes: Any) -> None:
    async def die(_: int) -> None:
        await asyncio.to_thread(nodes.tell, "kill")
        await asyncio.sleep(5)

    await none_is_lost(endpoint, die)
    assert len(await pids(endpoint)) == 1
    await asyncio.to_thread(nodes.tell, "add")
    await until_whole_again(endpoint)
