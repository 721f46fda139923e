"""`midfill tune`: the embedded model adapted to one repository, measured on files of it that were not learnt from.

The front names the files (`midfill.lsp_server.terminal.tune`) and starts this program with a `TuneSettings` as JSON on
its standard input. What is learnt is the base's own adapter, trained on; what is kept is an ordinary checkpoint with
it, and the repository's files, which serving looks things up in.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import torch

from midfill.model.engine.infill import DenoisingModel
from midfill.model.evaluation.in_domain import Task, draw_tasks, served
from midfill.model.families.device import is_fast_in_bfloat16
from midfill.model.families.embedded.adapter import Adapter, adapter_of, load_adapter, network_for_training
from midfill.model.families.embedded.checkpoint import (
    BASE,
    Checkpoint,
    EmbeddedConfig,
    load_checkpoint,
    parent_path,
    save_checkpoint,
)
from midfill.model.families.embedded.repository import MAX_REPOSITORY_CHARS, Repository, fitting, save_repository
from midfill.model.families.loading import EMBEDDED, embedded_folder, load_model
from midfill.model.measuring.baselines import same
from midfill.model.measuring.front import Front
from midfill.model.measuring.intervals import paired
from midfill.model.measuring.methods import embedded
from midfill.model.measuring.split import SplitFile
from midfill.model.training.batches import Batches, BatchSettings
from midfill.model.training.examples import ContextSizes, Shards, TrainingFile, draw_examples, write_shard
from midfill.model.training.filters import drop_reason, parsed_drop_reason
from midfill.model.training.loss import learn_from
from midfill.model.training.optimiser import make_optimiser, set_rate
from midfill.model.wire.errors import CheckpointError, MidfillModelError

HELD_OUT_SHARE = 0.15
MIN_FILES = 6
MIN_EXAMPLES = 40
MIN_HOLES = 40
KINDS = ("rest of line", "line")
NUM_CANDIDATES = 4
RATE = 0.3
"""Of the rate with which the adapter was trained."""
WARM_UP_SHARE = 0.1
BATCHES = BatchSettings(num_draws=6, max_positions=5_000, max_context=640)

Report = Callable[[str, float], None]
"""What is being done, and how much of it, from 0 to 1."""


class TuneError(MidfillModelError):
    """Nothing can be learnt, or nothing can be kept."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """files: paths below `root`; out: the folder of the checkpoint to be; model: `embedded` or a checkpoint's folder;
    num_holes: of each kind, to measure with; keep: also what did not help."""

    root: str
    files: tuple[str, ...]
    out: str
    model: str = EMBEDDED
    minutes: float = 5.0
    num_holes: int = 100
    keep: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What `tuned.json` says. num_kept_files: in how many things are looked up; exact_before, exact_after: shares of
    the held-out holes; interval: 95 %, of their difference, paired by hole."""

    root: str
    base_revision: str
    learnt_files: tuple[str, ...]
    held_out_files: tuple[str, ...]
    num_kept_files: int
    num_steps: int
    num_holes: int
    exact_before: float
    exact_after: float
    interval: tuple[float, float]
    is_kept: bool


def tune(settings: TuneSettings, report: Report) -> Tuned:
    """Learn, measure, and keep the checkpoint in `settings.out` if it fills more holes exactly. Raises TuneError, or
    CheckpointError for the base; OSError where nothing can be written."""
    base_folder = embedded_folder() if settings.model == EMBEDDED else Path(settings.model)
    base = load_checkpoint(base_folder)
    learnt, held_out = split_files(read_files(settings), settings.seed)
    files = [SplitFile(text, path=path) for path, text in held_out.items()]
    tasks = list(draw_tasks(files, settings.num_holes, settings.seed, KINDS))
    if len(tasks) < min(MIN_HOLES, settings.num_holes):
        raise TuneError(f"The files of {settings.root} are too short to measure with; give a folder with more code.")
    out = Path(settings.out)
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".tuning-") as scratch:
        before = exact_matches(settings.model, None, tasks, lambda share: report("measuring before", share))
        shards = pack(list(learnt.values()), base, Path(scratch), settings)
        adapter, num_steps = train(base, shards, settings, lambda share: report("learning", share))
        folder = Path(scratch) / "checkpoint"
        save_checkpoint(folder, adapter, tuned_config(base, base_folder), mode=0o600)
        looked_up = Repository(fitting(learnt))
        after = exact_matches(str(folder), looked_up, tasks, lambda share: report("measuring after", share))
        kept_files = fitting(learnt | held_out)
        tuned = Tuned(
            settings.root,
            base.revision,
            tuple(learnt),
            tuple(held_out),
            len(kept_files),
            num_steps,
            len(tasks),
            fmean(before),
            fmean(after),
            paired(after, before),
            is_kept=settings.keep or fmean(after) > fmean(before),
        )
        if tuned.is_kept:
            save_repository(folder, kept_files)
            (folder / "tuned.json").write_text(json.dumps(asdict(tuned), indent=2) + "\n", encoding="utf-8")
            _keep(folder, out, Path(scratch) / "replaced")
    return tuned


