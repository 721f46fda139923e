"""`midfill eval typing`: what people feel, measured on replayed typing of held-out files.

At each pause in a window (`midfill.model.evaluation.typed_windows`) the front's own planning, choosing and rules of
suppression decide what would be shown unasked (`front`), several lines in an empty body included.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.options import (
    EMBEDDED,
    AsJson,
    Corpus,
    Language,
    ModelName,
    Record,
    Split,
    load,
    read_split,
)
from midfill.model.evaluation.typed_windows import (
    NUM_LINES,
    POLICIES,
    Outcome,
    Window,
    accept_whole,
    draw_windows,
    pauses,
    replay,
)
from midfill.model.measuring.baselines import copy_from_same_file
from midfill.model.measuring.front import Front, Source
from midfill.model.measuring.intervals import ratio_interval
from midfill.model.measuring.records import answered
from midfill.model.measuring.scores import by_language
from midfill.model.wire.api import Candidate, Fill, Infill, InfillRequest, Usage

MODEL, COPY = "midfill", "same-file copy"
COPIED_RUN = 4
"""Lexemes before the cursor that must stand elsewhere in the file too for the same-file copy to be shown."""

AskAt = Callable[[InfillRequest, str, str], Infill]
"""Of a request, and of the whole file's text before and behind the cursor."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What was shown at an offset ("": nothing), and what it cost: ms is wall clock, with the front's share."""

    offset: int
    shown: str
    ms: float
    context_tokens: int
    cached_tokens: int


def suggestions(window: Window, front: Front, ask: AskAt) -> Iterator[Suggestion]:
    """What is shown unasked at each pause where the front asks at all, nothing having been accepted before."""
    jumped, behind = True, window.text[window.end :]
    for offset in pauses(window):
        before, usage = window.text[:offset], Usage()

        def asked(request: InfillRequest, before: str = before) -> Infill:
            nonlocal usage
            infill = ask(request, before, behind)
            usage = infill.usage
            return infill

        started = time.perf_counter()
        source = Source(before + behind, window.language, window.path)
        shown = front.shown(source, offset, asked, jumped=jumped)
        ms = (time.perf_counter() - started) * 1000
        jumped = False
        if shown is not None:
            yield Suggestion(offset, shown.fill, ms, usage.context_tokens, usage.cached_tokens)


def ask_model(model: DenoisingModel) -> AskAt:
    def ask(request: InfillRequest, before: str, behind: str) -> Infill:
        return next(item for item in model.infill(request, time.monotonic()) if isinstance(item, Infill))

    return ask


def ask_copy(request: InfillRequest, before: str, behind: str) -> Infill:
    """The same-file copy as a model: it answers where at least COPIED_RUN lexemes before the cursor recur."""
    copied = copy_from_same_file(before, behind) if _recurs(before, behind, COPIED_RUN) else ""
    found = (Candidate((Fill(request.holes[0].id, copied, 1.0),), 1.0),) if copied else ()
    return Infill(found, "closed", Usage(), COPY)


def _recurs(before: str, behind: str, num_lexemes: int) -> bool:
    lexemes = re.findall(r"\w+|[^\w\s]|\n[ \t]*", before[-2000:])[-num_lexemes:]
    run = re.compile(r"(?<!\w)" + r"[ \t]*".join(map(re.escape, lexemes)))
    return len(lexemes) == num_lexemes and any(run.search(text) for text in (before[:-1], behind))


def measure(
    model: DenoisingModel, windows: Sequence[Window], record: Path | None, settings: dict[str, Any]
) -> dict[str, Any]:
    """Rows by method and policy, and what a suggestion of the model costs."""
    header = {"measure": "typing", "model": model.info.name, "revision": model.info.revision, **settings}
    with Front(model.info) as front, Front(replace(model.info, show_threshold=0.0)) as front_of_copy:

        def answer(window: Window) -> dict[str, Any]:
            found = {
                MODEL: suggestions(window, front, ask_model(model)),
                COPY: suggestions(window, front_of_copy, ask_copy),
            }
            return {method: [[*asdict(one).values()] for one in found[method]] for method in found}

        results = answered(windows, lambda window: window.key, answer, record=record, header=header, label="windows")
    of_windows = [{**result, "language": window.family} for window, result in zip(windows, results, strict=True)]
    windows_by_key = {window.key: window for window in windows}
    figures = _figures_of(windows, of_windows)
    figures["by_language"] = {
        family: _figures_of([windows_by_key[result["task"]] for result in part], part)
        for family, part in by_language(of_windows).items()
    }
    return figures


def _figures_of(windows: Sequence[Window], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows = []
    for method in (MODEL, COPY):
        for policy, accept in POLICIES.items():
            shown = [{offset: text for offset, text, *_ in result[method]} for result in results]
            outcomes = [replay(window, one, accept) for window, one in zip(windows, shown, strict=True)]
            rows.append(row(method, policy, outcomes))
    rows.append(row("never", "", [replay(window, {}, accept_whole) for window in windows]))
    asked = [Suggestion(*one) for result in results for one in result[MODEL]]
    return {"num_windows": len(windows), "rows": rows, "cost": cost(asked)}


def row(method: str, policy: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Pooled over windows, with 95 % intervals by bootstrap over them; None where nothing was shown."""
    keys, saved, shown, wrong = (
        [getattr(one, name) for one in outcomes] for name in ("keys", "saved", "shown", "wrong")
    )
    return {
        "method": method,
        "policy": policy,
        "keys": sum(keys),
        "saved_share": sum(saved) / max(sum(keys), 1),
        "saved_interval": ratio_interval(saved, keys),
        "shown_per_100_keys": 100 * sum(shown) / max(sum(keys), 1),
        "wrong_share": sum(wrong) / sum(shown) if sum(shown) else None,
        "wrong_interval": ratio_interval(wrong, shown),
    }


