"""Workspace memory: what followed, elsewhere in the file, the text that stands before a canvas position.

A count-based predictor over the text of one request, mixed into the logits of those positions whose left neighbours
are settled. It adapts at once to the names and habits of a file, costs well under a forward pass, and knows no network:
text in, a mixed distribution out. Matching is by text, so it works inside a word too. How much it counts for depends on
how long a run recurred; the weights are fitted on held-out text and travel with the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, Region

MAX_MATCH = 8
"""The longest run that is looked for, in lexemes (words and punctuation marks)."""
MAX_PLACES = 24
CONTINUATION_CHARS = 24
_LEXEMES = re.compile(r"\w+|[^\w\s]|\s+")


class Codec(Protocol):
    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


@dataclass(frozen=True, slots=True)
class Recall:
    """The texts that followed the longest recurring run, their shares (they sum to 1), and its length in lexemes."""

    continuations: Mapping[str, float]
    match_length: int


class WorkspaceMemory:
    """The texts of one request. A run is looked for in each of them; none reaches from one text into the next."""

    def __init__(self, texts: Sequence[str], codec: Codec) -> None:
        self.codec = codec
        self._texts = list(texts)
        self._recalled: dict[tuple[str, int], Recall | None] = {}

    def recall(self, left: str, number: int = 0) -> Recall | None:
        """What followed the longest run that `left` ends with; None if not even its last lexeme recurs.

        number: which text the hole stands behind. The nearest place before the hole counts most, the n-th 1/n as much;
        places behind the hole come after all before it."""
        left = left[-200:]
        if (left, number) not in self._recalled:
            self._recalled[left, number] = self._look_for(left, number)
        return self._recalled[left, number]

    def _look_for(self, left: str, number: int) -> Recall | None:
        starts = [match.start() for match in _LEXEMES.finditer(left) if not match[0].isspace()][-MAX_MATCH:]
        for length, start in zip(range(len(starts), 0, -1), starts, strict=True):
            found = list(islice(self._places(left[start:], number), MAX_PLACES))
            if found:
                total = sum(1 / rank for rank in range(1, len(found) + 1))
                shares: dict[str, float] = {}
                for rank, continuation in enumerate(found, start=1):
                    shares[continuation] = shares.get(continuation, 0.0) + 1 / rank / total
                return Recall(shares, length)
        return None

    def _places(self, run: str, number: int) -> Iterator[str]:
        """What followed the run, nearest first."""
        for text in reversed(self._texts[: number + 1]):
            yield from reversed(list(_following(text, run)))
        for text in self._texts[number + 1 :]:
            yield from _following(text, run)


def _following(text: str, run: str) -> Iterator[str]:
    """What stands behind each place of `run`, as far as its line goes; a run begins no later than its first word."""
    place = text.find(run)
    while place >= 0:
        end = place + len(run)
        is_whole = not (place > 0 and text[place - 1].isalnum() and run[0].isalnum())
        if is_whole and end < len(text):
            line, line_end, _ = text[end : end + CONTINUATION_CHARS].partition("\n")
            indentation = re.match(r"\n[ \t]*", text[end:]) if not line else None
            yield indentation[0] if indentation else line or line_end
        place = text.find(run, place + 1)


@dataclass(frozen=True, slots=True)
class HoleMemory:
    """The memory as one hole sees it: the text before the hole, the rest of the line behind it, which of the memory's
    texts stands before it, and whether the hole ends where its line does."""

    memory: WorkspaceMemory
    before: str
    behind: str
    number: int = 0
    single_line: bool = False

    def recall(self, left: str) -> Recall | None:
        return self.memory.recall(left, self.number)

    def token_shares(self, recalled: Recall, end_id: int) -> dict[int, float]:
        """The next token by what was recalled. To recall the text behind the hole is half to recall that it ends."""
        shares: dict[int, float] = {}
        for continuation, share in recalled.continuations.items():
            token = self.memory.codec.encode(continuation)[0]
            if self.single_line and continuation.startswith("\n"):
                token = end_id
            if self._goes_on_behind(continuation):
                share /= 2
                shares[end_id] = shares.get(end_id, 0.0) + share
            shares[token] = shares.get(token, 0.0) + share
        return shares

    def _goes_on_behind(self, continuation: str) -> bool:
        return continuation.startswith(self.behind[:4] if self.behind.strip() else "\n")


def mix(logits: Tensor, canvas: Canvas, holes: Sequence[HoleMemory], weights: Sequence[float]) -> Tensor:
    """logits (B, L, V) with the memory mixed in where it applies; `weights[n]` is its share after a match of n."""
    mixed = logits.clone()
    for row in range(canvas.ids.shape[0]):
        for region, hole in zip(canvas.regions, holes, strict=True):
            for column, left in _frontier(canvas, row, region, hole):
                mixed[row, column] = mix_one(logits[row, column], left, hole, weights, canvas.end_id)
    return mixed


def mix_one(logits: Tensor, left: str, hole: HoleMemory, weights: Sequence[float], end_id: int) -> Tensor:
    """logits (V,) of the position behind the text `left` with the memory mixed in; unchanged where it knows nothing."""
    recalled = hole.recall(left)
    weight = weights[min(recalled.match_length, len(weights) - 1)] if recalled else 0.0
    return _mixed(logits, hole.token_shares(recalled, end_id), weight) if recalled and weight > 0 else logits


def _frontier(canvas: Canvas, row: int, region: Region, hole: HoleMemory) -> Iterator[tuple[int, str]]:
    """The open columns whose left neighbour is settled or is the text before the hole, and the text to their left."""
    ids = canvas.ids[row, region.columns].tolist()
    settled = canvas.settled[row, region.columns].tolist()
    before, run = hole.before[-200:], list[int]()
    for index in range(region.length):
        if settled[index]:
            run.append(ids[index])
            continue
        left = before + hole.memory.codec.decode(run)
        if left:
            yield region.start + index, left
        before, run = "", []


def _mixed(logits: Tensor, shares: Mapping[int, float], weight: float) -> Tensor:
    """(V,) log of (1 - weight) network + weight memory."""
    probability = (1 - weight) * logits.softmax(dim=-1)
    tokens = torch.tensor(list(shares), device=logits.device)
    probability[tokens] += weight * torch.tensor(list(shares.values()), device=logits.device, dtype=probability.dtype)
    return probability.log()
