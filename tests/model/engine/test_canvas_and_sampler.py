"""Canvases and samplers on hand-made logits: what commits, what is revised, what an end-of-hole closes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, new_canvas, with_draft
from midfill.model.engine.denoise import denoise
from midfill.model.engine.sampler import EntropyBoundSampler, FrontierSampler, Sampler

VOCABULARY, END, MASK = 8, 6, 7
CPU = torch.device("cpu")


def canvas_of(text: str, rows: int = 1) -> Canvas:
    """`..|...`: two holes of two and three masks; digits are settled tokens, `e` a settled end-of-hole."""
    lengths = tuple(len(part) for part in text.split("|"))
    canvas = new_canvas(lengths, tuple(range(rows)), MASK, END, CPU)
    flat = text.replace("|", "")
    ids = torch.tensor([[MASK if c == "." else END if c == "e" else int(c) for c in flat]] * rows)
    settled = ids != MASK
    return canvas.commit(ids, settled, settled.float())


def logits_of(rows: list[list[tuple[int, float]]]) -> Tensor:
    """Logits whose softmax gives each position its one likely token with the probability named."""
    logits = torch.zeros(len(rows), len(rows[0]), VOCABULARY)
    for row, positions in enumerate(rows):
        for column, (token, probability) in enumerate(positions):
            logits[row, column] = torch.log(torch.tensor((1 - probability) / (VOCABULARY - 1)))
            logits[row, column, token] = torch.log(torch.tensor(probability))
    return logits


def shown(canvas: Canvas, row: int = 0) -> str:
    marks = {MASK: ".", END: "e"}
    text = "".join(
        marks.get(token, str(token)) if settled else "."
        for token, settled in zip(canvas.ids[row].tolist(), canvas.settled[row].tolist(), strict=True)
    )
    return "|".join(text[region.columns] for region in canvas.regions)


CASES = [
    # before, (token, probability) at each position, after one step, why
    ("...", [(1, 0.5), (2, 0.5), (3, 0.95)], "1.3", "what is over the threshold commits with the first open one"),
    ("...", [(1, 0.3), (2, 0.5), (3, 0.4)], "1..", "at least the first open one commits, sure or not"),
    ("1.2.", [(1, 0.99), (4, 0.3), (2, 0.9), (5, 0.4)], "142.", "the first open one, wherever it is"),
    ("....", [(1, 0.4), (6, 0.95), (3, 0.4), (4, 0.3)], "1eee", "an end-of-hole closes all to its right"),
    ("....", [(6, 0.4), (2, 0.95), (3, 0.4), (4, 0.3)], "eeee", "an unsure end at the frontier is an end too"),
    ("..|..", [(1, 0.3), (6, 0.95), (3, 0.95), (4, 0.3)], "1e|3.", "an end-of-hole closes its own hole only"),
    ("..|..", [(1, 0.3), (2, 0.3), (3, 0.3), (4, 0.3)], "1.|3.", "every hole has a frontier of its own"),
    ("12.", [(1, 0.99), (5, 0.95), (3, 0.95)], "153", "a settled token gives way to a surer one"),
    ("12.", [(1, 0.99), (5, 0.80), (3, 0.95)], "123", "a settled token stays while no other is sure"),
    ("12.", [(1, 0.99), (6, 0.99), (3, 0.95)], "123", "revision never shortens a hole"),
]


@pytest.mark.parametrize(("before", "likely", "after", "why"), CASES, ids=[case[3] for case in CASES])
def test_frontier(before: str, likely: list[tuple[int, float]], after: str, why: str) -> None:
    step = FrontierSampler(threshold=0.9, revision=0.9).commit(logits_of([likely]), canvas_of(before), steps_left=9)
    assert shown(step) == after, why


def test_a_hurry_counts_only_what_stands_before_the_end() -> None:
    """Two steps left, an end expected after four positions: three of the five commit now, the tail costs nothing."""
    likely = [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.5), (END, 0.5), (5, 0.5), (5, 0.5), (5, 0.5), (5, 0.5)]
    step = FrontierSampler().commit(logits_of([likely]), canvas_of("........."), steps_left=2)
    assert shown(step) == "123......"


def test_a_row_branches_once_where_it_is_first_unsure() -> None:
    """Row 0 takes the likeliest token everywhere, row 1 the second, row 2 the third at the first unsure frontier."""
    logits = logits_of([[(1, 0.95), (2, 0.5), (3, 0.5)]] * 3)
    logits[:, 1, 4], logits[:, 1, 5] = -1.5, -2.0
    canvas = canvas_of("...", rows=3)
    for _ in range(3):
        canvas = FrontierSampler().commit(logits, canvas, steps_left=9)
    assert [shown(canvas, row) for row in range(3)] == ["123", "143", "153"]
    assert canvas.confidence[1, 1] < canvas.confidence[0, 1]
    assert canvas.seeds == (0, 0, 0)


def test_entropy_bound_commits_more_when_it_may_spend_more() -> None:
    likely = logits_of([[(1, 0.999), (2, 0.99), (3, 0.5), (4, 0.3)]])
    committed = [shown(EntropyBoundSampler(bound).commit(likely, canvas_of("...."), 9)) for bound in (0.0, 0.05, 100.0)]
    assert committed == ["1...", "12..", "1234"]


@pytest.mark.parametrize("sampler", [FrontierSampler(), EntropyBoundSampler(0.0)])
@pytest.mark.parametrize("max_steps", [1, 2, 5])
def test_every_canvas_closes_within_its_steps(sampler: Sampler, max_steps: int) -> None:
    def predict(canvas: Canvas) -> Tensor:
        return torch.randn(*canvas.ids.shape, VOCABULARY, generator=torch.Generator().manual_seed(0))

    *_, last = denoise(predict, canvas_of("......|....", rows=3), sampler, max_steps)
    assert last.is_closed


def test_two_neighbours_cannot_overturn_each_other_for_ever() -> None:
    canvas = canvas_of("1.")
    for step in range(10):
        token = 2 + step % 2
        canvas = FrontierSampler().commit(logits_of([[(token, 0.99), (1, 0.2)]]), canvas, steps_left=99)
    assert int(canvas.revisions[0, 0]) <= 2


def test_a_row_draws_the_same_whatever_stands_beside_it() -> None:
    logits = torch.randn(1, 6, VOCABULARY, generator=torch.Generator().manual_seed(1))
    alone = new_canvas((6,), (3,), MASK, END, CPU)
    together = new_canvas((6,), (0, 3), MASK, END, CPU)
    sampler = EntropyBoundSampler()
    assert shown(sampler.commit(logits, alone, 2)) == shown(
        sampler.commit(logits.expand(2, -1, -1), together, 2), row=1
    )


@pytest.mark.parametrize(("strength", "num_open"), [(0.0, 0), (0.5, 2), (1.0, 12)])
def test_a_draft_is_opened_by_its_strength(strength: float, num_open: int) -> None:
    canvas = new_canvas((12,), (0,), MASK, END, CPU)
    canvas = with_draft(canvas, canvas.regions[0], [1, 2, 3, 4], strength, MASK)
    open_positions = ~canvas.settled[0]
    assert int(open_positions[:4].sum()) == min(num_open, 4)
    assert bool(open_positions[4:6].all()) == (strength > 0), "the end is open whenever anything is: a fill may grow"
    kept = [
        token
        for token, settled in zip(canvas.ids[0, :4].tolist(), canvas.settled[0, :4].tolist(), strict=True)
        if settled
    ]
    assert all(token in (1, 2, 3, 4) for token in kept)


@pytest.mark.parametrize(
    ("text", "ids", "closed"), [("12ee", [1, 2], True), ("1234", [1, 2, 3, 4], False), ("eeee", [], True)]
)
def test_reading_a_hole(text: str, ids: list[int], closed: bool) -> None:
    canvas = canvas_of(text)
    reading = canvas.hole(0, canvas.regions[0])
    assert (reading.ids, reading.closed, reading.settled_all) == (ids, closed, True)
