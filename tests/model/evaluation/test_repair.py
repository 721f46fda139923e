"""`midfill eval repair`: the faults that are put in, which repairs count, and the command on a tiny checkpoint."""

from __future__ import annotations

import ast
import inspect
import json
import random
import shutil
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from splits import SCRIPT, write_split
from typer.testing import CliRunner

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation import regions, repair
from midfill.model.evaluation.__main__ import app
from midfill.model.evaluation.faults import KINDS, Sites, draw_faults, fault_in
from midfill.model.evaluation.regions import Region, has_room, is_right
from midfill.model.measuring import methods
from midfill.model.measuring.front import Front
from midfill.model.measuring.split import SplitFile
from midfill.model.wire.api import Candidate, Fill, Infill, InfillRequest, Step, Usage

FILES = [SplitFile(inspect.getsource(module), path=module.__name__) for module in (json.decoder, textwrap, shutil)]


# --- the faults

# (kind, a file with one place for it, the region, what may stand there instead)
FAULTS = {
    "comparison": ("operator", "if a == b:\n    c()\n", "a == b", {"a != b"}),
    "in words": ("operator", "x = a is not b\n", "a is not b", {"a is b"}),
    "arithmetic": ("operator", "x = f(a + 1)\n", "a + 1", {"a - 1"}),
    "and": ("operator", "x = a and b\n", "a and b", {"a or b"}),
    "assignment": ("operator", "x += 1\n", "x += 1", {"x -= 1"}),
    "in brackets": ("operator", "x = (a) < (b)\n", "(a) < (b)", set()),
    "name": ("name", "x = 1\nf = 2\nx + 1\n", "x + 1", {"f + 1"}),
    "index": ("number", "a[3]\n", "a[3]", {"a[2]", "a[4]"}),
    "argument": ("number", "f(é=0)\n", "f(é=0)", {"f(é=1)"}),
    "not": ("not", "if not a.b:\n    c()\n", "not a.b", {"a.b"}),
    "not in brackets": ("not", "if not (a or b):\n    c()\n", "", set()),
    "constant": (
        "constant",
        "return_value = None\n",
        "return_value = None",
        {"return_value = True", "return_value = False"},
    ),
    "a type is none": ("constant", "x: int | None\n", "", set()),
    "arguments": ("arguments", "f(a, b=1, *c)\nf(a.b, c)\n", "f(a.b, c)", {"f(c, a.b)"}),
    "the header of a block": ("name", "x = f = 1\nif x:\n    pass\n", "", set()),
    "a long statement": ("number", f"f(1, '{'x' * 200}')\n", "", set()),
    "an f-string": ("number", "x = f'{1}'\n", "", set()),
}


@pytest.mark.parametrize(("kind", "text", "truth", "drafts"), FAULTS.values(), ids=FAULTS)
def test_faults(kind: str, text: str, truth: str, drafts: set[str]) -> None:
    found = [fault_in(Sites(text), kind, random.Random(seed)) for seed in range(40)]
    regions = [region for region in found if region is not None]
    assert {region.draft for region in regions} == drafts
    assert all(region.truth == truth for region in regions)


def test_faults_in_real_code_are_the_same_for_the_same_seed_and_parse() -> None:
    faults = list(draw_faults(FILES, 6, seed=1))
    assert faults == list(draw_faults(FILES, 6, seed=1))
    assert faults != list(draw_faults(FILES, 6, seed=2))
    assert {kind: sum(fault.kind == kind for fault in faults) for kind in KINDS} == dict.fromkeys(KINDS, 6)
    for fault in faults:
        assert ast.dump(ast.parse(fault.with_fill(fault.draft))) != ast.dump(ast.parse(fault.text)), fault
        assert fault.with_fill(fault.truth) == fault.text
        assert SplitFile(fault.text, path=fault.path) in FILES


