"""The ways in which a hole can be filled that are measured beside each other: each is a request in, an `Answer` out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.measuring.baselines import by_memory, copy_from_same_file, left_to_right
from midfill.model.wire.api import Candidate, Infill, InfillRequest, Step

METHODS: tuple[str, ...] = (
    "diffusion",
    "diffusion alone",
    "left to right with memory",
    "left to right",
    "memory alone",
    "same-file copy",
    "empty",
)
"""`alone` is without the workspace memory; the first four are the same weights."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a request. fills: one for each hole, in the request's order; confidence: 0 to 1, the weakest
    token's probability; forwards: forward passes, those that encode context not counted; tokens: of code, in all fills;
    milliseconds: wall clock from the request to the answer, with a cold cache."""

    fills: tuple[str, ...]
    confidence: float
    forwards: int
    tokens: int
    milliseconds: float

    @property
    def text(self) -> str:
        return self.fills[0]


def answer(model: DenoisingModel, request: InfillRequest, method: str, before: str, after: str) -> Answer:
    """The answer of one of METHODS. before, after: the whole file around hole 1, for the same-file copy.

    Only "diffusion" and "diffusion alone" fill more than the first hole."""
    started = time.perf_counter()
    if method in ("diffusion", "diffusion alone"):
        infill = run(model, replace(request, candidates=1), with_memory=method == "diffusion")
        best = infill.candidates[0] if infill.candidates else Candidate((), 0.0)
        usage = infill.usage
        return Answer(
            _fills(request, best), best.confidence, usage.forward_passes, usage.fill_tokens, _ms_since(started)
        )
    if method in ("left to right", "left to right with memory"):
        read = left_to_right(embedded(model), request, with_memory=method == "left to right with memory")
        return Answer((read.text,), read.confidence, read.num_forwards, read.num_tokens, _ms_since(started))
    if method == "memory alone":
        read = by_memory(embedded(model), request)
        return Answer((read.text,), read.confidence, 0, read.num_tokens, _ms_since(started))
    if method == "same-file copy":
        return Answer((copy_from_same_file(before, after),), 0.0, 0, 0, _ms_since(started))
    if method == "empty":
        return Answer(("",), 0.0, 0, 0, _ms_since(started))
    raise ValueError(f"{method!r} is no method; choose from {', '.join(METHODS)}")


@dataclass(frozen=True, slots=True)
class Timed:
    """An answer and what it took, wall clock with a cold cache. first_draft_ms: to the first denoising step, 0 where
    there is none."""

    infill: Infill
    milliseconds: float
    first_draft_ms: float


def timed(model: DenoisingModel, request: InfillRequest) -> Timed:
    """The request from beginning to end, with a cache of its own."""
    started, first_draft_ms = time.perf_counter(), 0.0
    for item in _fresh(model).infill(request, time.monotonic()):
        if isinstance(item, Step) and not first_draft_ms:
            first_draft_ms = _ms_since(started)
        elif isinstance(item, Infill):
            infill = item
    return Timed(infill, _ms_since(started), first_draft_ms)


def run(model: DenoisingModel, request: InfillRequest, *, with_memory: bool = True) -> Infill:
    """The request on the model's denoiser and sampler from beginning to end, with a cache of its own: no answer is
    quicker for what another has encoded."""
    items = _fresh(model, with_memory=with_memory).infill(request, time.monotonic())
    return next(item for item in items if isinstance(item, Infill))


def _fresh(model: DenoisingModel, *, with_memory: bool = True) -> DenoisingModel:
    denoiser = model.denoiser
    if isinstance(denoiser, EmbeddedDenoiser) and not with_memory:
        denoiser = denoiser.without_memory()
    return DenoisingModel(denoiser, model.sampler)


def embedded(model: DenoisingModel) -> EmbeddedDenoiser:
    """The model's denoiser as one of the embedded family, which alone has a left-to-right path and a memory."""
    if not isinstance(model.denoiser, EmbeddedDenoiser):
        raise TypeError(f"{model.info.name} is of the family {model.info.family}; this is measured on `embedded` only")
    return model.denoiser


def _fills(request: InfillRequest, candidate: Candidate) -> tuple[str, ...]:
    texts = {fill.id: fill.text for fill in candidate.fills}
    return tuple(texts.get(hole.id, "") for hole in request.holes)


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
