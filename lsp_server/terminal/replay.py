"""A replay of a canvas: each denoising step in the code around it, and the diff at the end, kept as one file to share.

The page (`replay_page.py`) and the moving picture (`replay_picture.py`) show the same frames.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from midfill.lsp_server.terminal.canvas_runs import Run, canvas_runs, diff_runs, drafts_before, drafts_of, printable
from midfill.lsp_server.terminal.errors import TerminalError, bad_input
from midfill.lsp_server.terminal.output import Answer
from midfill.lsp_server.terminal.source_file import SourceFile
from midfill.lsp_server.text.filling import FilledHole, FillPlan
from midfill.lsp_server.text.finishing.finish import normalise_line_endings
from midfill.model.wire.api import Step

_NUM_CONTEXT_LINES = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One moment. caption: what had happened by then."""

    caption: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Replay:
    """title: the command. model: which, and on what. frames: what was asked, each denoising step, and the diff."""

    title: str
    model: str
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    plan: FillPlan
    step: Step
    elapsed_ms: float


class Recorder:
    """Keeps what is seen of every request of a command, and of each the canvas that became the answer."""

    def __init__(self) -> None:
        self._seen: list[_Seen] = []
        self._frames: list[Frame] = []
        self._elapsed_ms = 0.0
        self._is_the_answer = True

    def see(self, plan: FillPlan, step: Step, elapsed_ms: float) -> None:
        self._seen.append(_Seen(plan, step, elapsed_ms))

    def choose(self, plans: Sequence[FillPlan], fills: Sequence[FilledHole]) -> None:
        """The requests that were asked side by side are answered, and `fills` was chosen of their answers."""
        wanted = [_words(hole.fill) for hole in fills]
        last = {(id(seen.plan), seen.step.candidate): seen for seen in self._seen}
        if last:
            shown = max(last.values(), key=lambda seen: _likeness(_final(seen.step), wanted))
            self._is_the_answer &= _final(shown.step) == wanted
            of_canvas = [
                seen for seen in self._seen if seen.plan is shown.plan and seen.step.candidate == shown.step.candidate
            ]
            self._frames += [self._asked(shown.plan), *map(self._frame, of_canvas)]
            self._elapsed_ms += self._seen[-1].elapsed_ms
        self._seen.clear()

    def replay(self, title: str, answer: Answer, diff: Sequence[str]) -> Replay:
        info = answer.info
        note = "" if self._is_the_answer else "; the canvas shown is the one that came closest to it"
        model = f"{info.name}, {info.num_parameters / 1e6:.1f}M parameters, {info.precision} on {info.device}"
        return Replay(
            printable(title), printable(model), (*self._frames, Frame(answer.done + note, tuple(diff_runs(diff))))
        )

    def _asked(self, plan: FillPlan) -> Frame:
        runs = canvas_runs(plan.text, plan.spans, drafts_before(plan.request), _NUM_CONTEXT_LINES)
        return Frame(f"asked for, at {self._elapsed_ms:.0f} ms", tuple(runs))

    def _frame(self, seen: _Seen) -> Frame:
        elapsed_ms = self._elapsed_ms + seen.elapsed_ms
        runs = canvas_runs(seen.plan.text, seen.plan.spans, drafts_of(seen.step), _NUM_CONTEXT_LINES)
        return Frame(f"forward pass {seen.step.step}, at {elapsed_ms:.0f} ms", tuple(runs))


def check_recording(path: Path | None, source: SourceFile) -> bool:
    """Whether a replay is wanted. Raises TerminalError if it could not be kept; asked before the model works for
    nothing."""
    if path is None:
        return False
    if path.suffix.lower() not in (".html", ".svg"):
        raise bad_input(f"--record makes a page or a picture; name a file that ends in .html or .svg, not {path}.")
    if path.is_dir():
        raise bad_input(f"--record {path} is a directory; name a file in it.")
    if not path.parent.is_dir():
        raise bad_input(f"--record {path}: there is no folder {path.parent}; make it first.")
    if path.resolve() == source.target:
        raise bad_input(f"--record {path} would replace the file that is being edited; name another.")
    return True


def write_recording(path: Path, replay: Replay) -> None:
    """Raises TerminalError."""
    from midfill.lsp_server.terminal.replay_page import page_of
    from midfill.lsp_server.terminal.replay_picture import picture_of

    made: Callable[[Replay], str] = page_of if path.suffix.lower() == ".html" else picture_of
    try:
        path.write_text(made(replay), encoding="utf-8")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TerminalError(f"The replay cannot be written to {path}: {reason}.") from None


def _final(step: Step) -> list[str]:
    return [_words("".join(piece.text for piece in draft.pieces)) for draft in step.drafts]


def _words(code: str) -> str:
    """Without the indentation that a fill gets at its place."""
    return "\n".join(line.strip() for line in normalise_line_endings(code).strip().split("\n"))


def _likeness(texts: Sequence[str], wanted: Sequence[str]) -> float:
    ratios = (
        difflib.SequenceMatcher(None, text, goal, autojunk=False).ratio()
        for text, goal in zip(texts, wanted, strict=False)
    )
    return sum(ratios)
