"""A request from beginning to end on a denoiser: encode what is not cached, denoise, read the holes, count what it
cost."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from torch import Tensor

from midfill.model.api import (
    Candidate,
    ConfidenceSpan,
    DraftPiece,
    Fill,
    HoleDraft,
    Infill,
    InfillRequest,
    ModelInfo,
    Step,
    StopReason,
    Usage,
)
from midfill.model.canvas import Canvas, HoleReading
from midfill.model.causal import read_causally
from midfill.model.confidence import Found, calibrated
from midfill.model.denoise import denoise
from midfill.model.families.denoiser import Denoiser, Plan
from midfill.model.families.family import Job
from midfill.model.memory import mix
from midfill.model.prefix_cache import PrefixCache
from midfill.model.sampler import FrontierSampler, Sampler

CHUNK_TOKENS = 128
"""Context is encoded in chunks of at most this many tokens; a cancelled request keeps those it has done."""
DEFAULT_CACHE_BYTES = 256 * 2**20


class DenoisingModel:
    """`midfill.model.families.family.Model` on a denoiser that runs in this process."""

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: Sampler | None = None,
        max_cache_bytes: int = DEFAULT_CACHE_BYTES,
        *,
        with_memory: bool = True,
    ) -> None:
        self._with_memory = with_memory
        self.denoiser = denoiser
        self.sampler = sampler or FrontierSampler()
        self.cache = PrefixCache(max_cache_bytes, denoiser.state_dim)

    @property
    def info(self) -> ModelInfo:
        return self.denoiser.info

    def infill(self, request: InfillRequest, received_at_s: float) -> Job:
        plan = self.denoiser.plan(request, request.candidates - self._is_read_causally(request))
        return self._run(request, plan, received_at_s)

    def _run(self, request: InfillRequest, plan: Plan, received_at_s: float) -> Job:
        cost = _Cost()
        deadline_s = math.inf if request.deadline_ms is None else received_at_s + request.deadline_ms / 1000
        rows = list[list[HoleReading]]()
        stopped: StopReason = "closed"
        causal, plans = None, [plan]
        while plans:
            plan = plans.pop(0)
            state = yield from self._encoded(plan, cost)
            if request.candidates == 0:
                yield Infill((), "primed", cost.usage(()), self.info.name)
                return
            with cost.timing("encode_s"):
                state, num_kept = self.denoiser.visible(plan, state)
            cost.cached_tokens += num_kept
            canvas = yield from self._denoised(request, plan, state, cost, deadline_s)
            if time.monotonic() > deadline_s and not canvas.is_closed:
                stopped = "deadline"
            if stopped != "deadline" and self._is_read_causally(request):
                causal = yield from self._read_causally(plan, state, cost)
            if stopped != "deadline" and self.denoiser.reviewer:
                yield None
                with cost.timing("denoise_s"):
                    canvas = self.denoiser.reviewer.review(plan, canvas, state)
                cost.forward_passes += 1
            following = self.denoiser.continuations(plan, canvas) if stopped != "deadline" else ()
            goes_on = {later.first_row - plan.first_row for later in following}
            rows += [self.denoiser.readings(plan, canvas, n) for n in range(len(canvas.ids)) if n not in goes_on]
            plans = [*following, *plans] if stopped != "deadline" else []
        candidates = self.candidates(request, read_candidates(request, rows, causal), stopped)
        candidates = candidates[: request.candidates]
        if stopped == "closed" and any(c.stop_reason == "length" for c in candidates[:1]):
            stopped = "length"
        readings = [*chain.from_iterable(rows), *([causal] if causal else [])]
        yield Infill(candidates, stopped, cost.usage(readings), self.info.name)

    def _encoded(self, plan: Plan, cost: _Cost) -> Generator[None, None, Tensor]:
        """The state of a plan's context, of which what is cached is not encoded again."""
        ids = plan.context_ids
        cost.context_tokens += len(plan.visible_ids)
        with cost.timing("encode_s"):
            num_encoded, state = self.cache.longest_prefix(ids)
        cost.cached_tokens += num_encoded
        while num_encoded < len(ids):
            with cost.timing("encode_s"):
                chunk_end = min(num_encoded + CHUNK_TOKENS, len(ids))
                state = self.denoiser.encode(ids[:chunk_end], num_encoded, state)
                num_encoded = chunk_end
                self.cache.put(ids[:num_encoded], state)
            yield None
        assert state is not None  # a context is never empty: it has its special tokens
        return state

    def _denoised(
        self, request: InfillRequest, plan: Plan, state: Tensor, cost: _Cost, deadline_s: float
    ) -> Generator[Step, None, Canvas]:
        """The canvas of a plan when it is closed, or at the deadline."""
        cost.canvas_tokens += plan.canvas.ids.numel()

        def predict(canvas: Canvas) -> Tensor:
            with cost.timing("denoise_s"):
                cost.forward_passes += 1
                logits = self.denoiser.denoise(plan, canvas, state)
                return (
                    mix(logits, canvas, plan.memory, plan.memory_weights)
                    if plan.memory and self._with_memory
                    else logits
                )

        canvas = plan.canvas
        for number, canvas in enumerate(denoise(predict, plan.canvas, self.sampler, plan.max_steps), start=1):
            for row in range(canvas.ids.shape[0]):
                yield Step(plan.first_row + row, number, self._drafts(request, plan, canvas, row))
            if time.monotonic() > deadline_s:
                break
        return canvas

    def _read_causally(self, plan: Plan, state: Tensor, cost: _Cost) -> Generator[None, None, HoleReading]:
        assert self.denoiser.causal_path
        reads = read_causally(self.denoiser.causal_path, plan, state, with_memory=self._with_memory)
        while (reading := self._read_on(reads, cost)) is None:
            yield None
        return reading

    def _is_read_causally(self, request: InfillRequest) -> bool:
        """Where several candidates are asked for: for one hole, to be filled from nothing."""
        wanted = request.candidates > 1 and len(request.holes) == 1 and request.holes[0].draft is None
        return wanted and self.denoiser.causal_path is not None

    def _read_on(self, reads: Generator[None, None, HoleReading], cost: _Cost) -> HoleReading | None:
        """One forward pass of a reading; the reading at its end."""
        with cost.timing("denoise_s"):
            try:
                next(reads)
            except StopIteration as end:
                reading: HoleReading = end.value
                return reading
        cost.forward_passes += 1
        cost.canvas_tokens += 1
        return None

    def candidates(
        self, request: InfillRequest, read: Sequence[ReadCandidate], stopped: StopReason
    ) -> tuple[Candidate, ...]:
        """Best first; the same fills twice are one candidate."""
        by_text: dict[tuple[str, ...], Candidate] = {}
        for one in read:
            fills = tuple(self._fill(hole_id, reading, one.found) for hole_id, reading in one.readings.items())
            reason: StopReason = stopped if stopped == "deadline" else "closed"
            if reason == "closed" and not (len(fills) == len(request.holes) and all(fill.closed for fill in fills)):
                reason = "length"
            confidence = min(fill.confidence for fill in fills)
            by_text.setdefault(tuple(fill.text for fill in fills), Candidate(fills, confidence, reason))
        return tuple(sorted(by_text.values(), key=lambda candidate: -candidate.confidence))

    def _fill(self, hole_id: str, reading: HoleReading, found: Found) -> Fill:
        text, starts = self.denoiser.decode(reading.ids)
        confidence = calibrated(self.denoiser.calibration, reading.confidence, reading.closed, found)
        ends = [*starts[1:], len(text)]
        spans = tuple(
            ConfidenceSpan(start, end, round(confidence, 4))
            for start, end, confidence in zip(starts, ends, reading.confidence, strict=False)
            if end > start
        )
        return Fill(hole_id, text, round(confidence, 4), spans, reading.closed)

    def _drafts(self, request: InfillRequest, plan: Plan, canvas: Canvas, row: int) -> tuple[HoleDraft, ...]:
        readings = self.denoiser.readings(plan, canvas, row)
        return tuple(
            HoleDraft(hole.id, tuple(self._pieces(reading)))
            for hole, reading in zip(request.holes, readings, strict=True)
        )

    def _pieces(self, reading: HoleReading) -> Iterator[DraftPiece]:
        """Runs of settled tokens as text; runs of open ones as one ░ a token."""
        start = 0
        for index in range(1, len(reading.ids) + 1):
            if index == len(reading.ids) or reading.settled[index] != reading.settled[start]:
                run = reading.ids[start:index]
                settled = reading.settled[start]
                yield DraftPiece(self.denoiser.decode(run)[0] if settled else "░" * len(run), settled)
                start = index


