"""The denoising loop. There is one; a new idea is a new sampler or a new family."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from midfill.model.engine.canvas import Canvas
from midfill.model.engine.sampler import Sampler


def denoise(predict: Callable[[Canvas], Tensor], canvas: Canvas, sampler: Sampler, max_steps: int) -> Iterator[Canvas]:
    """Canvases after each step until every hole is closed. `predict` is one forward pass: canvas to logits (B, L,
    V)."""
    for step in range(max_steps):
        logits = predict(canvas)
        canvas = sampler.commit(logits, canvas, steps_left=max_steps - step)
        yield canvas
        if canvas.is_closed:
            return
