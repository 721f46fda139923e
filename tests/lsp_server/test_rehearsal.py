"""The front asked in JSON: the questions that there are. What it answers is tested from the asking side."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

from midfill.lsp_server.rehearsal import QUESTIONS, Rehearsal
from midfill.model.measuring import front as asking_side
from midfill.model.wire.api import ContextBudget, ModelInfo, to_json

INFO = ModelInfo(
    name="scripted",
    family="scripted",
    revision="0",
    licence="",
    languages=("python",),
    capabilities=("infill",),
    max_holes=8,
    max_canvas_tokens=127,
    context=ContextBudget(1200, 600, 2400, 700),
    num_parameters=0,
    device="cpu",
    precision="float32",
)
NOT_PLANNED = "there is no plan that an answer could belong to; ask for one first"
FILL = {"language": "python", "path": None, "inline": False}


def test_lines_in_are_lines_out() -> None:
    asked = [
        {"ask": "groups", "text": "a = \nb = ü\n", "places": [4, 9]},
        {"ask": "plan", "text": "a = ", "places": [5], "candidates": 1, "max_tokens": 9, **FILL},
    ]
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "midfill.lsp_server.rehearsal", json.dumps(to_json(INFO))],
        input="".join(json.dumps(question) + "\n" for question in asked),
        capture_output=True,
        text=True,
        check=True,
    )
    grouped, refused = map(json.loads, ran.stdout.splitlines())
    assert grouped == [[4, 9]]
    assert refused == {"refused": "the hole ends at 5, outside the text, which has 4 characters"}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"ask": "think"}, "'think' is no question; ask one of groups, plan, choose, verdict, regions, plan_rewrite,"),
        ({}, "None is no question"),
        ({"ask": "choose", "infill": {}}, NOT_PLANNED),
        ({"ask": "show", "infill": {}, "threshold": None}, NOT_PLANNED),
    ],
)
def test_a_question_that_has_no_answer_is_an_error(question: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rehearsal(INFO).answer(question)


def test_both_sides_know_the_same_questions_with_the_same_arguments() -> None:
    """`Front._asked("plan", text=..., ...)` there is `plan(front, text, ...)` here."""
    calls = [node for node in ast.walk(ast.parse(inspect.getsource(asking_side))) if isinstance(node, ast.Call)]
    asked = {
        ast.literal_eval(call.args[0]): [word.arg for word in call.keywords]
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "_asked"
    }
    assert asked == {name: [*inspect.signature(answer).parameters][1:] for name, answer in QUESTIONS.items()}
