"""The measures: baselines on marked text, intervals that say what they should, tasks that repeat."""

from __future__ import annotations

import random as random_module
import statistics as statistics_module
from pathlib import Path

import pytest

from midfill.model.evaluation.__main__ import paired_interval
from midfill.model.evaluation.baselines import copy_from_same_file, left_to_right, same
from midfill.model.evaluation.held_out_holes import nearby_identifier
from midfill.model.evaluation.in_domain import KINDS, draw_tasks, request_of
from midfill.model.families.embedded import EmbeddedDenoiser
from midfill.model.infill import DenoisingModel
from midfill.model.loading import load_model

COPIES = [
    ("self.path = path\nself.name = name\nself.pa‸", "th = path"),
    ("x = read(a)\ny = read(‸)\n", "a"),
    ("first(1)\nsecond(2)\nfirst(‸\n", "1)"),
    ("nothing like it: ‸", ""),
    ("‸", ""),
]


@pytest.mark.parametrize(("marked", "copied"), COPIES)
def test_copy_from_same_file(marked: str, copied: str) -> None:
    before, after = marked.split("‸")
    assert copy_from_same_file(before, after) == copied


@pytest.mark.parametrize(
    ("fill", "truth", "expected"),
    [("x = 1", "x = 1  ", True), ("a  \nb", "a\nb\n", True), ("x = 1", "x = 2", False), ("a b", "ab", False)],
)
def test_same(fill: str, truth: str, expected: bool) -> None:
    assert same(fill, truth) is expected


def test_an_interval_excludes_zero_only_for_a_difference() -> None:
    low, high = paired_interval([True] * 60 + [False] * 40, [True] * 20 + [False] * 80)
    assert 0 < low < 0.4 < high
    low, high = paired_interval([True, False] * 50, [False, True] * 50)
    assert low < 0 < high


@pytest.mark.parametrize(
    ("truth", "after", "name"),
    [
        ("total += x", "\n    return total\n", "total"),
        ("pass", "\n    return other_name\n", "other_name"),
        ("x", "\n", ""),
        ("self", "\nself.counter\n", "counter"),
    ],
)
def test_nearby_identifier(truth: str, after: str, name: str) -> None:
    assert nearby_identifier(truth, after) == name


def test_tasks_repeat_and_lie_in_their_texts() -> None:
    texts = [Path(module.__file__ or "").read_text() for module in (random_module, statistics_module)]
    tasks = list(draw_tasks(texts, 5, seed=4))
    assert tasks == list(draw_tasks(texts, 5, seed=4))
    assert {task.kind for task in tasks} == set(KINDS)
    assert all(0 < task.span.start < task.span.end <= len(task.text) for task in tasks)
    assert all("\n" not in task.truth for task in tasks if "line" in task.kind)


def test_left_to_right_ends(tiny_checkpoint: Path) -> None:
    model = load_model(str(tiny_checkpoint), lambda progress, sentence: None, "float32")
    assert isinstance(model, DenoisingModel)
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    task = next(draw_tasks([Path(random_module.__file__).read_text()], 1))
    fill, num_forwards = left_to_right(model.denoiser, request_of(task, model))
    assert isinstance(fill, str)
    assert 1 <= num_forwards <= 32
