"""What reads a model's answer or a person's text takes time linear in it: no answer and no line hangs the server."""

from __future__ import annotations

import collections
import importlib
import pkgutil
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

import midfill.lsp_server as front
from midfill.lsp_server.text.blocks import opens_empty_body
from midfill.lsp_server.text.brackets import closing_brackets, has_open_quote, marks
from midfill.lsp_server.text.filling import MAX_FILL_CHARS, choose, plan_fill
from midfill.lsp_server.text.finishing.finish import finish_fill
from midfill.lsp_server.text.finishing.known_words import makes_unknown_word, word_before
from midfill.lsp_server.text.finishing.repeats import repeats_neighbour
from midfill.lsp_server.text.finishing.salvage import salvaged
from midfill.lsp_server.text.holes import FillError, Span
from midfill.lsp_server.text.recall import recalled
from midfill.lsp_server.text.rewriting import Wish, plan_rewriting, rewritten
from midfill.lsp_server.text.syntax import cursor_place, parses_in_place
from midfill.lsp_server.text.verbs import VERBS, may_apply
from midfill.lsp_server.workspace.gitignore import read_rule
from midfill.model.wire.api import Candidate, ContextBudget, Fill, Infill, ModelInfo, Usage

PUMPED = 30_000
LIMIT_S = 2.0
"""A linear search of `PUMPED` characters takes milliseconds, a quadratic one many seconds."""
PIECES = (
    *(" ", "\t", "\n", "\\", '"', "'", "`", "#", ":", "a", "(", "{", "[", ")", ".", ",", '\\"', "\\'", '"""\\'),
    *("a ", "a.", "a(", "a:", ": ", " :", "if :", "for :", "def a(", "def :", "function(", "function ", "function."),
    *("a =", " #", "\r", "\n ", "'\\", "'^\\\\", "# \r", "import a,", "from a ", "a\n\n", "[[:a:", "*a", "return "),
)
SHELLS = (("", ""), ("def f(x = ", "!"))


