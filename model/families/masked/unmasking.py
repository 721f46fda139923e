"""Samplers for models that were trained to say what is under a mask, and nothing else. Like
`midfill.model.engine.sampler` they know no model, no text and no positions.

What such a model says of a token that it sees means nothing, so nothing settled is ever revised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, Region
from midfill.model.engine.sampler import surest


@dataclass(frozen=True, slots=True)
class ConfidenceSampler:
    """Every mask of which the model is surer than `threshold` is filled, and in each hole the surest (Fast-dLLM, Wu et
    al. 2025)."""

    threshold: float = 0.9

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        confidence, tokens = likeliest(logits)
        commit = committed(confidence, canvas, self.threshold, steps_left)
        ids = torch.where(commit, tokens, canvas.ids)
        return canvas.commit(ids, canvas.settled | commit, torch.where(commit, confidence, canvas.confidence))


@dataclass(frozen=True, slots=True)
class ResizingSampler:
    """For a model that says itself how long a hole is (DreamOn, Wu et al. 2025): `expand_id` under a mask stands for
    two masks, the canvas's end for none, there and under every mask to its right."""

    mask_id: int
    expand_id: int
    threshold: float = 0.9

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        logits = logits.clone()
        for region in canvas.regions:
            full = (canvas.ids[:, region.columns] == canvas.end_id).sum(dim=-1) <= 1  # (B,)
            cannot_grow = full | (steps_left <= 1)
            logits[:, region.columns, self.expand_id] -= torch.where(cannot_grow, math.inf, 0.0).unsqueeze(-1)
        confidence, tokens = likeliest(logits)
        commit = committed(confidence, canvas, self.threshold, steps_left)
        rows = []
        for row in range(len(canvas.ids)):
            now = _cells(canvas.ids[row], canvas.settled[row], canvas.confidence[row])
            said = _cells(tokens[row], commit[row], confidence[row])
            rows.append([cell for region in canvas.regions for cell in self._resized(now, said, region, canvas.end_id)])
        ids, settled, kept = (torch.tensor([[cell[part] for cell in row] for row in rows]) for part in range(3))
        device = canvas.ids.device
        return replace(canvas, ids=ids.to(device), settled=settled.to(device), confidence=kept.to(device))

    def _resized(self, now: list[Cell], said: list[Cell], region: Region, end_id: int) -> list[Cell]:
        """The cells of one hole: `now`, with what is `said` of its masks where that is committed."""
        cells, open_cell, deleted = list[Cell](), (self.mask_id, False, 0.0), False
        num_free = sum(cell[0] == end_id for cell in now[region.columns]) - 1
        for (token, settled, kept), (likeliest_token, commits, confidence) in zip(
            now[region.columns], said[region.columns], strict=True
        ):
            if token == end_id:
                break
            if settled:
                cells.append((token, True, kept))
            elif deleted or (commits and likeliest_token == end_id):
                deleted = True
            elif not commits:
                cells.append(open_cell)
            elif likeliest_token != self.expand_id:
                cells.append((likeliest_token, True, confidence))
            else:
                cells += [open_cell] * (2 if num_free > 0 else 1)
                num_free -= 1
        return cells + [(end_id, True, 1.0)] * (region.length - len(cells))


Cell = tuple[int, bool, float]
"""A position of a canvas: token, whether it is settled (or committed now), and how sure the model is of it."""


def likeliest(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The probability (B, L) of the likeliest token of each position, and the token (B, L)."""
    best, tokens = logits.max(dim=-1)
    return (best - logits.logsumexp(dim=-1)).exp(), tokens


def committed(confidence: Tensor, canvas: Canvas, threshold: float, steps_left: int) -> Tensor:
    """(B, L) True at the masks that are filled now."""
    return ~canvas.settled & (confidence >= threshold) | surest(confidence, canvas, steps_left)


def _cells(tokens: Tensor, settled: Tensor, confidence: Tensor) -> list[Cell]:
    return list(zip(tokens.tolist(), settled.tolist(), confidence.tolist(), strict=True))
