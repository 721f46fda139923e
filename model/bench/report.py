"""The figures of `midfill bench gemma` as lines for a person. Figures in, text out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Figures = dict[str, Any]


def lines(figures: Figures) -> Iterator[str]:
    machine = figures["machine"]
    yield (
        f"{figures['geometry']} geometry, {figures['parameters'] / 1e9:.3f} billion random parameters "
        f"({figures['weights_bytes'] / 1e9:.2f} GB, {figures['precision']}), context {figures['context_tokens']} tokens"
    )
    yield (
        f"on {machine['device']} ({machine['cpus']} CPUs), memory {figures['bytes_per_s'] / 1e9:.0f} GB/s by copying; "
        f"torch {machine['torch']}, transformers {machine['transformers']}, Python {machine['python']}"
    )
    yield ""
    for name, line in _LINES.items():
        of_measure = figures[name]
        failed = of_measure.get("failed") if isinstance(of_measure, dict) else None
        yield from [f"{name.replace('_', ' ')}: failed: {failed}"] if failed else line(of_measure)


def _denoising_step(step: Figures) -> Iterator[str]:
    yield (
        f"a denoising step of {step['canvas_tokens']} tokens: {step['step_ms']:.2f} ms; the memory's bound "
        f"{step['bound_ms']:.2f} ms ({step['times_the_bound']:.1f} times that)"
    )


def _transformers_generate(generate: Figures) -> Iterator[str]:
    how = "compiled" if generate["compiled"] else "not compiled, on a CPU"
    yield f"the same in transformers' generate ({how}): {generate['step_ms']:.2f} ms"


def _break_even(rows: list[Figures]) -> Iterator[str]:
    yield ""
    yield "batch   step of the canvases   token left to right   break-even: tokens a forward (by the memory's bound)"
    for row in rows:
        yield (
            f"{row['batch']:5d} {row['step_ms']:19.2f} ms {row['token_ms']:18.2f} ms {row['break_even']:14.1f} "
            f"({row['bound_break_even']:.1f})"
        )
    yield ""


def _candidates(found: Figures) -> Iterator[str]:
    yield (
        f"a step of three canvases of {found['tokens']} tokens: {found['three_ms']:.2f} ms, of one "
        f"{found['one_ms']:.2f} ms ({found['ratio']:.2f} times that)"
    )


def _typing(typed: Figures) -> Iterator[str]:
    yield (
        f"encoding at a keystroke: {typed['keystroke_ms']:.2f} ms with {typed['cached_share']:.1%} of "
        f"{typed['context_tokens']} tokens reused; all of them: {typed['cold_ms']:.1f} ms"
    )


def _one_request(request: Figures) -> Iterator[str]:
    yield (
        f"one hole of up to 64 tokens, context encoded: {request['total_ms']:.0f} ms, {request['forward_passes']} "
        f"passes over {request['canvas_tokens']} canvas tokens, {request['pass_ms']:.2f} ms each, with sampling"
    )


def _cancellation(cancelled: Figures) -> Iterator[str]:
    yield (
        f"free after a cancellation: {cancelled['longest_ms']:.1f} ms at most, where a step takes "
        f"{cancelled['step_ms']:.1f} ms; passes begun after it: {cancelled['passes_begun_after']} at most"
    )


_LINES: dict[str, Callable[[Any], Iterator[str]]] = {
    "denoising_step": _denoising_step,
    "transformers_generate": _transformers_generate,
    "break_even": _break_even,
    "candidates": _candidates,
    "typing": _typing,
    "one_request": _one_request,
    "cancellation": _cancellation,
}
