"""`midfill bench latency`: how long a person waits for the language server, and what an answer costs the model.

Times are taken where the editor stands: through the real language server over stdio, one keystroke after the other.
What the wire's `usage` tells (forward passes, cache) is replayed straight against the resident on another stretch.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import json
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from midfill.lsp_server.resident.resident import Resident
from midfill.lsp_server.terminal.connection import LoadDisplay, connected
from midfill.lsp_server.terminal.editor import Editor, editing
from midfill.lsp_server.terminal.errors import TerminalError, bad_input
from midfill.lsp_server.terminal.process import memory_bytes
from midfill.lsp_server.terminal.render import make_console
from midfill.lsp_server.terminal.source_file import read_source
from midfill.lsp_server.terminal.typing_replay import keystrokes, without
from midfill.lsp_server.text.filling import choose, plan_fill
from midfill.lsp_server.text.holes import Span
from midfill.model.wire.api import ModelInfo, Usage

NUM_KEYSTROKES = 80
NUM_JUMPS = 8
START_GOAL = 1.5
_BARE_SERVER = "from pygls.lsp.server import LanguageServer; LanguageServer('bare', '1').start_io()"
_CONNECT_S = 10.0
_SHORTEST_SAMPLE = 4000

Figures = dict[str, Any]


def run_latency(*, as_json: bool, num_runs: int, file: Path | None, endpoint: str | None) -> None:
    """Raises TerminalError for an unusable file, and when the model cannot be reached."""
    name, text = _sample(file)
    console = make_console()
    figures = asyncio.run(_measure(None if as_json else console, num_runs, (name, text), endpoint))
    if as_json:
        print(json.dumps(figures, indent=2))
    else:
        _print(console, figures)


def _sample(file: Path | None) -> tuple[str, str]:
    """A name and a text of Python: the file's, or a module of midfill's own."""
    if file is None:
        module = importlib.resources.files("midfill.lsp_server.lsp") / "document.py"
        return "document.py", module.read_text(encoding="utf-8")
    text = read_source(file).text
    if len(text) < _SHORTEST_SAMPLE:
        raise bad_input(
            f"{file} has {len(text)} characters; give one of {_SHORTEST_SAMPLE} or more, or leave --file out."
        )
    return file.name, text


async def _measure(console: Console | None, num_runs: int, sample: tuple[str, str], endpoint: str | None) -> Figures:
    """Every figure; with a console, what is being measured is shown there."""
    name, text = sample
    async with connected(endpoint, LoadDisplay(console) if console else None) as (resident, info):
        with console.status("Measuring the start.") if console else nullcontext() as shown:
            tell = shown.update if shown else lambda sentence: None
            start = await _measure_start(num_runs, endpoint)
            async with editing(endpoint) as editor:
                uri = f"file:///bench/{name}"
                await _wait_for_model(editor, uri, text)
                tell("Measuring typing.")
                typing = await _measure_typing(editor, uri, text)
                tell("Measuring jumps.")
                jump = await _measure_jumps(editor, uri, text)
                memory = await _measure_memory(editor, resident)
            tell("Measuring what an answer costs.")
            decoding = await _measure_usage(resident, info, name, text)
    return {
        "start": start,
        "typing": typing,
        "jump": jump,
        "decoding": decoding,
        "memory": memory,
        "model": {field: getattr(info, field) for field in ("name", "family", "revision", "device", "precision")},
        "machine": {"system": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
    }


async def _measure_memory(editor: Editor, resident: Resident) -> Figures:
    is_here = resident.address.socket_path is not None
    return {
        "language_server_bytes": memory_bytes(editor.pid),
        "resident_bytes": memory_bytes((await resident.health()).pid) if is_here else None,
    }


async def _measure_start(num_runs: int, endpoint: str | None) -> Figures:
    """Process start to the answer of `initialize`, beside an empty pygls server, in turn: both meet the same load."""
    bare_ms, own_ms = [], []
    for _ in range(num_runs):
        async with editing(None, (sys.executable, "-P", "-c", _BARE_SERVER)) as bare:
            bare_ms.append(1000 * bare.initialize_s)
        async with editing(endpoint) as own:
            own_ms.append(1000 * own.initialize_s)
    bare_median, own_median = statistics.median(bare_ms), statistics.median(own_ms)
    return {
        "runs": num_runs,
        "midfill_ms": round(own_median, 1),
        "bare_pygls_ms": round(bare_median, 1),
        "ratio": round(own_median / bare_median, 3),
    }


async def _wait_for_model(editor: Editor, uri: str, text: str) -> None:
    """The server answers with nothing until it has found the model; what comes first is not measured."""
    editor.open(uri, "python", text)
    give_up_at_s = time.perf_counter() + _CONNECT_S
    while not await editor.ghost_texts(_code_places(text)[0], invoked=True):
        if time.perf_counter() > give_up_at_s:
            raise TerminalError(
                "The model suggested nothing for 10 s, so there is nothing to time; run `midfill doctor`."
            )
        await asyncio.sleep(0.05)


async def _measure_typing(editor: Editor, uri: str, text: str) -> Figures:
    start, end = _stretch(text, 0.35)
    editor.open(uri, "python", without(text, start, end))
    await editor.ghost_texts(start, invoked=True)  # the first answer after a jump is `_measure_jumps`'s
    all_ms, suggested_ms = [], []
    for key in keystrokes(text, start, end):
        asked_s = time.perf_counter()
        editor.replace(key.offset, key.offset, key.inserted)
        items = await editor.ghost_texts(key.cursor, invoked=False)
        took_ms = 1000 * (time.perf_counter() - asked_s)
        all_ms.append(took_ms)
        if items:
            suggested_ms.append(took_ms)
    return {"all": _quantiles(all_ms), "with_suggestion": _quantiles(suggested_ms)}


async def _measure_jumps(editor: Editor, uri: str, text: str) -> Figures:
    """The first answer at places whose surroundings were not encoded before."""
    editor.open(uri, "python", text)
    took_ms = []
    for offset in _code_places(text):
        asked_s = time.perf_counter()
        await editor.ghost_texts(offset, invoked=False)
        took_ms.append(1000 * (time.perf_counter() - asked_s))
    return _quantiles(took_ms)


async def _measure_usage(resident: Resident, info: ModelInfo, name: str, text: str) -> Figures:
    start, end = _stretch(text, 0.7)
    anchor, usages, num_shown = None, list[Usage](), 0
    for key in keystrokes(text, start, end):
        plan = plan_fill(
            key.text,
            [Span(key.cursor, key.cursor)],
            language_id="python",
            path=f"/bench/{name}",
            info=info,
            priority="inline",
            anchor=anchor,
            inline=True,
        )
        anchor = plan.anchor
        infill = await resident.infill(plan.request)
        usages.append(infill.usage)
        num_shown += bool(choose(plan, infill))
    passes = sum(usage.forward_passes for usage in usages)
    context = sum(usage.context_tokens for usage in usages)
    return {
        "answers": len(usages),
        "answers_with_text": num_shown,
        "forward_passes_per_answer": round(passes / len(usages), 2),
        "code_tokens_per_forward_pass": round(sum(usage.fill_tokens for usage in usages) / max(1, passes), 3),
        "context_tokens_per_answer": round(context / len(usages), 1),
        "cached_context_share": round(sum(usage.cached_tokens for usage in usages) / max(1, context), 4),
    }


def _stretch(text: str, share: float) -> tuple[int, int]:
    """NUM_KEYSTROKES characters from the first line start after `share` of the text, up to a line's end."""
    start = text.index("\n", int(len(text) * share)) + 1
    end = text.find("\n", start + NUM_KEYSTROKES)
    return start, end if end >= 0 else len(text)


