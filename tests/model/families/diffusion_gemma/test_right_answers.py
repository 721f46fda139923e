"""A tiny DiffusionGemma that was trained on the toy language gives the right answers, on names that it never saw
together. `train_toy.py` made it."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from toy_language import (
    SIGNS,
    WORDS,
    Function,
    Task,
    are_joint_answers,
    joint_holes,
    one_hole,
    rewriting,
    two_rewritten,
)
from train_toy import CHECKPOINT, request_of

from midfill.model.engine.infill import DenoisingModel
from midfill.model.wire.api import HolePart, InfillRequest, TextPart

NUM_TASKS = 12
LEAST_RIGHT = 11


@pytest.fixture(scope="module", params=["chat", "clamped"])
def model(request: pytest.FixtureRequest, load: Any) -> DenoisingModel:
    trained = load(CHECKPOINT, request.param)
    assert isinstance(trained, DenoisingModel)
    return trained


@pytest.fixture(scope="module")
def chat(load: Any) -> DenoisingModel:
    trained = load(CHECKPOINT, "chat")
    assert isinstance(trained, DenoisingModel)
    return trained


def tasks(make: Callable[[random.Random, bool], Task]) -> list[Task]:
    rng = random.Random(11)
    return [make(rng, True) for _ in range(NUM_TASKS)]


def asked(task: Task, max_tokens: int, strength: float = 1.0, candidates: int = 1) -> InfillRequest:
    request = request_of(task, "src/toy.py")
    parts = [
        part if isinstance(part, TextPart) else HolePart(replace(part.hole, max_tokens=max_tokens, strength=strength))
        for part in request.parts
    ]
    return replace(request, parts=tuple(parts), candidates=candidates)


def best(run: Any, model: DenoisingModel, request: InfillRequest) -> tuple[str, ...]:
    _, infill = run(model, request)
    return tuple(fill.text for fill in infill.candidates[0].fills)


def is_right(task: Task, fills: tuple[str, ...]) -> bool:
    return fills == task.answers


def renamed(task: Task) -> Task:
    """The same task in other words, and of another operation: every answer in it is another one."""
    following = dict(zip(WORDS, (*WORDS[1:], WORDS[0]), strict=True))
    verbs = list(SIGNS)
    following |= {verb: verbs[(number + 1) % 3] for number, verb in enumerate(verbs)}
    following |= {SIGNS[verb]: SIGNS[following[verb]] for verb in verbs}

    def changed(text: str) -> str:
        for number, word in enumerate(following):
            text = text.replace(word, f"{{{number}}}")
        return text.format(*following.values())

    return Task(changed(task.text), tuple(changed(answer) for answer in task.answers))


def test_one_hole(model: DenoisingModel, run: Any) -> None:
    """Right where its surroundings say what belongs there; and no longer once those say something else."""
    given = tasks(one_hole)
    answers = [best(run, model, asked(task, 7)) for task in given]
    assert sum(map(is_right, given, answers)) >= LEAST_RIGHT
    elsewhere = [best(run, model, asked(renamed(task), 7)) for task in given]
    assert sum(is_right(renamed(task), fills) for task, fills in zip(given, elsewhere, strict=True)) >= LEAST_RIGHT
    assert not any(is_right(task, fills) for task, fills in zip(given, elsewhere, strict=True))


def test_joint_holes(model: DenoisingModel, run: Any) -> None:
    """Two holes that only have to agree: any name, but the same twice, and not the other one of the function. Chosen
    apart they would agree once in 64 times."""
    given = tasks(joint_holes)
    answers = [best(run, model, asked(task, 3)) for task in given]
    assert sum(map(are_joint_answers, given, answers)) >= LEAST_RIGHT
    assert len({first for first, _ in answers}) > 3


@pytest.mark.parametrize("strength", [0.4, 0.8, 1.0])
def test_rewriting(chat: DenoisingModel, run: Any, strength: float) -> None:
    """As it was asked: from the old text with a share of noise (warm), and from nothing (cold)."""
    given = tasks(rewriting)
    answers = [best(run, chat, asked(task, 31, strength)) for task in given]
    assert sum(map(is_right, given, answers)) >= LEAST_RIGHT


def test_another_instruction_brings_another_answer(chat: DenoisingModel, run: Any) -> None:
    old = Function("add", "alpha", "beta")
    for instruction, new in (
        ("swap the names", "def add(alpha, beta):\n    return beta + alpha"),
        ("make it subtract", "def sub(alpha, beta):\n    return alpha - beta"),
        ("make it multiply", "def mul(alpha, beta):\n    return alpha * beta"),
        (None, "def add(alpha, beta):\n    return beta + alpha"),
    ):
        task = Task("⟨⟩\n", (new,), str(old).rstrip(), instruction)
        assert best(run, chat, asked(task, 31, 0.6)) == task.answers


def test_an_answer_of_several_canvases(chat: DenoisingModel, run: Any) -> None:
    """Two functions with long names are longer than the toy's canvas of 48 tokens: the answer goes on in the next."""
    rng, right = random.Random(11), 0
    long = (task for task in iter(lambda: two_rewritten(rng, True), None) if task.answers[0].count("_") >= 6)
    for task in itertools.islice(long, NUM_TASKS):
        _, infill = run(chat, asked(task, 90, 0.6))
        right += infill.candidates[0].fills[0].text == task.answers[0]
        assert infill.usage.canvas_tokens > 48
    assert right >= LEAST_RIGHT
