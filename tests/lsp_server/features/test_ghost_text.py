"""What is shown unasked of several candidates: the best that may be shown must be sure enough."""

from __future__ import annotations

from typing import Any

import pytest

from midfill.lsp_server.features.ghost_text import shown
from midfill.lsp_server.text.filling import FilledCandidate, FilledHole
from midfill.lsp_server.text.holes import Span


def one(fill: str, confidence: float, parses: bool | None = True, **flaws: Any) -> FilledCandidate:
    hole = FilledHole(Span(0, 0), "1", fill, confidence)
    return FilledCandidate((hole,), confidence, parses, **flaws)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([one("a", 0.6), one("b", 0.1)], ["a", "b"]),
        ([one("a", 0.5)], ["a"]),
        ([one("a", 0.4)], []),
        # Ranked first because it is whole, and not sure: then nothing is shown, not the second one.
        ([one("a", 0.4), one("b", 0.9, is_whole=False)], []),
        ([one("a", 0.9, parses=False), one("b", 0.4)], []),
        ([one("a", 0.9, parses=None)], ["a"]),
        ([one("a", 0.9), one("b", 0.9, parses=False)], ["a"]),
        ([one("a", 0.9, repeats=True)], []),
        ([one("a", 0.9, makes_unknown_word=True), one("b", 0.7)], ["b"]),
        ([one("a", 0.9, makes_unknown_word=True), one("b", 0.2)], []),
        ([one("  \n", 0.9), one("b", 0.7)], ["b"]),
        ([FilledCandidate((), 0.9, None)], []),
        ([], []),
    ],
)
def test_what_is_shown(candidates: list[FilledCandidate], expected: list[str]) -> None:
    assert [candidate.fills[0].fill for candidate in shown(candidates, threshold=0.5)] == expected
