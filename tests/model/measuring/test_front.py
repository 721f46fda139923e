"""The real front beside a model, in a process of its own: what it would ask, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from midfill.model.measuring import front as fronts
from midfill.model.measuring.front import Choice, Front, FrontRefusedError, ServedAs, Shown, Source, Verdict
from midfill.model.wire.api import (
    Candidate,
    ContextBudget,
    Fill,
    HolePart,
    Infill,
    InfillRequest,
    ModelInfo,
    TextPart,
    Usage,
)

INFO = ModelInfo(
    name="scripted",
    family="scripted",
    revision="0",
    licence="",
    languages=("python",),
    capabilities=("infill",),
    max_holes=2,
    max_canvas_tokens=127,
    context=ContextBudget(1200, 600, 2400, 700),
    num_parameters=0,
    device="cpu",
    precision="float32",
    show_threshold=0.5,
)
CODE = "def f(a, b):\n    total = ⟨⟩\n    return total\n"


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with Front(INFO) as started:
        yield started


def infill_of(*fills: str) -> Infill:
    candidates = [Candidate((Fill("1", fill, 0.9 - i / 10),), 0.9 - i / 10) for i, fill in enumerate(fills)]
    return Infill(tuple(candidates), "closed", Usage(), "scripted")


def marked(code: str) -> tuple[str, list[int]]:
    """The text without its marks, and where they were."""
    pieces = code.split("⟨⟩")
    return "".join(pieces), [len("".join(pieces[:end])) for end in range(1, len(pieces))]


@pytest.mark.parametrize(
    ("fills", "first_parses", "fill", "parses"),
    [
        (["a + b"], True, "a + b", True),
        (["a +", "b"], False, "b", True),  # the first of the candidates that parses
        (["a + (b"], False, "a + (b)", True),  # what is left of one that does not
        (["]", "+"], False, "]", False),
        ([""], False, "", False),  # nothing is shown, and the hole alone does not parse
    ],
)
def test_verdict(front: Front, fills: list[str], first_parses: bool, fill: str, parses: bool) -> None:
    text, places = marked(CODE)
    front.plan(Source(text), places)
    assert front.verdict(fills[0], infill_of(*fills)) == Verdict(first_parses, fill, parses)


def test_holes_are_planned_and_the_best_candidate_is_chosen(front: Front) -> None:
    text, places = marked("def f(a, b):\n    total = ⟨⟩  # <fill>\n    return ⟨⟩\n")
    request = front.plan(Source(text), places, candidates=3, max_tokens=20)
    texts = [part.text for part in request.parts if isinstance(part, TextPart)]
    assert texts == ["def f(a, b):\n    total = ", "  # <fill>\n    return ", "\n"], "a marker is text like any other"
    assert [part.hole.max_tokens for part in request.parts if isinstance(part, HolePart)] == [20, 20]
    assert (request.candidates, request.priority) == (3, "edit")
    both = Candidate((Fill("1", "a + b", 0.8), Fill("2", "total", 0.8)), 0.8)
    broken = Candidate((Fill("1", "a +", 0.9), Fill("2", ")", 0.9)), 0.9)
    assert front.choose(Infill((broken, both), "closed", Usage(), "")) == Choice(("a + b", "total"), True)
    only_first = Candidate((Fill("1", "a", 0.8),), 0.8)
    assert front.choose(Infill((only_first,), "deadline", Usage(), "")).fills == ("a", "")
    assert front.choose(Infill((), "closed", Usage(), "")) == Choice(("", ""), False)


def test_what_the_front_refuses_is_an_error_and_it_goes_on(front: Front) -> None:
    text, places = marked("a = ⟨⟩\nb = ⟨⟩\nc = ⟨⟩\n")
    with pytest.raises(FrontRefusedError, match="3 holes are too many for scripted"):
        front.plan(Source(text), places)
    assert front.groups(text, places) == [places[:2], places[2:]]


LINE = "def f(a, b):\n    total = a\n    ⟨⟩\n    return total\n"
EMPTY = "def f(a, b):\n    ⟨⟩\n"


@pytest.mark.parametrize(
    ("code", "served_as", "asked"),
    [
        (CODE, ServedAs.FILL, (31, True, 4, "edit")),  # beside other code
        (CODE, ServedAs.GHOST_TEXT, (31, True, 4, "inline")),
        (LINE, ServedAs.FILL, (63, False, 4, "edit")),  # alone on its line: it may be a block
        (LINE, ServedAs.GHOST_TEXT, (31, True, 4, "inline")),  # in a body that is not empty
        (EMPTY, ServedAs.GHOST_TEXT, (63, False, 4, "inline")),
    ],
)
def test_the_front_chooses_length_lines_and_candidates(
    front: Front, code: str, served_as: ServedAs, asked: tuple[int, bool, int, str]
) -> None:
    text, places = marked(code)
    request = front.plan(Source(text), places, served_as)
    (hole,) = request.holes
    assert (hole.max_tokens, hole.single_line, request.candidates, request.priority) == asked


def test_the_language_of_the_file_decides(front: Front) -> None:
    text, places = marked("function f() {\n  ⟨⟩\n}\n")
    script = Source(text, "javascript", "src/f.js")
    request = front.plan(script, places)
    assert (request.language, request.path) == ("javascript", "src/f.js")
    assert front.verdict("return {", infill_of("return {", "return 1;")) == Verdict(False, "return 1;", True)
    assert front.plan(Source(text, "", "f.ts"), places).language == "typescript"
    assert front.shown(script, places[0], lambda request: infill_of("return 1;"), jumped=True) is None, (
        "not trained for"
    )
    with Front(replace(INFO, languages=("javascript",))) as other:
        found = other.shown(script, places[0], lambda request: infill_of("return 1;"), jumped=True)
        assert found == Shown("return 1;", 0.9, 0.9)


def test_a_region_is_rewritten_as_the_front_does_it() -> None:
    text = "def f(a):\n    return a != b\n"
    with Front(replace(INFO, capabilities=("infill", "draft"))) as front:
        rewriting = front.plan_rewrite(Source(text), 20, len(text), strength=0.3)
        assert (rewriting.start, rewriting.end) == (21, len(text) - 1), "without the white space at its ends"
        (hole,) = rewriting.request.holes
        assert (hole.draft, hole.strength, rewriting.request.candidates) == ("a != b", 0.3, 4)
        found = front.versions(infill_of("a == b", "a != b", "a ==", "a < b"))
        assert found == ["a == b", "a < b"], "what parses and differs"
        assert rewriting.applied(found[0]) == "def f(a):\n    return a == b\n"
        with pytest.raises(FrontRefusedError, match="the region is empty"):
            front.plan_rewrite(Source(text), 9, 10)


def test_the_best_of_what_may_be_shown_must_reach_the_threshold(front: Front) -> None:
    text, (place,) = marked(CODE)

    def shown(threshold: float | None, *fills: str) -> Shown | None:
        return front.shown(Source(text), place, lambda request: infill_of(*fills), jumped=True, threshold=threshold)

    assert shown(None, "a", "b") == Shown("a", 0.9, 0.9)
    assert shown(0.95, "a", "b") == Shown()
    assert shown(0.8, ")", "b") == Shown("b", 0.8, 0.8), "the first does not parse"
    assert shown(0.85, ")", "b") == Shown()


@pytest.mark.parametrize(
    ("code", "fill", "shown"),
    [
        (CODE, "a + b", "a + b"),
        (CODE, "a + b\n    total += 1", "a + b"),  # cut to its line
        (CODE, "   ", ""),
        (CODE, ") =", ""),  # does not parse
        ("x = 1  # one ⟨⟩\n", "and only", None),  # not asked for in a comment
    ],
)
def test_what_is_shown_unasked(front: Front, code: str, fill: str, shown: str | None) -> None:
    text, (place,) = marked(code)
    asked: list[InfillRequest] = []

    def ask(request: InfillRequest) -> Infill:
        asked.append(request)
        return infill_of(fill)

    given = front.shown(Source(text), place, ask, jumped=True)
    assert (given.fill if given else None) == shown
    assert [(request.priority, request.candidates) for request in asked] == [("inline", 2)] * (shown is not None)


def test_the_window_stands_still_unless_the_cursor_jumped(front: Front) -> None:
    text = "value = 1\n" * 300
    starts: list[str] = []

    def ask(request: InfillRequest) -> Infill:
        assert isinstance(request.parts[0], TextPart)
        starts.append(request.parts[0].text)
        return infill_of("2")

    for place, jumped in ((2000, True), (2100, False), (2100, True)):
        front.shown(Source(text), place, ask, jumped=jumped)
    assert len(starts[1]) == len(starts[0]) + 100
    assert len(starts[2]) < len(starts[1])


def test_a_front_that_cannot_answer_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="ended at the question 'choose'"), Front(INFO) as other:
        other.choose(infill_of("x"))
    assert "there is no plan that an answer could belong to" in capfd.readouterr().err


def test_a_front_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fronts, "REHEARSAL", "midfill.lsp_server.missing")
    with pytest.raises(RuntimeError, match="Reinstall midfill"), Front(INFO) as other:
        other.groups("", [])
    assert "midfill.lsp_server.missing" in capfd.readouterr().err
