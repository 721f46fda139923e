"""What the engine and the wire need of a model: its card, and a request turned into steps.

A family that runs here as logits (embedded, DiffusionGemma, masked) implements `Denoiser` and is served through
`midfill.model.engine.infill`; one that answers whole requests elsewhere (vLLM) implements `Model` itself.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from midfill.model.wire.api import Infill, InfillRequest, ModelInfo, Step

Job = Generator[Step | Infill | None, None, None]
"""One running request. Each `next()` does one unit of device work (a chunk of context encoded: None; a denoising
step: Step) and the last item is the Infill. Closing the iterator cancels it; what was encoded stays cached."""


class Model(Protocol):
    @property
    def info(self) -> ModelInfo: ...

    def infill(self, request: InfillRequest, received_at_s: float) -> Job:
        """Start a request; `received_at_s` is `time.monotonic()` when it was read, from which deadlines count.

        Raises RequestError at once (before the first step) if this model cannot serve the request."""
        ...
