"""A region and a wish become requests, and of the answers only what parses and differs is offered."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from midfill.lsp_server.text.filling import FillPlan, apply_fills
from midfill.lsp_server.text.holes import FillError, Span
from midfill.lsp_server.text.rewriting import Wish, canvases_differ, plan_rewriting, rewritten
from midfill.model.wire.api import Candidate, ContextBudget, Fill, Infill, ModelInfo, TextPart, Usage

INFO = ModelInfo(
    name="a model",
    family="embedded",
    revision="1",
    licence="Apache-2.0",
    languages=("python",),
    capabilities=("infill", "joint", "draft", "verbs"),
    max_holes=4,
    max_canvas_tokens=128,
    context=ContextBudget(2000, 1000, 0, 500),
    num_parameters=1,
    device="cpu",
    precision="float32",
    verbs=("rename", "docstring"),
)
FOLLOWS = replace(INFO, capabilities=("infill", "joint", "draft", "instructions"), verbs=())
TEXT = "def f():\r\n    a = 1\r\n    return a\r\n"
BODY = Span(TEXT.index("    a"), len(TEXT))


def plan(wish: Wish, text: str = TEXT, span: Span = BODY, info: ModelInfo = INFO) -> FillPlan:
    return plan_rewriting(text, span, wish, language_id="python", path=None, info=info)


def answer(*fills: tuple[float, str]) -> Infill:
    found = tuple(Candidate((Fill("1", text, confidence),), confidence) for confidence, text in fills)
    return Infill(found, "closed", Usage(), "a model")


def test_it_starts_from_the_old_text_without_the_white_space_around_it() -> None:
    asked = plan(Wish(strength=0.4, seed=7))
    (hole,) = asked.request.holes
    assert (hole.draft, hole.strength) == ("a = 1\n    return a", 0.4)
    assert (asked.request.seed, asked.request.instruction) == (7, None)
    assert hole.max_tokens >= 2 * len(hole.draft or "") // 3 - 2
    best = rewritten(asked, answer((0.9, "return 1"))).candidates[0]
    assert apply_fills(TEXT, best.fills) == "def f():\r\n    return 1\r\n"


@pytest.mark.parametrize(
    ("wish", "info", "instruction", "strength", "num_ways"),
    [
        (Wish(), INFO, None, 0.6, 1),
        (Wish("rename"), INFO, "rename", 1.0, 1),
        (Wish("rename", strength=0.3), INFO, "rename", 0.3, 1),
        (Wish(instruction="kürzer, bitte"), FOLLOWS, "kürzer, bitte", 0.6, 2),
        (Wish(instruction="shorter", strength=1.0), FOLLOWS, "shorter", 1.0, 1),
        (Wish(instruction="shorter", candidates=1), FOLLOWS, "shorter", 0.6, 1),
        (Wish(), FOLLOWS, None, 0.6, 1),
    ],
)
def test_what_is_asked_of_the_model(
    wish: Wish, info: ModelInfo, instruction: str | None, strength: float, num_ways: int
) -> None:
    """One request; of a model that follows instructions, a warm and a cold canvas are worth seeing."""
    asked = plan(wish, info=info)
    assert (asked.request.holes[0].strength, asked.request.instruction) == (strength, instruction)
    assert canvases_differ(asked, info) == (num_ways == 2)


@pytest.mark.parametrize(
    ("fills", "offered"),
    [
        ([(0.9, "return 1"), (0.2, "return (")], ["return 1"]),  # one of them does not parse
        ([(0.9, "a = 1\n    return a"), (0.1, "return 1")], ["return 1"]),  # one is what stands there
        ([(0.9, "a = 1  \n    return a"), (0.1, "return 1")], ["return 1"]),  # but for white space at a line's end
        ([(0.50, "return 1"), (0.51, "a = 1\n    return b")], ["a = 1\r\n    return b", "return 1"]),  # a tie
        ([(0.2, "a = 2\n    return a"), (0.9, "return 1")], ["return 1", "a = 2\r\n    return a"]),
    ],
)
def test_what_parses_and_differs_is_offered_and_at_a_tie_the_smaller_change(
    fills: list[tuple[float, str]], offered: list[str]
) -> None:
    found = rewritten(plan(Wish()), answer(*fills))
    assert [candidate.fills[0].fill for candidate in found.candidates] == offered
    assert found.old == "a = 1\r\n    return a"


@pytest.mark.parametrize("fills", [[], [(0.9, "return (")], [(0.9, "a = 1\n    return a")], [(0.9, "  ")]])
def test_nothing_that_parses_and_differs_is_said(fills: list[tuple[float, str]]) -> None:
    with pytest.raises(FillError, match="found no other version that parses"):
        rewritten(plan(Wish()), answer(*fills))


@pytest.mark.parametrize(
    ("text", "wish", "info", "message"),
    [
        (" \n ", Wish(), INFO, "the region is empty"),
        ("x" * 400, Wish(), INFO, "the region has 1 lines and 400 characters, and a model rewrites about 384"),
        ("x = 1\n" * 2000, Wish(), INFO, "the region has 2000 lines and 11999 characters"),
        ("x = 1", Wish(), replace(INFO, capabilities=("infill",)), "a model cannot start from existing text"),
        ("x = 1", Wish("polish"), INFO, "does not know the verb 'polish'; its verbs are rename, docstring"),
        ("x = 1", Wish("rename"), FOLLOWS, "does not know the verb 'rename'; it has no verbs"),
        ("x = 1", Wish(instruction="shorter"), INFO, "follows no free instructions; its verbs are rename, docstring"),
        ("x = 1", Wish(instruction="rename"), INFO, "follows no free instructions"),
        ("x = 1", Wish("rename", "shorter"), FOLLOWS, "exclude each other"),
        ("x = 1", Wish(instruction=" \n"), FOLLOWS, "the instruction is empty"),
        ("x = 1", Wish(instruction="x" * 10_000), FOLLOWS, "has 10000 characters and may have 2000; shorten it"),
        ("x = 1", Wish(strength=0.0), INFO, "a strength of 0 is not possible"),
        ("x = 1", Wish(strength=1.5), INFO, "a strength of 1.5 is not possible"),
    ],
)
def test_what_cannot_be_rewritten_is_said_in_a_sentence(text: str, wish: Wish, info: ModelInfo, message: str) -> None:
    with pytest.raises(FillError, match=re.escape(message)):
        plan(wish, text, Span(0, len(text)), info)


def test_a_region_inside_a_string_stays_inside_it() -> None:
    text = 'x = "one two three"\n'
    asked = plan(Wish(), text, Span(5, 12))
    fills: Any = [(0.9, 'one" two'), (0.5, "four five")]
    assert [one.fills[0].fill for one in rewritten(asked, answer(*fills)).candidates] == ["four five"]


def test_the_model_never_sees_holes_beside_the_region() -> None:
    text = "a = ???\nb = 1\n"
    asked = plan_rewriting(text, Span(8, 13), Wish(), language_id="python", path=None, info=INFO, marker="???")
    assert [part.text for part in asked.request.parts if isinstance(part, TextPart)] == ["a = \n", "\n"]
