"""What a hole is likely to begin with: names that the text below waits for, headers where it stands deeper."""

from __future__ import annotations

import pytest

from midfill.model.families.embedded.beginnings import HEADERS, MAX_BEGINNINGS, likely_beginnings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(n):\n    ‸\n    return total\n", ["total"]),
        (
            "def f(n):\n    ‸\n    while n:\n        rev = rev * 10 + n % 10\n    return rev\n",
            ["rev"],
        ),  # used, then set
        ("def f(n):\n    ‸\n    rest = n\n    return rest\n", []),  # defined below before it is used
        ("def f(n):\n    total = 0\n    ‸\n    return total\n", []),  # defined above
        ("def f(n):\n    ‸\n    count += 1\n", ["count"]),
        ("def f(n):\n    ‸\n    for i in n:\n        print(i, len(n))\n", []),  # a loop's own name; builtins
        ("def f(n):\n    ‸\n    n.append(other.rest)\n", ["other"]),  # attributes are nobody's to define
        ('def f(n):\n    ‸\n    return n["key word"]\n', []),  # nor what stands in strings
        ("def f(n):\n    ‸\n    return helper(n)\n", []),  # functions stand elsewhere
        ("def f(n):\n    ‸\n    return self.x is None\n", []),
        ("function f(a) {\n  ‸\n  return items.map(x => x);\n}\n", ["items"]),
        ("def f(n):\n    x = ‸\n    return total\n", []),  # not on a line of its own
        ("def f(n):\n    ‸ + 1\n    return total\n", []),
        ("def f(n):\n    ‸\n        return n\n    return 0\n", list(HEADERS)),  # the next line stands deeper
        ("def f(n):\n‸\n    return n\n", []),  # no indentation is given: nothing stands deeper than the header's body
        ("‸", []),
        ("x = 1\n‸\n", []),
    ],
)
def test_beginnings(text: str, expected: list[str]) -> None:
    before, _, after = text.partition("‸")
    assert likely_beginnings(before, after) == expected


def test_there_are_never_many() -> None:
    after = "\n    return " + " + ".join(f"name{number}" for number in range(50))
    assert len(likely_beginnings("def f():\n    ", after)) <= MAX_BEGINNINGS


@pytest.mark.parametrize("pump", ["'", '"', "a", " ", "a.", "\\", "=", "é"])
def test_the_search_takes_time_linear_in_the_text(pump: str) -> None:
    """A quadratic search would take minutes here."""
    likely_beginnings("    ", "\n    " + pump * 400_000)
