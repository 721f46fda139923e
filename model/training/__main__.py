"""`midfill train`: corpus, tokenizer, packed examples, and the training run itself, each a command that can be
repeated."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.checkpoint import load_checkpoint
from midfill.model.device import is_fast_in_bfloat16
from midfill.model.errors import MidfillModelError
from midfill.model.families.embedded_network import NetworkConfig
from midfill.model.tokenizer import CodeTokenizer, train_tokenizer
from midfill.model.training import examples
from midfill.model.training.batches import NUM_LEFT
from midfill.model.training.corpus import build_corpus
from midfill.model.training.finish import finish
from midfill.model.training.notice import write_notice
from midfill.model.training.packages import LIST_PATH
from midfill.model.training.packing import pack_split
from midfill.model.training.parts import MIB
from midfill.model.training.plot import draw, read_log
from midfill.model.training.report import corpus_report
from midfill.model.training.train import RunSettings, settings_from, start_run
from midfill.model.training.transport import join_checkpoint, ship_shards, split_checkpoint, unship_shards

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
def tokenizer(
    corpus: Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`.")],
    out: Annotated[Path, typer.Option(help="The tokenizer.json to write.")],
    num_tokens: Annotated[int, typer.Option(min=256, help="Vocabulary, special tokens apart.")] = 8192,
    num_files: Annotated[int, typer.Option(min=1, help="Files to learn it from.")] = 4000,
) -> None:
    """Learn the byte-level BPE from the training split."""
    texts = itertools.islice(examples.read_texts(corpus / "train.jsonl.gz"), num_files)
    train_tokenizer(texts, num_tokens).save(out)


@app.command()
def pack(
    corpus: Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`.")],
    tokenizer: Annotated[Path, typer.Option(help="The tokenizer.json to use.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards.")],
    split: Annotated[str, typer.Option(help="train or validation.")] = "train",
    prefix_tokens: Annotated[int, typer.Option(min=16)] = 512,
    suffix_tokens: Annotated[int, typer.Option(min=16)] = 256,
    seed: int = 0,
) -> None:
    """Draw holes and contexts from the corpus and write them as token ids."""
    sizes = examples.ContextSizes(prefix_tokens, suffix_tokens)
    split_path = corpus / f"{split}.jsonl.gz"
    pack_split(split_path, out, CodeTokenizer.load(tokenizer), sizes, seed, print_line=typer.echo)


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="The run's folder; a run that is there goes on where it stopped.")],
    shards: Annotated[Path, typer.Option(help="Folder made by `midfill train pack`.")],
    tokenizer: Annotated[Path, typer.Option(help="The tokenizer.json of the shards.")],
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Budget in minutes of training steps.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget in steps, instead of minutes.")] = None,
    stop_after: Annotated[
        float | None, typer.Option(min=0.01, help="Save and stop after these minutes; the same command goes on.")
    ] = None,
    layers: Annotated[int, typer.Option(min=1)] = 9,
    heads: Annotated[int, typer.Option(min=1, help="Heads of 64.")] = 8,
    width: Annotated[int, typer.Option(min=0, help="Width of the stream; 0: 64 times the heads.")] = 0,
    matched: Annotated[int, typer.Option(min=0, max=NUM_LEFT, help="Equal tokens that the pointer counts.")] = NUM_LEFT,
    row_length: Annotated[int, typer.Option(min=128, help="Positions in a row.")] = 1024,
    rows: Annotated[int, typer.Option(min=1, help="Rows in a batch.")] = 256,
    prefix_tokens: Annotated[int, typer.Option(min=16)] = 512,
    suffix_tokens: Annotated[int, typer.Option(min=16)] = 256,
    draws: Annotated[int, typer.Option(min=1, help="Noise draws for each encoded context.")] = 2,
    causal_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the budget before denoising begins.")
    ] = 0.5,
    long_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the budget, at its end, with rows of twice the length.")
    ] = 0.0,
    short_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the examples with a shortened context while denoising.")
    ] = 0.0,
    rate: Annotated[float, typer.Option(min=0.01, help="Multiplies every learning rate.")] = 1.0,
    cool_down_share: Annotated[
        float, typer.Option(min=0.01, max=0.98, help="Share of the budget, at its end, in which the rate falls.")
    ] = 0.4,
    bfloat16: Annotated[
        bool | None, typer.Option(help="Multiply in bfloat16; by default where this machine is faster in it.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the step; needs a C++ compiler on a CPU.")
    ] = False,
    begin_from: Annotated[
        Path | None, typer.Option("--from", help="A checkpoint to begin with; its network's sizes are taken over.")
    ] = None,
    seed: int = 0,
) -> None:
    """Train, or go on training, on this machine's GPU or CPU."""
    code_tokenizer = CodeTokenizer.load(tokenizer)
    initial = load_checkpoint(begin_from) if begin_from else None
    sizes = NetworkConfig(code_tokenizer.vocab_size, layers, heads, width=width)
    network = replace(initial.config.network if initial else sizes, matched_tokens=matched)
    if initial and initial.tokenizer.to_json() != code_tokenizer.to_json():
        raise typer.BadParameter(f"{begin_from} has another tokenizer than {tokenizer}; pack with its own.")
    record = folder / "run.json"
    if bfloat16 is None:
        bfloat16 = settings_from(record).in_bfloat16 if record.exists() else is_fast_in_bfloat16(network.width)
    settings = RunSettings(
        network=network,
        context=examples.ContextSizes(prefix_tokens, suffix_tokens),
        row_length=row_length,
        rows_per_batch=rows,
        seed=seed,
        num_draws=draws,
        causal_share=causal_share,
        long_share=long_share,
        short_share=short_share,
        rate=rate,
        cool_down_share=cool_down_share,
        in_bfloat16=bfloat16,
        begun_from=initial.revision if initial else "",
        budget_steps=steps,
        budget_minutes=minutes,
    )
    held_out = sorted(shards.glob("validation-*.npz"))
    start_run(
        folder,
        settings,
        code_tokenizer,
        examples.Shards(sorted(shards.glob("train-*.npz"))),
        validation=examples.Shards(held_out) if held_out else None,
        compiled=compiled,
        stop_after_s=math.inf if stop_after is None else stop_after * 60,
        initial=initial.network if initial else None,
    )


