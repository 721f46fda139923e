"""The DiffusionGemma family, on transformers' own classes: a causal encoder writes the context's keys and values, a
bidirectional decoder with the same weights denoises a canvas over them.

There is no token for a mask; noise is random tokens, and each step sees what the last one predicted. A request is
answered in chat (`midfill.model.families.diffusion_gemma.chat`) or, where that was chosen and the holes with the text
between them fit a canvas, on a clamped one: the text behind each hole is pinned there, and rows suppose different
lengths of the holes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, HoleReading
from midfill.model.engine.confidence import JUDGED_TOKENS, UNCALIBRATED
from midfill.model.engine.denoiser import Plan
from midfill.model.families.diffusion_gemma.chat import (
    ChatPlan,
    continuations,
    longest_hole,
    plan_chat,
    read_answer,
)
from midfill.model.families.diffusion_gemma.layout import (
    CanvasLayout,
    clamped_canvas,
    clamped_layout,
    row_lengths,
)
from midfill.model.families.diffusion_gemma.prompt import (
    FENCE,
    MAX_PREFIX_CHARS,
    MAX_SNIPPET_CHARS,
    MAX_SUFFIX_CHARS,
    clamped_prompt,
    document_of,
)
from midfill.model.families.diffusion_gemma.state import ContextStates
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN, GemmaTokenizer
from midfill.model.families.hole_lengths import length_suppositions
from midfill.model.families.limits import check_holes
from midfill.model.wire.api import ContextBudget, InfillRequest, ModelInfo

Infilling = Literal["chat", "clamped"]
NUM_STEPS = 48
MAX_HOLES = 8
HEAD_TOKENS = 32
"""Text behind the last hole that is pinned, where the canvas is wide enough."""
LEAST_HEAD_TOKENS = 6
LEAST_HOLE_TOKENS = 12
"""Of a hole that would take more: what there must be room for on a clamped canvas."""


class DiffusionGemmaDenoiser:
    """See `midfill.model.engine.denoiser.Denoiser`."""

    state_dim = 0
    calibration = UNCALIBRATED
    causal_path = None
    judge = None

    def __init__(
        self,
        network: Any,
        tokenizer: GemmaTokenizer,
        name: str,
        revision: str,
        precision: str,
        infilling: Infilling = "chat",
    ) -> None:
        self.network, self.tokenizer, self.infilling = network, tokenizer, infilling
        self.device: torch.device = network.device
        self.states = ContextStates(network.config.get_text_config(decoder=True))
        self.canvas_length: int = network.config.canvas_length
        self.info = ModelInfo(
            name=name,
            family="diffusion_gemma",
            revision=revision,
            licence="Apache-2.0",
            languages=("python",),
            capabilities=("infill", "joint", "draft", "instructions", "prime"),
            max_holes=MAX_HOLES,
            max_canvas_tokens=longest_hole(self.canvas_length),
            context=ContextBudget(
                prefix_chars=MAX_PREFIX_CHARS,
                suffix_chars=MAX_SUFFIX_CHARS,
                snippet_chars=MAX_SNIPPET_CHARS,
                joint_chars=MAX_SUFFIX_CHARS,
            ),
            num_parameters=sum(parameter.numel() for parameter in network.parameters()),
            device=str(self.device),
            precision=precision,
        )
        vocab_size = tokenizer.vocab_size
        self.forbidden = _only(vocab_size, tokenizer.special_ids).to(self.device)
        self.ending = _only(vocab_size, (tokenizer.end_id, tokenizer.pad_id)).to(self.device)
        self.line_breaks = _only(vocab_size, tokenizer.line_break_ids).to(self.device)
        self.ended = torch.where(_only(vocab_size, (tokenizer.end_id,)), 0.0, -torch.inf).to(self.device)

    @property
    def reviewer(self) -> DiffusionGemmaDenoiser:
        return self

    def plan(self, request: InfillRequest, num_candidates: int) -> Plan:
        check_holes(request, self.info)
        clamped = self._clamped_plan(request) if self.infilling == "clamped" else None
        return clamped or plan_chat(request, self.tokenizer, self.canvas_length, NUM_STEPS, self.device)

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
        if isinstance(plan, ChatPlan):
            logits = self._forward(canvas.ids, canvas.processed, state)
            return logits.masked_fill(self.forbidden & ~self.ending, -torch.inf)
        layout = self.layout(plan)
        logits = layout.read(self._clamped_forward(layout, canvas, state), self.ended)
        forced = layout.places.unsqueeze(-1) < 0
        logits = logits.masked_fill(self.forbidden & ~forced, -torch.inf)
        for region, single_line in zip(canvas.regions, plan.single_line, strict=True):
            if single_line:
                logits[:, region.columns].masked_fill_(self.line_breaks, -torch.inf)
        return logits

    @torch.inference_mode()
    def review(self, plan: Plan, canvas: Canvas, state: Tensor) -> Canvas:
        if isinstance(plan, ChatPlan):
            probability = self._forward(canvas.ids, canvas.processed, state).softmax(dim=-1)
            return replace(canvas, confidence=probability.gather(-1, canvas.ids.unsqueeze(-1)).squeeze(-1))
        layout = self.layout(plan)
        log_probability = self._clamped_forward(layout, canvas, state).log_softmax(dim=-1)
        ids = layout.place(canvas.ids)
        given = log_probability.gather(-1, ids.unsqueeze(-1)).squeeze(-1)  # (B, W)
        confidence = given.exp().gather(1, layout.places.clamp_min(0)).masked_fill(layout.places < 0, 1.0)
        for row, lengths in enumerate(row_lengths(plan.canvas)):
            for region, length in zip(canvas.regions, lengths, strict=True):
                behind = int(layout.places[row, region.start + length - 1]) + 1
                confidence[row, region.start + length] = given[row, behind : behind + JUDGED_TOKENS].mean().exp()
        return replace(canvas, confidence=confidence)

    def readings(self, plan: Plan, canvas: Canvas, row: int) -> list[HoleReading]:
        if isinstance(plan, ChatPlan):
            return read_answer(plan, canvas, row, self.tokenizer)
        return canvas.holes(row)

    def continuations(self, plan: Plan, canvas: Canvas) -> tuple[Plan, ...]:
        return continuations(plan, canvas, self.tokenizer) if isinstance(plan, ChatPlan) else ()

    def decode(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        return self.tokenizer.decode_with_offsets(ids)

    def layout(self, plan: Plan) -> CanvasLayout:
        """The model's canvas of a plan: as wide as the longest row with its head of the text behind."""
        lengths = row_lengths(plan.canvas)
        between = sum(len(ids) for ids in plan.pinned[:-1])
        longest = max(sum(of_row) for of_row in lengths)
        width = min(longest + between + HEAD_TOKENS, self.canvas_length)
        return clamped_layout(lengths, plan.canvas.regions, plan.pinned, width, self.tokenizer.pad_id, self.device)

    def _clamped_plan(self, request: InfillRequest) -> Plan | None:
        """None where something is rewritten, or where a canvas is too short for the holes and the text between."""
        if request.instruction is not None or any(hole.draft is not None for hole in request.holes):
            return None
        document = document_of(request)
        user, begins = clamped_prompt(document)
        pinned = [tuple(self.tokenizer.encode(text)) for text in document.behind]
        pinned[-1] = (*pinned[-1], *self.tokenizer.encode(f"\n{FENCE}{END_OF_TURN}"))
        room = self.canvas_length - sum(len(ids) for ids in pinned[:-1]) - LEAST_HEAD_TOKENS
        share = room // len(request.holes)
        if any(share < min(hole.max_tokens, LEAST_HOLE_TOKENS) for hole in request.holes):
            return None
        lengths = length_suppositions([min(hole.max_tokens, share) for hole in request.holes])
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

    def _clamped_forward(self, layout: CanvasLayout, canvas: Canvas, state: Tensor) -> Tensor:
        """Logits (B, W, V) of the model's canvas."""
        carried = None if canvas.processed is None else layout.spread(canvas.processed)
        return self._forward(layout.place(canvas.ids), carried, state)

    def _forward(self, ids: Tensor, carried: Tensor | None, state: Tensor) -> Tensor:
        """Logits (B, W, V), float32, of the model's canvas `ids` (B, W), given what the last step predicted."""
        carried = None if carried is None else carried.to(self.network.dtype)
        cache = self.states.cache_of(state, ids.shape[0])
        logits: Tensor = self.network(
            decoder_input_ids=ids, self_conditioning_logits=carried, **{self.states.keyword: cache}
        ).logits
        return logits


def _only(vocab_size: int, ids: Sequence[int]) -> Tensor:
    """(V,) True at these ids."""
    chosen = torch.zeros(vocab_size, dtype=torch.bool)
    chosen[list(ids)] = True
    return chosen
