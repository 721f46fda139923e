"""What a text itself says comes next; marked texts, ^ is the cursor."""

from __future__ import annotations

import pytest

from midfill.lsp_server.text.recall import recalled

TWICE = "let total = compute(first, second);\n"


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        (TWICE * 2 + "let total = com^\n", "pute(first, second);"),
        (TWICE + "let total = com^\n" + TWICE, "pute(first, second);"),
        ("let total = com^\n" + TWICE * 2, "pute(first, second);"),
        (TWICE + "let total = com^\n", ""),
        (TWICE * 2 + "let total = ^\nlet total = other();\n", ""),
        ("a = first_name\nx.y(TOTAL, ^\n" + "a = first_name\nx.y(TOTAL, one)\n" * 2 + "b\nx.y(TOTAL, two)\n", "one)"),
        (TWICE * 2 + "  let  total=com^\n", "pute(first, second);"),
        ("start_of(it);\n    go_on(x);\n" * 2 + "start_of(it);\n    ^\n", "go_on(x);"),
        ("start_of(it);\n  go_on(x);\n" * 2 + "start_of(it);\n\tgo^\n", "_on(x);"),
        ("if a {\n}\n" * 9 + "if a ^\n", ""),
        (TWICE * 2 + "sublet total = com^\n", ""),
        ("return the_value;\n" * 3 + "return the_value^\n", ""),
        ("return the_value\n" * 3 + "return the_value^\n", ""),
        ("^", ""),
        ("x^", ""),
        (" ^", ""),
    ],
)
def test_what_is_recalled(marked: str, expected: str) -> None:
    before, after = marked.split("^")
    assert recalled(before, after) == expected


def test_other_texts_count() -> None:
    assert recalled("let total = com", "", [TWICE]) == ""
    assert recalled("let total = com", "", [TWICE, TWICE]) == "pute(first, second);"
