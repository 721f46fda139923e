"""The embedded family: midfill's own small diffusion model, the default on a machine without a GPU.

Turns a request into the one layout (`midfill.model.layout`) and runs the network over it. Knows tokens and tensors;
the loop, the sampler, the cache and deadlines are others' work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from midfill.model.api import ContextBudget, Hole, InfillRequest, ModelInfo, TextPart
from midfill.model.canvas import Canvas, HoleReading, new_canvas, with_draft
from midfill.model.checkpoint import Checkpoint
from midfill.model.confidence import Calibration
from midfill.model.errors import RequestError
from midfill.model.families.denoiser import Plan
from midfill.model.families.embedded_network import attend_causally, attend_everywhere, equal_runs
from midfill.model.families.limits import check_holes
from midfill.model.families.request_text import texts_around
from midfill.model.layout import (
    HOLE_POSITIONS,
    ContextTokens,
    canvas_left_ids,
    hole_left_ids,
    lay_out,
    left_ids,
    passage_ids,
    position_ids,
)
from midfill.model.memory import Codec, HoleMemory, WorkspaceMemory
from midfill.model.passages import find_passages
from midfill.model.tokenizer import MAX_HOLES

BASE_STEPS = 16
"""Forward passes after which every hole must be closed: these, and one for every two positions of the longest canvas.
All holes of a request go on with each of them."""
JOINT_TOKENS = 288
"""Text between the first and the last hole: what the training examples with several holes had at most."""
SNIPPET_CHARS = 24_000
"""Text from elsewhere, in which passages are looked for and the workspace memory matches."""
KEPT_PASSAGES = 96
"""Encoded passages that are kept, about 0.4 MB each."""
CUT_TOKENS = 64
"""A window that is too long is cut in units of this many tokens, so that typing seldom moves the cut."""
SAFE_CHARS_PER_TOKEN = 0.8
"""Share of the measured characters per token that a front is promised: dense code has more tokens."""


class EmbeddedDenoiser:
    """See `midfill.model.families.denoiser.Denoiser`."""

    state_dim = 4  # (layers, keys and values, batch, heads, tokens, head_dim)

    def __init__(self, checkpoint: Checkpoint, device: torch.device, precision: str) -> None:
        self.config, self.tokenizer, self.network = checkpoint.config, checkpoint.tokenizer, checkpoint.network
        self.device = device
        self.repository = checkpoint.repository
        self.calibration = Calibration(self.config.calibration)
        chars = self.config.chars_per_token * SAFE_CHARS_PER_TOKEN
        self.info = ModelInfo(
            name=self.config.name,
            family="embedded",
            revision=checkpoint.revision,
            licence="Apache-2.0",
            languages=self.config.languages,
            capabilities=("infill", "joint", "draft", "prime", *(("verbs",) if self.config.verbs else ())),
            max_holes=MAX_HOLES,
            max_canvas_tokens=HOLE_POSITIONS - 1,
            context=ContextBudget(
                prefix_chars=int(self.config.prefix_tokens * chars),
                suffix_chars=int(self.config.suffix_tokens * chars),
                snippet_chars=SNIPPET_CHARS if self.config.memory_weights or self.config.num_passages else 0,
                joint_chars=int(JOINT_TOKENS * chars),
            ),
            num_parameters=sum(parameter.numel() for parameter in self.network.parameters()),
            device=str(device),
            precision=precision,
            show_threshold=self.config.show_threshold,
            verbs=self.config.verbs,
        )
        self.forbidden = torch.ones(self.tokenizer.vocab_size, dtype=torch.bool, device=device)
        self.forbidden[: self.tokenizer.num_text_tokens] = False
        self.forbidden[self.tokenizer.end_id] = False
        self.num_left = self.config.network.matched_tokens
        self._encoded_passages: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()
        self.line_breaks = torch.tensor(self.tokenizer.line_break_ids, device=device)

    def plan(self, request: InfillRequest, num_candidates: int) -> Plan:
        self._check(request)
        drafts = [self.tokenizer.encode(hole.draft) if hole.draft else [] for hole in request.holes]
        verb = request.instruction
        rewriting = (self.tokenizer.verb_ids[verb], *drafts[0]) if verb is not None else ()
        context = lay_out(replace(self._context_tokens(request), rewriting=rewriting), self.tokenizer)
        lengths = tuple(self._canvas_length(h, len(d)) for h, d in zip(request.holes, drafts, strict=True))
        first = request.seed or 0
        seeds = tuple(range(first, first + max(num_candidates, 1)))
        canvas = new_canvas(lengths, seeds, self.tokenizer.mask_id, self.tokenizer.end_id, self.device)
        for hole, draft, region in zip(request.holes, drafts, canvas.regions, strict=True):
            if hole.draft is not None:
                canvas = with_draft(canvas, region, draft, hole.strength, self.tokenizer.mask_id)
        positions = [
            start - 1 + torch.arange(length + 1)
            for start, length in zip(context.canvas_positions, lengths, strict=True)
        ]
        elsewhere = self.elsewhere(request)
        memory = hole_memories(request, elsewhere, self.tokenizer) if self.config.memory_weights else ()
        return Plan(
            context.ids,
            canvas,
            torch.cat(positions).to(self.device),
            BASE_STEPS + max(lengths) // 2,
            tuple(hole.single_line for hole in request.holes),
            memory,
            self.config.memory_weights,
            tuple(passage_ids(passage, self.tokenizer) for passage in self._passages(request, elsewhere)),
        )

    def elsewhere(self, request: InfillRequest) -> list[str]:
        """Text of other places: the request's snippets, then what the repository has for it."""
        texts = [snippet.text for snippet in request.context]
        if self.repository:
            texts += self.repository.find(list(pairwise(texts_around(request))), request.path)
        return texts

    @torch.inference_mode()
    def encode(self, ids: Sequence[int], num_encoded: int, state: Tensor | None) -> Tensor:
        positions = torch.from_numpy(position_ids(ids, self.tokenizer)[num_encoded:]).to(self.device)
        new_ids = torch.tensor([ids[num_encoded:]], device=self.device)
        _, new = self.network(
            new_ids, positions.unsqueeze(0), torch.zeros_like(new_ids, dtype=torch.bool), attend_causally, state
        )
        return new if state is None else torch.cat((state, new), dim=self.state_dim)

    def visible(self, plan: Plan, state: Tensor) -> tuple[Tensor, int]:
        pieces, num_kept = [], 0
        for ids in plan.passages:
            kept = self._encoded_passages.pop(ids, None)
            num_kept += 0 if kept is None else len(ids)
            piece = self.encode(ids, 0, None) if kept is None else kept
            self._encoded_passages[ids] = piece
            pieces.append(piece)
        while len(self._encoded_passages) > KEPT_PASSAGES:
            self._encoded_passages.popitem(last=False)
        return torch.cat([*pieces, state], dim=self.state_dim) if pieces else state, num_kept

    @torch.inference_mode()
    def denoise(self, plan: Plan, canvas: Canvas, state: Tensor) -> Tensor:
        """Columns behind the end of a hole that is settled in every row are not computed: they stay what they are."""
        columns, pieces, positions, lefts = [], [], [], []
        for number, (hole_id, region) in enumerate(zip(self.tokenizer.hole_ids, canvas.regions, strict=False)):
            length = canvas.open_length(region)
            columns.append(torch.arange(region.start, region.start + length, device=self.device))
            pieces += [torch.full_like(canvas.ids[:, :1], hole_id), canvas.ids[:, columns[-1]]]
            lefts.append(self.left_of_hole(plan, number, canvas.ids[:, columns[-1][:-1]]))
            positions.append(plan.canvas_positions[region.start + number :][: length + 1])
        ids = torch.cat(pieces, dim=1)  # (B, L + holes): a sentinel before each hole, each position predicts the next
        hidden, _ = self.network(
            ids,
            torch.cat(positions).expand_as(ids),
            torch.ones_like(ids, dtype=torch.bool),
            attend_everywhere,
            state,
        )
        predicting = [piece[:, :-1] for piece in torch.split(hidden, [len(part) for part in positions], dim=1)]
        predicted = self.predict(torch.cat(predicting, dim=1), torch.cat(lefts, dim=1), plan.visible_ids, state)
        predicted_holes = torch.split(predicted, [len(part) for part in columns], dim=1)
        for piece, single_line in zip(predicted_holes, plan.single_line, strict=True):
            if single_line:
                piece.copy_(self.ending_lines(piece))
        logits = torch.full((*canvas.ids.shape, self.tokenizer.vocab_size), -torch.inf, device=self.device)
        logits[..., self.tokenizer.end_id] = 0.0
        logits[:, torch.cat(columns)] = predicted
        return logits

    @property
    def causal_path(self) -> EmbeddedDenoiser:
        return self

    @property
    def reviewer(self) -> None:
        return None

    @torch.inference_mode()
    def next_logits(self, plan: Plan, ids: Sequence[int], state: Tensor) -> tuple[Tensor, Tensor]:
        """See `midfill.model.families.denoiser.CausalPath`. As in training, the hole begins with its sentinel, and the
        pointer copies from the passages and the context only."""
        last = torch.tensor([[[self.tokenizer.hole_ids[0], *ids][-1]]], device=self.device)
        position = plan.canvas_positions[:1].unsqueeze(0) + len(ids)
        hidden, new = self.network(last, position, torch.zeros_like(last, dtype=torch.bool), attend_causally, state)
        visible_ids = plan.visible_ids
        left = self.left_of_hole(plan, 0, torch.tensor([list(ids)], dtype=torch.int64))[:, -1:]
        predicted = self.predict(hidden, left, visible_ids, state.narrow(self.state_dim, 0, len(visible_ids)))
        if plan.single_line[0]:
            predicted = self.ending_lines(predicted)
        return predicted[0, -1], torch.cat((state, new), dim=self.state_dim)

    def predict(self, hidden: Tensor, left: Tensor, visible_ids: Sequence[int], state: Tensor) -> Tensor:
        """Log probabilities (B, T, V) of what follows positions with `hidden` (B, T, width) that see `state`.

        left: (B, T, runs), of `midfill.model.layout.left_ids`."""
        following = torch.tensor([*visible_ids[1:], self.tokenizer.mask_id], device=self.device)
        next_ids = following.masked_fill(following >= self.tokenizer.num_text_tokens, -1)
        equal = None
        if self.num_left:
            visible = left_ids(np.array(visible_ids, np.int64), self.num_left, self.tokenizer)
            equal = equal_runs(left, torch.from_numpy(visible).to(self.device).unsqueeze(0))
        return self.network.log_probabilities(hidden, state, next_ids, equal).masked_fill(self.forbidden, -torch.inf)

    def left_of_hole(self, plan: Plan, number: int, ids: Tensor) -> Tensor:
        """ids (B, n) that stand in a hole from its beginning on, to (B, 1 + n, runs): what stands to the left of what
        follows its sentinel and each of them."""
        num_left = max(self.num_left, 1)
        before = hole_left_ids(np.array(plan.context_ids, np.int64), num_left, self.tokenizer)[number]
        rows = [canvas_left_ids(before, row, num_left, self.tokenizer) for row in ids.cpu().numpy()]
        return torch.from_numpy(np.stack(rows)).to(self.device)

    def ending_lines(self, log_probabilities: Tensor) -> Tensor:
        """(..., V) for a hole that ends where its line does: what a line break had goes to the end of the hole."""
        ended = log_probabilities.clone()
        breaks = log_probabilities[..., self.line_breaks].logsumexp(dim=-1)
        ended[..., self.tokenizer.end_id] = torch.logaddexp(log_probabilities[..., self.tokenizer.end_id], breaks)
        ended[..., self.line_breaks] = -torch.inf
        return ended

    def readings(self, plan: Plan, canvas: Canvas, row: int) -> list[HoleReading]:
        return canvas.holes(row)

    def continuations(self, plan: Plan, canvas: Canvas) -> tuple[Plan, ...]:
        return ()

    def decode(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        return self.tokenizer.decode_with_offsets(ids)

    def _check(self, request: InfillRequest) -> None:
        check_holes(request, self.info)
        if request.instruction is not None:
            self._check_verb(request)

    def _check_verb(self, request: InfillRequest) -> None:
        """A rewriting instruction is one verb, for one hole with its old text as the draft."""
        verbs = self.config.verbs
        if request.instruction not in verbs:
            known = f"these: {', '.join(verbs)}" if verbs else "none"
            raise RequestError(
                f"{self.info.name} does not follow the instruction {request.instruction!r}; it knows {known}. Leave "
                "`instruction` out, or use a model whose /v1/model lists the capability `instructions`."
            )
        if len(request.holes) != 1 or not request.holes[0].draft:
            raise RequestError(
                f"The instruction {request.instruction!r} rewrites one hole whose draft is the old text, the request "
                f"has {len(request.holes)} holes; send one hole with a draft."
            )

    def _context_tokens(self, request: InfillRequest) -> ContextTokens:
        before, tail = _split_at_first_hole(request)
        encode = self.tokenizer.encode
        rest: list[int] = []
        after: list[int] = []
        number = 2
        target = rest
        for part in tail:
            if isinstance(part, TextPart):
                line, line_end, following = part.text.partition("\n") if target is rest else ("", "", part.text)
                target += encode(line)
                target = after if line_end else target
                target += encode(following)
            else:
                target.append(self.tokenizer.hole_ids[number - 1])
                number += 1
        last_sentinel = max((i for i, token in enumerate(after) if token in self.tokenizer.hole_ids), default=-1)
        return ContextTokens(
            after=after[: max(self.config.suffix_tokens, last_sentinel + 1)],
            before=self._last_lines(before),
            rest=rest[: self.config.suffix_tokens] if number == 2 else rest,
        )

    def _passages(self, request: InfillRequest, elsewhere: Sequence[str]) -> list[str]:
        """The places elsewhere that look most like the surroundings of the request's holes."""
        return find_passages(elsewhere, list(pairwise(texts_around(request))))[: self.config.num_passages]

    def _last_lines(self, text: str) -> list[int]:
        """The ids of the last lines of `text` that fit the prefix window, cut where further typing seldom moves the
        cut."""
        ids = self.tokenizer.encode(text)
        excess = len(ids) - self.config.prefix_tokens
        if excess <= 0:
            return ids
        drop = -(-excess // CUT_TOKENS) * CUT_TOKENS
        _, starts = self.tokenizer.decode_with_offsets(ids[: drop + 1])
        line_start = text.find("\n", starts[-1]) + 1
        tail = self.tokenizer.encode(text[line_start or starts[-1] :])
        return tail[-self.config.prefix_tokens :]

    def _canvas_length(self, hole: Hole, num_draft_tokens: int) -> int:
        """The shortest trained canvas with room for the hole, or for its draft and an eighth more, and for its end."""
        wanted = max(hole.max_tokens, num_draft_tokens + num_draft_tokens // 8) + 1
        if num_draft_tokens + 1 > HOLE_POSITIONS:
            raise RequestError(
                f"The draft of hole {hole.id} has {num_draft_tokens} tokens, {self.info.name} takes at most "
                f"{self.info.max_canvas_tokens}; split the region."
            )
        return next((length for length in self.config.canvas_lengths if length >= wanted), HOLE_POSITIONS)


def hole_memories(request: InfillRequest, elsewhere: Sequence[str], codec: Codec) -> tuple[HoleMemory, ...]:
    """What each hole, in order, can recall: of all text of the request, and of `elsewhere`."""
    texts = texts_around(request)
    memory = WorkspaceMemory([*texts, *elsewhere], codec)
    return tuple(
        HoleMemory(memory, before, behind.partition("\n")[0], number, hole.single_line)
        for number, (hole, (before, behind)) in enumerate(zip(request.holes, pairwise(texts), strict=True))
    )


def _split_at_first_hole(request: InfillRequest) -> tuple[str, list[object]]:
    """The text before the first hole, and the parts after it."""
    parts = list(request.parts)
    first = next(index for index, part in enumerate(parts) if not isinstance(part, TextPart))
    before = "".join(part.text for part in parts[:first] if isinstance(part, TextPart))
    return before, list(parts[first + 1 :])
