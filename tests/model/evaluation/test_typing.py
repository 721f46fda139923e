"""Replayed typing: what is asked, what the real front shows of the answers, what a person takes, what that saves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner

from midfill.model.evaluation import typing as typing_eval
from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.typed_windows import (
    NUM_LINES,
    Outcome,
    Window,
    accept_whole,
    accept_words,
    draw_windows,
    pauses,
    replay,
)
from midfill.model.evaluation.typing import ask_copy, row, suggestions
from midfill.model.measuring.code_lines import code_lines
from midfill.model.measuring.front import Front
from midfill.model.measuring.split import SplitFile
from midfill.model.wire.api import Candidate, ContextBudget, Fill, Infill, InfillRequest, ModelInfo, TextPart, Usage

INFO = ModelInfo(
    name="scripted",
    family="scripted",
    revision="0",
    licence="",
    languages=("python",),
    capabilities=("infill",),
    max_holes=8,
    max_canvas_tokens=127,
    context=ContextBudget(1200, 600, 2400, 700),
    num_parameters=0,
    device="cpu",
    precision="float32",
    show_threshold=0.5,
)

# --- what is typed

SOURCE = '''"""A module."""

import os  # the system


def size(path):
    """How large.

    In bytes.
    """
    # ask it
    found = os.stat(path)

    return found.st_size
'''
CODE = ["import os  # the system", "def size(path):", "found = os.stat(path)", "return found.st_size"]


def window_of(text: str) -> Window:
    return Window(text, tuple(code_lines(text)))


def test_comments_docstrings_and_blank_lines_are_not_typed() -> None:
    window = window_of(SOURCE)
    assert [SOURCE[line.start : line.end] for line in window.lines] == CODE
    # every character of the code and each line's end is a key; indentation and all that appears by itself is none
    assert window.num_keys(window.start, window.end + 1) == sum(len(line) + 1 for line in CODE)
    body = SOURCE.index("found =")
    assert window.num_keys(SOURCE.index("):\n") + 2, body) == 1
    assert window.num_keys(body, body + 5) == 5


SOURCES = {
    "javascript": (
        '#!/usr/bin/env node\n"use strict";\n/**\n * Doc.\n */\nlet a = 1; // one\n'
        "/* b */ let b = `\n  c`;\nlet d = /* e\n */ 2;\n",
        ['"use strict";', "let a = 1; // one", "c`;", "let d = /* e"],
    ),
    "tsx": ("// a\nconst é: A = <b>\n  {/* c */}\n  é\n</b>;\n", ["const é: A = <b>", "{/* c */}", "é", "</b>;"]),
    "python": ('"""Doc."""\nx = "é"  # y\n# z\n"a" "b"\n', ['x = "é"  # y', '"a" "b"']),
}


@pytest.mark.parametrize("language", SOURCES)
def test_comments_are_not_typed_in_any_language(language: str) -> None:
    text, code = SOURCES[language]
    assert [text[line.start : line.end] for line in code_lines(text, language)] == code


def test_where_a_suggestion_is_asked_for() -> None:
    text = "if x:\n    total = items[a_b].get(12, y)\n"
    asked = [text[:offset].rpartition("\n")[2] for offset in pauses(window_of(text))]
    line = "    total = items[a_b].get(12, y)"
    assert asked == ["", "if", "if ", "if x:"] + [
        line[: line.index(end) + len(end)] if end else "    "
        for end in ("", "to", "total ", "=", "= ", "it", "[", "[a_", ".", ".ge", "(", ",", ", ")
    ]


def test_windows_are_drawn_the_same_and_spread() -> None:
    texts = [f"def f_{number}(x):\n" + "    x += 1\n" * 40 for number in range(4)] + ["x = 1\n"]
    files = [SplitFile(text, path=f"{number}.py") for number, text in enumerate(texts)]
    windows = draw_windows(files, 6, seed=1)
    assert windows == draw_windows(files, 6, seed=1) != draw_windows(files, 6, seed=2)
    assert len({window.key for window in windows}) == 6
    assert {window.text for window in windows[:4]} == set(texts[:4])
    assert all(len(window.lines) == NUM_LINES for window in windows)
    assert draw_windows([SplitFile("x = 1\n"), SplitFile(texts[0] + "x = (\n")], 3) == []
    both = draw_windows([*files, SplitFile(SCRIPT, "tsx", "a.tsx")], 4, seed=1)
    assert [(window.language, window.path) for window in both[2:]] == [("tsx", "a.tsx")] * 2
    assert [window.family for window in both] == ["python"] * 2 + ["typescript"] * 2


# --- what a person takes

ACCEPTED = [
    # suggestion, what is typed, (characters, keys) when only whole ones are taken, and when words are
    ("os.stat(path)", "os.stat(path)\nreturn", (13, 1), (13, 1)),
    ("os.stat(path)", "os.stat(path)  \n", (13, 1), (13, 1)),
    ("os.stat(path) ", "os.stat(path)\n", (13, 1), (13, 1)),
    ("os.stat(name)", "os.stat(path)\n", (0, 0), (8, 4)),  # `os` `.` `stat` `(`
    ("os.stat", "os.stat(path)\n", (0, 0), (7, 3)),
    ("os.path", "os.stat(path)\n", (0, 0), (0, 0)),  # `os.` is less than four
    ("x, y)\n    z", "x, y)\n    z\n", (11, 1), (11, 1)),
    ("x, y)\n    w", "x, y)\n    z\n", (0, 0), (5, 4)),
    ("return a", "yield a\n", (0, 0), (0, 0)),
]


@pytest.mark.parametrize(("suggestion", "typed", "whole", "words"), ACCEPTED)
def test_what_is_accepted(suggestion: str, typed: str, whole: tuple[int, int], words: tuple[int, int]) -> None:
    assert accept_whole(suggestion, typed) == whole
    assert accept_words(suggestion, typed) == words


def test_keys_saved() -> None:
    """By hand: after `found = ` is typed, `os.stat(path)` is taken, or `os.stat(` in words; the last line is typed."""
    window = window_of(SOURCE)
    keys = sum(len(line) + 1 for line in CODE)
    after_equals, body, last = SOURCE.index("os.stat"), SOURCE.index("found ="), SOURCE.index("return found")
    shown = {body: "", after_equals: "os.stat(path)", after_equals + 3: "never asked", last: "return None"}
    assert replay(window, shown, accept_whole) == Outcome(keys, saved=12, shown=2, wrong=1)
    # `return` is right in words: six characters for one key
    assert replay(window, shown, accept_words) == Outcome(keys, saved=12 + 5, shown=2, wrong=0)
    shown[after_equals] = "os.stat(name)"
    assert replay(window, shown, accept_whole) == Outcome(keys, saved=0, shown=3, wrong=3)
    assert replay(window, shown, accept_words) == Outcome(keys, saved=4 + 5, shown=2, wrong=0)
    assert replay(window, {}, accept_words) == Outcome(keys)
    # several lines in one, the comment between them for nothing
    block = SOURCE[body : SOURCE.index("\n    return")]
    two = {SOURCE.index("def size"): SOURCE[SOURCE.index("def size") :].rstrip()}
    assert replay(window, two, accept_whole) == Outcome(keys, saved=sum(map(len, CODE[1:])) + 2 - 1, shown=1)
    assert replay(window, {body: block}, accept_whole) == Outcome(keys, saved=len(CODE[2]) - 1, shown=1)


def test_a_row_is_pooled_over_windows() -> None:
    found = row("midfill", "whole", [Outcome(100, 10, 4, 1), Outcome(300, 10, 4, 3)])
    assert (found["saved_share"], found["shown_per_100_keys"], found["wrong_share"]) == (0.05, 2.0, 0.5)
    assert found["saved_interval"] == pytest.approx((10 / 300, 0.1))
    assert found["wrong_interval"] == (0.25, 0.75)
    never = row("never", "", [Outcome(100), Outcome(50)])
    assert (never["saved_share"], never["wrong_share"], never["wrong_interval"]) == (0.0, None, None)


# --- what the front shows


class Scripted:
    """Answers each request with what `answers` has for the end of its text before the hole."""

    def __init__(self, answers: dict[str, str], confidence: float = 0.9) -> None:
        self.answers, self.confidence = answers, confidence
        self.asked: list[InfillRequest] = []

    def __call__(self, request: InfillRequest, before: str, behind: str) -> Infill:
        self.asked.append(request)
        text = next((text for end, text in self.answers.items() if before.endswith(end)), "")
        fill = Fill("1", text, self.confidence)
        usage = Usage(context_tokens=10, cached_tokens=8)
        return Infill((Candidate((fill,), self.confidence),), "closed", usage, "scripted")


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    with Front(INFO) as front:
        yield front


def shown_by(front: Front, answers: dict[str, str], confidence: float = 0.9) -> dict[str, str]:
    """What is shown in SOURCE, by the text of the line before the cursor."""
    found = suggestions(window_of(SOURCE), front, Scripted(answers, confidence))
    return {SOURCE[: one.offset].rpartition("\n")[2]: one.shown for one in found if one.shown}


def test_the_front_decides_what_is_shown(front: Front) -> None:
    right = {"found = ": "os.stat(path)", "    return ": "found.st_size"}
    assert shown_by(front, right) == {"    found = ": "os.stat(path)", "    return ": "found.st_size"}
    assert shown_by(front, right, confidence=0.4) == {}, "below the threshold"
    assert shown_by(front, {"import ": "os\nimport sys"}) == {"import ": "os"}, "cut to its line"
    assert shown_by(front, {"found = ": "   ", "    return ": ") ="}) == {}, "blank, or does not parse"
    assert shown_by(front, {"# ": "the system"}) == {}, "not asked for in a comment"


def test_the_rest_of_the_window_is_hidden_and_the_rest_of_the_file_is_not(front: Front) -> None:
    text = SOURCE + "\n\nprint(size)\n"
    scripted = Scripted({})
    window = Window(text, tuple(code_lines(text)[:-1]))
    asked = list(suggestions(window, front, scripted))
    assert 0 < len(asked) == len(scripted.asked) < len(list(pauses(window)))  # in the comment nothing is asked
    for one, request in zip(asked, scripted.asked, strict=True):
        parts = [part.text for part in request.parts if isinstance(part, TextPart)]
        assert parts == [text[: one.offset], "\n\n\nprint(size)\n"]
        assert (request.priority, request.candidates) == ("inline", 2)
        assert (one.context_tokens, one.cached_tokens, one.ms > 0) == (10, 8, True)


def test_the_same_file_copy_is_shown_where_enough_recurs(front: Front) -> None:
    text = "self.total = price * count\nx = 1\nself.total = price * count\n"
    window = Window(text, tuple(code_lines(text)[2:]))
    free = replace(INFO, show_threshold=0.0)
    with Front(free) as front_of_copy:
        shown = {text[window.start : one.offset]: one.shown for one in suggestions(window, front_of_copy, ask_copy)}
    assert shown["self.total = "] == "price * count"  # `self` `.` `total` `=`
    assert shown["se"] == ""


# --- the command


def test_the_command_measures_a_checkpoint(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midfill.model.evaluation.typed_windows.NUM_LINES", 2)
    text = "def add_alpha(alpha, beta):\n    total = alpha + beta\n    return total\n\n\n"
    write_split(tmp_path, "test", text * 3, SplitFile(SCRIPT, "javascript", "a.js"))
    arguments = ["typing", "--corpus", str(tmp_path), "--model", str(tiny_checkpoint), "--limit", "2"]
    arguments += ["--record", str(tmp_path / "record.jsonl")]
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    figures = json.loads(result.stdout)
    assert figures["num_windows"] == 2
    parts = figures["by_language"]
    assert {name: part["num_windows"] for name, part in parts.items()} == {"python": 1, "javascript": 1}
    assert parts["javascript"]["cost"]["num_asked"] == 0, "the tiny checkpoint knows Python only"
    assert sum(part["rows"][0]["keys"] for part in parts.values()) == figures["rows"][0]["keys"]
    rows = {(one["method"], one["policy"]): one for one in figures["rows"]}
    assert set(rows) == {(m, p) for m in ("midfill", "same-file copy") for p in ("whole", "by word")} | {("never", "")}
    assert rows["never", ""]["saved_share"] == 0
    for one in rows.values():
        assert one["keys"] == rows["never", ""]["keys"] > 0
        assert -1 <= one["saved_share"] < 1
    cost = figures["cost"]
    assert cost["num_asked"] > 10
    assert 0 < cost["p50_ms"] <= cost["p95_ms"]
    assert cost["cached_share"] > 0.5, "typing does not go on from what is encoded"

    monkeypatch.setattr(typing_eval, "suggestions", lambda *_: pytest.fail("asked again what the record has"))
    again = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert again.exit_code == 0
    assert "keys saved" in again.stdout
