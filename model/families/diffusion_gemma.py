"""The DiffusionGemma family, on transformers' own classes: a causal encoder writes the context's keys and values, a
bidirectional decoder with the same weights denoises a canvas over them.

There is no token for a mask; noise is random tokens, and each step sees what the last one predicted. A request is
filled on a clamped canvas: the text behind each hole is pinned there, and rows suppose different lengths of the holes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from midfill.model.api import ContextBudget, Hole, InfillRequest, ModelInfo
from midfill.model.canvas import Canvas
from midfill.model.confidence import JUDGED_TOKENS, UNCALIBRATED
from midfill.model.errors import RequestError
from midfill.model.families.denoiser import Plan
from midfill.model.families.diffusion_gemma_layout import (
    CanvasLayout,
    clamped_canvas,
    clamped_layout,
    row_lengths,
)
from midfill.model.families.diffusion_gemma_prompt import (
    FENCE,
    MAX_PREFIX_CHARS,
    MAX_SNIPPET_CHARS,
    MAX_SUFFIX_CHARS,
    clamped_prompt,
    document_of,
)
from midfill.model.families.diffusion_gemma_state import ContextStates
from midfill.model.families.diffusion_gemma_tokenizer import END_OF_TURN, GemmaTokenizer
from midfill.model.families.hole_lengths import length_suppositions
from midfill.model.families.limits import check_holes

NUM_STEPS = 48
MAX_HOLES = 8
HEAD_TOKENS = 32
"""Text behind the last hole that is pinned, where the canvas is wide enough."""
LEAST_HEAD_TOKENS = 6


class DiffusionGemmaDenoiser:
    """See `midfill.model.families.denoiser.Denoiser`."""

    state_dim = 0
    calibration = UNCALIBRATED
    causal_path = None

    def __init__(self, network: Any, tokenizer: GemmaTokenizer, name: str, revision: str, precision: str) -> None:
        self.network, self.tokenizer = network, tokenizer
        self.device: torch.device = network.device
        self.states = ContextStates(network.config.get_text_config(decoder=True))
        self.canvas_length: int = network.config.canvas_length
        self.info = ModelInfo(
            name=name,
            family="diffusion_gemma",
            revision=revision,
            licence="Apache-2.0",
            languages=("python",),
            capabilities=("infill", "joint", "prime"),
            max_holes=MAX_HOLES,
            max_canvas_tokens=self.canvas_length * 3 // 4,
            context=ContextBudget(
                prefix_chars=MAX_PREFIX_CHARS,
                suffix_chars=MAX_SUFFIX_CHARS,
                snippet_chars=MAX_SNIPPET_CHARS,
                joint_chars=self.canvas_length,
            ),
            num_parameters=sum(parameter.numel() for parameter in network.parameters()),
            device=str(self.device),
            precision=precision,
        )
        vocab_size = tokenizer.vocab_size
        self.forbidden = _only(vocab_size, tokenizer.special_ids).to(self.device)
        self.line_breaks = _only(vocab_size, tokenizer.line_break_ids).to(self.device)
        self.ended = torch.where(_only(vocab_size, (tokenizer.end_id,)), 0.0, -torch.inf).to(self.device)

    @property
    def reviewer(self) -> DiffusionGemmaDenoiser:
        return self

    def plan(self, request: InfillRequest, num_candidates: int) -> Plan:
        self._check(request)
        document = document_of(request)
        user, begins = clamped_prompt(document)
        pinned = [tuple(self.tokenizer.encode(text)) for text in document.behind]
        pinned[-1] = (*pinned[-1], *self.tokenizer.encode(f"\n{FENCE}{END_OF_TURN}"))
        lengths = length_suppositions(self._longest(request.holes, pinned))
        canvas = clamped_canvas(
            lengths, request.seed or 0, self.tokenizer.vocab_size, self.tokenizer.end_id, self.device
        )
        return Plan(
            context_ids=(*self.tokenizer.prompt(user, begins), *self.tokenizer.encode(document.before)),
            canvas=canvas,
            canvas_positions=torch.arange(0),
            max_steps=NUM_STEPS,
            single_line=tuple(hole.single_line for hole in request.holes),
            pinned=tuple(pinned),
        )

    @torch.inference_mode()
    def encode(self, ids: Sequence[int], num_encoded: int, state: Tensor | None) -> Tensor:
        new_ids = torch.tensor([ids[num_encoded:]], device=self.device)
        cache = self.states.cache_of(state)
        cache.activate_past_recording()
        self.network.model.encoder(input_ids=new_ids, **{self.states.keyword: cache})
        new = self.states.newest(cache, new_ids.shape[1])
        return new if state is None else torch.cat((state, new))

    def visible(self, plan: Plan, state: Tensor) -> tuple[Tensor, int]:
        return state, 0

    @torch.inference_mode()
    def denoise(self, plan: Plan, canvas: Canvas, state: Tensor) -> Tensor:
        layout = self.layout(plan)
        logits = layout.read(self._forward(layout, canvas, state), self.ended)
        forced = layout.places.unsqueeze(-1) < 0
        logits = logits.masked_fill(self.forbidden & ~forced, -torch.inf)
        for region, single_line in zip(canvas.regions, plan.single_line, strict=True):
            if single_line:
                logits[:, region.columns].masked_fill_(self.line_breaks, -torch.inf)
        return logits

    @torch.inference_mode()
    def review(self, plan: Plan, canvas: Canvas, state: Tensor) -> Canvas:
        layout = self.layout(plan)
        log_probability = self._forward(layout, canvas, state).log_softmax(dim=-1)
        ids = layout.place(canvas.ids)
        given = log_probability.gather(-1, ids.unsqueeze(-1)).squeeze(-1)  # (B, W)
        confidence = given.exp().gather(1, layout.places.clamp_min(0)).masked_fill(layout.places < 0, 1.0)
        for row, lengths in enumerate(row_lengths(plan.canvas)):
            for region, length in zip(canvas.regions, lengths, strict=True):
                behind = int(layout.places[row, region.start + length - 1]) + 1
                confidence[row, region.start + length] = given[row, behind : behind + JUDGED_TOKENS].mean().exp()
        return replace(canvas, confidence=confidence)

    def decode(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        return self.tokenizer.decode_with_offsets(ids)

    def layout(self, plan: Plan) -> CanvasLayout:
        """The model's canvas of a plan: as wide as the longest row with its head of the text behind."""
        lengths = row_lengths(plan.canvas)
        between = sum(len(ids) for ids in plan.pinned[:-1])
        longest = max(sum(of_row) for of_row in lengths)
        width = min(longest + between + HEAD_TOKENS, self.canvas_length)
        return clamped_layout(lengths, plan.canvas.regions, plan.pinned, width, self.tokenizer.pad_id, self.device)

    def _forward(self, layout: CanvasLayout, canvas: Canvas, state: Tensor) -> Tensor:
        """Logits (B, W, V), float32, of the model's canvas."""
        carried = None if canvas.processed is None else layout.spread(canvas.processed).to(self.network.dtype)
        cache = self.states.cache_of(state, canvas.ids.shape[0])
        logits: Tensor = self.network(
            decoder_input_ids=layout.place(canvas.ids), self_conditioning_logits=carried, **{self.states.keyword: cache}
        ).logits
        return logits

    def _longest(self, holes: Sequence[Hole], pinned: Sequence[tuple[int, ...]]) -> list[int]:
        """How long each hole may get so that all of them fit one canvas with the text between them."""
        room = self.canvas_length - sum(len(ids) for ids in pinned[:-1]) - LEAST_HEAD_TOKENS
        if room < len(holes):
            raise RequestError(
                f"The text between the {len(holes)} holes leaves no room on {self.info.name}'s canvas of "
                f"{self.canvas_length} tokens; fill them in smaller groups."
            )
        return [min(hole.max_tokens, room // len(holes)) for hole in holes]

    def _check(self, request: InfillRequest) -> None:
        check_holes(request, self.info)
        if request.instruction is not None:
            raise RequestError(
                f"{self.info.name} follows no instructions here yet; leave `instruction` out, or use a model whose "
                "/v1/model lists the capability `instructions`."
            )


def _only(vocab_size: int, ids: Sequence[int]) -> Tensor:
    """(V,) True at these ids."""
    chosen = torch.zeros(vocab_size, dtype=torch.bool)
    chosen[list(ids)] = True
    return chosen