def _code_places(text: str) -> list[int]:
    """Up to NUM_JUMPS places in code, after `= ` or `return `, spread over the text; far ones follow each other."""
    places = [found.end() for found in re.finditer(r"(?m)^ *(?:\w+ = |return )(?=\S)", text)]
    if not places:
        raise bad_input("The file has no assignment and no return, so there is no place to jump to; give another.")
    spread = [places[index * len(places) // NUM_JUMPS] for index in range(NUM_JUMPS)]
    return list(dict.fromkeys(spread[0::2] + spread[1::2]))


def _quantiles(values_ms: Sequence[float]) -> Figures:
    if not values_ms:
        return {"count": 0, "p50_ms": None, "p95_ms": None}
    ordered = sorted(values_ms)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"count": len(ordered), "p50_ms": round(statistics.median(ordered), 1), "p95_ms": round(p95, 1)}


def _print(console: Console, figures: Figures) -> None:
    start, typing, decoding, memory = (figures[key] for key in ("start", "typing", "decoding", "memory"))
    table = Table(box=None, pad_edge=False)
    table.add_column("what", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    table.add_column("how", overflow="fold")
    rows = [
        (
            "start to initialize answer",
            f"{start['midfill_ms']:.0f} ms, {start['ratio']:.2f} x bare",
            f"bare pygls {start['bare_pygls_ms']:.0f} ms; medians of {start['runs']}; goal {START_GOAL} x or less",
        ),
        (
            "keystroke to answer, all",
            _shown(typing["all"]),
            f"{typing['all']['count']} keystrokes, auto-closed brackets",
        ),
        (
            "  of these with a suggestion",
            _shown(typing["with_suggestion"]),
            f"{typing['with_suggestion']['count']} keystrokes",
        ),
        ("first answer after a jump", _shown(figures["jump"]), f"{figures['jump']['count']} jumps"),
        ("forward passes per answer", f"{decoding['forward_passes_per_answer']}", f"{decoding['answers']} answers"),
        (
            "code tokens per forward pass",
            f"{decoding['code_tokens_per_forward_pass']}",
            "in the fills",
        ),
        (
            "context from the cache",
            f"{decoding['cached_context_share']:.1%}",
            f"of {decoding['context_tokens_per_answer']:.0f} tokens per answer",
        ),
        ("memory of the language server", _size(memory["language_server_bytes"]), "resident set"),
        ("memory of the resident", _size(memory["resident_bytes"]), "resident set, shared by all editors"),
    ]
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    model, machine = figures["model"], figures["machine"]
    console.print(
        Text(
            f"{model['name']} {model['revision']}, {model['precision']} on {model['device']}; "
            f"{machine['cpus']} CPUs, Python {machine['python']}, {machine['system']}",
            style="dim",
        )
    )


def _shown(quantiles: Figures) -> str:
    return f"p50 {quantiles['p50_ms']} ms, p95 {quantiles['p95_ms']} ms" if quantiles["count"] else "none"


def _size(num_bytes: int | None) -> str:
    return "not known" if num_bytes is None else f"{num_bytes / 2**20:.0f} MiB"
