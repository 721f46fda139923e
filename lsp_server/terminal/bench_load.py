"""`midfill bench load`: what an endpoint gives many people who type at once.

Each person types in a document of their own and asks for ghost text with every key, the next one when the last was
answered; so as many requests are under way as there are people.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from midfill.lsp_server.resident.resident import Resident
from midfill.lsp_server.terminal.connection import LoadDisplay, connected
from midfill.lsp_server.terminal.render import make_console
from midfill.lsp_server.terminal.typing_replay import Keystroke, keystrokes
from midfill.lsp_server.text.filling import plan_fill
from midfill.lsp_server.text.holes import Span
from midfill.model.wire.api import ModelInfo, Usage

_TYPED_FROM = 0.35
"""The share of a document that stands there before anybody types."""
_SHORTEST_DOCUMENT = 4000


@dataclass
class Load:
    """took_ms: of each answer that came within the time; what it cost, in the same order."""

    took_ms: list[float] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)


def run_load(*, as_json: bool, people: int, seconds: float, scatter: bool, endpoint: str | None) -> None:
    """Raises TerminalError when the model cannot be reached, or fails under the load."""
    console = make_console()
    figures = asyncio.run(_measure(None if as_json else LoadDisplay(console), people, seconds, scatter, endpoint))
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, figure in figures.items():
        table.add_row(name.replace("_", " "), str(figure))
    console.print(table)


async def _measure(
    display: LoadDisplay | None, people: int, seconds: float, scatter: bool, endpoint: str | None
) -> dict[str, Any]:
    async with connected(endpoint, display) as (resident, info):
        resident.scatters = scatter
        load = Load()
        documents = itertools.islice(itertools.cycle(_documents()), people)
        started_s = time.perf_counter()
        typing = [
            _type(resident, info, f"/person-{person}/module.py", text, started_s + seconds, load)
            for person, text in enumerate(documents)
        ]
        await asyncio.gather(*typing)
        took_s = time.perf_counter() - started_s
    context = sum(usage.context_tokens for usage in load.usages)
    ordered = sorted(load.took_ms)
    return {
        "people": people,
        "seconds": round(took_s, 1),
        "answers": len(ordered),
        "answers_per_second": round(len(ordered) / took_s, 1),
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[round(0.95 * (len(ordered) - 1))], 1),
        "cached_context_share": round(sum(usage.cached_tokens for usage in load.usages) / max(1, context), 4),
        "forward_passes_per_answer": round(sum(usage.forward_passes for usage in load.usages) / len(ordered), 2),
    }


def _documents() -> list[str]:
    """Modules of midfill's own, by name."""
    modules = sorted(importlib.resources.files("midfill.lsp_server.text").iterdir(), key=lambda module: module.name)
    texts = [module.read_text(encoding="utf-8") for module in modules if module.name.endswith(".py")]
    return [text for text in texts if len(text) >= _SHORTEST_DOCUMENT]


async def _type(resident: Resident, info: ModelInfo, path: str, text: str, until_s: float, load: Load) -> None:
    anchor = None
    for key in _endless_typing(text):
        if time.perf_counter() > until_s:
            return
        plan = plan_fill(
            key.text,
            [Span(key.cursor, key.cursor)],
            language_id="python",
            path=path,
            info=info,
            priority="inline",
            anchor=anchor,
            inline=True,
        )
        anchor = plan.anchor
        asked_s = time.perf_counter()
        infill = await resident.infill(plan.request)
        load.took_ms.append(1000 * (time.perf_counter() - asked_s))
        load.usages.append(infill.usage)


def _endless_typing(text: str) -> Iterator[Keystroke]:
    start = text.index("\n", int(len(text) * _TYPED_FROM)) + 1
    while True:
        yield from keystrokes(text, start, len(text))
