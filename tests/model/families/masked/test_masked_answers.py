"""Tiny masked diffusion models, trained on a toy language and saved as the released ones are, give the right answers on
names that they never saw together. `train_toy_coder.py` made them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from toy_coder_language import Task, elsewhere, one_hole, two_holes

NUM_TASKS = 20
LEAST_RIGHT = 15
LEAST_GROWN = 10
"""From one mask for a name of three tokens: in training a mask stood for two at most."""
KINDS = ("dream", "open-dcoder", "llada")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("make", "max_tokens"), [(one_hole, 11), (two_holes, 3)])
def test_the_surroundings_say_what_belongs_in_the_holes(
    kind: str, make: Callable[..., Task], max_tokens: int, load: Any, request_from: Any, run: Any
) -> None:
    """Right where they say it, and another answer where they say something else."""
    model, rng = load(kind), random.Random(11)
    tasks = [make(rng, True) for _ in range(NUM_TASKS)]
    others = [elsewhere(task) for task in tasks]

    def answers(given: list[Task]) -> list[tuple[str, ...]]:
        infills = [run(model, request_from(task.text, max_tokens))[1] for task in given]
        return [tuple(fill.text for fill in infill.candidates[0].fills) for infill in infills]

    found, found_elsewhere = answers(tasks), answers(others)
    assert sum(task.answers == fills for task, fills in zip(tasks, found, strict=True)) >= LEAST_RIGHT
    assert sum(task.answers == fills for task, fills in zip(others, found_elsewhere, strict=True)) >= LEAST_RIGHT
    assert not any(task.answers == fills for task, fills in zip(tasks, found_elsewhere, strict=True))


@pytest.mark.parametrize("make", [one_hole, two_holes])
def test_a_hole_finds_its_length_from_too_many_masks_and_from_one(
    make: Callable[..., Task], load: Any, request_from: Any, run: Any
) -> None:
    """DreamOn's rows begin with 12, 6, 3 and 1 masks. The toy did not learn which sign belongs to which function, so
    no hole has one."""
    model, rng = load("dreamon"), random.Random(11)
    tasks = [task for task in (make(rng, True) for _ in range(60)) if not set("+-*") & set("".join(task.answers))]
    right = dict.fromkeys(("best", "many", "one"), 0)
    for task in tasks[:NUM_TASKS]:
        steps, infill = run(model, request_from(task.text, 12, candidates=4))
        last = {step.candidate: tuple("".join(p.text for p in hole.pieces) for hole in step.drafts) for step in steps}
        right["best"] += tuple(fill.text for fill in infill.candidates[0].fills) == task.answers
        right["many"] += last[0] == task.answers
        right["one"] += last[3] == task.answers
    assert min(right["best"], right["many"]) >= LEAST_RIGHT
    assert right["one"] >= LEAST_GROWN
