"""The twenty listed holes in files of held-out packages, filled by `midfill fill` as a person would run it."""

from __future__ import annotations

import json
import keyword
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from midfill.model.evaluation.baselines import copy_from_same_file, same
from midfill.model.evaluation.options import AsJson
from midfill.model.evaluation.regions import tree_of
from midfill.model.training.held_out import Hole, HoleMismatchError, load_holes, read_file

MARKER = "<fill>"


class FillFailedError(RuntimeError):
    """`midfill fill` did not answer; the message is its own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one hole. renamed_fill: the fill after an identifier in the text behind the hole was renamed."""

    id: str
    kind: str
    truth: str
    fill: str
    confidence: float
    parses: bool
    exact: bool
    copied: str
    copy_exact: bool
    renamed: str
    renamed_fill: str
    usage: dict[str, Any]


def command(
    list_path: Annotated[Path, typer.Argument(metavar="LIST", help="For example tests/data/held_out_holes.json.")],
    endpoint: Annotated[str | None, typer.Option(help="A resident other than this machine's own.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The first so many of the list.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Fill the listed holes in files of held-out packages with `midfill fill` and compare with what stood there."""
    outcomes: list[Outcome] = []
    try:
        for hole in load_holes(list_path)[:limit]:
            outcomes.append(fill_hole(hole, read_file(hole), endpoint))
            if not as_json:
                _print_outcome(outcomes[-1])
    except (FillFailedError, HoleMismatchError) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from error
    summary = {
        "num_holes": len(outcomes),
        "parse": sum(outcome.parses for outcome in outcomes),
        "exact": sum(outcome.exact for outcome in outcomes),
        "copy_exact": sum(outcome.copy_exact for outcome in outcomes),
        "changed_by_renaming": sum(outcome.fill != outcome.renamed_fill for outcome in outcomes),
    }
    if as_json:
        print(json.dumps({"summary": summary, "holes": [asdict(outcome) for outcome in outcomes]}, indent=1))
    else:
        print(
            "{parse} of {num_holes} parse in place; exact: {exact}, same-file copy: {copy_exact}; "
            "renaming an identifier behind the hole changed {changed_by_renaming} fills".format(**summary)
        )


def _print_outcome(outcome: Outcome) -> None:
    verdict = "exact" if outcome.exact else "parses" if outcome.parses else "does not parse"
    print(f"{outcome.id} ({outcome.kind}): {verdict}")
    for name, text in (("was", outcome.truth), ("fill", outcome.fill), ("copy", outcome.copied)):
        print(f"  {name:5}{text!r}")


def fill_hole(hole: Hole, text: str, endpoint: str | None) -> Outcome:
    """Cut the hole out of its file, fill it through the command line, and judge the file that comes out."""
    before, truth, after = text[: hole.start], text[hole.start : hole.end], text[hole.end :]
    answer = run_fill(before + MARKER + after, endpoint)
    fill = answer["holes"][0]["fill"]
    name = nearby_identifier(truth, after)
    renamed_after = re.sub(rf"\b{re.escape(name)}\b", f"{name}_2", after) if name else after
    renamed = run_fill(before + MARKER + renamed_after, endpoint)
    copied = copy_from_same_file(before, after)
    return Outcome(
        id=hole.id,
        kind=hole.kind,
        truth=truth,
        fill=fill,
        confidence=answer["holes"][0]["confidence"],
        parses=tree_of(before + fill + after) is not None,
        exact=same(fill, truth),
        copied=copied,
        copy_exact=same(copied, truth),
        renamed=name,
        renamed_fill=renamed["holes"][0]["fill"],
        usage=answer["usage"],
    )


def run_fill(text: str, endpoint: str | None) -> dict[str, Any]:
    """`midfill fill FILE --json` on a file with this text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "module.py"
        path.write_text(text, encoding="utf-8", newline="")
        command = [sys.executable, "-m", "midfill.lsp_server", "fill", str(path), "--json"]
        command += ["--endpoint", endpoint] if endpoint else []
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if result.returncode != 0:
        raise FillFailedError(result.stderr.strip() or f"midfill fill exited with {result.returncode}")
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def nearby_identifier(truth: str, after: str) -> str:
    """An identifier of the removed text that also stands behind it; else the commonest in the next lines; else ""."""
    following: Counter[str] = Counter(re.findall(r"\b[A-Za-z_]\w{2,}\b", "\n".join(after.split("\n")[:12])))
    names = [name for name, _ in following.most_common() if not keyword.iskeyword(name) and name != "self"]
    shared = [name for name in names if re.search(rf"\b{re.escape(name)}\b", truth)]
    return next(iter(shared or names), "")