def cost(asked: Sequence[Suggestion]) -> dict[str, Any]:
    """Of all answers, those not shown too. cached_share: of the context's tokens, the first of each window included."""
    ms = [one.ms for one in asked] or [0.0]
    context = sum(one.context_tokens for one in asked)
    return {
        "num_asked": len(asked),
        "p50_ms": float(np.quantile(ms, 0.5)),
        "p95_ms": float(np.quantile(ms, 0.95)),
        "cached_share": sum(one.cached_tokens for one in asked) / max(context, 1),
    }


def command(
    corpus: Corpus,
    limit: Annotated[
        int, typer.Option(min=1, help=f"Windows of {NUM_LINES} lines, in equal shares of the languages.")
    ] = 30,
    split: Split = "test",
    language: Language = None,
    model: ModelName = EMBEDDED,
    seed: int = 0,
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Keystrokes saved, and how much of what was shown was wrong, on replayed typing of held-out files."""
    loaded = load(model)
    info = loaded.info
    settings = {"split": split, "limit": limit, "seed": seed, "show_threshold": info.show_threshold}
    settings["language"] = language
    windows = draw_windows(read_split(corpus, split, language), limit, seed)
    if not windows:
        raise typer.BadParameter(f"No file of {split} in {corpus} has {NUM_LINES} lines of code; give another --split.")
    figures = measure(loaded, windows, record, settings)
    if as_json:
        print(json.dumps({"model": info.name, "revision": info.revision, **settings, **figures}, indent=1))
        return
    print(
        f"{info.name} {info.revision}, shown from {info.show_threshold}, "
        f"{len(windows)} windows of {NUM_LINES} lines, {split} packages, seed {seed}"
    )
    _print(figures)
    for name, part in figures["by_language"].items():
        print(f"\n{name}, {part['num_windows']} windows")
        _print(part)
    print(f"The same-file copy is shown where {COPIED_RUN} or more lexemes before the cursor recur.")


def _print(figures: Mapping[str, Any]) -> None:
    print(f"{'':18}{'accepted':10}{'keys saved':>24}{'shown per 100 keys':>20}{'of these wrong':>24}")
    for one in figures["rows"]:
        saved, wrong = (_percent(one[f"{name}_share"], one[f"{name}_interval"]) for name in ("saved", "wrong"))
        print(f"{one['method']:18}{one['policy']:10}{saved:>24}{one['shown_per_100_keys']:>20.1f}{wrong:>24}")
    print(
        "{num_asked} suggestions asked for: {p50_ms:.0f} ms (p50), {p95_ms:.0f} ms (p95) each; "
        "{cached_share:.1%} of the context's tokens cached".format(**figures["cost"])
    )


def _percent(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None or interval is None:
        return "-"
    return f"{share:.1%} ({interval[0]:.1%}-{interval[1]:.1%})"
