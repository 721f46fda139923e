"""The single measures of `midfill bench gemma`. Each takes the subject and gives figures; milliseconds are medians."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from midfill.model.bench.left_to_right import LeftToRight
from midfill.model.bench.subject import Subject, touched_bytes
from midfill.model.bench.timing import elapsed_ms, median_ms
from midfill.model.engine.canvas import Canvas
from midfill.model.engine.denoise import denoise
from midfill.model.engine.engine import Engine
from midfill.model.families.diffusion_gemma.layout import noise_canvas
from midfill.model.families.diffusion_gemma.renoising import RenoisingSampler
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart

Figures = dict[str, Any]

BATCHES = (1, 2, 4, 8, 16)
CANDIDATE_TOKENS = 64
NUM_STEPS = 12
NUM_CANCELLATIONS = 5
STEPS_BEFORE_CANCELLING = 4
TYPED = "    total = price * count + self.shipping\n"
CODE = "".join(
    f"def price_{number}(count: int) -> int:\n    return count * {number} + tax\n\n\n" for number in range(24)
)


def denoising_step(subject: Subject) -> Figures:
    """A step of one canvas: the forward pass, and accepting and renoising tokens."""
    width = subject.geometry.canvas_length
    step_ms = _step_ms(subject, 1, width)
    bound_ms = _bound_ms(subject, width)
    return {"canvas_tokens": width, "step_ms": step_ms, "bound_ms": bound_ms, "times_the_bound": step_ms / bound_ms}


def transformers_generate(subject: Subject) -> Figures:
    """A step of transformers' own `generate` on the same weights and context, by the difference of two runs; with a
    static cache on a GPU, where it then compiles itself."""
    is_compiled = subject.device.type == "cuda"
    ids = torch.tensor([subject.context_ids], device=subject.device)

    def run_ms(num_steps: int) -> float:
        def generate() -> object:
            return subject.network.generate(
                ids,
                max_new_tokens=subject.geometry.canvas_length,
                max_denoising_steps=num_steps,
                cache_implementation="static" if is_compiled else None,
            )

        return median_ms(subject.device, generate, num_rounds=3, num_unmeasured=2 if is_compiled else 1)

    few, many = 4, 4 + NUM_STEPS
    return {"step_ms": (run_ms(many) - run_ms(few)) / (many - few), "compiled": is_compiled}


def break_even(subject: Subject, is_compiled: bool) -> list[Figures]:
    """For batches: a step of so many canvases, a token of so many texts from left to right, and how many tokens a
    forward pass must settle for diffusion to be as fast; the same of the memory's bound."""
    rows = []
    width = subject.geometry.canvas_length
    for batch in BATCHES:
        step_ms = _step_ms(subject, batch, width)
        token_ms = LeftToRight(subject, batch, is_compiled).token_ms()
        bounds = _bound_ms(subject, batch * width), _bound_ms(subject, batch)
        rows.append(
            {
                "batch": batch,
                "step_ms": step_ms,
                "token_ms": token_ms,
                "break_even": step_ms / token_ms,
                "bound_step_ms": bounds[0],
                "bound_token_ms": bounds[1],
                "bound_break_even": bounds[0] / bounds[1],
            }
        )
    return rows


def candidates(subject: Subject) -> Figures:
    """A step of three short canvases over one context, against one of them."""
    one_ms, three_ms = (_step_ms(subject, num_rows, CANDIDATE_TOKENS) for num_rows in (1, 3))
    return {"tokens": CANDIDATE_TOKENS, "one_ms": one_ms, "three_ms": three_ms, "ratio": three_ms / one_ms}


def typing(subject: Subject) -> Figures:
    """Encoding at each keystroke at the end of a text, as requests do it, against encoding all of it."""
    subject.model.cache.clear()
    cold_ms, _ = _run(subject, _request(CODE, candidates=0))
    typed = [_run(subject, _request(CODE + TYPED[: index + 1], candidates=0)) for index in range(len(TYPED))]
    usages = [infill.usage for _, infill in typed]
    return {
        "context_tokens": usages[-1].context_tokens,
        "cold_ms": cold_ms,
        "keystroke_ms": statistics.median(took_ms for took_ms, _ in typed),
        "cached_share": sum(usage.cached_tokens for usage in usages) / sum(usage.context_tokens for usage in usages),
    }