def test_what_does_not_parse_has_no_faults() -> None:
    assert list(draw_faults([SplitFile("x = (\n"), SplitFile("")], 2)) == []


# --- what counts

REGION = Region("operator", "def f():\n    return a == b\n", 20, 26, "a != b")


@pytest.mark.parametrize(
    ("fill", "expected"),
    [("a == b", True), ("(a ==\n b)", True), ("a  ==  b", True), ("a != b", False), ("b == a", False), ("a ==", False)],
)
def test_what_is_right(fill: str, expected: bool) -> None:
    assert is_right(REGION, REGION.with_fill(fill)) is expected


def test_a_region_longer_than_the_longest_canvas_has_no_room(tiny: DenoisingModel) -> None:
    assert has_room(REGION, tiny)
    assert not has_room(Region("operator", REGION.text, 20, 26, "αβγδε" * 60), tiny)


# --- the figures

ANSWERS: dict[str, tuple[list[str], tuple[bool, bool, bool]]] = {
    "the first is right": (["a == b", "c"], (True, True, True)),
    "a later one is right": (["c", "a == b"], (True, False, True)),
    "what is not offered does not count": (["a ==", "a != b", "a == b"], (True, True, True)),
    "a fourth is too late": (["c", "d", "e", "a == b"], (True, False, False)),
    "nothing is offered": (["a ==", "a != b"], (False, False, False)),
    "no answer": ([], (False, False, False)),
    "the same tree, written otherwise": (["(a ==\n b)"], (True, True, True)),
}


class Scripted(DenoisingModel):
    """A model that answers every request with the same fills, surer of the earlier ones."""

    def __init__(self, model: DenoisingModel, fills: list[str]) -> None:
        super().__init__(model.denoiser, model.sampler)
        self.fills = fills
        self.asked: list[InfillRequest] = []

    def infill(self, request: InfillRequest, received_s: float) -> Iterator[Step | Infill]:
        self.asked.append(request)
        sure = [(fill, 0.9 - number / 10) for number, fill in enumerate(self.fills)]
        found = tuple(Candidate((Fill("1", fill, confidence),), confidence) for fill, confidence in sure)
        yield Infill(found, "closed", Usage(forward_passes=7), "scripted")