@app.command("finish")
def finish_run(
    folder: Annotated[Path, typer.Argument(help="The run's folder.")],
    corpus: Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`; its validation split is used.")],
    out: Annotated[Path, typer.Option(help="The checkpoint to write.")],
) -> None:
    """Fit what ships beside the weights, on packages that were not trained on, and write the checkpoint."""
    config = finish(folder, list(examples.read_texts(corpus / "validation.jsonl.gz")), out)
    typer.echo(
        f"{out}: {config.chars_per_token} characters a token, shown from a confidence of {config.show_threshold}, "
        f"memory weights {config.memory_weights}"
    )


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
    tokenizer: Annotated[Path | None, typer.Option(help="A tokenizer.json to count tokens with.")] = None,
    out: Annotated[Path | None, typer.Option(help="The Markdown to write; without it, the terminal.")] = None,
) -> None:
    """Say what the corpus consists of: projects, versions, licences, sizes, and why files were dropped."""
    page = corpus_report(corpus, CodeTokenizer.load(tokenizer) if tokenizer else None)
    if out is None:
        typer.echo(page, nl=False)
    else:
        out.write_text(page, encoding="utf-8")


@app.command()
def ship(
    shards: Annotated[list[Path], typer.Argument(metavar="SHARDS...", help="Folders made by `midfill train pack`.")],
    tokenizer: Annotated[Path, typer.Option(help="The tokenizer.json of the shards; it travels with them.")],
    out: Annotated[Path, typer.Option(help="A new folder, to be copied to the other machine.")],
    max_mib: Annotated[float, typer.Option(min=0.01, help="The most that all files may have together.")] = 60,
) -> None:
    """Pack shards in small files for another machine; what does not fit stays behind, a fair sample goes."""
    manifest = ship_shards(shards, tokenizer, out, max_mib)
    for part in manifest["parts"]:
        typer.echo(f"{part['name']}: {part['num_bytes'] / MIB:.2f} MiB, {part['num_examples']:,} examples")
    num_sent = sum(part["num_examples"] for part in manifest["parts"] if part["name"].startswith("train"))
    typer.echo(f"{num_sent:,} of {manifest['num_found']['train']:,} training examples")


@app.command()
def unship(
    folder: Annotated[Path, typer.Argument(help="Folder made by `midfill train ship`.")],
    out: Annotated[Path, typer.Option(help="Folder for the shards and their tokenizer.json.")],
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
