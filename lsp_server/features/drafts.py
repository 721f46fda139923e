"""The drafts of a running rewriting, for a client that shows the canvas settle: as often as an eye can follow."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from midfill.model.wire.api import Step

LONGEST_RATE_HZ = 20


class DraftNotes:
    """Tells of the first canvases, at most LONGEST_RATE_HZ times a second in all.

    token: the client's own, under which it knows the drafts. send: takes the params of `midfill/draft`."""

    def __init__(self, token: str | int, send: Callable[[dict[str, Any]], None]) -> None:
        self._token = token
        self._send = send
        self._told_s: dict[int, float] = {}

    def show(self, region: dict[str, Any], num_shown: int, step: Step) -> None:
        """The newest state of one of the first `num_shown` canvases of a batch. region: an LSP range."""
        now_s = time.monotonic()
        canvas = step.candidate
        if canvas >= num_shown or now_s - self._told_s.get(canvas, 0.0) < num_shown / LONGEST_RATE_HZ:
            return
        self._told_s[canvas] = now_s
        pieces = [{"text": piece.text, "settled": piece.settled} for piece in step.drafts[0].pieces]
        self._send({"token": self._token, "canvas": canvas, "step": step.step, "range": region, "pieces": pieces})
