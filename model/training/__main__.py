"""`midfill train`: corpus, tokenizer, packed examples, and the training run itself, each a command that can be
repeated."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.families.embedded_network import NetworkConfig
from midfill.model.tokenizer import CodeTokenizer, train_tokenizer
from midfill.model.training import examples
from midfill.model.training.corpus import build_corpus
from midfill.model.training.finish import finish
from midfill.model.training.notice import write_notice
from midfill.model.training.packages import LIST_PATH
from midfill.model.training.train import RunSettings, start_run

EXAMPLES_PER_SHARD = 20_000

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
    code_tokenizer = CodeTokenizer.load(tokenizer)
    sizes = examples.ContextSizes(prefix_tokens, suffix_tokens)
    rng = random.Random(seed)
    drawn = (
        example
        for text in examples.read_texts(corpus / f"{split}.jsonl.gz")
        for example in examples.draw_examples(text, code_tokenizer, sizes, rng)
    )
    out.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        shard = list(itertools.islice(drawn, EXAMPLES_PER_SHARD))
        if not shard:
            break
        examples.write_shard(out / f"{split}-{number:03}.npz", shard)
        typer.echo(
            f"{split}-{number:03}.npz: {len(shard)} examples, {sum(len(e.context) for e in shard):,} context tokens"
        )


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="The run's folder; a run that is there goes on where it stopped.")],
    shards: Annotated[Path, typer.Option(help="Folder made by `midfill train pack`.")],
    tokenizer: Annotated[Path, typer.Option(help="The tokenizer.json of the shards.")],
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Budget in minutes of training steps.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Budget in steps, instead of minutes.")] = None,
    layers: Annotated[int, typer.Option(min=1)] = 9,
    heads: Annotated[int, typer.Option(min=1, help="Heads of 64; the width is 64 times this.")] = 8,
    row_length: Annotated[int, typer.Option(min=128, help="Positions in a row.")] = 1024,
    rows: Annotated[int, typer.Option(min=1, help="Rows in a batch.")] = 256,
    prefix_tokens: Annotated[int, typer.Option(min=16)] = 512,
    suffix_tokens: Annotated[int, typer.Option(min=16)] = 256,
    draws: Annotated[int, typer.Option(min=1, help="Noise draws for each encoded context.")] = 2,
    causal_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the budget before denoising begins.")
    ] = 0.5,
    rate: Annotated[float, typer.Option(min=0.01, help="Multiplies every learning rate.")] = 1.0,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the step; needs a C++ compiler on a CPU.")
    ] = False,
    seed: int = 0,
) -> None:
    """Train, or go on training, on this machine's GPU or CPU."""
    code_tokenizer = CodeTokenizer.load(tokenizer)
    settings = RunSettings(
        network=NetworkConfig(code_tokenizer.vocab_size, layers, heads),
        context=examples.ContextSizes(prefix_tokens, suffix_tokens),
        row_length=row_length,
        rows_per_batch=rows,
        seed=seed,
        num_draws=draws,
        causal_share=causal_share,
        rate=rate,
        budget_steps=steps,
        budget_minutes=minutes,
    )
    start_run(folder, settings, code_tokenizer, examples.Shards(sorted(shards.glob("train-*.npz"))), compiled=compiled)


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


if __name__ == "__main__":
    app(prog_name="midfill train")
