"""`midfill train`: corpus, packed examples, and the training run itself, each a command that can be
repeated."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.engine.confidence import FEATURES
from midfill.model.evaluation.options import read_split
from midfill.model.families.device import is_fast_in_bfloat16
from midfill.model.families.embedded.checkpoint import BASE, read_adapter
from midfill.model.families.embedded.parent import read_parent
from midfill.model.training import examples
from midfill.model.training.batches import BatchSettings
from midfill.model.training.calibrate import CALIBRATED_KINDS
from midfill.model.training.corpus import build_corpus
from midfill.model.training.finish import NUM_CONFIDENCE_HOLES, NUM_MEMORY_HOLES, Numbers, finish
from midfill.model.training.notice import write_notice
from midfill.model.training.packages import LIST_PATH
from midfill.model.training.packing import pack_split
from midfill.model.training.parts import MIB
from midfill.model.training.plot import draw, read_log
from midfill.model.training.report import corpus_report
from midfill.model.training.train import RunSettings, settings_from, start_run
from midfill.model.training.transport import join_checkpoint, ship_shards, split_checkpoint, unship_shards
from midfill.model.wire.base import base_file
from midfill.model.wire.errors import CheckpointError, MidfillModelError

PREFIX_TOKENS, SUFFIX_TOKENS = 768, 256
ParentPath = Annotated[
    Path | None,
    typer.Option("--parent", help="A GGUF file, or a folder of a Llama or Qwen2 model; by default midfill's base."),
]

app = typer.Typer(no_args_is_help=True, help="Build the corpus and train the embedded model.", add_completion=False)


@app.command()
def corpus(
    out: Annotated[Path, typer.Option(help="Folder for train, validation and test .jsonl.gz and report.json.")],
    package_list: Annotated[Path, typer.Option("--list", help="Packages with versions and licences.")] = LIST_PATH,
) -> None:
    """Download the listed packages and filter, deduplicate and decontaminate their sources."""
    build_corpus(package_list, out)


@app.command()
def notice(
    out: Annotated[Path, typer.Option(help="The NOTICE to write.")] = Path("NOTICE"),
    package_list: Annotated[Path, typer.Option("--list", help="Packages with versions and licences.")] = LIST_PATH,
) -> None:
    """Write the NOTICE of the weights: the listed packages of the training split, with their licences."""
    write_notice(package_list, out)


@app.command()
def pack(
    corpus: Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
    parent: ParentPath = None,
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    prefix_tokens: Annotated[int, typer.Option(min=16)] = PREFIX_TOKENS,
    suffix_tokens: Annotated[int, typer.Option(min=16)] = SUFFIX_TOKENS,
    seed: int = 0,
) -> None:
    """Draw holes and contexts from the corpus and write them as token ids."""
    sizes = examples.ContextSizes(prefix_tokens, suffix_tokens)
    split_path = corpus / f"{split}.jsonl.gz"
    tokenizer = read_parent(parent or base_file()).tokenizer
    pack_split(split_path, out, tokenizer, sizes, seed, print_line=typer.echo)


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="The run's folder; a run that is there goes on where it stopped.")],
    shards: Annotated[Path, typer.Option(help="Folder made by `midfill train pack` with the same parent.")],
    parent: ParentPath = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Budget in minutes of training steps.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget in steps, instead of minutes.")] = None,
    stop_after: Annotated[
        float | None, typer.Option(min=0.01, help="Save and stop after these minutes; the same command goes on.")
    ] = None,
    rank: Annotated[int, typer.Option(min=1, help="Of the deltas; with --from, that of the checkpoint.")] = 64,
    positions: Annotated[int, typer.Option(min=128, help="The most positions in a batch.")] = 10_240,
    max_context: Annotated[int, typer.Option(min=96, help="The most context tokens of an example.")] = 640,
    prefix_tokens: Annotated[int, typer.Option(min=16)] = PREFIX_TOKENS,
    suffix_tokens: Annotated[int, typer.Option(min=16)] = SUFFIX_TOKENS,
    draws: Annotated[int, typer.Option(min=1, help="The most noise draws for each encoded context.")] = 12,
    short_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the examples with a shortened context.")
    ] = 0.6,
    rate: Annotated[float, typer.Option(min=0.001, help="Multiplies every learning rate.")] = 1.0,
    warm_up: Annotated[int, typer.Option(min=0, help="Steps in which the rate rises.")] = 40,
    cool_down_share: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the budget, at its end, in which the rate falls.")
    ] = 0.6,
    bfloat16: Annotated[
        bool | None, typer.Option(help="Multiply in bfloat16; by default where this machine is faster in it.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the layers; needs a C++ compiler on a CPU.")
    ] = False,
    begin_from: Annotated[Path | None, typer.Option("--from", help="A checkpoint to begin with.")] = None,
    seed: int = 0,
) -> None:
    """Train, or go on training, on this machine's GPU or CPU."""
    initial = read_adapter(begin_from) if begin_from else None
    record = folder / "run.json"
    path = parent or base_file()
    the_parent = read_parent(path)
    if initial and initial[0].parent_sha256 != the_parent.sha256:
        raise CheckpointError(
            f"The checkpoint {begin_from} belongs to another parent than {path}; give that as --parent."
        )
    if bfloat16 is None:
        bfloat16 = (
            settings_from(record).in_bfloat16 if record.exists() else is_fast_in_bfloat16(the_parent.config.width)
        )
    settings = RunSettings(
        parent=str(path.resolve()) if parent else BASE,
        parent_sha256=the_parent.sha256,
        rank=initial[0].rank if initial else rank,
        context=examples.ContextSizes(prefix_tokens, suffix_tokens),
        batches=BatchSettings(draws, positions, max_context, short_share=short_share),
        seed=seed,
        rate=rate,
        warm_up_steps=warm_up,
        cool_down_share=cool_down_share,
        in_bfloat16=bfloat16,
        begun_from=initial[2] if initial else "",
        budget_steps=steps,
        budget_minutes=minutes,
    )
    held_out = sorted(shards.glob("validation-*.npz"))
    start_run(
        folder,
        settings,
        the_parent,
        examples.Shards(sorted(shards.glob("train-*.npz"))),
        validation=examples.Shards(held_out) if held_out else None,
        compiled=compiled,
        stop_after_s=math.inf if stop_after is None else stop_after * 60,
        initial=initial[1] if initial else None,
    )