@dataclass(frozen=True, slots=True)
class ReadCandidate:
    """What was read for each hole that is settled, by hole id, and how it was found."""

    readings: dict[str, HoleReading]
    found: Found


def read_candidates(
    request: InfillRequest, rows: Sequence[Sequence[HoleReading]], causal: HoleReading | None
) -> list[ReadCandidate]:
    """The canvases' rows, of which holes that are open at a deadline are left out, and the causal reading of the one
    hole, if there is one and no row came to the same."""
    settled_rows = []
    for row in rows:
        of_row = {hole.id: reading for hole, reading in zip(request.holes, row, strict=True)}
        settled = {hole_id: reading for hole_id, reading in of_row.items() if reading.settled_all}
        if settled:
            settled_rows.append(settled)
    if causal is None:
        return [ReadCandidate(settled, "canvas") for settled in settled_rows]
    hole_id = request.holes[0].id
    agreeing = [settled[hole_id].ids == causal.ids for settled in settled_rows]
    read = [
        ReadCandidate(settled, "both ways" if agrees else "canvas only")
        for settled, agrees in zip(settled_rows, agreeing, strict=True)
    ]
    return read if any(agreeing) else [*read, ReadCandidate({hole_id: causal}, "left to right only")]


@dataclass
class _Cost:
    context_tokens: int = 0
    cached_tokens: int = 0
    canvas_tokens: int = 0
    forward_passes: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"encode_s": 0.0, "denoise_s": 0.0})

    def timing(self, phase: str) -> _Timing:
        return _Timing(self.seconds, phase)

    def usage(self, readings: Sequence[HoleReading]) -> Usage:
        encode_ms, denoise_ms = (round(self.seconds[phase] * 1000, 2) for phase in ("encode_s", "denoise_s"))
        return Usage(
            context_tokens=self.context_tokens,
            cached_tokens=self.cached_tokens,
            canvas_tokens=self.canvas_tokens,
            fill_tokens=sum(len(reading.ids) for reading in readings),
            forward_passes=self.forward_passes,
            encode_ms=encode_ms,
            denoise_ms=denoise_ms,
            total_ms=round(encode_ms + denoise_ms, 2),
        )


class _Timing:
    """Adds the time inside a `with` block to one phase; time in which other requests have their turn does not count."""

    def __init__(self, seconds: dict[str, float], phase: str) -> None:
        self._seconds, self._phase = seconds, phase

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._phase] += time.perf_counter() - self._started
