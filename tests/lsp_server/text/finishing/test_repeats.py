"""Which lines a fill says twice that may not stand twice: ⟦...⟧ holds the fill."""

from __future__ import annotations

import re

import pytest

from midfill.lsp_server.text.finishing.repeats import repeats_neighbour

REPEATS = {
    "the line above": "import sys\n⟦import sys⟧\n",
    "the line above, with a blank line between": "import sys\n\n⟦import sys⟧\n",
    "the line above, white space at the ends aside": "import sys  \n⟦import sys⟧ \n",
    "the line above, in parts": "    self.a = a\n    self.⟦a = ⟧a\n",
    "the line that the fill goes on from": "import sys⟦\nimport sys⟧\n",
    "the line below": "⟦x = read()⟧\nx = read()\n",
    "the line below, as the last of several": "⟦a = 1 + 1\nx = read()⟧\n\nx = read()\n",
    "the line below, which the fill pushes down": "⟦x = read()\n⟧x = read()\n",
    "two lines above": "low = 1\nhigh = 2\n⟦low = 1\nhigh = 2⟧\n",
    "itself": "def f():\n    ⟦go(1)\n    go(1)⟧\n",
    "a header, one level deeper": "while True:\n    ⟦while True:\n        go()⟧\n",
    "a statement between braces": "f() {\n  go(one);\n  ⟦go(one);⟧\n}\n",
    "a name between round brackets": "from m import (\n    name,\n    ⟦name,⟧\n)\n",
}
REPEATS_NOT = {
    "nothing above or below": "⟦import sys⟧",
    "another line": "import sys\n⟦import os⟧\n",
    "two lines above, the one between is other": "a = 1\nb = 2\n⟦a = 1⟧\n",
    "another depth": "if a:\n    go(1)\n⟦go(1)⟧\n",
    "a closing bracket": "  )\n  ⟦)⟧\n",
    "pass": "pass\n⟦pass⟧\n",
    "else": "else:\n⟦else:⟧\n",
    "break with its semicolon": "break;\n⟦break;⟧\n",
    "two letters": "i++;\n⟦i++;⟧\n",
    "a line of signs": "# ---\n⟦# ---⟧\n",
    "an element of a list": "x = [\n    Row(),\n    ⟦Row(),⟧\n]\n",
    "numbers between round brackets": "x = (\n    (100, 200),\n    ⟦(100, 200),⟧\n)\n",
    "strings between braces": 'x = {\n  {"abc", "def"},\n  ⟦{"abc", "def"},⟧\n}\n',
    "nothing": "import sys\n⟦⟧\n",
    "white space": "import sys\n⟦    ⟧\n",
    "the line above is far away": "import sys\n" + "# a comment\n" * 500 + "⟦import sys⟧\n",
}


@pytest.mark.parametrize(
    ("marked", "expected"),
    [*((one, True) for one in REPEATS.values()), *((one, False) for one in REPEATS_NOT.values())],
    ids=[*REPEATS, *REPEATS_NOT],
)
def test_a_line_that_stands_there_already(marked: str, expected: bool) -> None:
    before, fill, after = re.split("[⟦⟧]", marked)
    assert repeats_neighbour(before, fill, after) is expected
