"""The masked diffusion models (Dream, DreamOn, DiffuCoder, Open-dCoder, LLaDA), on transformers' Qwen2 and Llama
classes with attention in both directions.

They read the whole text at every step, so nothing of it is cached: the encoded context is its ids. All holes of a
request stand in one text as masks. DreamOn finds their lengths itself; for the others rows suppose different ones. At
the end the text behind each hole is masked, and how well the model says it again tells which row is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, HoleReading, new_canvas
from midfill.model.engine.confidence import JUDGED_TOKENS, Calibration
from midfill.model.engine.denoiser import Plan
from midfill.model.families.hole_lengths import MAX_ROWS, length_suppositions
from midfill.model.families.limits import check_holes
from midfill.model.families.masked.layout import TextLayout, text_layout
from midfill.model.families.masked.text import MAX_TOKENS, fitting_ids, request_ids
from midfill.model.families.masked.tokenizer import MaskedTokenizer
from midfill.model.wire.api import InfillRequest, ModelInfo
from midfill.model.wire.catalogue import MASKED_CELLS
from midfill.model.wire.errors import RequestError

RANKING = Calibration((3.0, 1.0, 0.0, 1.0, -0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
"""By the least sure token and the mean, since by the mean alone many sure tokens outweigh that the text behind does not
fit; and the shorter of two that are as sure, since a model finds something for all the room it has. What it says of
correctness is not measured."""
MAX_STEPS = 64
MAX_HOLES = 8
MAX_HOLE_TOKENS = 128
MOST_FIRST_MASKS = 64
"""DreamOn was trained to take away as many masks as this."""


@dataclass(frozen=True, slots=True)
class MaskedNetwork:
    """network: of transformers; shifted: the token at a position is read from the position before."""

    network: Any
    shifted: bool


class MaskedDenoiser:
    """See `midfill.model.engine.denoiser.Denoiser`."""

    state_dim = 0
    calibration = RANKING
    causal_path = None
    judge = None

    def __init__(self, loaded: MaskedNetwork, tokenizer: MaskedTokenizer, info: ModelInfo) -> None:
        self.loaded, self.tokenizer, self.info = loaded, tokenizer, info
        self.device: torch.device = loaded.network.device
        config = loaded.network.config
        self.max_tokens = min(MAX_TOKENS, config.max_position_embeddings)
        allowed = [*tokenizer.allowed_ids]
        if tokenizer.expand_id is not None:
            allowed += [tokenizer.expand_id, tokenizer.end_id]
        self.forbidden = ~_only(config.vocab_size, allowed).to(self.device)
        self.line_breaks = _only(config.vocab_size, tokenizer.line_break_ids).to(self.device)

    @property
    def reviewer(self) -> MaskedDenoiser:
        return self

    def plan(self, request: InfillRequest, num_candidates: int) -> Plan:
        self._check(request)
        longest = [hole.max_tokens for hole in request.holes]
        ids = fitting_ids(request_ids(request, self.tokenizer), self.max_tokens - sum(longest))
        if ids is None:
            raise RequestError(
                f"The text between the {len(longest)} holes leaves no room in the {self.max_tokens} tokens that "
                f"{self.info.name} reads; fill them in smaller groups."
            )
        canvas = self._canvas(longest, num_candidates)
        return Plan(
            context_ids=ids.before,
            canvas=canvas,
            canvas_positions=torch.arange(0),
            max_steps=min(MAX_STEPS, sum(longest) * (1 if self.tokenizer.expand_id is None else 2)),
            single_line=tuple(hole.single_line for hole in request.holes),
            pinned=ids.behind,
        )

    def encode(self, ids: Sequence[int], num_encoded: int, state: Tensor | None) -> Tensor:
        return torch.tensor(ids, device=self.device)

    def visible(self, plan: Plan, state: Tensor) -> tuple[Tensor, int]:
        return state, 0

    @torch.inference_mode()
    def denoise(self, plan: Plan, canvas: Canvas, state: Tensor) -> Tensor:
        """Only rows with masks are read, and only at their masks; elsewhere the end is all that may stand."""
        is_open = ~canvas.settled
        open_rows = is_open.any(dim=-1)
        layout = text_layout(state, plan.pinned, canvas.ids[open_rows], canvas.regions, canvas.end_id)
        rows, columns = is_open[open_rows].nonzero(as_tuple=True)
        opened = self._logits(layout, layout.ids, rows, layout.places[rows, columns])
        opened.masked_fill_(self.forbidden, -torch.inf)
        logits = torch.full((*is_open.shape, opened.shape[-1]), -torch.inf, device=self.device)
        logits[..., canvas.end_id] = 0.0
        logits[is_open] = opened
        for region, single_line in zip(canvas.regions, plan.single_line, strict=True):
            if single_line:
                logits[:, region.columns].masked_fill_(self.line_breaks, -torch.inf)
        return logits

    @torch.inference_mode()
    def review(self, plan: Plan, canvas: Canvas, state: Tensor) -> Canvas:
        layout = text_layout(state, plan.pinned, canvas.ids, canvas.regions, canvas.end_id)
        num_judged = [
            min(JUDGED_TOKENS, len(ids) - (hole == len(plan.pinned) - 1)) for hole, ids in enumerate(plan.pinned)
        ]
        judged = [
            (row, int(layout.behind[row, hole]) + offset)
            for row in range(len(canvas.ids))
            for hole, number in enumerate(num_judged)
            for offset in range(number)
        ]
        rows, places = torch.tensor(judged, dtype=torch.int64, device=self.device).view(-1, 2).unbind(dim=-1)
        masked = layout.ids.index_put((rows, places), torch.tensor(self.tokenizer.mask_id, device=self.device))
        said = self._logits(layout, masked, rows, places).log_softmax(dim=-1)
        given = said.gather(-1, layout.ids[rows, places].unsqueeze(-1)).view(len(canvas.ids), -1)
        confidence = canvas.confidence.clone()
        for region, of_hole in zip(canvas.regions, torch.split(given, num_judged, dim=-1), strict=True):
            ends = canvas.ids[:, region.columns] == canvas.end_id
            certainty = of_hole.mean(dim=-1, keepdim=True).exp() if of_hole.shape[-1] else torch.ones(len(ends), 1)
            confidence[:, region.columns] = torch.where(ends, certainty, confidence[:, region.columns])
        return replace(canvas, confidence=confidence)

    def readings(self, plan: Plan, canvas: Canvas, row: int) -> list[HoleReading]:
        return canvas.holes(row)

    def continuations(self, plan: Plan, canvas: Canvas) -> tuple[Plan, ...]:
        return ()

    def decode(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        return self.tokenizer.decode_with_offsets(ids)

    def _logits(self, layout: TextLayout, ids: Tensor, rows: Tensor, places: Tensor) -> Tensor:
        """(N, V), float32, at these places of the texts `ids` (B, T)."""
        network = self.loaded.network
        hidden = network.model(input_ids=ids, attention_mask=layout.visible, use_cache=False).last_hidden_state
        logits: Tensor = network.lm_head(hidden[rows, places - 1 if self.loaded.shifted else places])
        return logits.float()

    def _canvas(self, longest: Sequence[int], num_candidates: int) -> Canvas:
        """A row for each supposition; for DreamOn one for each candidate, each begun with half as many masks as the one
        before. As many rows as there is memory for."""
        most_rows = max(1, MASKED_CELLS // sum(length + 1 for length in longest))
        if self.tokenizer.expand_id is None:
            lengths = length_suppositions(longest, min(MAX_ROWS, most_rows))
            columns = [max(of_row[hole] for of_row in lengths) + 1 for hole in range(len(longest))]
        else:
            firsts = [min(length, MOST_FIRST_MASKS) for length in longest]
            lengths = [
                tuple(max(1, first >> row) for first in firsts) for row in range(max(1, min(num_candidates, most_rows)))
            ]
            columns = [length + 1 for length in longest]
        canvas = new_canvas(
            tuple(columns), (0,) * len(lengths), self.tokenizer.mask_id, self.tokenizer.end_id, self.device
        )
        ids = canvas.ids.clone()
        for row, of_row in enumerate(lengths):
            for region, length in zip(canvas.regions, of_row, strict=True):
                ids[row, region.start + length : region.start + region.length] = canvas.end_id
        settled = ids == canvas.end_id
        return replace(canvas, ids=ids, settled=settled, confidence=settled.float())

    def _check(self, request: InfillRequest) -> None:
        check_holes(request, self.info)
        if request.instruction is not None or any(hole.draft is not None for hole in request.holes):
            raise RequestError(
                f"{self.info.name} fills holes only and neither rewrites nor follows instructions here; leave "
                "`instruction` and `draft` out, or use a model whose /v1/model lists those capabilities."
            )


def _only(vocab_size: int, ids: Sequence[int]) -> Tensor:
    """(V,) True at these ids."""
    chosen = torch.zeros(vocab_size, dtype=torch.bool)
    chosen[list(ids)] = True
    return chosen
