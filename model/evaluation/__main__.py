"""`midfill eval`: what the model is worth, printed by the commands that the model card names."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from midfill.model.evaluation.held_out_holes import FillFailedError, Outcome, fill_hole
from midfill.model.evaluation.in_domain import KINDS, METHODS, Score, draw_tasks, measure
from midfill.model.infill import DenoisingModel
from midfill.model.loading import EMBEDDED, load_model
from midfill.model.training.examples import read_texts
from midfill.model.training.held_out import HoleMismatchError, load_holes, read_file

app = typer.Typer(no_args_is_help=True, help="Measure what the model is worth.", add_completion=False)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.command("in-domain")
def in_domain(
    corpus: Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`.")],
    limit: Annotated[int, typer.Option(min=1, help="Holes of each kind.")] = 200,
    split: Annotated[str, typer.Option(help="test or validation: packages that were not trained on.")] = "test",
    model: Annotated[str, typer.Option(help="`embedded` or the folder of a checkpoint.")] = EMBEDDED,
    seed: int = 0,
    as_json: AsJson = False,
) -> None:
    """Exact match on held-out packages beside left-to-right, same-file copy and an empty fill."""
    path = corpus / f"{split}.jsonl.gz"
    if not path.is_file():
        raise typer.BadParameter(f"{path} does not exist; build it with `midfill train corpus --out {corpus}`.")
    loaded = load_model(model, lambda progress, sentence: None)
    assert isinstance(loaded, DenoisingModel)
    tasks = list(draw_tasks(list(read_texts(path)), limit, seed))
    scores: Mapping[tuple[str, str], Score] = {}
    for number, so_far in enumerate(measure(loaded, tasks), start=1):
        scores = so_far
        if number % 20 == 0 or number == len(tasks):
            print(f"\r{number}/{len(tasks)} holes", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    rows = [_row(kind, method, scores[kind, method]) for kind in KINDS for method in METHODS]
    for row in rows:
        versus = scores[row["kind"], "same-file copy"]
        if row["method"] == "diffusion":
            row["minus_copy"] = paired_interval(scores[row["kind"], "diffusion"].outcomes, versus.outcomes)
    if as_json:
        print(json.dumps({"model": loaded.info.name, "revision": loaded.info.revision, "rows": rows}, indent=1))
        return
    print(f"{loaded.info.name} {loaded.info.revision}, {limit} holes of each kind, {split} packages, seed {seed}")
    print(
        f"{'kind':14}{'method':16}{'exact':>8}{'edit sim.':>11}{'forwards':>10}{'tokens/forward':>16}  minus copy, 95 %"
    )
    for row in rows:
        interval = "{:+.1%} .. {:+.1%}".format(*row["minus_copy"]) if "minus_copy" in row else ""
        print(
            f"{row['kind']:14}{row['method']:16}{row['exact']:>8.1%}{row['edit_similarity']:>11.3f}"
            f"{row['forwards']:>10.1f}{row['tokens_per_forward']:>16.2f}  {interval}"
        )


def _row(kind: str, method: str, score: Score) -> dict[str, Any]:
    tasks = max(score.num_tasks, 1)
    return {
        "kind": kind,
        "method": method,
        "num_tasks": score.num_tasks,
        "exact": score.num_exact / tasks,
        "edit_similarity": score.similarity / max(score.weight, 1),
        "forwards": score.forwards / tasks,
        "tokens_per_forward": score.tokens / max(score.forwards, 1),
    }


def paired_interval(first: list[bool], second: list[bool], num_draws: int = 2000) -> tuple[float, float]:
    """95 % interval of mean(first) - mean(second) by paired bootstrap over tasks."""
    difference = np.asarray(first, float) - np.asarray(second, float)
    rng = np.random.default_rng(0)
    means = [rng.choice(difference, len(difference)).mean() for _ in range(num_draws)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


@app.command("held-out-holes")
def held_out_holes(
    list_path: Annotated[Path, typer.Argument(metavar="LIST", help="For example tests/data/held_out_holes.json.")],
    endpoint: Annotated[str | None, typer.Option(help="A resident other than this machine's own.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 1000,
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


if __name__ == "__main__":
    app(prog_name="midfill eval")
