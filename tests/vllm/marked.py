"""Requests from marked text, and the text that the tests of vLLM share."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

COUNTING = """def count(words):
    found = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found
"""
OLD, NEW = "found[word] = found.get(word, 0) + 1", "found[word] += 1"


def request_of(marked: str, **more: Any) -> InfillRequest:
    """`‹…›` marks what a hole hides."""
    holes = {option: more.pop(option) for option in ("max_tokens", "single_line") if option in more}
    parts: list[TextPart | HolePart] = []
    for index, piece in enumerate(re.split("‹.*?›", marked, flags=re.DOTALL)):
        if index:
            parts.append(HolePart(Hole(str(index), **holes)))
        parts.append(TextPart(piece))
    return InfillRequest(tuple(parts), **more)


def wait_for(condition: Callable[[], bool]) -> None:
    give_up_at_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < give_up_at_s
        time.sleep(0.01)
