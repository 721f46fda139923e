"""Where the holes of a request stand in the text that a masked diffusion model reads.

The engine's canvas has a column for each position of a hole and nothing else. The model reads the whole text at every
step, with as many positions for each hole as the row has before the hole's end:

    engine, two rows of one hole      a b c |     a b | |        (| is the end of the hole)
    model                             x = f ( a b c ) \\n         x = f ( a b ) \\n .

Rows may differ in length, and a row's length from step to step. Knows ids, no network and no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from midfill.model.engine.canvas import Region


@dataclass(frozen=True, slots=True)
class TextLayout:
    """ids (B, T): the text, with the canvas's ids in the holes and padding behind; lengths (B,): of each row without
    padding; places (B, L): the position in the text of each of the canvas's columns, -1 behind a hole's end; behind
    (B, H): the position behind each hole."""

    ids: Tensor
    lengths: Tensor
    places: Tensor
    behind: Tensor

    @property
    def visible(self) -> Tensor:
        """(B, 1, T, T) bool: every position sees every other one of its row, padding apart."""
        num_rows, width = self.ids.shape
        real = torch.arange(width, device=self.ids.device) < self.lengths.unsqueeze(-1)  # (B, T)
        return real[:, None, None, :].expand(num_rows, 1, width, width)


def text_layout(
    before: Tensor, pinned: Sequence[Sequence[int]], ids: Tensor, regions: Sequence[Region], end_id: int
) -> TextLayout:
    """before (T,): ids before the first hole; pinned: ids behind each hole, those of the last one to the end; ids
    (B, L): of a canvas."""
    head = before.tolist()
    rows, places, behind = list[list[int]](), list[list[int]](), list[list[int]]()
    for row in ids.tolist():
        text, row_places, row_behind = list(head), [-1] * len(row), list[int]()
        for region, following in zip(regions, pinned, strict=True):
            hole = row[region.columns]
            length = hole.index(end_id) if end_id in hole else len(hole)
            row_places[region.start : region.start + length] = range(len(text), len(text) + length)
            text += hole[:length]
            row_behind.append(len(text))
            text += following
        rows.append(text)
        places.append(row_places)
        behind.append(row_behind)
    lengths = [len(text) for text in rows]
    padded = [text + [end_id] * (max(lengths) - len(text)) for text in rows]
    return TextLayout(*(torch.tensor(values, device=ids.device) for values in (padded, lengths, places, behind)))
