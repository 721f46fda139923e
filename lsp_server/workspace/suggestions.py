"""Ghost text that stays: kept while it is typed through, and thought of one acceptance ahead.

Knows text and offsets in code points, no positions, no model. One `Typing` per open document, on the loop only.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from midfill.lsp_server.text.finishing.finish import minimal_edit
from midfill.lsp_server.text.finishing.overlap import trim_suffix_overlap

REMEMBERED = 4
_CLOSERS = frozenset(")]}>\"'`")


@dataclass(frozen=True)
class Moment:
    """A cursor in a text; offset in code points."""

    text: str = field(repr=False)
    offset: int

    @property
    def before(self) -> str:
        return self.text[: self.offset]

    @property
    def after(self) -> str:
        return self.text[self.offset :]

    def accepted(self, fill: str) -> Moment:
        """The moment after `fill` was inserted at the cursor."""
        return Moment(self.before + fill + self.after, self.offset + len(fill))


@dataclass(frozen=True)
class Suggested:
    """What was suggested at a moment, best first, in the text's own line ends. None: nothing was worth showing."""

    moment: Moment
    fills: tuple[str, ...]
    invoked: bool = False

    def still_open_at(self, now: Moment) -> tuple[str, ...] | None:
        """What is left of the fills when a part of them has been typed (or accepted by the word); None when the text
        went elsewhere. What an editor put behind the cursor by itself, brackets and quotes, is not said again."""
        then = self.moment
        if now == then:
            return self.fills
        if now.offset < then.offset or not now.text.startswith(then.before):
            return None
        num_closed = len(now.text) - now.offset - (len(then.text) - then.offset)
        if num_closed < 0 or not now.text.endswith(then.after, now.offset + num_closed):
            return None
        typed, closed = now.text[then.offset : now.offset], now.text[now.offset : now.offset + num_closed]
        if not _CLOSERS.issuperset(closed) or len(closed) > len(typed):
            return None
        rests = (fill[len(typed) :] for fill in self.fills if fill.startswith(typed))
        left = [trim_suffix_overlap(rest, now.after, now.before) if closed else rest for rest in rests]
        return tuple(dict.fromkeys(rest for rest in left if rest.strip())) or None


class Typing:
    """What is known of the typing in one document: the latest suggestions, whether text was just deleted, and the work
    that goes on while the person thinks (`idle_work`): priming, or the suggestion after the one that is shown."""

    def __init__(self) -> None:
        self._recent: deque[Suggested] = deque(maxlen=REMEMBERED)
        self._deleted_at: int | None = None
        self._idle_work: asyncio.Task[None] | None = None
        self._idle_for: Moment | None = None

    def changed(self, before: str, after: str) -> None:
        """Note an edit. Idle work ends, unless the edit leads to the text that it is for."""
        self._deleted_at = None
        if len(after) < len(before):
            start, _, replacement = minimal_edit(before, after)
            self._deleted_at = None if replacement else start
        if self._idle_for is None or not _leads_to(after, self._idle_for.text):
            self.rest()

    def follows_deletion(self, now: Moment) -> bool:
        """Whether the last edit took text away where the cursor is."""
        return self._deleted_at == now.offset

    def remember(self, suggested: Suggested) -> None:
        self._recent.appendleft(suggested)

    def recall(self, now: Moment, invoked: bool = False) -> tuple[str, ...] | None:
        """What is left of the latest suggestion that fits, None if the model must be asked. Who asks for more gets
        what is remembered only if it was asked for in the same way."""
        fitting = (one for one in self._recent if one.invoked or not invoked)
        return next((left for one in fitting if (left := one.still_open_at(now)) is not None), None)

    async def until_thought_of(self, now: Moment) -> None:
        """Wait for the idle work, if it is just about this moment."""
        if self.thinks_of(now) and self._idle_work is not None:
            await asyncio.wait([self._idle_work])

    def thinks_of(self, moment: Moment) -> bool:
        return self.thinks_ahead and self._idle_for == moment

    @property
    def thinks_ahead(self) -> bool:
        """Whether the idle work is about a moment to come."""
        return self._idle_for is not None and self._idle_work is not None and not self._idle_work.done()

    def think(self, work: asyncio.Task[None], about: Moment | None = None) -> None:
        """Take up other idle work. about: the moment that it finds a suggestion for; None when it only primes."""
        self.rest()
        self._idle_work, self._idle_for = work, about

    def rest(self) -> None:
        """End the idle work."""
        if self._idle_work is not None:
            self._idle_work.cancel()
        self._idle_work = self._idle_for = None


def _leads_to(text: str, goal: str) -> bool:
    """Whether `goal` is `text` with something inserted at one place."""
    start, end, _ = minimal_edit(text, goal)
    return start == end
