"""What a person has after accepting ghost text, for what a model answered at the cursor: marked texts in
`cases/ghost_text/`, through the planning and choosing that the server and the terminal share."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from midfill.lsp_server.features.ghost_text import shown
from midfill.lsp_server.text.filling import apply_fills, choose, plan_fill
from midfill.lsp_server.text.holes import Span
from midfill.model.wire.api import Candidate, ContextBudget, Fill, Infill, ModelInfo, Usage

FOLDER = Path(__file__).parents[1] / "cases" / "ghost_text"
CASES = [case for file in sorted(FOLDER.glob("*.txt")) for case in re.split(r"(?m)^## ", file.read_text("utf-8"))[1:]]
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


@pytest.mark.parametrize("case", CASES, ids=[re.sub(r"\W+", "_", case.partition("\n")[0]) for case in CASES])
def test_accepting_ghost_text(case: str) -> None:
    title, _, texts = case.partition("\n")
    eol = "\r\n" if "(CRLF)" in title else "\n"
    marked, expected = texts.replace("→", "\t").replace("␠", " ").rstrip("\n").split("\n---\n")
    prefix, fill, suffix = re.split("[⟦⟧]", marked)
    prefix, suffix, expected = (text.replace("\n", eol) for text in (prefix, suffix, expected))
    cursor = Span(len(prefix), len(prefix))
    plan = plan_fill(prefix + suffix, [cursor], language_id=title.partition(":")[0], path=None, info=INFO, inline=True)
    answer = Infill((Candidate((Fill("1", fill, 0.9),), 0.9),), "closed", Usage(), INFO.name)
    candidates = choose(plan, answer)
    if "(unasked)" in title:
        candidates = shown(candidates, threshold=0.0)
    texts_after = [apply_fills(plan.text, one.fills) for one in candidates]
    assert texts_after == ([] if expected == "(nothing)" else [expected])


def test_no_case_is_there_twice() -> None:
    assert len(set(CASES)) == len(CASES)
    assert len({case.partition("\n")[0] for case in CASES}) == len(CASES)
