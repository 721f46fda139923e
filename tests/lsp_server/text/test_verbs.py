"""Which verbs a menu offers for a piece of code, and which part of a selection a verb is about."""

from __future__ import annotations

import pytest

from midfill.lsp_server.text.holes import Span
from midfill.lsp_server.text.verbs import VERBS, may_apply, region_for, title_of
from midfill.model.families.embedded.tokenizer import VERBS as LEARNT

BARE = "def f(a, b=1):\n    return a\n"
HINTED = 'def f(a: int) -> int:\n    """Return a."""\n    return a\n'
LOOP = "found = []\nfor x in xs:\n    if x:\n        found.append(x)\n"
HEADER = "async def g(\n        self,\n    ):"
NESTED = f"class A:\n    def f(self, a):\n        return a\n\n    {HEADER}\n        return 1\n"


@pytest.mark.parametrize(
    ("code", "verbs"),
    [
        (BARE, {"type_hints", "docstring", "rename"}),
        (HINTED, {"rename"}),
        (LOOP, {"comprehension", "rename", "guard_clause"}),
        ("x = 'a %s' % b", {"f_string", "rename"}),
        ("print('{}'.format(a))", {"f_string"}),
        ("f = open(p)\nf.close()", {"with", "rename"}),
        ("if a:\n    return 1\nelse:\n    return 2", {"guard_clause", "early_return"}),
        ("", set()),
    ],
)
def test_a_menu_has_the_verbs_that_could_change_the_code(code: str, verbs: set[str]) -> None:
    assert {verb for verb in VERBS if may_apply(verb, code)} == verbs


def test_every_verb_that_a_model_can_learn_has_a_title() -> None:
    assert set(VERBS) == set(LEARNT)
    assert title_of("sort_imports") == "Sort imports"
    assert may_apply("sort_imports", "")


@pytest.mark.parametrize(
    ("verb", "selected", "region"),
    [
        (None, "    def f(self, a):\n        return a\n", "    def f(self, a):\n        return a\n"),
        (None, "", "class A:"),  # a cursor means its line
        ("rename", "return a", "return a"),
        ("docstring", "    def f(self, a):\n        return a\n", "def f(self, a):"),
        ("type_hints", f"    {HEADER}\n        return 1\n", HEADER),
        ("type_hints", "return 1", HEADER),  # the function around it
    ],
)
def test_what_of_a_selection_is_written_again(verb: str | None, selected: str, region: str) -> None:
    start = NESTED.index(selected)
    span = region_for(NESTED, Span(start, start + len(selected)), verb, "python")
    assert NESTED[span.start : span.end] == region


def test_a_language_without_a_grammar_has_no_headers() -> None:
    assert region_for(BARE, Span(0, 5), "docstring", None) == Span(0, 5)
