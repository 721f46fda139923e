"""`midfill stats`: how suggestions fare, from the counters that the language servers keep on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict

from midfill.lsp_server.terminal.render import make_console
from midfill.lsp_server.workspace.stats import Counts, read_counts, stats_path


def run_stats(*, as_json: bool) -> None:
    file = stats_path()
    counts = read_counts(file)
    if as_json:
        print(json.dumps(asdict(counts), indent=2))
        return
    console = make_console()
    if counts.is_empty:
        console.print("Nothing is counted yet: it begins with the first suggestion in an editor.")
        return
    console.print(f"Since {counts.since}, in every editor on this machine:")
    for name, number, share in _rows(counts):
        console.print(f"  {name:<22}{number:>8}{share}")
    console.print(
        f"Numbers only, in {file}; they are sent nowhere. midfill.stats = false ends the counting.", soft_wrap=True
    )


def _rows(counts: Counts) -> list[tuple[str, int, str]]:
    return [
        ("shown", counts.shown, ""),
        ("accepted", counts.accepted, _share(counts.accepted, counts.shown, "of those shown")),
        ("kept after a minute", counts.kept, _share(counts.kept, counts.accepted, "of those accepted")),
    ]


def _share(part: int, whole: int, of_what: str) -> str:
    return f"   {100 * part / whole:.0f} % {of_what}" if whole else ""
