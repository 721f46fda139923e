"""From a split of the corpus to shards: the examples of every file, which may look into others of its package."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.training.examples import ContextSizes, Example, TrainingFile, draw_examples, write_shard
from midfill.model.training.projects import Project
from midfill.model.training.verbs.packing import draw_rewritings

EXAMPLES_PER_SHARD = 20_000
SECONDS_PER_REPORT = 30.0


def pack_split(
    split_path: Path,
    out: Path,
    tokenizer: CodeTokenizer,
    sizes: ContextSizes,
    seed: int = 0,
    print_line: Callable[[str], None] = print,
) -> None:
    """Write the shards of a corpus split (`SPLIT.jsonl.gz`) into `out`, and print how fast it goes.

    The examples of all files are held in memory, since the files of a package are read together and a shard is to
    be a fair sample of all.
    """
    rng = random.Random(seed)
    started = last_report = time.monotonic()
    num_chars, examples = 0, list[Example]()
    for file in _files(split_path, rng):
        for draw in (draw_examples, draw_rewritings):
            examples += draw(file, tokenizer, sizes, rng)
        num_chars += len(file.text)
        if time.monotonic() > last_report + SECONDS_PER_REPORT:
            last_report = time.monotonic()
            print_line(_rate(num_chars, len(examples), last_report - started))
    print_line(_rate(num_chars, len(examples), time.monotonic() - started))
    rng.shuffle(examples)
    split = split_path.name.partition(".")[0]
    out.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, len(examples), EXAMPLES_PER_SHARD)):
        shard = examples[start : start + EXAMPLES_PER_SHARD]
        write_shard(out / f"{split}-{number:03}.npz", shard)
        print_line(
            f"{split}-{number:03}.npz: {len(shard)} examples, {sum(len(e.context) for e in shard):,} context tokens"
        )


def _files(split_path: Path, rng: random.Random) -> Iterator[TrainingFile]:
    """The files of a split, package by package."""
    packages: dict[str, dict[str, tuple[str, str]]] = {}
    with gzip.open(split_path, "rt", encoding="utf-8") as lines:
        for entry in map(json.loads, lines):
            packages.setdefault(entry["package"], {})[entry["path"]] = (entry["text"], entry["language"])
    for _, files in sorted(packages.items()):
        project = Project({path: text for path, (text, _) in files.items()})
        for path, (text, language) in sorted(files.items()):
            yield TrainingFile(text, language, tuple(project.others(path, rng)))


def _rate(num_chars: int, num_examples: int, seconds: float) -> str:
    megabytes = num_chars / 1e6
    return f"{megabytes:,.1f} MB of text, {num_examples:,} examples, {megabytes / max(seconds, 1e-9):.3f} MB a second"
