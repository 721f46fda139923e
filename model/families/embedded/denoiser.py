"""The embedded family: midfill's own small diffusion model on a pretrained parent, the default without a GPU.

Turns a request into the one layout (`midfill.model.families.embedded.layout`) and runs the network over it. Knows
tokens and tensors; the loop, the sampler, the cache and deadlines are others' work.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, HoleReading, Region, new_canvas, with_draft
from midfill.model.engine.confidence import Calibration
from midfill.model.engine.denoiser import Plan
from midfill.model.families.embedded.beginnings import likely_beginnings
from midfill.model.families.embedded.checkpoint import Checkpoint
from midfill.model.families.embedded.layout import HOLE_POSITIONS, lay_out, passage_ids, position_ids
from midfill.model.families.embedded.memory import Codec, HoleMemory, WorkspaceMemory, mix, mix_one
from midfill.model.families.embedded.network import EmbeddedNetwork
from midfill.model.families.embedded.passages import find_passages
from midfill.model.families.embedded.request_tokens import read_request
from midfill.model.families.embedded.token_rules import TokenRules
from midfill.model.families.embedded.tokenizer import MAX_HOLES
from midfill.model.families.limits import check_holes
from midfill.model.families.request_text import texts_around
from midfill.model.wire.api import ContextBudget, Hole, InfillRequest, ModelInfo
from midfill.model.wire.errors import RequestError

BASE_STEPS = 16
"""Forward passes after which every hole must be closed: these, and one for every two positions of the longest canvas.
All holes of a request go on with each of them."""
JOINT_TOKENS = 288
"""Text between the first and the last hole: what the training examples with several holes had at most."""
SNIPPET_CHARS = 24_000
"""Text from elsewhere, in which passages are looked for and the workspace memory matches."""
KEPT_PASSAGES = 96
"""Encoded passages that are kept, about 1 MB each."""
SAFE_CHARS_PER_TOKEN = 0.8
"""Share of the measured characters per token that a front is promised: dense code has more tokens."""


@dataclass(frozen=True, slots=True)
class EmbeddedPlan(Plan):
    """passages: ids of text from elsewhere, each encoded for itself; healed: of each hole, the text that its tokens
    have to begin with; memory: what each hole can recall of its text, empty where the workspace memory is off;
    natural_ids: the text before the first hole in the order in which it is read; following: what stands behind it;
    beginnings: what the first hole is likely to begin with."""

    passages: tuple[tuple[int, ...], ...] = ()
    healed: tuple[str, ...] = ()
    memory: tuple[HoleMemory, ...] = ()
    natural_ids: tuple[int, ...] = ()
    following: str = ""
    beginnings: tuple[str, ...] = ()

    @property
    def num_context_tokens(self) -> int:
        return len(self.context_ids) + sum(map(len, self.passages))


class EmbeddedDenoiser:
    """See `midfill.model.engine.denoiser.Denoiser`, `CausalPath` and `Judge`."""

    state_dim = 4  # (layers, keys and values, batch, KV heads, tokens, head_dim)

    def __init__(self, checkpoint: Checkpoint, network: EmbeddedNetwork, device: torch.device, precision: str) -> None:
        self.config, self.network, self.tokenizer = checkpoint.config, network, checkpoint.parent.tokenizer
        self.device = device
        self.repository = checkpoint.repository
        self.calibration = Calibration(self.config.calibration)
        self.with_memory = bool(self.config.memory_weights)
        self.rules = TokenRules(self.tokenizer, device)
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
            num_parameters=sum(value.numel() for value in checkpoint.parent.tensors.values()),
            device=str(device),
            precision=precision,
            show_threshold=self.config.show_threshold,
            verbs=self.config.verbs,
        )
        self._encoded_passages: OrderedDict[tuple[int, ...], Tensor] = OrderedDict()

    def plan(self, request: InfillRequest, num_candidates: int) -> EmbeddedPlan:
        self._check(request)
        verb = request.instruction
        rewriting = () if verb is None else (self.tokenizer.verb_ids[verb], *self._encode(request.holes[0].draft or ""))
        tokens = read_request(request, self.config, self.tokenizer, rewriting)
        context = lay_out(tokens.context, self.tokenizer)
        holes = list(zip(request.holes, tokens.healed, strict=True))
        drafts = [self._encode(healed + hole.draft) if hole.draft else [] for hole, healed in holes]
        lengths = tuple(
            self._canvas_length(hole, len(draft)) for hole, draft in zip(request.holes, drafts, strict=True)
        )
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
        return EmbeddedPlan(
            context.ids,
            canvas,
            torch.cat(positions).to(self.device),
            BASE_STEPS + max(lengths) // 2,
            tuple(hole.single_line for hole in request.holes),
            passages=tuple(passage_ids(passage, self.tokenizer) for passage in self._passages(request, elsewhere)),
            healed=tokens.healed,
            memory=hole_memories(request, tokens.texts, elsewhere, self.tokenizer) if self.with_memory else (),
            natural_ids=tuple(tokens.context.before),
            following=tokens.following,
            beginnings=tuple(likely_beginnings(*texts_around(request)[:2])),
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
        _, new = self.network.encode(new_ids, positions.unsqueeze(0), state)
        return new if state is None else torch.cat((state, new), dim=self.state_dim)

    @torch.inference_mode()
    def visible(self, plan: Plan, state: Tensor) -> tuple[Tensor, int]:
        pieces, num_kept = [], 0
        for ids in _embedded(plan).passages:
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
        plan = _embedded(plan)
        columns, pieces, positions = [], [], []
        for number, (hole_id, region) in enumerate(zip(self.tokenizer.hole_ids, canvas.regions, strict=False)):
            length = canvas.open_length(region)
            columns.append(torch.arange(region.start, region.start + length, device=self.device))
            pieces += [torch.full_like(canvas.ids[:, :1], hole_id), canvas.ids[:, columns[-1]]]
            positions.append(plan.canvas_positions[region.start + number :][: length + 1])
        ids = torch.cat(pieces, dim=1)  # (B, L + holes): a sentinel before each hole, each position predicts the next
        hidden = self.network.fill(ids, torch.cat(positions).expand_as(ids), state)
        predicting = [piece[:, :-1] for piece in torch.split(hidden, [len(part) for part in positions], dim=1)]
        predicted = self.rules.allowed(self.network.logits(torch.cat(predicting, dim=1)).log_softmax(dim=-1))
        for piece, single_line in zip(
            torch.split(predicted, [len(part) for part in columns], dim=1), plan.single_line, strict=True
        ):
            if single_line:
                piece.copy_(self.rules.ending_lines(piece))
        logits = torch.full((*canvas.ids.shape, self.tokenizer.vocab_size), -torch.inf, device=self.device)
        logits[..., self.tokenizer.end_id] = 0.0
        logits[:, torch.cat(columns)] = predicted
        if plan.memory:
            logits = mix(logits, canvas, plan.memory, self.config.memory_weights)
        return self.rules.with_beginnings(logits, canvas, plan.healed)

    def without_memory(self) -> EmbeddedDenoiser:
        """The same network, and nothing recalled from the request's text."""
        other = copy.copy(self)
        other.with_memory = False
        return other

    @property
    def causal_path(self) -> EmbeddedDenoiser:
        return self

    @property
    def judge(self) -> EmbeddedDenoiser:
        return self

    @property
    def reviewer(self) -> None:
        return None

    @torch.inference_mode()
    def next_log_probabilities(
        self, plan: Plan, rows: Sequence[tuple[str, Sequence[int]]], state: Tensor, own: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """See `midfill.model.engine.denoiser.CausalPath`. As in training, a hole begins with its sentinel."""
        plan = _embedded(plan)
        last = torch.tensor([[[self.tokenizer.hole_ids[0], *row][-1]] for _, row in rows], device=self.device)
        position = plan.canvas_positions[:1].unsqueeze(0) + len(rows[0][1])
        hidden, own = self.network.read_on(last, position.expand_as(last), state, own)
        predicted = self.rules.allowed(self.network.logits(hidden[:, -1]).log_softmax(dim=-1))
        if plan.single_line[0]:
            predicted = self.rules.ending_lines(predicted)
        for number, (beginning, row) in enumerate(rows):
            if plan.memory:
                left = plan.memory[0].before + self.tokenizer.decode(row)
                predicted[number] = mix_one(
                    predicted[number], left, plan.memory[0], self.config.memory_weights, self.tokenizer.end_id
                )
            predicted[number] = self.rules.at(predicted[number], row, plan.healed[0], beginning)
        return predicted, own

    def beginnings(self, plan: Plan) -> tuple[str, ...]:
        return _embedded(plan).beginnings

    def select(self, own: Tensor, rows: Sequence[int]) -> Tensor:
        return own[:, :, torch.tensor(rows, dtype=torch.int64, device=self.device)]

    def reading(self, plan: Plan, ids: Sequence[int], probabilities: Sequence[float], closed: bool) -> HoleReading:
        given = _embedded(plan).healed[0]
        reading = HoleReading(list(ids), [True] * len(ids), list(probabilities), closed, True, len(given))
        return self._of_whole_characters(reading)

    def judged_context(self, plan: Plan) -> tuple[int, ...]:
        return _embedded(plan).natural_ids or (self.tokenizer.special_ids["<prefix>"],)

    @torch.inference_mode()
    def judge_fills(self, plan: Plan, fills: Sequence[Sequence[int]], state: Tensor) -> list[float]:
        """Nats of each fill and of what follows the hole, under the parent as it was pretrained."""
        plan = _embedded(plan)
        rows = [self._encode(self.tokenizer.decode(ids) + plan.following) for ids in fills]
        # The last token of the context predicts the first of each row, so it is read again with them.
        context = self.judged_context(plan)
        longest = max(map(len, rows))
        ids = torch.tensor([[context[-1], *row, *[0] * (longest - len(row))] for row in rows], device=self.device)
        before = state.narrow(self.state_dim, 0, len(context) - 1)
        positions = torch.arange(len(context) - 1, len(context) + longest, device=self.device)
        hidden, _ = self.network.encode(ids, positions.expand_as(ids), before if len(context) > 1 else None)
        log_probabilities = self.network.logits(hidden[:, :-1]).log_softmax(dim=-1)
        each = log_probabilities.gather(-1, ids[:, 1:].unsqueeze(-1)).squeeze(-1)
        return [float(each[number, : len(row)].sum()) for number, row in enumerate(rows)]

    def readings(self, plan: Plan, canvas: Canvas, row: int) -> list[HoleReading]:
        return [
            self._reading(canvas, row, region, healed)
            for region, healed in zip(canvas.regions, _embedded(plan).healed, strict=True)
        ]

    def continuations(self, plan: Plan, canvas: Canvas) -> tuple[Plan, ...]:
        return ()

    def decode(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        return self.tokenizer.decode_with_offsets(ids)

    def _reading(self, canvas: Canvas, row: int, region: Region, healed: str) -> HoleReading:
        """What stands in a hole. While it settles its text may not begin with what is healed yet."""
        reading = canvas.hole(row, region)
        num_given = len(healed) if self.tokenizer.decode(reading.ids).startswith(healed) else 0
        is_whole = num_given == len(healed)
        reading = replace(reading, num_given=num_given, closed=reading.closed and is_whole)
        return self._of_whole_characters(reading) if reading.settled_all else reading

    def _of_whole_characters(self, reading: HoleReading) -> HoleReading:
        """The reading up to the first character that is not whole: one that was open where the canvas was full, or that
        tokens settled around."""
        try:
            self.tokenizer.bytes_of(reading.ids).decode()
            return reading
        except UnicodeDecodeError as error:
            num_whole = self.tokenizer.num_whole(reading.ids, error.start)
        return replace(
            reading,
            ids=reading.ids[:num_whole],
            settled=reading.settled[:num_whole],
            confidence=reading.confidence[:num_whole],
            closed=False,
        )

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)

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

    def _passages(self, request: InfillRequest, elsewhere: Sequence[str]) -> list[str]:
        """The places elsewhere that look most like the surroundings of the request's holes."""
        return find_passages(elsewhere, list(pairwise(texts_around(request))))[: self.config.num_passages]

    def _canvas_length(self, hole: Hole, num_draft_tokens: int) -> int:
        """The shortest trained canvas with room for the hole, or its draft and an eighth more, and its end. What is
        healed takes its room there: a front asks for just the tokens of a canvas, and the next one is twice as long."""
        if num_draft_tokens + 1 > HOLE_POSITIONS:
            raise RequestError(
                f"The draft of hole {hole.id} has {num_draft_tokens} tokens, {self.info.name} takes at most "
                f"{self.info.max_canvas_tokens}; split the region."
            )
        wanted = max(hole.max_tokens, num_draft_tokens + num_draft_tokens // 8) + 1
        return next((length for length in self.config.canvas_lengths if length >= wanted), HOLE_POSITIONS)


def hole_memories(
    request: InfillRequest, texts: Sequence[str], elsewhere: Sequence[str], codec: Codec
) -> tuple[HoleMemory, ...]:
    """What each hole, in order, can recall: of the `texts` around the holes, and of `elsewhere`."""
    memory = WorkspaceMemory([*texts, *elsewhere], codec)
    return tuple(
        HoleMemory(memory, before, behind.partition("\n")[0], number, hole.single_line)
        for number, (hole, (before, behind)) in enumerate(zip(request.holes, pairwise(texts), strict=True))
    )


def _embedded(plan: Plan) -> EmbeddedPlan:
    assert isinstance(plan, EmbeddedPlan)
    return plan
