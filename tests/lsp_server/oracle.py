"""A model that knows what a person is going to type, and says it in the ways in which models go wrong: with the text
behind the cursor repeated, with brackets closed that the editor has closed, cut short, run on, or indented wrongly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from midfill.model.wire.api import HolePart, InfillRequest, TextPart

REMEMBERED = 60
FAULTS = ("none", "none", "repeats the rest of the line", "repeats the next line", "runs on", "cut short", "margin")


@dataclass(frozen=True)
class Around:
    """What the model sees before and behind its hole."""

    before: str
    after: str


def answering(truth: str) -> Callable[[InfillRequest, int], dict[str, str]]:
    """What to answer for candidate `index` of a request, for a person who types `truth`."""

    def texts(request: InfillRequest, index: int) -> dict[str, str]:
        around = _around(request)
        rng = random.Random(f"{around.before[-REMEMBERED:]}{index}")
        place = truth.find(around.before[-REMEMBERED:]) + len(around.before[-REMEMBERED:])
        if place < min(REMEMBERED, len(around.before)):
            return {request.holes[0].id: "lost"}  # the text is not the truth's any more
        return {request.holes[0].id: _faulty(truth[place:], around, request.holes[0].single_line, rng)}

    return texts


def _faulty(coming: str, around: Around, single_line: bool, rng: random.Random) -> str:
    num_lines = 1 if single_line else rng.randint(1, 3)
    lines = coming.split("\n")
    said, fault = "\n".join(lines[:num_lines]), rng.choice(FAULTS)
    rest, _, following = around.after.partition("\n")
    if fault == "repeats the rest of the line":
        return said + rest
    if fault == "repeats the next line":
        return said + "\n" + next((line for line in following.split("\n") if line.strip()), "")
    if fault == "runs on":
        return "\n".join(lines[: num_lines + 2])
    if fault == "cut short":
        return said[: rng.randint(0, len(said))]
    if fault == "margin":
        return "\n".join(line.lstrip() for line in said.split("\n"))
    return said


def _around(request: InfillRequest) -> Around:
    at = next(index for index, part in enumerate(request.parts) if isinstance(part, HolePart))
    before, after = (
        "".join(part.text for part in parts if isinstance(part, TextPart))
        for parts in (request.parts[:at], request.parts[at + 1 :])
    )
    return Around(before, after)
