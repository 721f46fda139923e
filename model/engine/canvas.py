"""A canvas: token ids of all holes of all candidates, what of it has settled, and how sure the model was.

Knows no model and no text. A canvas is a value: `commit` gives the next one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Region:
    """The columns [start, start + length) of a canvas that are one hole."""

    start: int
    length: int

    @property
    def columns(self) -> slice:
        return slice(self.start, self.start + self.length)


@dataclass(frozen=True, slots=True)
class Canvas:
    """ids (B, L) int64; settled (B, L) bool; confidence (B, L) float32, the probability each settled token was
    committed with; revisions (B, L) int64, how often a settled token was replaced; seeds, one a row: a row of
    seed 0 takes the likeliest tokens, the others draw; processed (B, L, V) float32, what the sampler made of the last
    step's logits, where it keeps that for a model that conditions on it."""

    ids: Tensor
    settled: Tensor
    confidence: Tensor
    revisions: Tensor
    regions: tuple[Region, ...]
    end_id: int
    seeds: tuple[int, ...]
    processed: Tensor | None = None

    @property
    def is_closed(self) -> bool:
        return bool(self.settled.all())

    def commit(self, ids: Tensor, settled: Tensor, confidence: Tensor) -> Canvas:
        """The canvas with these tokens, everything to the right of a settled end-of-hole closed with it."""
        ids, settled, confidence = ids.clone(), settled.clone(), confidence.clone()
        for region in self.regions:
            columns = region.columns
            ended = (settled[:, columns] & (ids[:, columns] == self.end_id)).cumsum(dim=1) > 0
            ids[:, columns][ended] = self.end_id
            settled[:, columns][ended] = True
        revised = self.revisions + (self.settled & (ids != self.ids))
        return replace(self, ids=ids, settled=settled, confidence=confidence, revisions=revised)

    def open_length(self, region: Region) -> int:
        """How many columns of a hole still matter in some row: those up to the farthest settled end-of-hole."""
        ended = self.settled[:, region.columns] & (self.ids[:, region.columns] == self.end_id)
        firsts = torch.where(ended.any(dim=1), ended.int().argmax(dim=1) + 1, region.length)
        return int(firsts.max())

    def holes(self, row: int) -> list[HoleReading]:
        return [self.hole(row, region) for region in self.regions]

    def hole(self, row: int, region: Region) -> HoleReading:
        """What stands in one hole of one row, up to its end-of-hole."""
        ids = self.ids[row, region.columns].tolist()
        settled = self.settled[row, region.columns].tolist()
        confidence = self.confidence[row, region.columns].tolist()
        length = ids.index(self.end_id) if self.end_id in ids else len(ids)
        closed = length < len(ids) and all(settled[: length + 1])
        return HoleReading(ids[:length], settled[:length], confidence[: length + closed], closed, all(settled))


@dataclass(frozen=True, slots=True)
class HoleReading:
    """ids and settled of the hole's tokens; confidence of them and, where `closed`, of the end-of-hole after them.

    closed: the model ended the hole; settled_all: nothing of it is open any more (it may have run into its length).
    num_given: code points at the beginning of the ids' text that stand before the hole already."""

    ids: list[int]
    settled: list[bool]
    confidence: list[float]
    closed: bool
    settled_all: bool
    num_given: int = 0


def new_canvas(
    lengths: tuple[int, ...], seeds: tuple[int, ...], mask_id: int, end_id: int, device: torch.device
) -> Canvas:
    """A canvas of masks: one region for each length, one row for each seed."""
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    shape = (len(seeds), sum(lengths))
    return Canvas(
        ids=torch.full(shape, mask_id, dtype=torch.int64, device=device),
        settled=torch.zeros(shape, dtype=torch.bool, device=device),
        confidence=torch.zeros(shape, device=device),
        revisions=torch.zeros(shape, dtype=torch.int64, device=device),
        regions=tuple(Region(start, length) for start, length in zip(starts, lengths, strict=True)),
        end_id=end_id,
        seeds=seeds,
    )


def with_draft(canvas: Canvas, region: Region, draft: list[int], strength: float, mask_id: int) -> Canvas:
    """The canvas with one hole begun from `draft` instead of masks, a share `strength` of it masked again, seeded by
    row.

    The end of the hole and a few positions behind it are open whenever anything is, so that the fill may grow."""
    if strength >= 1:
        return canvas
    ids, settled, confidence = canvas.ids.clone(), canvas.settled.clone(), canvas.confidence.clone()
    tail = min(region.length, len(draft) + (2 + len(draft) // 8 if strength > 0 else 0))
    for row, seed in enumerate(canvas.seeds):
        random = torch.rand(len(draft), generator=torch.Generator().manual_seed(seed + 1))
        num_masked = round(strength * len(draft))
        masked = random.argsort()[:num_masked]
        tokens = torch.full((region.length,), canvas.end_id, dtype=torch.int64)
        tokens[: len(draft)] = torch.tensor(draft, dtype=torch.int64)
        open_positions = torch.zeros(region.length, dtype=torch.bool)
        open_positions[masked] = True
        open_positions[len(draft) : tail] = strength > 0
        tokens[open_positions] = mask_id
        ids[row, region.columns] = tokens.to(ids.device)
        settled[row, region.columns] = ~open_positions.to(ids.device)
        confidence[row, region.columns] = (~open_positions).float().to(ids.device)
    return replace(canvas, ids=ids, settled=settled, confidence=confidence)
