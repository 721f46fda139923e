"""From a file to a request and from an answer to edits, as the server and the terminal share it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from midfill.lsp_server.text.filling import FillPlan, apply_fills, choose, plan_fill
from midfill.lsp_server.text.finishing.salvage import salvaged
from midfill.lsp_server.text.holes import FillError, Span, find_markers
from midfill.model.wire.api import (
    Candidate,
    ConfidenceSpan,
    ContextBudget,
    Fill,
    Infill,
    ModelInfo,
    Snippet,
    TextPart,
    Usage,
)

INFO = ModelInfo(
    name="a model",
    family="embedded",
    revision="1",
    licence="Apache-2.0",
    languages=("python",),
    capabilities=("infill", "joint", "draft"),
    max_holes=4,
    max_canvas_tokens=128,
    context=ContextBudget(2000, 1000, 0, 500),
    num_parameters=1,
    device="cpu",
    precision="float32",
)


def plan(text: str, **options: Any) -> FillPlan:
    spans = options.pop("spans", None) or find_markers(text)
    return plan_fill(text, spans, **{"language_id": "python", "path": "a.py", "info": INFO, **options})


def answer(*candidates: tuple[float, list[str]]) -> Infill:
    """Candidates as (confidence, a fill for each hole)."""
    made = tuple(
        Candidate(tuple(Fill(str(number), text, confidence) for number, text in enumerate(fills, 1)), confidence)
        for confidence, fills in candidates
    )
    return Infill(made, "closed", Usage(), "a model")


def filled(text: str, infill: Infill, **options: Any) -> list[str]:
    made = plan(text, **options)
    return [apply_fills(text, candidate.fills) for candidate in choose(made, infill)]


def model_text(made: FillPlan) -> str:
    return "".join(part.text if isinstance(part, TextPart) else f"⟦{part.hole.id}⟧" for part in made.request.parts)


def test_all_markers_of_a_file_become_one_request() -> None:
    made = plan("def f(<fill>):\n    <fill>\n")
    assert model_text(made) == "def f(⟦1⟧):\n    ⟦2⟧\n"
    assert made.request.language == "python"
    assert made.request.priority == "edit"


def test_the_model_never_sees_the_markers_of_other_holes() -> None:
    text = "a = <fill>\nb = <fill>\n"
    assert model_text(plan(text, spans=find_markers(text)[:1])) == "a = ⟦1⟧\nb = \n"


@pytest.mark.parametrize("eol", ["\r\n", "\r"])
def test_the_model_sees_newlines_and_the_file_keeps_its_own_line_ends(eol: str) -> None:
    text = f"def f():{eol}    <fill>{eol}x = 1{eol}"
    assert model_text(plan(text)) == "def f():\n    ⟦1⟧\nx = 1\n"
    expected = f"def f():{eol}    a = 1{eol}    return a{eol}x = 1{eol}"
    assert filled(text, answer((0.9, ["a = 1\n    return a\n"]))) == [expected]


def test_what_parses_comes_first_then_what_the_model_ranks_first() -> None:
    text = "x = <fill>\n"
    infill = answer((0.9, [")"]), (0.8, ["(1"]), (0.3, ["2"]), (0.5, ["3"]))
    assert filled(text, infill) == ["x = 2\n", "x = 3\n", "x = (1)\n", "x = )\n"]
    chosen = choose(plan(text), infill)
    assert [(one.parses, one.is_whole) for one in chosen] == [(True, True), (True, True), (True, False), (False, True)]


def test_a_fill_is_cut_to_its_first_lines_when_only_they_parse() -> None:
    text = "def f():\n    <fill>\n"
    infill = answer((0.9, ["x = 1\n    return x\n\ndef g(a,"]))
    (best,) = choose(plan(text), infill)
    assert apply_fills(text, best.fills) == "def f():\n    x = 1\n    return x\n"
    assert best.parses is True


@pytest.mark.parametrize(
    ("text", "fill", "kept"),
    [
        ("x = <fill>\n", "f(a, b", "f(a, b)"),
        ("x = <fill>\n", "value = = 'a", "value"),
        ("x = f(<fill>)\n", "a, b, def", "a, b"),
        ("def f():\n    <fill>\n    return 1\n", "x = [1, (2\n    y = = 3", "x = [1, (2)]"),
        ("if <fill>:\n    pass\n", "a and not", "a"),
        ("x = <fill>\n", ") + (", ") + ("),
    ],
)
def test_what_parses_is_kept(text: str, fill: str, kept: str) -> None:
    (best,) = choose(plan(text), answer((0.9, [fill])))
    assert best.fills[0].fill == kept
    assert best.confidence == pytest.approx(0.9 * min(1, len(kept) / len(fill)))
    assert all(span.end <= len(kept) for span in best.fills[0].spans)


@pytest.mark.parametrize(
    ("max_cuts", "expected"),
    [
        (0, []),
        (1, ["f(a, b c)"]),
        (2, ["f(a, b c)", "f(a, b", "f(a, b)"]),
        (9, ["f(a, b c)", "f(a, b", "f(a, b)", "f(a", "f(a)", "f(", "f()", "f"]),
    ],
)
def test_the_longest_parts_of_a_fill_come_first(max_cuts: int, expected: list[str]) -> None:
    assert list(salvaged("f(a, b c", max_cuts)) == expected


def test_a_fill_that_the_model_did_not_end_comes_after_one_that_it_did() -> None:
    endless, ended = answer((0.9, ["a" * 40])), answer((0.2, ["b"]))
    running = replace(endless.candidates[0].fills[0], closed=False)
    infill = replace(ended, candidates=(replace(endless.candidates[0], fills=(running,)), *ended.candidates))
    assert filled("x = <fill>\n", infill) == ["x = b\n", f"x = {'a' * 40}\n"]


def test_a_hole_is_not_cut_for_the_fault_of_another() -> None:
    (best,) = choose(plan("def f():\n    a = <fill>\n    b = <fill>\n"), answer((0.9, ["g(1)", "h(2"])))
    assert [hole.fill for hole in best.fills] == ["g(1)", "h(2)"]
    assert best.parses is True


def test_no_grammar_no_verdict() -> None:
    (best,) = choose(plan("x = <fill>", language_id="cobol", path=None), answer((0.9, ["(1"])))
    assert best.parses is None


def test_equal_fills_are_offered_once_with_the_higher_confidence() -> None:
    chosen = choose(plan("f(<fill>)\n"), answer((0.3, ["a"]), (0.8, ["a)"]), (0.5, ["b"])))
    assert [(one.fills[0].fill, one.confidence) for one in chosen] == [("a", 0.8), ("b", 0.5)]


def test_a_candidate_that_says_only_what_is_there_is_dropped() -> None:
    assert filled("def f(a):\n    <fill>\n    return a\n", answer((0.9, ["return a"]))) == []


def test_holes_filled_jointly_fit_each_other() -> None:
    text = "def f(<fill>):\n    <fill>\n    return <fill>\n"
    infill = answer((0.9, ["a, b):", "    c = a + b\n", "c\n"]))
    assert filled(text, infill) == ["def f(a, b):\n    c = a + b\n    return c\n"]


def test_one_wrong_fill_of_several_is_a_wrong_candidate() -> None:
    text = "x = <fill>\n\n\ny = <fill>\n"
    chosen = choose(plan(text), answer((0.9, ["1", ")"]), (0.1, ["1", "2"])))
    assert [(one.parses, one.confidence) for one in chosen] == [(True, 0.1), (False, 0.9)]


def test_at_a_deadline_the_holes_that_closed_are_filled() -> None:
    text = "x = <fill>\ny = <fill>\n"
    infill = Infill((Candidate((Fill("2", "2", 0.5),), 0.5, "deadline"),), "deadline", Usage(), "a model")
    (only,) = choose(plan(text), infill)
    assert apply_fills(text, only.fills) == "x = <fill>\ny = 2\n"
    assert only.parses is True


def test_no_answer_is_no_candidate() -> None:
    assert choose(plan("x = <fill>"), Infill((), "deadline", Usage(), "a model")) == ()


def test_confidences_point_into_the_finished_fill() -> None:
    made = plan("def f():\n    <fill>\n")
    fill = Fill("1", "x = 1\nreturn x", 0.5, (ConfidenceSpan(6, 14, 0.2),))
    (only,) = choose(made, Infill((Candidate((fill,), 0.5),), "closed", Usage(), "a model"))
    (span,) = only.fills[0].spans
    assert only.fills[0].fill[span.start : span.end] == "return x"


@pytest.mark.parametrize(
    ("text", "options", "max_tokens"),
    [
        ("x = |\n", {"inline": True}, 31),
        ("def f():\n    |\n", {"inline": True}, 63),
        ("x = |\n", {}, 31),
        ("x = |\n", {"max_tokens": 100}, 100),
        ("x = |\n", {"info": replace(INFO, max_canvas_tokens=16)}, 16),
    ],
)
def test_how_long_a_hole_may_become(text: str, options: dict[str, Any], max_tokens: int) -> None:
    offset = text.index("|")
    made = plan(text.replace("|", ""), spans=(Span(offset, offset),), **options)
    assert [hole.max_tokens for hole in made.request.holes] == [max_tokens]


def test_a_line_at_a_cursor_stays_a_line_and_a_block_a_block() -> None:
    line = plan("x = \n", spans=(Span(4, 4),), inline=True, priority="inline")
    assert [one.fills[0].fill for one in choose(line, answer((0.9, ["1\ny = 2"])))] == ["1"]
    assert line.request.priority == "inline"
    block = plan("def f():\n    \n", spans=(Span(13, 13),), inline=True)
    assert [one.fills[0].fill for one in choose(block, answer((0.9, ["a = 1\n    b = 2"])))] == ["a = 1\n    b = 2"]


def test_typing_hands_the_anchor_on() -> None:
    text = "".join(f"line_{number} = {number}\n" for number in range(1000))
    first = plan(text, spans=(Span(9000, 9000),))
    second = plan(text[:9000] + "ab\n" + text[9000:], spans=(Span(9003, 9003),), anchor=first.anchor)
    assert second.window.start == first.window.start > 0


def test_a_large_file_is_an_excerpt_and_no_refusal() -> None:
    text = "value = compute(alpha)\n" * 220_000
    text = text[:2_500_009] + "<fill>" + text[2_500_009:]
    made = plan(text)
    assert len(model_text(made)) <= 3000 + len("⟦1⟧")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x = 1", {}, "there is nothing to fill; put <fill> where code is missing"),
        ("<fill> " * 5, {}, "5 holes are too many for a model, which fills 4 at once"),
        ("<fill>", {"max_tokens": 129}, "a hole of 129 tokens is outside what a model fills at once; ask for 1 to 128"),
        ("<fill>", {"max_tokens": 0}, "a hole of 0 tokens"),
        ("<fill>", {"candidates": 17}, "17 candidates are not possible; ask for 1 to 16"),
        ("<fill>", {"instruction": "add types"}, "a model follows no instructions"),
        ("abc", {"spans": (Span(0, 4),)}, "the hole ends at 4, outside the text, which has 3 characters"),
        ("abc", {"spans": (Span(0, 2), Span(1, 3))}, "the holes at 0 and 1 overlap"),
        ("abc", {"spans": (Span(1, 1), Span(1, 1))}, "the holes at 1 and 1 overlap"),
        ("<fill>" + "x\n" * 2000 + "<fill>", {}, "holes 1 and 2 are 4000 characters apart"),
    ],
)
def test_what_cannot_be_filled_is_said_in_a_sentence(text: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FillError, match=re.escape(message)):
        plan(text, **options)


def test_applying_leaves_the_rest_alone() -> None:
    made = plan("a <fill> b <fill> c", language_id="", path=None)
    (best,) = choose(made, answer((0.9, ["X", "Y"])))
    assert apply_fills("a <fill> b <fill> c", best.fills) == "a X b Y c"
    assert apply_fills("same", ()) == "same"


def test_what_repeats_a_line_comes_after_what_does_not_and_before_what_does_not_parse() -> None:
    infill = answer((0.9, [")"]), (0.8, ["a = read()"]), (0.3, ["b = read()"]))
    chosen = choose(plan("a = read()\n<fill>\n"), infill)
    assert [one.fills[0].fill for one in chosen] == ["b = read()", "a = read()", ")"]
    assert [one.repeats for one in chosen] == [False, True, False]


def test_a_repeat_is_seen_in_any_hole_and_beside_the_fills_before_it() -> None:
    (best,) = choose(plan("<fill>\n<fill>\n"), answer((0.9, ["a = read()", "a = read()"])))
    assert best.repeats


@pytest.mark.parametrize(
    ("open_texts", "unknown"), [((), True), (("rows = read(views)",), False), (("viewstate",), True)]
)
def test_words_of_other_open_files_are_known(open_texts: tuple[str, ...], unknown: bool) -> None:
    made = plan("def show(view):\n    return view", spans=[Span(31, 31)])
    (best,) = choose(made, answer((0.9, ["s"])), open_texts)
    assert best.makes_unknown_word is unknown


def test_an_answer_with_half_a_character_is_no_candidate_whichever_hole_it_is_in() -> None:
    assert choose(plan("x = <fill>\ny = <fill>\n"), answer((0.9, ["1", "'ж\ufffd'"]))) == ()


def test_holes_of_other_files_are_neither_context_nor_answers() -> None:
    info = replace(INFO, context=ContextBudget(2000, 1000, 500, 500))
    made = plan(
        "x = <fill>\n",
        info=info,
        context=[Snippet("b.py", "def g():\n    return <fill>\n"), Snippet("c.py", "y = 1\n")],
    )
    assert [snippet.text for snippet in made.request.context] == ["def g():\n    return \n", "y = 1\n"]
    assert filled("x = <fill>\n", answer((0.9, ["<fill>"]), (0.8, ["f(<fill>)"]), (0.3, ["2"]))) == ["x = 2\n"]
    marked = plan("x = ???\n", spans=[Span(4, 7)], marker="???", info=info, context=[Snippet("b.py", "z = ???\n")])
    assert [snippet.text for snippet in marked.request.context] == ["z = \n"]
    assert [one.fills[0].fill for one in choose(marked, answer((0.9, ["???"]), (0.5, ["'<fill>'"])))] == ["'<fill>'"]
