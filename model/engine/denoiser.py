"""What a family must offer to be denoised here: a plan of a request, encoding, one forward, and reading tokens back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, HoleReading
from midfill.model.engine.confidence import Calibration
from midfill.model.wire.api import InfillRequest, ModelInfo


@dataclass(frozen=True, slots=True)
class Plan:
    """A request as tokens; a family that needs more of it has a plan class of its own.

    context_ids: in encoding order; canvas_positions: position ids the family gave the canvas; single_line: of each
    hole, whether it ends where its line does; pinned: of each hole, the ids that stand behind it on the canvas and
    stay, where a family keeps text there; first_row: which candidate the canvas's first row is."""

    context_ids: tuple[int, ...]
    canvas: Canvas
    canvas_positions: Tensor
    max_steps: int
    single_line: tuple[bool, ...] = ()
    pinned: tuple[tuple[int, ...], ...] = ()
    first_row: int = 0

    @property
    def num_context_tokens(self) -> int:
        """Of all that the canvases see."""
        return len(self.context_ids)


class CausalPath(Protocol):
    """A network that can also read the first hole from left to right, several rows at once."""

    def next_log_probabilities(
        self, plan: Plan, rows: Sequence[tuple[str, Sequence[int]]], state: Tensor, own: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Log probabilities (R, V) of what follows the ids of each row, which are equally long, and the keys and values
        `own` (…, R, …) of what was read, to be passed with the next tokens; None where the rows are empty. A row is the
        text that its hole has to begin with, "" for any, and its ids.

        state: what `visible` gave."""
        ...

    def beginnings(self, plan: Plan) -> Sequence[str]:
        """Texts that the first hole is likely to begin with, each worth a reading."""
        ...

    def select(self, own: Tensor, rows: Sequence[int]) -> Tensor:
        """`own` of these rows, in this order."""
        ...

    def reading(self, plan: Plan, ids: Sequence[int], probabilities: Sequence[float], closed: bool) -> HoleReading: ...


class Judge(Protocol):
    """A network that can say how likely fills of the first hole are, together with what follows the hole, in the
    order in which the text is read."""

    def judged_context(self, plan: Plan) -> tuple[int, ...]:
        """The ids before the hole, to be encoded as a context of their own."""
        ...

    def judge_fills(self, plan: Plan, fills: Sequence[Sequence[int]], state: Tensor) -> list[float]:
        """Nats, one for each fill. state: of `judged_context`."""
        ...


class Reviewer(Protocol):
    """A network that can judge fills once all of them stand."""

    def review(self, plan: Plan, canvas: Canvas, state: Tensor) -> Canvas:
        """The finished `canvas` with the confidence that one more forward pass gives its tokens, and each end of a hole
        that of what stands behind it."""
        ...


class Denoiser(Protocol):
    """A network that encodes context once and denoises canvases over it.

    A context state is one tensor whose `state_dim` is the token axis, so that the prefix cache can cut it.
    calibration: from the probabilities of a fill's tokens to the confidence of the fill. causal_path: for a network
    that can also be read from left to right (`midfill.model.engine.causal`), judge: for one that can compare fills,
    reviewer: for one whose finished canvases are looked at by one more pass; None for others."""

    info: ModelInfo
    calibration: Calibration
    device: torch.device
    state_dim: int

    @property
    def causal_path(self) -> CausalPath | None: ...

    @property
    def judge(self) -> Judge | None: ...

    @property
    def reviewer(self) -> Reviewer | None: ...

    def plan(self, request: InfillRequest, num_candidates: int) -> Plan:
        """Raises RequestError if the request does not fit this family."""
        ...

    def encode(self, ids: Sequence[int], num_encoded: int, state: Tensor | None) -> Tensor:
        """The state of all of `ids`, given that of the first `num_encoded` of them."""
        ...

    def visible(self, plan: Plan, state: Tensor) -> tuple[Tensor, int]:
        """What the canvases of `plan` see: its passages and its encoded context, in one state; and how many tokens of
        the passages were encoded already."""
        ...

    def denoise(self, plan: Plan, canvas: Canvas, state: Tensor) -> Tensor:
        """One forward pass over what `visible` gave: logits (B, L, V), float32, -inf where a token may not
        stand."""
        ...

    def readings(self, plan: Plan, canvas: Canvas, row: int) -> list[HoleReading]:
        """What stands in each hole of one row."""
        ...

    def continuations(self, plan: Plan, canvas: Canvas) -> tuple[Plan, ...]:
        """For each row of a closed canvas whose answer goes on, a plan of its next canvas; none where all is
        written."""
        ...

    def decode(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        """Text of `ids` and the offset in code points at which each id begins."""
        ...
