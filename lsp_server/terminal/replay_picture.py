"""A replay as a moving picture: an SVG that CSS alone animates, small enough for a README.

A piece of text that stands still for several frames is drawn once, for the time between its first and last frame. Where
nothing moves (a viewer without CSS animations, a person who asked for less motion) the last frame is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate
from typing import Literal

from rich.cells import cell_len, set_cell_size

from midfill.lsp_server.terminal.canvas_runs import Run, RunKind, lines_of
from midfill.lsp_server.terminal.replay import Frame, Replay

MAX_COLUMNS, MIN_COLUMNS = 100, 64
MAX_LINES = 48
_CHAR_W, _LINE_H, _PADDING = 8.4, 20, 20
_FIRST_S, _LAST_S = 1.2, 5.0
_STEPS_S, _LONGEST_STEP_S = 9.0, 0.5
"""All denoising steps together at most, and one of few."""

_STYLE = """
svg { --back: #ffffff; --code: #1f2328; --dim: #59636e; --settled: #1a7f37; --removed: #b31d28; --place: #0550ae;
  --line: #d1d9e0 }
@media (prefers-color-scheme: dark) { svg { --back: #0d1117; --code: #e6edf3; --dim: #9198a1; --settled: #56d364;
  --removed: #ff8a84; --place: #79c0ff; --line: #3d444d } }
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: var(--code);
  white-space: pre }
.settled { fill: var(--settled); font-weight: 600 } .added { fill: var(--settled) }
.open { fill: var(--dim) } .skipped { fill: var(--dim) } .removed { fill: var(--removed) } .place { fill: var(--place) }
.file, .title { font-weight: 700 }
.m { opacity: 0; animation-timing-function: step-end; animation-iteration-count: infinite } .last { opacity: 1 }
#bar { fill: var(--place); transform-box: fill-box; animation: bar step-end infinite }
@media (prefers-reduced-motion: reduce) { .m, #bar { animation: none !important } }
"""


@dataclass(frozen=True, order=True, slots=True)
class _Piece:
    """Text at a line and a column of the grid, wide characters counted twice."""

    line: int
    column: int
    text: str
    kind: RunKind | Literal["title"]


def picture_of(replay: Replay) -> str:
    num_frames = len(replay.frames)
    frames = [set(_pieces_of(frame)) for frame in replay.frames]
    ends = [piece.column + cell_len(piece.text) for pieces in frames for piece in pieces]
    num_columns = max(MIN_COLUMNS, *ends)
    num_lines = 1 + max(piece.line for pieces in frames for piece in pieces)
    width, bar_y = num_columns * _CHAR_W + 2 * _PADDING, _PADDING + (num_lines + 2.5) * _LINE_H + 4
    height = bar_y + 1.5 * _LINE_H + _PADDING
    captions = [{_Piece(num_lines + 1, 0, _cut(frame.caption, num_columns), "skipped")} for frame in replay.frames]
    shown = sorted([*_while_shown(frames), *_while_shown(captions)])
    moves = sorted({(first, end) for _, first, end in shown if end - first < num_frames})
    title = _Piece(-2, 0, _cut("$ " + replay.title, num_columns), "title")
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img">',
            f"<title>{escape(replay.title, quote=False)}: the canvas settling, then the diff</title>",
            f"<style>{_STYLE}{_keyframes(moves, num_frames)}</style>",
            f'<rect x=".5" y=".5" width="{width - 1:g}" height="{height - 1:g}" rx="8" fill="var(--back)" '
            'stroke="var(--line)"/>',
            _text(title, ""),
            *(_text(piece, _class_of(first, end, num_frames)) for piece, first, end in shown),
            f'<rect id="bar" x="{_PADDING}" y="{bar_y:g}" width="{width - 2 * _PADDING:g}" height="2"/>',
            "</svg>\n",
        ]
    )


def _pieces_of(frame: Frame) -> Iterator[_Piece]:
    lines = lines_of(frame.runs)
    if len(lines) > MAX_LINES:
        left_out = len(lines) - MAX_LINES + 1
        lines = [*lines[: MAX_LINES - 1], [Run(f"\N{VERTICAL ELLIPSIS} {left_out} more lines", "skipped")]]
    for number, line in enumerate(lines):
        column = 0
        for run in line:
            text = _cut(run.text.expandtabs(4), MAX_COLUMNS - column)
            indentation = len(text) - len(text.lstrip(" "))
            if text.strip():
                yield _Piece(number, column + indentation, text.strip(" "), run.kind)
            column += cell_len(text)


def _cut(text: str, num_columns: int) -> str:
    if cell_len(text) <= num_columns:
        return text
    return set_cell_size(text, num_columns - 1) + "\N{HORIZONTAL ELLIPSIS}" if num_columns > 0 else ""


def _while_shown(frames: Sequence[set[_Piece]]) -> Iterator[tuple[_Piece, int, int]]:
    """Each piece with the frames [first, end) that it stands still for."""
    since: dict[_Piece, int] = {}
    for number, pieces in enumerate([*frames, set()]):
        for piece in [piece for piece in since if piece not in pieces]:
            yield piece, since.pop(piece), number
        for piece in pieces:
            since.setdefault(piece, number)


def _class_of(first: int, end: int, num_frames: int) -> str:
    if end - first == num_frames:
        return ""
    return f"m{' last' if end == num_frames else ''} f{first}-{end}"


def _keyframes(moves: Sequence[tuple[int, int]], num_frames: int) -> str:
    """When each range of frames is seen, and how far the bar has come."""
    step_s = min(_STEPS_S / max(num_frames - 2, 1), _LONGEST_STEP_S)
    begins_s = [0.0, *accumulate([_FIRST_S, *[step_s] * (num_frames - 2), _LAST_S])]
    share = [100 * begin_s / begins_s[-1] for begin_s in begins_s]
    rules = [f".m, #bar {{ animation-duration: {begins_s[-1]:.2f}s }}"]
    for first, end in moves:
        before = "0% { opacity: 0 } " if first else ""
        rules.append(
            f".f{first}-{end} {{ animation-name: f{first}-{end} }} @keyframes f{first}-{end} {{ {before}"
            f"{share[first]:.3f}% {{ opacity: 1 }} {share[end]:.3f}%, 100% {{ opacity: {int(end == num_frames)} }} }}"
        )
    widths = (
        f"{share[number]:.3f}% {{ transform: scaleX({number / (num_frames - 1):.3f}) }}" for number in range(num_frames)
    )
    return "\n".join([*rules, f"@keyframes bar {{ {' '.join(widths)} }}", ""])


def _text(piece: _Piece, moving: str) -> str:
    """textLength keeps the grid whatever font the viewer has."""
    x, y = _PADDING + piece.column * _CHAR_W, _PADDING + (piece.line + 2) * _LINE_H + 14
    classes = " ".join(name for name in (piece.kind, moving) if name and name != "code")
    return (
        f'<text x="{x:g}" y="{y}" textLength="{cell_len(piece.text) * _CHAR_W:g}"'
        + (f' class="{classes}"' if classes else "")
        + f">{escape(piece.text, quote=False)}</text>"
    )