def one_request(subject: Subject) -> Figures:
    """A hole of up to 64 tokens over a context that is encoded already, with every length that is supposed."""
    _run(subject, _request(CODE, candidates=1))
    took_ms, infill = _run(subject, _request(CODE, candidates=1))
    usage = infill.usage
    return {
        "canvas_tokens": usage.canvas_tokens,
        "forward_passes": usage.forward_passes,
        "total_ms": took_ms,
        "pass_ms": took_ms / usage.forward_passes,
    }


def cancellation(subject: Subject) -> Figures:
    """From closing a request until its model is free again, against a step of that request; and how many forward passes
    still begin after it was closed, at most: one that the engine was about to begin."""
    return asyncio.run(_cancellation(subject))


async def _cancellation(subject: Subject) -> Figures:
    engine = Engine(lambda report: subject.model)
    await _until(lambda: engine.health.status == "ready")
    delays, steps = [], []
    begun_s = list[float]()
    num_begun = list[int]()
    watch = subject.network.register_forward_pre_hook(lambda *_: begun_s.append(time.perf_counter()))
    for number in range(NUM_CANCELLATIONS):
        ticket = engine.submit(_request(CODE, candidates=1, stream=True))
        arrived_s = dict[int, float]()
        async for step in ticket:
            assert isinstance(step, Step), "a request of random weights takes more steps than are waited for"
            arrived_s.setdefault(step.step, time.perf_counter())
            if step.step == STEPS_BEFORE_CANCELLING:
                break
        steps += [1000 * (late - early) for early, late in pairwise(arrived_s.values())]
        await asyncio.sleep(number / NUM_CANCELLATIONS * statistics.median(steps) / 1000)  # so into a step
        asked_s = time.perf_counter()
        ticket.cancel()
        await _until(lambda: not engine.num_unfinished)
        delays.append(1000 * (time.perf_counter() - asked_s))
        num_begun.append(sum(moment_s > asked_s for moment_s in begun_s))
        begun_s.clear()
    engine.stop(2.0)
    watch.remove()
    return {"step_ms": statistics.median(steps), "longest_ms": max(delays), "passes_begun_after": max(num_begun)}


async def _until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 - the engine is a thread, which tells nobody
        await asyncio.sleep(0.0005)


def _step_ms(subject: Subject, num_rows: int, width: int) -> float:
    """Of `num_rows` whole canvases of `width` tokens, in the denoising loop."""
    canvas = noise_canvas(
        (width,), tuple(range(num_rows)), subject.vocab_size, subject.denoiser.tokenizer.end_id, subject.device
    )
    canvases = denoise(_predict(subject, num_rows), canvas, RenoisingSampler(), max_steps=48)
    return median_ms(subject.device, lambda: next(canvases), num_rounds=NUM_STEPS, num_unmeasured=3)


def _predict(subject: Subject, num_rows: int) -> Callable[[Canvas], Tensor]:
    network, states = subject.network, subject.denoiser.states

    @torch.inference_mode()
    def predict(canvas: Canvas) -> Tensor:
        carried = None if canvas.processed is None else canvas.processed.to(network.dtype)
        cache = states.cache_of(subject.context_state, num_rows)
        logits: Tensor = network(
            decoder_input_ids=canvas.ids, self_conditioning_logits=carried, **{states.keyword: cache}
        ).logits
        return logits

    return predict


def _bound_ms(subject: Subject, num_tokens: int) -> float:
    """The time in which the memory gives what a forward pass must read at least."""
    return 1000 * touched_bytes(subject, num_tokens) / subject.bandwidth


def _run(subject: Subject, request: InfillRequest) -> tuple[float, Infill]:
    """Milliseconds from the request to its answer, and the answer."""
    items = list[object]()
    took_ms = elapsed_ms(subject.device, lambda: items.extend(subject.model.infill(request, time.monotonic())))
    assert isinstance(items[-1], Infill)
    return took_ms, items[-1]


def _request(text: str, candidates: int, stream: bool = False) -> InfillRequest:
    parts = (TextPart(text), HolePart(Hole("1", CANDIDATE_TOKENS)), TextPart("\n"))
    return InfillRequest(parts=parts, language="python", candidates=candidates, stream=stream)
