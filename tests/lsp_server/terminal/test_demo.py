"""`midfill demo`: three things are shown, through the real language server, each with its time."""

from __future__ import annotations

import ast
import importlib.resources
import re
from collections.abc import Callable
from typing import Any

import pytest

from midfill.lsp_server.terminal.demo import Scene, scene
from midfill.lsp_server.text.holes import find_markers

MARKED = (importlib.resources.files("midfill.lsp_server.terminal") / "demo.py.txt").read_text(encoding="utf-8")


def test_the_three_results(midfill: Callable[..., Any], endpoint: str) -> None:
    ran = midfill("demo", "--plain", "--endpoint", endpoint)
    assert (ran.code, ran.err) == (0, "")
    assert re.findall(r"^(\d)\. ", ran.out, re.MULTILINE) == ["1", "2", "3"]
    assert len(re.findall(r"^\d+ ms", ran.out, re.MULTILINE)) == 3
    rest, line, joint = re.split(r"^\d\. ", ran.out, flags=re.MULTILINE)[1:]
    assert "self.counts[entry.part] += «filled_1»" in rest
    assert "        if count < limit:\n            «filled_1»" in line
    assert "+            entry = parse_entry(filled_2)" in joint
    assert "\x1b" not in ran.out


def test_what_cannot_be_reached_is_one_sentence(midfill: Callable[..., Any]) -> None:
    ran = midfill("demo", "--endpoint", "unix:/absent/s.sock")
    assert ran.code == 1
    assert "Nobody answers at" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(("kind", "num_places"), [("rest", 1), ("line", 1), ("fill", 3)])
def test_the_example_is_python_that_its_author_could_have_written(kind: str, num_places: int) -> None:
    opened: Scene = scene(MARKED, kind)
    assert len(opened.spans) == len(opened.written) == num_places
    text = opened.text
    for span, written in reversed(list(zip(opened.spans, opened.written, strict=True))):
        text = text[: span.start] + written + text[span.end :]
    ast.parse(text)
    assert len(find_markers(opened.text)) == (3 if kind == "fill" else 0)