@pytest.mark.parametrize(("fills", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_the_score_of_a_region(
    fills: list[str], expected: tuple[bool, bool, bool], tiny: DenoisingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real front asks, and chooses among the answers."""
    scripted = Scripted(tiny, fills)
    monkeypatch.setattr(methods, "_fresh", lambda model, **_: scripted)
    with Front(tiny.info) as front:
        scores = repair.measure(tiny, front, REGION)["methods"]
    drafts = [request.holes[0] for request in scripted.asked if request.holes[0].draft is not None]
    assert [(hole.draft, hole.strength) for hole in drafts] == [("a != b", strength) for strength in regions.STRENGTHS]
    assert {request.candidates for request in scripted.asked} == {4}
    for method in repair.DRAFTED:
        score = scores[method]
        assert (score["offers"], score["first"], score["any"]) == expected
        assert score["forwards"] == 7
    assert set(scores) == set(repair.METHODS)


def test_a_diagnostic_is_repaired_where_the_front_says(tiny: DenoisingModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """First the smallest expression around it; where that has no other version, its whole statement."""
    text = "def f():\n    total = g(a + 1, b)\n"
    region = Region("operator", text, text.index("a + 1"), text.index(", b"), "a - 1", diagnosed=(25, 26))
    scripted = Scripted(tiny, ["a -", "total = g(a + 1, b)"])
    monkeypatch.setattr(methods, "_fresh", lambda model, **_: scripted)
    with Front(tiny.info) as front:
        score = regions.drafted(region, tiny, front, 0.6)
    assert [request.holes[0].draft for request in scripted.asked] == ["a - 1", "total = g(a - 1, b)"]
    assert (score["offers"], score["any"], score["forwards"]) == (True, True, 14)


def test_faults_say_where_they_are() -> None:
    for fault in draw_faults(FILES, 6, seed=1):
        assert fault.diagnosed is not None
        start, end = fault.diagnosed
        assert fault.start <= start <= end <= fault.start + len(fault.draft)
        kept = fault.source.text[end:]
        assert fault.text.endswith(kept), "what follows the fault is as it was"
        assert fault.text.startswith(fault.source.text[:start])


def test_rows_pool_the_kinds() -> None:
    def result(kind: str, right: bool) -> dict[str, object]:
        score = {"offers": True, "first": False, "any": right, "parse": 1.0, "forwards": 2, "milliseconds": 1.0}
        score["first_draft_ms"] = 0.5
        nothing = dict(score, any=False)
        methods = {method: score if method in repair.DRAFTED else nothing for method in repair.METHODS}
        return {"kind": kind, "methods": methods}

    rows = list(repair.rows_of([result("not", True), result("not", True), result("name", False), result("name", True)]))
    shares = {(row["kind"], row["method"]): row["any"] for row in rows}
    first = next(iter(repair.DRAFTED))
    assert [shares[kind, first] for kind in ("not", "name", "all")] == [1.0, 0.5, 0.75]
    assert all(shares[kind, "same-file copy"] == 0.0 for kind in ("not", "name", "all"))
    (row,) = [row for row in rows if (row["kind"], row["method"]) == ("not", first)]
    assert row["minus"]["same-file copy"] == (1.0, 1.0)
    assert (row["parse"], row["drafts_per_s"]) == (1.0, pytest.approx(2000))  # one more draft in half a millisecond
    assert ("operator", first) not in shares


# --- the command


@pytest.fixture
def corpus(tmp_path: Path, toy_text: Callable[[], str]) -> Path:
    write_split(tmp_path, "test", SplitFile(SCRIPT, "javascript", "a.js"), *(toy_text() for _ in range(3)))
    return tmp_path


@pytest.fixture
def toy_text() -> Callable[[], str]:
    rng = random.Random(5)

    def text() -> str:
        first, second = rng.sample(["alpha", "beta", "gamma", "delta"], 2)
        return f"def add_{first}({first}, {second}):\n    total = {first} + {second}\n    return total\n" * 4

    return text


def test_the_command_prints_rows_and_goes_on_from_its_record(corpus: Path, tiny_checkpoint: Path) -> None:
    record = corpus / "record.jsonl"
    arguments = ["repair", "--corpus", str(corpus), "--model", str(tiny_checkpoint), "--limit", "1", "--json"]
    runs = [CliRunner().invoke(app, [*arguments, "--record", str(record)]) for _ in range(2)]
    assert [run.exit_code for run in runs] == [0, 0], runs[0].output
    printed = json.loads(runs[0].stdout)
    assert printed["limit"] == 1
    assert {row["kind"] for row in printed["rows"]} == {"operator", "name", "all"}
    assert {row["method"] for row in printed["rows"]} == set(repair.METHODS)
    assert all(0 <= row["any_interval"][0] <= row["any"] <= row["any_interval"][1] <= 1 for row in printed["rows"])
    assert len(record.read_text("utf-8").splitlines()) == 3  # its header and one fault of each of two kinds
    assert runs[1].stdout == runs[0].stdout
    table = CliRunner().invoke(app, [*arguments[:-1], "--record", str(record)])
    assert "draft at 0.6" in table.stdout
    assert "against same-file copy" in table.stdout


def test_files_without_a_place_for_a_fault_are_an_error(corpus: Path, tiny_checkpoint: Path) -> None:
    write_split(corpus, "test", "import os\n")
    run = CliRunner().invoke(app, ["repair", "--corpus", str(corpus), "--model", str(tiny_checkpoint)])
    assert run.exit_code == 2
    assert "No fault could be put" in " ".join(run.output.replace("│", " ").split())