def read_files(settings: TuneSettings) -> dict[str, str]:
    """The texts worth learning from, by path: no vendored, generated, damaged or repeated ones. Under any licence, as
    what is learnt stays with the person whose files they are."""
    texts: dict[str, str] = {}
    for path in sorted(settings.files):
        try:
            content = (Path(settings.root) / path).read_bytes()
        except OSError:
            continue
        if drop_reason(path, content) not in (None, "licence header"):
            continue
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
        if parsed_drop_reason(text) is None and text not in texts.values():
            texts[path] = text
    if len(texts) < MIN_FILES:
        raise TuneError(
            f"There is too little to learn from in {settings.root}: {len(texts)} of its {len(settings.files)} Python "
            f"files can be used, and {MIN_FILES} are needed; give the folder of a larger repository."
        )
    return texts


def split_files(texts: dict[str, str], seed: int) -> tuple[dict[str, str], dict[str, str]]:
    """The files to learn from and the files to measure with, decided by a hash of each path."""
    drawn = sorted(texts, key=lambda path: hashlib.sha256(f"{seed} {path}".encode()).digest())
    held_out = set(drawn[: max(2, round(HELD_OUT_SHARE * len(texts)))])
    return (
        {path: text for path, text in texts.items() if path not in held_out},
        {path: text for path, text in texts.items() if path in held_out},
    )


def pack(texts: Sequence[str], base: Checkpoint, folder: Path, settings: TuneSettings) -> Shards:
    """The texts as training examples, holes and windows drawn twice."""
    rng = random.Random(settings.seed)
    sizes = ContextSizes(base.config.prefix_tokens, base.config.suffix_tokens)
    examples = [
        example
        for _ in range(2)
        for text in texts
        for example in draw_examples(TrainingFile(text), base.parent.tokenizer, sizes, rng)
    ]
    if len(examples) < MIN_EXAMPLES:
        raise TuneError(
            f"There is too little to learn from in {settings.root}: its files give {len(examples)} examples, and "
            f"{MIN_EXAMPLES} are needed; give the folder of a larger repository."
        )
    write_shard(folder / "examples.npz", examples)
    return Shards([folder / "examples.npz"])


