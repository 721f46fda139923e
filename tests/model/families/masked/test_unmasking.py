"""What one step of a masked diffusion model's samplers makes of a canvas and hand-made logits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, new_canvas
from midfill.model.engine.sampler import Sampler
from midfill.model.families.masked.unmasking import ConfidenceSampler, ResizingSampler

LETTERS = "|.+abcdef"
"""Ids are places here: the end of a hole, a mask, what stands for two masks, and tokens."""
END, MASK, EXPAND = range(3)


def canvas_of(*holes: str) -> Canvas:
    """One row: what is no mask is settled."""
    canvas = new_canvas(tuple(len(hole) for hole in holes), (0,), MASK, END, torch.device("cpu"))
    ids = torch.tensor([[LETTERS.index(letter) for letter in "".join(holes)]])
    return replace(canvas, ids=ids, settled=ids != MASK, confidence=(ids != MASK).float())


def logits_of(said: str, sureness: str) -> Tensor:
    """said: the likeliest token of each position; sureness: its probability in tenths, the rest is shared."""
    logits = torch.zeros(1, len(said), len(LETTERS))
    for column, (letter, tenths) in enumerate(zip(said, sureness, strict=True)):
        probability = int(tenths) / 10 + 0.05
        others = (1 - probability) / (len(LETTERS) - 1)
        logits[0, column] = torch.log(torch.tensor(others))
        logits[0, column, LETTERS.index(letter)] = torch.log(torch.tensor(probability))
    return logits


def shown(canvas: Canvas) -> str:
    texts = ["".join(LETTERS[token] for token in canvas.ids[0, region.columns]) for region in canvas.regions]
    assert torch.equal(canvas.settled, canvas.ids != MASK)
    return " ".join(texts)


def check(sampler: Sampler, holes: str, said: str, sureness: str, after: str, steps_left: int = 9) -> Canvas:
    """holes: apart by blanks."""
    canvas = sampler.commit(logits_of(said, sureness), canvas_of(*holes.split()), steps_left)
    assert shown(canvas) == after
    return canvas


@pytest.mark.parametrize(
    ("holes", "said", "sureness", "after"),
    [
        ("....|", "abcd|", "93919", "a.c.|"),  # all that are sure
        ("....|", "abcd|", "13219", ".b..|"),  # none is: the surest
        ("..| ..|", "ab|cd|", "929129", "a.| .d|"),  # in every hole
        ("a..|", "dbc|", "9929", "ab.|"),  # what is settled stays, whatever is said of it
    ],
)
def test_masks_are_filled_where_the_model_is_sure(holes: str, said: str, sureness: str, after: str) -> None:
    check(ConfidenceSampler(), holes, said, sureness, after)


def test_all_masks_are_filled_in_the_last_step() -> None:
    check(ConfidenceSampler(), "....|", "abcd|", "11119", "abcd|", steps_left=1)
    check(ConfidenceSampler(), "....|", "abcd|", "13219", ".bc.|", steps_left=2)


RESIZING = ResizingSampler(MASK, EXPAND)


@pytest.mark.parametrize(
    ("holes", "said", "sureness", "after"),
    [
        ("....|", "ab||d", "99929", "ab|||"),  # an end takes away every mask to its right
        ("a.b.|", "a|bc|", "99929", "ab|||"),  # but nothing that is settled
        ("..|||", "a+|||", "29999", "...||"),  # two masks for one
        (".||||", "+||||", "99999", "..|||"),
        ("..| ..|||", "||aa+|||", "99919999", "||| ...||"),
        ("....|", "||||d", "99999", "|||||"),  # a hole may turn out to be empty
    ],
)
def test_a_hole_finds_its_length(holes: str, said: str, sureness: str, after: str) -> None:
    check(RESIZING, holes, said, sureness, after)


def test_a_hole_ends_even_if_the_model_would_have_it_grow_for_ever() -> None:
    canvas = canvas_of(".|||||||")
    for step in range(20):
        if canvas.is_closed:
            break
        canvas = RESIZING.commit(logits_of("+" * 8, "9" * 8), canvas, steps_left=20 - step)
    assert canvas.is_closed
    assert canvas.ids[0, -1] == END
