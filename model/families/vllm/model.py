"""The family of a model that runs elsewhere, behind `vllm serve`: whole requests go there, and fills come back.

`vllm.fills` and `vllm.rewrites` are how they are asked for. vLLM denoises by itself and answers whole canvases, so what
a person sees of a running request changes with each canvas, not with each step. Knows no tensor.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import AbstractEventLoop
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from queue import Empty, SimpleQueue

from midfill.model.engine.family import Job
from midfill.model.families.limits import check_holes
from midfill.model.families.vllm.client import VllmClient, VllmUnreachableError
from midfill.model.families.vllm.fills import fills, question_of
from midfill.model.families.vllm.rewrites import rewrites, rewriting_of
from midfill.model.families.vllm.server import VllmServer
from midfill.model.wire.api import (
    Candidate,
    DraftPiece,
    HoleDraft,
    Infill,
    InfillRequest,
    ModelInfo,
    Step,
    StopReason,
    Usage,
)
from midfill.model.wire.errors import RequestError

POLL_S = 0.01
"""How long a request that waits for vLLM keeps its turn; so soon, too, is a closed connection noticed."""
WATCH_S = 5.0

ReportProgress = Callable[[float, str], None]


class VllmModel:
    """See `midfill.model.engine.family.Model`. loop: where the client lives, run by a thread of its own.

    report: told with a progress below 1 when vLLM is not to be reached any more, and with 1 when it is back."""

    def __init__(
        self, client: VllmClient, server: VllmServer, info: ModelInfo, report: ReportProgress, loop: AbstractEventLoop
    ) -> None:
        self.info = info
        self._client, self._server, self._report, self._loop = client, server, report, loop
        self._is_lost = False
        asyncio.run_coroutine_threadsafe(self._watch(), loop)

    def infill(self, request: InfillRequest, received_at_s: float) -> Job:
        check_holes(request, self.info)
        is_rewriting = any(hole.draft is not None for hole in request.holes)
        if is_rewriting and len(request.holes) > 1:
            raise RequestError(f"{self.info.name} rewrites one region at a time; send {len(request.holes)} requests.")
        if request.instruction is not None and not is_rewriting:
            raise RequestError(
                f"{self.info.name} follows an instruction where it rewrites; give the hole the old text as its `draft`."
            )
        return self._run(request, received_at_s)

    def _run(self, request: InfillRequest, received_at_s: float) -> Job:
        """Waits in small units, so that the engine gives others their turn and notices a closed connection."""
        shown: SimpleQueue[Step | None] = SimpleQueue()
        answer = asyncio.run_coroutine_threadsafe(self._answer(request, received_at_s, shown.put), self._loop)
        answer.add_done_callback(lambda _: shown.put(None))
        try:
            while not answer.done():
                try:
                    yield shown.get(timeout=POLL_S)
                except Empty:
                    yield None
            yield answer.result()
        finally:
            answer.cancel()

    async def _answer(self, request: InfillRequest, received_at_s: float, show: Callable[[Step], None]) -> Infill:
        started_s = time.monotonic()
        left_s = None if request.deadline_ms is None else received_at_s + request.deadline_ms / 1000 - started_s
        server, found = self._server.for_request(), _Found(request)
        stop_reason: StopReason = "closed" if request.candidates else "primed"
        try:
            async with asyncio.timeout(left_s), aclosing(self._candidates(server, request, show)) as candidates:
                async for candidate in candidates:
                    found.add(candidate)
                    show(found.step())
        except TimeoutError:
            stop_reason = "deadline"
        except VllmUnreachableError as error:
            self._lose(str(error))
            raise
        best = found.best()
        if stop_reason == "closed" and best and best[0].stop_reason == "length":
            stop_reason = "length"
        denoise_ms = round((time.monotonic() - started_s) * 1000, 2)
        usage = Usage(server.context_tokens, 0, server.canvas_tokens, denoise_ms=denoise_ms, total_ms=denoise_ms)
        return Infill(best, stop_reason, usage, self.info.name)

    async def _candidates(
        self, server: VllmServer, request: InfillRequest, show: Callable[[Step], None]
    ) -> AsyncGenerator[Candidate, None]:
        if request.holes[0].draft is not None:
            rewriting = await rewriting_of(server, request)

            def show_text(row: int, number: int, text: str) -> None:
                show(Step(row, number, (HoleDraft(rewriting.hole.id, (DraftPiece(text, False),)),)))

            if request.candidates:
                async with aclosing(rewrites(server, rewriting, show_text)) as candidates:
                    async for candidate in candidates:
                        yield candidate
            else:
                await server.prime(rewriting.prompt)
            return
        question = await question_of(server, request)
        if not request.candidates:
            await server.prime(question.prompt)
            return
        async with aclosing(fills(server, question)) as candidates:
            async for candidate in candidates:
                yield candidate

    def _lose(self, why: str) -> None:
        self._is_lost = True
        self._report(0.0, why)

    async def _watch(self) -> None:
        """Tells when vLLM goes, and when it comes back, also while nobody asks for anything."""
        while True:
            await asyncio.sleep(WATCH_S)
            is_up = await self._client.is_up()
            if is_up and self._is_lost:
                self._is_lost = False
                self._report(1.0, f"{self.info.name} is ready on {self.info.device}.")
            elif not is_up and not self._is_lost:
                self._lose(f"vLLM at {self._client.url} does not answer any more; start it again there.")


class _Found:
    """Candidates of one request, the same fills counted once."""

    def __init__(self, request: InfillRequest) -> None:
        self._request = request
        self._by_text: dict[tuple[str, ...], Candidate] = {}
        self._num_canvases = 0

    def add(self, candidate: Candidate) -> None:
        self._num_canvases += 1
        texts = tuple(fill.text for fill in candidate.fills)
        known = self._by_text.get(texts)
        if known is None or known.confidence < candidate.confidence:
            self._by_text[texts] = candidate

    def best(self) -> tuple[Candidate, ...]:
        ranked = sorted(self._by_text.values(), key=lambda candidate: -candidate.confidence)
        return tuple(ranked[: self._request.candidates])

    def step(self) -> Step:
        """The best so far, after another canvas."""
        fills = self.best()[0].fills
        return Step(0, self._num_canvases, tuple(HoleDraft(fill.id, (DraftPiece(fill.text, True),)) for fill in fills))
