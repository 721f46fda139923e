"""What a model's answer becomes in a person's file, as marked texts in `cases/edits.txt`."""

from __future__ import annotations

import argparse
import inspect
import json.decoder
import random
import re
import shutil
import textwrap
from pathlib import Path

import pytest

from midfill.lsp_server.text.finishing.finish import (
    finish_fill,
    line_ending_of,
    minimal_edit,
    moved_confidences,
    reindent,
    trim_suffix_overlap,
    with_line_endings,
)
from midfill.lsp_server.text.syntax import parses_in_place
from midfill.model.wire.api import ConfidenceSpan

CASES = (Path(__file__).parents[2] / "cases" / "edits.txt").read_text("utf-8").replace("→", "\t").split("\n## ")[1:]


@pytest.mark.parametrize("case", CASES, ids=[case.partition("\n")[0].replace(" ", "_") for case in CASES])
def test_a_fill_fits_its_place(case: str) -> None:
    title, _, texts = case.partition("\n")
    marked, expected = texts.replace("␠", " ").rstrip("\n").split("\n---\n")
    prefix, fill, suffix = re.split("[⟦⟧]", marked)
    finished = finish_fill(fill, prefix, suffix, single_line="(single line)" in title)
    assert prefix + finished + suffix == expected
    assert prefix + finish_fill(finished, prefix, suffix) + suffix == expected, "finishing twice must change nothing"


@pytest.mark.parametrize(
    ("fill", "suffix", "expected"),
    [
        ("value)", ")", "value"),
        ("value", "", "value"),
        ("", ")", ""),
        ("a\n", "", "a\n"),
        ("x = 1\ny = 2", "\ny = 2\n", "x = 1"),
        ("x = 1", "\nx = 1", ""),
        ("f(a)", "\n)", "f(a)"),
    ],
)
def test_what_the_suffix_says_is_cut_without_knowing_the_prefix(fill: str, suffix: str, expected: str) -> None:
    assert trim_suffix_overlap(fill, suffix) == expected


def test_indentation_without_any_example_in_the_file_is_left_alone() -> None:
    assert reindent("if x:\n\ty()", "") == "if x:\n\ty()"


def test_carriage_returns_never_double() -> None:
    assert finish_fill("a\r\nb\rc", "", "") == "a\nb\nc"
    assert with_line_endings("a\nb\r\nc\r", "\r\n") == "a\r\nb\r\nc\r\n"
    assert with_line_endings("a\r\nb", "\n") == "a\nb"


@pytest.mark.parametrize(
    ("text", "eol"), [("", "\n"), ("a", "\n"), ("a\r\nb\n", "\r\n"), ("a\rb", "\r"), ("a\n", "\n")]
)
def test_the_line_end_of_a_text_is_its_first(text: str, eol: str) -> None:
    assert line_ending_of(text) == eol


@pytest.mark.parametrize(
    ("old", "new", "edit"),
    [
        ("abc", "abc", (3, 3, "")),
        ("abc", "axc", (1, 2, "x")),
        ("aa", "aaa", (2, 2, "a")),
        ("", "x", (0, 0, "x")),
        ("x", "", (0, 1, "")),
        ("a\r\nb", "a\rb", (1, 3, "\r")),
        ("a\nb", "a\r\nb", (1, 2, "\r\n")),
    ],
)
def test_the_smallest_edit(old: str, new: str, edit: tuple[int, int, str]) -> None:
    start, end, replacement = minimal_edit(old, new)
    assert old[:start] + replacement + old[end:] == new
    assert (start, end, replacement) == edit


def test_confidences_follow_their_characters_through_indentation_and_trimming() -> None:
    fill = "x = 1\nreturn x)"
    spans = [ConfidenceSpan(0, 5, 0.9), ConfidenceSpan(6, 12, 0.5), ConfidenceSpan(13, 15, 0.2)]
    finished = "x = 1\n    return x"
    moved = moved_confidences(spans, fill, finished)
    assert [(finished[span.start : span.end], span.confidence) for span in moved] == [
        ("x = 1", 0.9),
        ("return", 0.5),
        ("x", 0.2),
    ]


def test_what_people_wrote_is_left_alone_and_parses() -> None:
    """The true text of random holes in the standard library is the best fill there is."""
    rng = random.Random(1)
    sources = [inspect.getsource(module) for module in (argparse, inspect, json.decoder, shutil, textwrap)]
    num_holes = num_changed = num_refused = 0
    while num_holes < 200:
        text = rng.choice(sources)
        start = rng.randrange(len(text))
        if rng.random() < 0.7:  # from the first character of a line to the end of it or of a later one
            start = len(text[:start].rpartition("\n")[0]) + 1
            start += len(text[start:]) - len(text[start:].lstrip(" "))
            end = text.find("\n", start + rng.choice((0, 0, 80, 200)))
        else:
            end = start + rng.randrange(40)
        fill = text[start:end]
        if not fill.strip():
            continue
        num_holes += 1
        finished = finish_fill(fill, text[max(start - 2000, 0) : start], text[end : end + 1000])
        num_changed += finished.rstrip() != fill.rstrip()
        num_refused += not parses_in_place(text, start, end, fill, "python")
    assert num_changed <= 6
    assert num_refused <= 10
