"""Several places of a text filled in groups: what each request shows, and what becomes of the text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from midfill.lsp_server.text.filling import FillPlan, apply_fills, plan_fill
from midfill.lsp_server.text.holes import FillError, Span
from midfill.lsp_server.text.joint import FillSteps, fill_in_groups
from midfill.lsp_server.text.scopes import Scope, ScopeKind, Source, find_places
from midfill.model.wire.api import Candidate, ContextBudget, Fill, Infill, ModelInfo, TextPart, Usage

INFO = ModelInfo(
    name="a model",
    family="embedded",
    revision="1",
    licence="Apache-2.0",
    languages=("python",),
    capabilities=("infill", "joint"),
    max_holes=2,
    max_canvas_tokens=128,
    context=ContextBudget(2000, 1000, 0, 500),
    num_parameters=1,
    device="cpu",
    precision="float32",
)


def filled(text: str, fills: Sequence[str], kind: ScopeKind = "file") -> tuple[str, list[str], list[tuple[int, int]]]:
    """(the text with the fills that the model gives in document order, what each request showed, what was reported)"""
    left, shown, reported = list(fills), [], []

    def plan(so_far: str, group: Sequence[Span]) -> FillPlan:
        return plan_fill(so_far, group, language_id="python", path=None, info=INFO)

    async def ask(made: FillPlan) -> Infill:
        shown.append("".join(part.text if isinstance(part, TextPart) else "◊" for part in made.request.parts))
        given = tuple(Fill(hole.id, left.pop(0), 0.9) for hole in made.request.holes)
        return Infill((Candidate(given, 0.9),), "closed", Usage(forward_passes=3), "a model")

    places = find_places(Source(text, "python"), Scope(kind))
    steps = FillSteps(plan, ask, lambda done, total: reported.append((done, total)))
    joint = asyncio.run(fill_in_groups(text, places, INFO, steps))
    assert joint.usage.forward_passes == 3 * len(shown)
    return apply_fills(text, joint.holes), shown, reported


def test_a_later_group_sees_the_fills_of_the_earlier_ones() -> None:
    text, shown, reported = filled("a = <fill>\nb = <fill>\nc = <fill>\n", ["1", "22", "3"])
    assert text == "a = 1\nb = 22\nc = 3\n"
    assert shown == ["a = ◊\nb = ◊\nc = \n", "a = 1\nb = 22\nc = ◊\n"]
    assert reported == [(0, 3), (2, 3), (3, 3)]


def test_what_a_body_lacks_is_shown_to_the_model_and_put_into_the_text() -> None:
    source = "def f(x): ...\n\n\ndef g(x):\n    pass  # TODO: halve\n"
    text, shown, _ = filled(source, ["y = x\nreturn y", "return x / 2"])
    assert shown == ["def f(x):\n    ◊\n\n\ndef g(x):\n    # TODO: halve\n    ◊\n"]
    assert text == "def f(x):\n    y = x\n    return y\n\n\ndef g(x):\n    # TODO: halve\n    return x / 2\n"


def test_windows_line_ends_stay() -> None:
    text, shown, _ = filled("def f(x): ...\r\nx = 1\r\n", ["y = x\nreturn y"])
    assert shown == ["def f(x):\n    ◊\nx = 1\n"]
    assert text == "def f(x):\r\n    y = x\r\n    return y\r\nx = 1\r\n"


def test_a_body_stays_as_it_is_when_the_model_finds_nothing_for_it() -> None:
    text, _, _ = filled("def f(x):\n    pass\n\n\ndef g(x):\n    pass\n", ["", "return x"])
    assert text == "def f(x):\n    pass\n\n\ndef g(x):\n    return x\n"
    with pytest.raises(FillError, match="the model found nothing for the hole in line 2; nothing was changed"):
        filled("def f(x):\n    pass\n", [" "])


def test_a_marker_may_be_filled_with_nothing() -> None:
    text, _, _ = filled("f(<fill>)\nx = <fill>\n", ["", "1"])
    assert text == "f()\nx = 1\n"
