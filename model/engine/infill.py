"""A request from beginning to end on a denoiser: encode what is not cached, denoise, read the holes, count what it
cost."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from midfill.model.engine.canvas import Canvas, HoleReading
from midfill.model.engine.causal import read_causally
from midfill.model.engine.confidence import LEAST_PROBABILITY, NO_OTHER_EVIDENCE, Evidence, Found, calibrated
from midfill.model.engine.denoise import denoise
from midfill.model.engine.denoiser import Denoiser, Plan
from midfill.model.engine.family import Job
from midfill.model.engine.prefix_cache import PrefixCache
from midfill.model.engine.sampler import FrontierSampler, Sampler
from midfill.model.wire.api import (
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

CHUNK_TOKENS = 128
"""Context is encoded in chunks of at most this many tokens; a cancelled request keeps those it has done."""
DEFAULT_CACHE_BYTES = 256 * 2**20
LEAST_SHARE = 1e-300
BRANCHES_PER_CANDIDATE = 1
DRAWN_PER_CANDIDATE = 1
"""Readings beside the canvas and the greedy one, for each candidate that is wanted."""


class DenoisingModel:
    """`midfill.model.engine.family.Model` on a denoiser that runs in this process."""

    def __init__(
        self,
        denoiser: Denoiser,
        sampler: Sampler | None = None,
        max_cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.denoiser = denoiser
        self.sampler = sampler or FrontierSampler()
        self.cache = PrefixCache(max_cache_bytes, denoiser.state_dim)

    @property
    def info(self) -> ModelInfo:
        return self.denoiser.info

    def infill(self, request: InfillRequest, received_at_s: float) -> Job:
        plan = self.denoiser.plan(request, 1 if self._is_read_causally(request) else request.candidates)
        return self._run(request, plan, received_at_s)

    def _run(self, request: InfillRequest, plan: Plan, received_at_s: float) -> Job:
        cost = _Cost()
        deadline_s = math.inf if request.deadline_ms is None else received_at_s + request.deadline_ms / 1000
        rows = list[list[HoleReading]]()
        stopped: StopReason = "closed"
        causal, plans = list[HoleReading](), [plan]
        while plans:
            plan = plans.pop(0)
            state = yield from self._encoded(plan.context_ids, cost)
            if request.candidates == 0:
                yield from self._prefilled_for_judge(plan, cost)
                yield Infill((), "primed", cost.usage(()), self.info.name)
                return
            with cost.timing("encode_s"):
                state, num_kept = self.denoiser.visible(plan, state)
            cost.context_tokens += plan.num_context_tokens - len(plan.context_ids)
            cost.cached_tokens += num_kept
            canvas = yield from self._denoised(request, plan, state, cost, deadline_s)
            if time.monotonic() > deadline_s and not canvas.is_closed:
                stopped = "deadline"
            if stopped != "deadline" and self._is_read_causally(request):
                causal = yield from self._read_causally(request, plan, state, cost)
            if stopped != "deadline" and self.denoiser.reviewer:
                yield None
                with cost.timing("denoise_s"):
                    canvas = self.denoiser.reviewer.review(plan, canvas, state)
                cost.forward_passes += 1
            following = self.denoiser.continuations(plan, canvas) if stopped != "deadline" else ()
            goes_on = {later.first_row - plan.first_row for later in following}
            rows += [self.denoiser.readings(plan, canvas, n) for n in range(len(canvas.ids)) if n not in goes_on]
            plans = [*following, *plans] if stopped != "deadline" else []
        read = read_candidates(request, rows, causal)
        if causal and len(read) > 1:
            read = yield from self._judged(request, plan, read, cost)
        candidates = self.candidates(request, read, stopped)[: request.candidates]
        if stopped == "closed" and any(c.stop_reason == "length" for c in candidates[:1]):
            stopped = "length"
        yield Infill(candidates, stopped, cost.usage(candidates), self.info.name)

    def _encoded(self, ids: Sequence[int], cost: _Cost) -> Generator[None, None, Tensor]:
        """The state of a context, of which what is cached is not encoded again."""
        ids = tuple(ids)
        cost.context_tokens += len(ids)
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
                return self.denoiser.denoise(plan, canvas, state)

        canvas = plan.canvas
        for number, canvas in enumerate(denoise(predict, plan.canvas, self.sampler, plan.max_steps), start=1):
            for row in range(canvas.ids.shape[0]):
                yield Step(plan.first_row + row, number, self._drafts(request, plan, canvas, row))
            if time.monotonic() > deadline_s:
                break
        return canvas

    def _read_causally(
        self, request: InfillRequest, plan: Plan, state: Tensor, cost: _Cost
    ) -> Generator[None, None, list[HoleReading]]:
        assert self.denoiser.causal_path
        reads = read_causally(
            self.denoiser.causal_path,
            plan,
            state,
            beginnings=self.denoiser.causal_path.beginnings(plan),
            num_branches=BRANCHES_PER_CANDIDATE * request.candidates,
            num_drawn=DRAWN_PER_CANDIDATE * request.candidates,
            seed=request.seed or 0,
        )
        while (readings := self._read_on(reads, cost)) is None:
            yield None
        return readings

    def _is_read_causally(self, request: InfillRequest) -> bool:
        """Where several candidates are asked for: for one hole, to be filled from nothing."""
        wanted = request.candidates > 1 and len(request.holes) == 1 and request.holes[0].draft is None
        return wanted and self.denoiser.causal_path is not None

    def _read_on(self, reads: Generator[None, None, list[HoleReading]], cost: _Cost) -> list[HoleReading] | None:
        """One forward pass of the readings; the readings at their end."""
        with cost.timing("denoise_s"):
            try:
                next(reads)
            except StopIteration as end:
                readings: list[HoleReading] = end.value
                return readings
        cost.forward_passes += 1
        cost.canvas_tokens += 1
        return None

    def _prefilled_for_judge(self, plan: Plan, cost: _Cost) -> Generator[None, None, None]:
        """Encode what the judge will read, while nobody waits for it."""
        if self.denoiser.judge:
            yield from self._encoded(self.denoiser.judge.judged_context(plan), cost)

    def _judged(
        self, request: InfillRequest, plan: Plan, read: Sequence[ReadCandidate], cost: _Cost
    ) -> Generator[None, None, list[ReadCandidate]]:
        """The candidates of one hole with the share of its probability that the judge gives each of them."""
        judge = self.denoiser.judge
        if judge is None:
            return list(read)
        state = yield from self._encoded(judge.judged_context(plan), cost)
        fills = [one.readings[request.holes[0].id].ids for one in read]
        with cost.timing("denoise_s"):
            nats = judge.judge_fills(plan, fills, state)
        cost.forward_passes += 1
        yield None
        most = max(nats)
        weights = [math.exp(each - most) for each in nats]
        return [
            replace(one, evidence=replace(one.evidence, judged_share=weight / sum(weights)))
            for one, weight in zip(read, weights, strict=True)
        ]

    def candidates(
        self, request: InfillRequest, read: Sequence[ReadCandidate], stopped: StopReason
    ) -> tuple[Candidate, ...]:
        """Best first; the same fills twice are one candidate. What was judged is ranked by the judge and the reading
        together, everything else by its confidence: how sure a fill is, and which of several is the best, are two
        questions."""
        by_text: dict[tuple[str, ...], Candidate] = {}
        for one in sorted(read, key=_preference, reverse=True):
            fills = tuple(self._fill(hole_id, reading, one.evidence) for hole_id, reading in one.readings.items())
            reason: StopReason = stopped if stopped == "deadline" else "closed"
            if reason == "closed" and not (len(fills) == len(request.holes) and all(fill.closed for fill in fills)):
                reason = "length"
            confidence = min(fill.confidence for fill in fills)
            by_text.setdefault(tuple(fill.text for fill in fills), Candidate(fills, confidence, reason))
        if all(one.evidence.judged_share == 1 for one in read):
            return tuple(sorted(by_text.values(), key=lambda candidate: -candidate.confidence))
        return tuple(by_text.values())

    def _fill(self, hole_id: str, reading: HoleReading, evidence: Evidence) -> Fill:
        text, starts = self.denoiser.decode(reading.ids)
        confidence = calibrated(self.denoiser.calibration, reading.confidence, reading.closed, evidence)
        ends = [*starts[1:], len(text)]
        given = reading.num_given
        spans = tuple(
            ConfidenceSpan(max(start - given, 0), end - given, round(confidence, 4))
            for start, end, confidence in zip(starts, ends, reading.confidence, strict=False)
            if end > max(start, given)
        )
        return Fill(hole_id, text[given:], round(confidence, 4), spans, reading.closed)

    def _drafts(self, request: InfillRequest, plan: Plan, canvas: Canvas, row: int) -> tuple[HoleDraft, ...]:
        readings = self.denoiser.readings(plan, canvas, row)
        return tuple(
            HoleDraft(hole.id, tuple(self._pieces(reading)))
            for hole, reading in zip(request.holes, readings, strict=True)
        )

    def _pieces(self, reading: HoleReading) -> Iterator[DraftPiece]:
        """Runs of settled tokens as text; runs of open ones as one ░ a token."""
        start, given = 0, reading.num_given
        for index in range(1, len(reading.ids) + 1):
            if index == len(reading.ids) or reading.settled[index] != reading.settled[start]:
                run = reading.ids[start:index]
                settled = reading.settled[start]
                text = self.denoiser.decode(run)[0] if settled else "░" * len(run)
                start = index
                text, given = text[given:], max(given - len(text), 0)
                if text:
                    yield DraftPiece(text, settled)


@dataclass(frozen=True, slots=True)
class ReadCandidate:
    """What was read for each hole that is settled, by hole id, and what speaks for it."""

    readings: dict[str, HoleReading]
    evidence: Evidence = NO_OTHER_EVIDENCE


def read_candidates(
    request: InfillRequest, rows: Sequence[Sequence[HoleReading]], causal: Sequence[HoleReading]
) -> list[ReadCandidate]:
    """The canvases' rows, of which holes that are open at a deadline are left out, and the readings of the one hole
    from left to right; those with the same tokens are one candidate."""
    settled_rows = []
    for row in rows:
        of_row = {hole.id: reading for hole, reading in zip(request.holes, row, strict=True)}
        settled = {hole_id: reading for hole_id, reading in of_row.items() if reading.settled_all}
        if settled:
            settled_rows.append(settled)
    if not causal:
        return [ReadCandidate(settled) for settled in settled_rows]
    hole_id = request.holes[0].id
    canvases = [settled[hole_id] for settled in settled_rows]
    by_ids: dict[tuple[int, ...], HoleReading] = {}
    for reading in (*causal, *canvases):  # of equal ones the left to right reading's probabilities stay
        by_ids.setdefault(tuple(reading.ids), reading)
    on_canvas, read = (Counter(tuple(reading.ids) for reading in of) for of in (canvases, causal))
    found: dict[tuple[bool, bool], Found] = {
        (True, True): "both ways",
        (True, False): "canvas only",
        (False, True): "left to right only",
    }
    return [
        ReadCandidate(
            {hole_id: reading},
            Evidence(
                found[ids in on_canvas, ids in read],
                (on_canvas[ids] + read[ids]) / (on_canvas.total() + read.total()),
            ),
        )
        for ids, reading in by_ids.items()
    ]


def _preference(one: ReadCandidate) -> float:
    """Nats: the judge's and the reading's own, a product of two experts. The judge knows natural text and little of
    what follows; the reading has seen the suffix, the passages and the memory."""
    of_judge = math.log(max(one.evidence.judged_share, LEAST_SHARE))
    return of_judge + sum(
        math.log(max(probability, LEAST_PROBABILITY))
        for reading in one.readings.values()
        for probability in reading.confidence
    )


@dataclass
class _Cost:
    context_tokens: int = 0
    cached_tokens: int = 0
    canvas_tokens: int = 0
    forward_passes: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"encode_s": 0.0, "denoise_s": 0.0})

    def timing(self, phase: str) -> _Timing:
        return _Timing(self.seconds, phase)

    def usage(self, candidates: Sequence[Candidate]) -> Usage:
        """fill_tokens are those of the best candidate: what was tried beside it is no answer."""
        encode_ms, denoise_ms = (round(self.seconds[phase] * 1000, 2) for phase in ("encode_s", "denoise_s"))
        return Usage(
            context_tokens=self.context_tokens,
            cached_tokens=self.cached_tokens,
            canvas_tokens=self.canvas_tokens,
            fill_tokens=sum(len(fill.spans) for fill in candidates[0].fills) if candidates else 0,
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
