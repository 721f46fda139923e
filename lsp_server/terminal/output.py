"""What becomes of an answer: a diff, JSON for scripts, or the file written. The same for every command that edits."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console

from midfill.lsp_server.terminal.diff import unified_diff
from midfill.lsp_server.terminal.render import diff_view
from midfill.lsp_server.terminal.source_file import SourceFile, write_source
from midfill.lsp_server.text.filling import FilledHole, apply_fills
from midfill.model.wire.api import ModelInfo, Usage, to_json

Output = Literal["show", "json", "diff", "write"]
"""show: a diff, at a terminal after the canvas was seen settling."""

_MODEL_FIELDS = ("name", "family", "revision", "licence", "device", "precision")


@dataclass(frozen=True)
class Answer:
    """`holes` have spans in the file's text as it was read (code points). done: what was done, for a person."""

    holes: tuple[FilledHole, ...]
    usage: Usage
    info: ModelInfo
    done: str


def is_seen(console: Console, output: Output) -> bool:
    """Whether the canvas is shown while it settles."""
    return console.is_terminal and output in ("show", "write")


def diff_of(source: SourceFile, holes: Sequence[FilledHole]) -> list[str]:
    return unified_diff(source.text, [(hole.span, hole.fill) for hole in holes], source.path.as_posix().lstrip("/"))


def deliver(source: SourceFile, answer: Answer, output: Output, console: Console, fields: Mapping[str, Any]) -> None:
    """Raises TerminalError, with the file as it was. fields: what JSON says of the command's own."""
    if output == "json":
        print(json.dumps(_as_json(source, answer, fields), ensure_ascii=False, indent=2))
        return
    diff = diff_of(source, answer.holes)
    if console.is_terminal:
        console.print(diff_view(diff), end="")
    elif output != "write":
        sys.stdout.write("".join(line + "\n" for line in diff))
    if output == "write":
        write_source(source, apply_fills(source.text, answer.holes))
    print(f"{answer.done}; {'written' if output == 'write' else 'not written (--write does)'}.", file=sys.stderr)


def what_it_cost(usage: Usage) -> str:
    return f"{usage.total_ms:.0f} ms, {usage.forward_passes} forward passes, {usage.fill_tokens} tokens"


def hole_as_json(hole: FilledHole) -> dict[str, Any]:
    return {
        "id": hole.id,
        "start": hole.span.start,
        "end": hole.span.end,
        "fill": hole.fill,
        "confidence": hole.confidence,
    }


def _as_json(source: SourceFile, answer: Answer, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "file": str(source.path),
        **fields,
        "usage": to_json(answer.usage),
        "model": {name: getattr(answer.info, name) for name in _MODEL_FIELDS},
    }