@app.command("finish")
def finish_run(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    corpus: Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`; its validation split is used.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
    memory_holes: Annotated[
        int, typer.Option(min=len(CALIBRATED_KINDS), help="Holes that the memory's weights are fitted on.")
    ] = NUM_MEMORY_HOLES,
    confidence_holes: Annotated[
        int, typer.Option(min=len(CALIBRATED_KINDS), help="Holes that the confidence and its threshold are fitted on.")
    ] = NUM_CONFIDENCE_HOLES,
) -> None:
    """Fit what ships beside the weights, on packages that were not trained on, and write the checkpoint."""
    try:
        files = read_split(corpus, "validation")
        config = finish(folder, files, out, Numbers(memory_holes, confidence_holes))
    except KeyboardInterrupt:
        typer.echo(f"midfill train finish: stopped; {out} was not written.", err=True)
        raise typer.Exit(130) from None
    typer.echo(
        f"{out}: {config.chars_per_token} characters a token, shown from a confidence of {config.show_threshold}, "
        f"memory weights {config.memory_weights}"
    )
    for name, coefficient in zip(FEATURES, config.calibration, strict=True):
        typer.echo(f"  {name}: {coefficient}")


@app.command()
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs, to compare or one.")],
    out: Annotated[Path, typer.Option(help="The picture: .png, .svg or .pdf.")] = Path("losses.png"),
) -> None:
    """Draw the losses against training positions and against minutes."""
    logs = [read_log(run) for run in runs]
    for log in logs:
        for line in log.damaged_lines:
            typer.echo(f"{log.name}: line {line} of losses.jsonl is damaged and left out.", err=True)
    draw(logs, out)
    typer.echo(out)


@app.command()
def report(
    corpus: Annotated[Path, typer.Argument(help="Folder made by `midfill train corpus`.")],
    parent: ParentPath = None,
    out: Annotated[Path | None, typer.Option(help="The Markdown to write; without it, the terminal.")] = None,
) -> None:
    """Say what the corpus consists of: projects, versions, licences, sizes, and why files were dropped."""
    page = corpus_report(corpus, read_parent(parent or base_file()).tokenizer)
    if out is None:
        typer.echo(page, nl=False)
    else:
        out.write_text(page, encoding="utf-8")


@app.command()
def ship(
    shards: Annotated[list[Path], typer.Argument(metavar="SHARDS...", help="Folders made by `midfill train pack`.")],
    out: Annotated[Path, typer.Option(help="A new folder, to be copied to the other machine.")],
    max_mib: Annotated[float, typer.Option(min=0.01, help="The most that all files may have together.")] = 60,
) -> None:
    """Pack shards in small files for another machine; what does not fit stays behind, a fair sample goes."""
    manifest = ship_shards(shards, out, max_mib)
    for part in manifest["parts"]:
        typer.echo(f"{part['name']}: {part['num_bytes'] / MIB:.2f} MiB, {part['num_examples']:,} examples")
    num_sent = sum(part["num_examples"] for part in manifest["parts"] if part["name"].startswith("train"))
    typer.echo(f"{num_sent:,} of {manifest['num_found']['train']:,} training examples")


@app.command()
def unship(
    folder: Annotated[Path, typer.Argument(help="Folder made by `midfill train ship`.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
) -> None:
    """Check and unpack what `ship` has packed."""
    manifest = unship_shards(folder, out)
    typer.echo(f"{out}: {sum(part['num_examples'] for part in manifest['parts']):,} examples")


@app.command()
def split(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    out: Annotated[Path, typer.Option(help="A new folder for at most 8 files of at most 16 MiB, 64 MiB together.")],
) -> None:
    """Pack a run's last saved checkpoint, settings and losses in small files; the optimisers' state stays behind."""
    for part in split_checkpoint(run, out)["parts"]:
        typer.echo(f"{part['name']}: {part['num_bytes'] / MIB:.2f} MiB")


@app.command()
def join(
    folder: Annotated[Path, typer.Argument(help="Folder made by `midfill train split`.")],
    out: Annotated[Path, typer.Option(help="The run's folder to make: checkpoint/, run.json and losses.jsonl.")],
) -> None:
    """Check and unpack what `split` has packed; `finish` and `plot` take the folder."""
    join_checkpoint(folder, out)
    typer.echo(out / "checkpoint")


if __name__ == "__main__":
    try:
        app(prog_name="midfill train")
    except MidfillModelError as error:
        sys.exit(f"midfill train: {error}")