def train(
    base: Checkpoint, shards: Shards, settings: TuneSettings, report: Callable[[float], None]
) -> tuple[Adapter, int]:
    """The base's adapter after so many minutes of learning on, and the number of steps."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    dtype = torch.bfloat16 if is_fast_in_bfloat16(base.parent.config.width) else torch.float32
    network = network_for_training(base.parent, base.config.rank, dtype)
    with torch.no_grad():
        load_adapter(network, base.adapter)
    network.to(device)
    optimiser = make_optimiser(network)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    batches = Batches(shards, base.parent.tokenizer, settings.seed, BATCHES)
    started, progress, num_steps = time.monotonic(), 0.0, 0
    while progress < 1:
        report(progress)
        set_rate(optimiser, RATE * min((progress + 0.005) / WARM_UP_SHARE, 1 - progress, 1.0))
        learn_from(network, [batch.to(device) for batch in batches.next_step()])
        torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        num_steps += 1
        progress = (time.monotonic() - started) / 60 / settings.minutes
    return {name: value.cpu() for name, value in adapter_of(network).items()}, num_steps


def tuned_config(base: Checkpoint, folder: Path) -> EmbeddedConfig:
    """The base's config for a checkpoint in another folder: a parent that is no installed one is named by its whole
    path."""
    if base.config.parent == BASE:
        return base.config
    return replace(base.config, parent=str(parent_path(folder, base.config).resolve()))


def exact_matches(
    model: str, repository: Repository | None, tasks: Sequence[Task], report: Callable[[float], None]
) -> list[bool]:
    """Whether what a person would be offered is what stood there, for each hole. repository: what is looked up in,
    whatever is kept beside the model, which may hold the very lines."""
    num_threads = torch.get_num_threads()
    loaded = load_model(model, lambda progress, sentence: None)
    assert isinstance(loaded, DenoisingModel)
    embedded(loaded).repository = repository
    answers = []
    with Front(loaded.info) as front:
        for number, task in enumerate(tasks):
            report(number / len(tasks))
            answer, _ = served(loaded, task, front, NUM_CANDIDATES, with_memory=True)
            answers.append(same(answer.text, task.truth))
    torch.set_num_threads(num_threads)  # serving takes one thread, training all
    return answers


def _keep(folder: Path, out: Path, replaced: Path) -> None:
    """Put the folder in the place of what was tuned before; only its owner may read it."""
    folder.chmod(0o700)
    for file in folder.iterdir():
        file.chmod(0o600)
    if out.exists():
        out.rename(replaced)
    folder.rename(out)


def main() -> int:
    """Run the settings on standard input; 0 kept, 1 not."""
    from rich.console import Console
    from rich.progress import Progress

    given = json.load(sys.stdin)
    settings = TuneSettings(**given | {"files": tuple(given["files"])})
    console = Console(highlight=False, soft_wrap=True)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            tasks = {what: progress.add_task(what, total=1.0, start=False) for what in STAGES}

            def report(what: str, share: float) -> None:
                progress.start_task(tasks[what])
                progress.update(tasks[what], completed=share)

            tuned = tune(settings, report)
    except KeyboardInterrupt:
        print("midfill: stopped; nothing was kept.", file=sys.stderr)
        return 130
    except CheckpointError as error:
        print(f"midfill: {error} Only the embedded model can be tuned.", file=sys.stderr)
        return 1
    except MidfillModelError as error:
        print(f"midfill: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        place = Path(settings.out).parent
        free = shutil.disk_usage(place).free // 2**20 if place.is_dir() else 0
        print(
            f"midfill: The tuned model could not be written to {place}: {error.strerror or error} ({free} MB are "
            "free); make room there or set XDG_DATA_HOME, and run it again.",
            file=sys.stderr,
        )
        return 1
    for line in sentences(tuned, settings):
        console.print(line, markup=False)
    return 0 if tuned.is_kept else 1


STAGES = ("measuring before", "learning", "measuring after")


def sentences(tuned: Tuned, settings: TuneSettings) -> list[str]:
    """What a person is told in the end."""
    low, high = (100 * bound for bound in tuned.interval)
    lines = [
        f"Learnt from {len(tuned.learnt_files)} files in {tuned.num_steps} steps; measured with {tuned.num_holes} "
        f"lines and rests of lines of the {len(tuned.held_out_files)} others.",
        f"Exact before {tuned.exact_before:.1%}, after {tuned.exact_after:.1%} "
        f"({low:+.1f} to {high:+.1f} points, 95 %).",
    ]
    if low <= 0 <= high:
        lines.append("That is within chance: it is not shown that tuning helps here.")
    if not tuned.is_kept:
        return [*lines, "It fills no more lines than before, so nothing was kept; --keep keeps it all the same."]
    num_files = len(tuned.learnt_files) + len(tuned.held_out_files)
    if tuned.num_kept_files < num_files:
        lines.append(
            f"Things are looked up in {tuned.num_kept_files} of the {num_files} files: {MAX_REPOSITORY_CHARS:,} "
            "characters are the most that is kept; give a smaller folder to choose which."
        )
    return [
        *lines,
        f'Kept, with a copy of the files to look things up in. To use it, set midfill.model = "{settings.out}"; to '
        "drop it, unset that, and delete the folder.",
    ]


if __name__ == "__main__":
    sys.exit(main())
