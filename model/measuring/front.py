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
from enum import StrEnum
from types import TracebackType
from typing import Any

from midfill.model.measuring.children import ends_with_parent
from midfill.model.wire.api import Infill, InfillRequest, ModelInfo, from_json, to_json

REHEARSAL = "midfill.lsp_server.rehearsal"

Ask = Callable[[InfillRequest], Infill]


class FrontRefusedError(ValueError):
    """The front would not ask the model for these holes; the message is its own."""


@dataclass(frozen=True, slots=True)
class Source:
    """A whole file. language: an editor's identifier, "" where the path must tell."""

    text: str
    language: str = "python"
    path: str | None = None


class ServedAs(StrEnum):
    """What a person did: asked for a fill (`midfill fill`, the commands of an editor), or for ghost text."""

    FILL = "fill"
    GHOST_TEXT = "ghost-text"


@dataclass(frozen=True, slots=True)
class Choice:
    """The best candidate as it goes into the text, a fill for each hole, "" where there is none."""

    fills: tuple[str, ...]
    parses: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """first_parses: a fill as the model gave it parses in place. fill: what the front makes of an answer with several
    candidates ("" if it would offer none), and whether that parses."""

    first_parses: bool
    fill: str
    parses: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """Ghost text that nobody asked for. confidence: that decides; weakest: of the least certain token; 0 to 1. With
    nothing to show the fill is "" and both are 0."""

    fill: str = ""
    confidence: float = 0.0
    weakest: float = 0.0


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A request to write `text[start:end]` again, code points."""

    text: str
    request: InfillRequest
    start: int
    end: int

    def applied(self, version: str) -> str:
        """The file with a version in place."""
        return self.text[: self.start] + version + self.text[self.end :]


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
        self,
        source: Source,
        places: Sequence[int],
        served_as: ServedAs = ServedAs.FILL,
        *,
        candidates: int | None = None,
        max_tokens: int | None = None,
    ) -> InfillRequest:
        """The request for holes at `places` (code points, in order) of a file; None for what the front itself chooses.
        Ghost text has one place. Raises FrontRefusedError."""
        answer = self._asked(
            "plan",
            text=source.text,
            places=list(places),
            language=source.language,
            path=source.path,
            inline=served_as is ServedAs.GHOST_TEXT,
            candidates=candidates,
            max_tokens=max_tokens,
        )
        return _request_in(answer)

    def choose(self, infill: Infill) -> Choice:
        """What the front makes of an answer to the last request that was planned."""
        answer = self._asked("choose", infill=to_json(infill))
        return Choice(tuple(answer["fills"]), answer["parses"])

    def verdict(self, first: str, infill: Infill) -> Verdict:
        """Of the last request that was planned, for one hole: `first` as it is, and what `choose` makes of all."""
        return Verdict(**self._asked("verdict", first=first, infill=to_json(infill)))

    def plan_rewrite(
        self, source: Source, start: int, end: int, *, verb: str | None = None, strength: float | None = None
    ) -> Rewriting:
        """The request to write code points [start, end) of a file again. strength: the share of the old text that is
        noised, None for what suits the verb. Raises FrontRefusedError."""
        answer = self._asked(
            "plan_rewrite",
            text=source.text,
            start=start,
            end=end,
            language=source.language,
            path=source.path,
            verb=verb,
            strength=strength,
        )
        return Rewriting(source.text, _request_in(answer), *answer["span"])

    def regions(self, source: Source, start: int, end: int) -> list[tuple[int, int]]:
        """What a quick fix writes again for a diagnostic at code points [start, end) of a file, in the order in which
        it tries them."""
        found = self._asked(
            "regions", text=source.text, start=start, end=end, language=source.language, path=source.path
        )
        return [(first, last) for first, last in found]

    def versions(self, infill: Infill) -> list[str]:
        """What a person can choose from, of an answer to the last rewriting that was planned; best first."""
        found: list[str] = self._asked("versions", infill=to_json(infill))
        return found

    def shown(
        self, source: Source, offset: int, ask: Ask, *, jumped: bool, threshold: float | None = None
    ) -> Shown | None:
        """What is shown unasked at `offset` of a file; None where the front would not even ask (in a comment or
        string). jumped: the cursor came from elsewhere, so the window that the model sees is chosen anew. threshold:
        None for the model's own."""
        request = self.plan_unasked(source, offset, jumped=jumped)
        return None if request is None else self.show(ask(request), threshold)

    def plan_unasked(self, source: Source, offset: int, *, jumped: bool) -> InfillRequest | None:
        """The request that typing at `offset` of a file leads to; None and `jumped` as in `shown`."""
        request = self._asked(
            "plan_unasked",
            text=source.text,
            offset=offset,
            language=source.language,
            path=source.path,
            jumped=jumped,
        )
        return None if request is None else from_json(InfillRequest, request)

    def show(self, infill: Infill, threshold: float | None = None) -> Shown:
        """What is shown of an answer to the last request of `plan_unasked`; threshold: as in `shown`."""
        answer = self._asked("show", infill=to_json(infill), threshold=threshold)
        return Shown() if answer is None else Shown(**answer)

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


def _request_in(answer: dict[str, Any]) -> InfillRequest:
    if "refused" in answer:
        raise FrontRefusedError(answer["refused"])
    return from_json(InfillRequest, answer["request"])
