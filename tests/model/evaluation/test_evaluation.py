"""What the evaluation measures with: the baselines, exact match, and the tasks drawn."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Callable

import pytest
import torch

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import KINDS, Task, draw_tasks
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.measuring.baselines import copy_from_same_file, left_to_right, same
from midfill.model.measuring.split import SplitFile
from midfill.model.wire.api import InfillRequest

# --- copy from the same file

COPIES = {
    "what followed the same words": ("total = price * count\nprint(total)\ntotal = ⟨⟩\n", "price * count"),
    "the nearest of equal ones": ("y\nx = far\nx = near\nx = ⟨⟩\nx = below\n", "near"),
    "a longer run beats a nearer one": ("self.x = 1\nother.x = 2\nself.x = ⟨⟩\n", "1"),
    "below, where nothing is above": ("name = ⟨⟩\nname = read()\nname = late()\n", "read()"),
    "up to what follows the hole in its line": ("send(first, second)\nsend(⟨⟩)\n", "first, second"),
    "from inside a word": ("self.counter = 0\nself.cou⟨⟩\n", "nter = 0"),
    "a line after the same kind of line": ("def f():\n    return 1\n\n\ndef g():\n    ⟨⟩\n", "return 1"),
    "only to the end of the line": ("if ready:\n    go()\nif ⟨⟩\n", "ready:"),
    "without white space at its end": ("x = 1  \nx = ⟨⟩\n", "1"),
    "not from the end of a longer word": ("max = 1\nx = ⟨⟩\nx = 2\n", "2"),
    "not from the end of a longer word of a run": ("my_self.x = 1\nself.x = 2\ntheir_self.x = 3\nself.x = ⟨⟩\n", "2"),
    "not from the beginning of a longer word": ("if readyness:\nif ready ⟨⟩\n", ""),
    "nothing recurs": ("x = ⟨⟩\ny: 2\n", ""),
    "nothing stands before": ("⟨⟩\nx = 1\n", ""),
    "nothing at all": ("⟨⟩", ""),
}


@pytest.mark.parametrize(("marked", "expected"), COPIES.values(), ids=COPIES)
def test_copy_from_same_file(marked: str, expected: str) -> None:
    before, _, after = marked.partition("⟨⟩")
    assert copy_from_same_file(before, after) == expected


@pytest.mark.parametrize(
    ("fill", "truth", "expected"),
    [
        ("return x", "return x", True),
        ("return x  ", "  return x\n", True),
        ("if x:  \n    y", "if x:\n    y", True),
        ("", " \n", True),
        ("if x:\n  y", "if x:\n    y", False),  # indentation inside counts
        ("return  x", "return x", False),
        ("Return x", "return x", False),
        ("a\n\nb", "a\nb", False),
        ("", "x", False),
    ],
)
def test_same(fill: str, truth: str, expected: bool) -> None:
    assert same(fill, truth) is expected
    assert same(truth, fill) is expected


# --- left to right

CODE = "def add_alpha(alpha, beta):\n    total = ⟨1⟩\n    return total\n\n\ndef add_beta(beta, gamma):\n"


def greedily(denoiser: EmbeddedDenoiser, request: InfillRequest, limit: int) -> list[int]:
    """The same with no state kept: everything is read again for each token."""
    plan, chosen = denoiser.plan(request, 1), list[int]()
    sentinel, first = denoiser.tokenizer.hole_ids[0], int(plan.canvas_positions[0])
    while len(chosen) < limit:
        state = denoiser.encode(plan.context_ids, 0, None)
        ids = torch.tensor([[sentinel, *chosen]])
        hidden, _ = denoiser.network.read_on(ids, (first + torch.arange(ids.shape[1])).unsqueeze(0), state, None)
        predicted = denoiser.rules.allowed(denoiser.network.logits(hidden[0, -1]).log_softmax(dim=-1))
        token = int(denoiser.rules.at(predicted, chosen, plan.healed[0]).argmax())
        if token == denoiser.tokenizer.end_id:
            break
        chosen.append(token)
    return chosen


@torch.inference_mode()
def test_left_to_right_is_greedy_and_ends_within_its_limit(
    tiny: DenoisingModel, request_of: Callable[..., InfillRequest]
) -> None:
    denoiser = tiny.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    plan = denoiser.plan(request_of(CODE), 1)
    limit = plan.canvas.regions[0].length - 1
    reading = left_to_right(denoiser, request_of(CODE))
    expected = greedily(denoiser, request_of(CODE), limit)
    assert plan.healed == (" ",)
    assert " " + reading.text == denoiser.tokenizer.decode(expected)
    assert reading.num_tokens == len(expected)
    assert reading.num_forwards == min(len(expected) + 1, limit)


@torch.inference_mode()
def test_left_to_right_stops_at_the_limit_where_the_model_never_ends(
    tiny_with: Callable[..., DenoisingModel], request_of: Callable[..., InfillRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    denoiser = tiny_with().denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    allowed = denoiser.rules.allowed
    end = torch.tensor([denoiser.tokenizer.end_id])
    monkeypatch.setattr(denoiser.rules, "allowed", lambda x: allowed(x).index_fill(-1, end, -torch.inf))
    reading = left_to_right(denoiser, request_of(CODE))
    limit = denoiser.plan(request_of(CODE), 1).canvas.regions[0].length - 1
    assert reading.num_forwards == reading.num_tokens == limit
    assert reading.text


# --- the tasks

TEXTS = [inspect.getsource(module) for module in (json.decoder, json.encoder, textwrap)]
FILES = [SplitFile(text) for text in TEXTS]


def test_tasks_are_the_same_for_the_same_seed() -> None:
    first, again = (list(draw_tasks(FILES, 12, seed=3)) for _ in range(2))
    assert first == again
    assert {kind: sum(task.kind == kind for task in first) for kind in KINDS} == dict.fromkeys(KINDS, 12)
    assert list(draw_tasks(FILES, 12, seed=4)) != first
    # The holes of one kind do not depend on which other kinds are drawn.
    assert list(draw_tasks(FILES, 12, seed=3, kinds=["node"])) == [task for task in first if task.kind == "node"]


def is_whole_line_from_start(task: Task) -> bool:
    line_start = task.text.rfind("\n", 0, task.span.start) + 1
    return not task.text[line_start : task.span.start].strip(" \t")


def reaches_line_end(task: Task) -> bool:
    return task.text[task.span.end :].partition("\n")[0].strip(" \t") == ""


SHAPES: dict[str, Callable[[Task], bool]] = {
    "line": lambda task: is_whole_line_from_start(task) and reaches_line_end(task) and "\n" not in task.truth,
    "rest of line": lambda task: reaches_line_end(task) and "\n" not in task.truth,
    "end of line": lambda task: reaches_line_end(task) and "\n" not in task.truth and not task.truth[0].isspace(),
    "node": lambda task: 4 <= len(task.truth) <= 120,
    "block": lambda task: is_whole_line_from_start(task) and reaches_line_end(task) and len(task.truth) <= 300,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_cut_out_is_what_the_kind_says(kind: str) -> None:
    tasks = list(draw_tasks(FILES, 40, kinds=[kind]))
    assert len(tasks) == 40
    assert {task.text for task in tasks} == set(TEXTS), "the holes are not spread over the files"
    for task in tasks:
        assert task.text in TEXTS
        assert 0 <= task.span.start < task.span.end <= len(task.text)
        assert task.text[: task.span.start] + task.truth + task.text[task.span.end :] == task.text
        assert task.truth.strip()
        assert SHAPES[kind](task), task.truth
    if kind == "node":
        assert sum(parses(task.truth) for task in tasks) > 20  # arguments in a row and bodies do not parse alone


def parses(truth: str) -> bool:
    try:
        ast.parse(truth)
    except SyntaxError:
        return False
    return True


def test_a_file_too_short_for_a_hole_gives_none() -> None:
    assert list(draw_tasks([SplitFile("x = 1\n")], 3)) == []
