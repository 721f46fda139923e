"""The front beside a model: what it would ask for holes in a text, and what it would make of the answers.

The model side does not import the front (an invariant of ARCHITECTURE.md), so the front runs in a process of its own,
`midfill.lsp_server.rehearsal`; questions and answers go through its standard input and output as JSON lines.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from midfill.model.api import Infill, InfillRequest, ModelInfo, from_json, to_json
from midfill.model.evaluation.children import ends_with_parent

REHEARSAL = "midfill.lsp_server.rehearsal"

Ask = Callable[[InfillRequest], Infill]


class FrontRefusedError(ValueError):
    """The front would not ask the model for these holes; the message is its own."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The best candidate as it goes into the text, a fill for each hole, "" where there is none."""

    fills: tuple[str, ...]
    parses: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """first_parses: a fill as the model gave it parses in place. fill: what the front makes of an answer with several
    candidates ("" if it would show none), and whether that parses."""

    first_parses: bool
    fill: str
    parses: bool


class Front:
    """The front beside a model of this info, which has the threshold; a context manager. Raises RuntimeError if the
    front fails; what it said of it stands on stderr."""

    def __init__(self, info: ModelInfo) -> None:
        self._info = info

    def __enter__(self) -> Front:
        command = ends_with_parent([sys.executable, "-P", "-m", REHEARSAL, json.dumps(to_json(self._info))])
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.kill()  # whatever it was asked is of no use any more
        self._process.communicate()

    def groups(self, text: str, places: Sequence[int]) -> list[list[int]]:
        """The places (code points) in groups that can each be filled in one request."""
        answer: list[list[int]] = self._asked("groups", text=text, places=list(places))
        return answer

    def plan(
        self, text: str, places: Sequence[int], candidates: int, max_tokens: int, *, single_line: bool = False
    ) -> InfillRequest:
        """The request for holes at `places` (code points, in order) of a text. single_line: each is known to end where
        its line does. Raises FrontRefusedError."""
        answer = self._asked(
            "plan",
            text=text,
            places=list(places),
            candidates=candidates,
            max_tokens=max_tokens,
            single_line=single_line,
        )
        if "refused" in answer:
            raise FrontRefusedError(answer["refused"])
        return from_json(InfillRequest, answer["request"])

    def choose(self, infill: Infill) -> Choice:
        """What the front makes of an answer to the last request that was planned."""
        answer = self._asked("choose", infill=to_json(infill))
        return Choice(tuple(answer["fills"]), answer["parses"])

    def verdict(self, before: str, after: str, first: str, infill: Infill) -> Verdict:
        """Of one hole between `before` and `after`, whole files: `first` as it is, and what `choose` makes of all."""
        return Verdict(**self._asked("verdict", before=before, after=after, first=first, infill=to_json(infill)))

    def shown(self, text: str, offset: int, ask: Ask, *, jumped: bool) -> str | None:
        """What is shown unasked at `offset` of `text`, "" for nothing; None where the front would not even ask (in a
        comment or string). jumped: the cursor came from elsewhere, so the window that the model sees is chosen anew."""
        request = self._asked("plan_unasked", text=text, offset=offset, jumped=jumped)
        if request is None:
            return None
        return str(self._asked("show", infill=to_json(ask(from_json(InfillRequest, request)))))

    def _asked(self, question: str, **arguments: Any) -> Any:
        """The front's answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"ask": question, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(
                f"The front ended at the question {question!r}; its own error stands above. Reinstall midfill if it "
                "cannot be imported."
            )
        return json.loads(line)