@contextmanager
def in_time(what: str) -> Iterator[None]:
    """Fails when the block takes longer than `LIMIT_S`; a search in `re` that runs wild is interrupted."""

    def give_up(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    except TimeoutError:
        pytest.fail(f"{what} took longer than {LIMIT_S} s", pytrace=False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


READING = (
    *("serving.fim", "families.embedded.memory", "families.embedded.passages", "measuring.baselines"),
    *("evaluation.make_holes", "evaluation.typed_windows"),
)
"""Modules of the model side that read what people write."""


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every pattern that a module of the front, or one of READING, holds by a name."""
    modules = [one.name for one in pkgutil.walk_packages(front.__path__, f"{front.__name__}.") if not one.ispkg]
    modules = [one for one in modules if ".terminal." not in one]
    modules += [f"midfill.model.{name}" for name in READING]
    for module in modules:
        if module.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{module.rpartition('.')[2]}.{name}", value


SHORT = {"signatures._TOKEN": 4000, "blocks._ENDS": 400}
"""Patterns that are given no longer text than this."""
ONLY_AT_START = (
    *("blocks._PYTHON_OPENER", "blocks._LUA_OPENER", "blocks._COMMENT_LINE", "overlap._OPENS_A_DEFINITION"),
    *("indentation._DEFINITION", "indentation._LAST_STATEMENT", "fim._TEMPLATE", "make_holes._NO_HOLE"),
)
"""Patterns that are tried at the start of a text and nowhere else."""


@pytest.mark.parametrize(("name", "pattern"), [pytest.param(*one, id=one[0]) for one in patterns()])
def test_no_pattern_backtracks(name: str, pattern: re.Pattern[str]) -> None:
    for piece in PIECES:
        for begin, end in SHELLS:
            text = (begin + piece * (PUMPED // len(piece)) + end)[: SHORT.get(name)]
            with in_time(f"{name} on {begin!r} + {piece!r} * n + {end!r}"):
                if name in ONLY_AT_START:
                    pattern.match(text)
                else:
                    collections.deque(pattern.finditer(text), maxlen=0)


INFO = ModelInfo(
    name="a model",
    family="embedded",
    revision="1",
    licence="Apache-2.0",
    languages=("python",),
    capabilities=("infill",),
    max_holes=4,
    max_canvas_tokens=128,
    context=ContextBudget(2000, 1000, 1000, 500),
    num_parameters=1,
    device="cpu",
    precision="float32",
)


def rewritten_as(fill: str) -> None:
    region, info = f"{'a' * 300}\n", replace(INFO, capabilities=("infill", "draft"))
    plan = plan_rewriting(region, Span(0, 300), Wish(), language_id="cobol", path=None, info=info)
    with suppress(FillError):
        rewritten(plan, Infill((Candidate((Fill("1", fill, 0.9),), 0.9),), "closed", Usage(), ""))


STARS = read_rule("*a*a*a*a*a*a*a*a*a*b")
assert STARS is not None
READERS: dict[str, Callable[[str], object]] = {
    "marks": lambda text: list(marks(text)),
    "closing_brackets": closing_brackets,
    "has_open_quote": has_open_quote,
    "word_before": word_before,
    "makes_unknown_word": lambda text: makes_unknown_word(text, text, text),
    "repeats_neighbour": lambda text: repeats_neighbour(text, text[:MAX_FILL_CHARS], text),
    "finish_fill between it": lambda text: finish_fill("x)", text[:4000], text),
    "finish_fill of it": lambda text: finish_fill(text[:MAX_FILL_CHARS], "f(", ")\n"),
    "salvaged": lambda text: list(salvaged(text[:4000])),
    "rewritten": lambda text: rewritten_as(text[:MAX_FILL_CHARS]),
    "recalled": lambda text: recalled("a = 1\n" + text, "\n" + text),
    "opens_empty_body": lambda text: opens_empty_body(text, len(text), "python"),
    "opens_empty_body of lua": lambda text: opens_empty_body(text, len(text), "lua"),
    "read_rule": lambda text: read_rule(text[:1000]),
    "a rule for it": lambda text: STARS.matches(text[:255].replace("\n", " "), is_folder=False),
    "menu of verbs": lambda text: [may_apply(verb, text) for verb in VERBS],
}


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_takes_long(reader: str) -> None:
    for piece in PIECES:
        for begin, end in SHELLS:
            text = begin + piece * (PUMPED // len(piece)) + end
            with in_time(f"{reader} on {begin!r} + {piece!r} * n + {end!r}"):
                READERS[reader](text)


@pytest.mark.parametrize("fill", ['r"^' + "\\" * 60, "'r\"^'" + "\\" * 60, "'" + "\\'" * 200 + "\\", '"' * 301])
def test_an_answer_with_a_quote_that_does_not_close(fill: str) -> None:
    """The smallest answer that once hung the server: `'r"^'` and backslashes."""
    plan = plan_fill("def f():\n    x = \n", [Span(17, 17)], language_id="python", path=None, info=INFO)
    with in_time(repr(fill)):
        choose(plan, Infill((Candidate((Fill("1", fill, 0.9),), 0.9),), "closed", Usage(), ""))


def test_blanks_behind_an_assignment() -> None:
    text = "x =" + " " * 40_000
    with in_time("the place of a cursor"):
        assert cursor_place(text, len(text), "python").shape == "line"
    with in_time("a verdict"):
        assert parses_in_place(text, len(text), len(text), "1", "python") is True


def test_an_answer_that_is_far_too_long_is_left_out() -> None:
    plan = plan_fill("x = \n", [Span(4, 4)], language_id="python", path=None, info=INFO)
    answers = [Candidate((Fill("1", text, 0.9),), 0.9) for text in ("1 + " * MAX_FILL_CHARS + "1", "2")]
    (only,) = choose(plan, Infill(tuple(answers), "closed", Usage(), ""))
    assert only.fills[0].fill == "2"
