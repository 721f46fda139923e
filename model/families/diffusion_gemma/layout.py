"""Where things stand on DiffusionGemma's canvas.

The engine's canvas has a column for each position of a hole and nothing else. On the model's canvas the text behind
each hole is pinned, right after as many tokens as the row supposes the hole to have:

    engine, two rows of one hole      a b c |     a b | |        (| is the end of the hole)
    model                             a b c ) \\n x     a b ) \\n x =

so rows that suppose different lengths differ in what they show of the text behind. Knows ids, no network and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, Region, new_canvas


@dataclass(frozen=True, slots=True)
class CanvasLayout:
    """columns (B, W): the engine's column at each position of the model's canvas, -1 where a token is pinned; pinned
    (B, W): that token, 0 elsewhere; places (B, L): the position of each of the engine's columns, -1 behind a hole's
    end."""

    columns: Tensor
    pinned: Tensor
    places: Tensor

    def place(self, ids: Tensor) -> Tensor:
        """The engine's ids (B, L) on the model's canvas (B, W)."""
        return torch.where(self.columns < 0, self.pinned, ids.gather(1, self.columns.clamp_min(0)))

    def spread(self, processed: Tensor) -> Tensor:
        """(B, L, V) of the holes to (B, W, V): a pinned position is sure of its token."""
        vocab_size = processed.shape[-1]
        index = self.columns.clamp_min(0).unsqueeze(-1).expand(-1, -1, vocab_size)
        pinned = torch.full_like(processed[:, :1], -torch.inf).expand(-1, self.columns.shape[1], -1)
        pinned = pinned.scatter(-1, self.pinned.unsqueeze(-1), 0.0)
        return torch.where(self.columns.unsqueeze(-1) < 0, pinned, processed.gather(1, index))

    def read(self, values: Tensor, behind_end: Tensor) -> Tensor:
        """(B, W, V) of the model's canvas to (B, L, V) of the holes, with behind_end (V,) behind a hole's end."""
        index = self.places.clamp_min(0).unsqueeze(-1).expand(-1, -1, values.shape[-1])
        return torch.where(self.places.unsqueeze(-1) < 0, behind_end, values.gather(1, index))


def clamped_layout(
    lengths: Sequence[Sequence[int]],
    regions: Sequence[Region],
    pinned: Sequence[Sequence[int]],
    width: int,
    pad_id: int,
    device: torch.device,
) -> CanvasLayout:
    """lengths: of every row, its holes' lengths; pinned: what stands behind each hole, of which the last is shown as
    far as `width` goes and padded after that."""
    columns, tokens = [], []
    places = torch.full((len(lengths), sum(region.length for region in regions)), -1, dtype=torch.int64)
    for row, of_row in enumerate(lengths):
        row_columns: list[int] = []
        row_tokens: list[int] = []
        for region, length, behind in zip(regions, of_row, pinned, strict=True):
            places[row, region.start : region.start + length] = torch.arange(length) + len(row_columns)
            row_columns += [*range(region.start, region.start + length), *[-1] * len(behind)]
            row_tokens += [*[0] * length, *behind]
        padding = max(0, width - len(row_columns))
        columns.append([*row_columns, *[-1] * padding][:width])
        tokens.append([*row_tokens, *[pad_id] * padding][:width])
    return CanvasLayout(*(torch.as_tensor(piece).to(device) for piece in (columns, tokens, places)))


def row_lengths(canvas: Canvas) -> list[tuple[int, ...]]:
    """Of every row, what it supposes each hole's length to be: where the end stands from the beginning on."""
    return [
        tuple(int((canvas.ids[row, region.columns] != canvas.end_id).sum()) for region in canvas.regions)
        for row in range(canvas.ids.shape[0])
    ]


def clamped_canvas(
    lengths: Sequence[Sequence[int]], seed: int, vocab_size: int, end_id: int, device: torch.device
) -> Canvas:
    """Rows of noise, one for each supposition, every hole with its end where the row supposes it."""
    longest = tuple(max(of_row[hole] for of_row in lengths) + 1 for hole in range(len(lengths[0])))
    seeds = tuple(range(seed, seed + len(lengths)))
    canvas = noise_canvas(longest, seeds, vocab_size, end_id, device)
    ids, settled = canvas.ids.clone(), canvas.settled.clone()
    for row, of_row in enumerate(lengths):
        for region, length in zip(canvas.regions, of_row, strict=True):
            ids[row, region.start + length : region.start + region.length] = end_id
            settled[row, region.start + length : region.start + region.length] = True
    return replace(canvas, ids=ids, settled=settled, confidence=settled.float())


def noise_canvas(
    lengths: tuple[int, ...], seeds: tuple[int, ...], vocab_size: int, end_id: int, device: torch.device
) -> Canvas:
    """A canvas of random tokens (none of them the end), each row's by its seed."""
    canvas = new_canvas(lengths, seeds, 0, end_id, device)
    ids = torch.stack(
        [
            torch.randint(vocab_size - 1, (sum(lengths),), generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
    )
    return replace(canvas, ids=(ids + (ids >= end_id)).to(device))
