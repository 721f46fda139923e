"""The training program: one run, on a CPU or one GPU with the same code, stopped and resumed at will.

A run is a folder: `run.json` (its settings), `state.pt` (adapter, optimiser, position in the data; rewritten at least
every two minutes, atomically), `losses.jsonl` and `checkpoint/` (what midfill loads). Started again, it goes on where
it stopped. The parent is frozen; what is learnt is its adapter (`midfill.model.families.embedded.adapter`). The rate
warms up over a number of steps, stays, and falls linearly at the end; how far a run has come is `progress`: by steps or
by training minutes, whichever its budget says.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from midfill.model.families.embedded.adapter import Adapter, adapter_of, load_adapter, network_for_training
from midfill.model.families.embedded.checkpoint import BASE, EmbeddedConfig, save_checkpoint
from midfill.model.families.embedded.network import EmbeddedNetwork
from midfill.model.families.embedded.parent import Parent
from midfill.model.families.embedded.passages import NUM_PASSAGES
from midfill.model.measuring.languages import LANGUAGES
from midfill.model.training.batches import Batches, BatchSettings
from midfill.model.training.examples import ContextSizes, Shards
from midfill.model.training.loss import learn_from, losses, mean_losses
from midfill.model.training.noise import CANVAS_LENGTHS, NoiseSettings
from midfill.model.training.optimiser import make_optimiser, set_rate

NUM_VALIDATIONS = 8
VALIDATION_STEPS = 5
LEAST_RATE = 0.02
CHARS_PER_TOKEN = 2.8
"""Until `midfill train finish` has measured it."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that a run's result depends on, the shards apart. One of budget_steps and budget_minutes is set.

    parent: as in a checkpoint's config; begun_from: the revision of the checkpoint whose adapter it began with, "" for
    a new one; cool_down_share: share of the budget, at its end, in which the rate falls."""

    parent: str
    parent_sha256: str
    rank: int
    context: ContextSizes
    batches: BatchSettings
    seed: int = 0
    rate: float = 1.0
    warm_up_steps: int = 40
    cool_down_share: float = 0.6
    in_bfloat16: bool = False
    begun_from: str = ""
    budget_steps: int | None = None
    budget_minutes: float | None = None

    def __post_init__(self) -> None:
        if (self.budget_steps is None) == (self.budget_minutes is None):
            raise ValueError("A run needs either budget_steps or budget_minutes, not both and not neither.")


@dataclass(slots=True)
class Clock:
    """How far the run is: steps done and seconds spent in training steps, both kept across restarts."""

    step: int = 0
    seconds: float = 0.0
    examples: int = 0
    positions: int = 0

    def progress(self, settings: RunSettings) -> float:
        if settings.budget_steps is not None:
            return self.step / settings.budget_steps
        return self.seconds / 60 / (settings.budget_minutes or 1)


def rate_multiplier(step: int, progress: float, settings: RunSettings) -> float:
    """Warm-up, stable, linear cool-down."""
    warm = min(1.0, (step + 1) / max(settings.warm_up_steps, 1))
    cool = min(1.0, max((1 - progress) / settings.cool_down_share, LEAST_RATE))
    return settings.rate * warm * cool


class Run:
    """One training run in one folder."""

    def __init__(
        self,
        folder: Path,
        settings: RunSettings,
        parent: Parent,
        shards: Shards,
        validation: Shards | None = None,
        compiled: bool = False,
        initial: Adapter | None = None,
    ) -> None:
        self.folder, self.settings, self.parent, self.validation = folder, settings, parent, validation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(settings.seed)
        dtype = torch.bfloat16 if settings.in_bfloat16 else torch.float32
        self.network = network_for_training(parent, settings.rank, dtype)
        if initial is not None:
            load_adapter(self.network, initial)
        self.network.to(self.device)
        self.optimiser = make_optimiser(self.network)
        self.shards = shards
        self.batches = Batches(shards, parent.tokenizer, settings.seed, settings.batches)
        self.clock = Clock()
        torch.set_float32_matmul_precision("high")
        if compiled:
            compile_layers(self.network)
        if (folder / "state.pt").exists():
            self._resume()

    def train(
        self, log: Callable[[dict[str, float]], None], save_every_s: float = 110.0, stop_after_s: float = math.inf
    ) -> None:
        """Train until the budget is spent or `stop_after_s` have passed, saving as it goes and at the end; validation
        losses are logged before the first step and at every eighth of the budget."""
        started_at = saved_at = time.monotonic()
        if self.clock.step == 0 and self.validation:
            log({"step": 0, "seconds": 0.0, "positions": 0, **self.validate()})
        while self.clock.progress(self.settings) < 1 and time.monotonic() - started_at < stop_after_s:
            before = int(self.clock.progress(self.settings) * NUM_VALIDATIONS)
            row = self.step()
            is_due = int(self.clock.progress(self.settings) * NUM_VALIDATIONS) > before
            log(row | self.validate() if is_due else row)
            if time.monotonic() - saved_at > save_every_s:
                self.save()
                saved_at = time.monotonic()
        self.save()

    def step(self) -> dict[str, float]:
        started = time.monotonic()
        progress = self.clock.progress(self.settings)
        set_rate(self.optimiser, rate_multiplier(self.clock.step, progress, self.settings))
        batches = self.batches.next_step()
        causal, canvas = learn_from(self.network, [batch.to(self.device) for batch in batches])
        learnt = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(learnt, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.clock.step += 1
        self.clock.seconds += time.monotonic() - started
        self.clock.examples += sum(len(batch.context) for batch in batches)
        self.clock.positions += sum(batch.num_positions for batch in batches)
        return {
            "step": self.clock.step,
            "progress": round(progress, 5),
            "causal_loss": round(causal, 5),
            "canvas_loss": round(canvas, 5),
            "gradient_norm": round(norm.item(), 4),
            "seconds": round(self.clock.seconds, 2),
            "examples": self.clock.examples,
            "positions": self.clock.positions,
        }

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Both losses on the same few steps' batches of validation packages every time."""
        if self.validation is None:
            return {}
        settings = replace(self.settings.batches, short_share=0.0)
        batches = Batches(self.validation, self.parent.tokenizer, 0, settings)
        steps = [batches.next_step() for _ in range(VALIDATION_STEPS)]
        of_batches = [losses(self.network, batch.to(self.device)) for step in steps for batch in step]
        causal, canvas = mean_losses(of_batches)
        return {"validation_causal_loss": round(causal, 5), "validation_canvas_loss": round(canvas, 5)}

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "adapter": adapter_of(self.network),
            "optimiser": self.optimiser.state_dict(),
            "batches": self.batches.state(),
            "clock": asdict(self.clock),
        }
        temporary = self.folder / "state.pt.new"
        torch.save(state, temporary)
        temporary.replace(self.folder / "state.pt")
        save_checkpoint(self.folder / "checkpoint", adapter_of(self.network), self.config())

    def config(self) -> EmbeddedConfig:
        verbs = self.parent.tokenizer.verb_ids.items()
        return EmbeddedConfig(
            parent=self.settings.parent,
            parent_sha256=self.settings.parent_sha256,
            rank=self.settings.rank,
            prefix_tokens=self.settings.context.prefix_tokens,
            suffix_tokens=self.settings.context.suffix_tokens,
            canvas_lengths=CANVAS_LENGTHS,
            languages=self.languages,
            chars_per_token=CHARS_PER_TOKEN,
            name="midfill-embedded" if self.settings.parent == BASE else f"midfill-{Path(self.settings.parent).name}",
            verbs=tuple(verb for verb, token in verbs if self.shards.has_token(token)),
            num_passages=NUM_PASSAGES,
        )

    @property
    def languages(self) -> tuple[str, ...]:
        """The grammars of the languages in the shards."""
        families = set(self.shards.languages.tolist())
        return tuple(name for name, language in LANGUAGES.items() if language.family in families)

    def _resume(self) -> None:
        state = torch.load(self.folder / "state.pt", map_location=self.device, weights_only=True)
        with torch.no_grad():
            load_adapter(self.network, state["adapter"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.batches.go_on_from(state["batches"])
        self.clock = Clock(**state["clock"])


def compile_layers(network: EmbeddedNetwork) -> None:
    """Compile the layers of both towers, one graph for each kind: a whole step would take minutes to compile."""
    for tower in (network.context, network.hole):
        for layer in tower.layers:
            assert isinstance(layer, nn.Module)
            layer.compile(dynamic=True)


def start_run(
    folder: Path,
    settings: RunSettings,
    parent: Parent,
    shards: Shards,
    *,
    validation: Shards | None = None,
    compiled: bool = False,
    stop_after_s: float = math.inf,
    initial: Adapter | None = None,
) -> None:
    """Start the run in `folder`, or go on with it; a larger budget prolongs it, other settings must agree.

    initial: the adapter that a new run begins with."""
    folder.mkdir(parents=True, exist_ok=True)
    shards.check_tokenizer(parent.tokenizer)
    record = folder / "run.json"
    if record.exists():
        before = json.loads(record.read_text())
        now = json.loads(json.dumps(asdict(settings)))
        differing = sorted(name for name in now if not name.startswith("budget") and now[name] != before.get(name))
        if differing:
            raise ValueError(
                f"The run in {folder} was begun with other settings ({', '.join(differing)}); use another folder."
            )
    record.write_text(json.dumps(asdict(settings), indent=2) + "\n")
    run = Run(folder, settings, parent, shards, validation, compiled, initial)
    num_learnt = sum(value.numel() for value in adapter_of(run.network).values())
    print(f"training on {run.device}: an adapter of {num_learnt:,} parameters", file=sys.stderr)
    with (folder / "losses.jsonl").open("a", encoding="utf-8") as log_file:
        log_file.write(_missing_line_end(folder / "losses.jsonl"))

        def log(row: dict[str, float]) -> None:
            log_file.write(json.dumps(row) + "\n")
            log_file.flush()
            if row["step"] % 10 == 0 or "validation_canvas_loss" in row:
                print(json.dumps(row), file=sys.stderr, flush=True)

        run.train(log, stop_after_s=stop_after_s)


def _missing_line_end(log: Path) -> str:
    """A run that was killed may have left half a line; what is logged next must not be a part of it."""
    content = log.read_bytes()
    return "" if not content or content.endswith(b"\n") else "\n"


def settings_from(record: Path, **changes: object) -> RunSettings:
    """The settings of a run's `run.json`, with changes."""
    data = json.loads(record.read_text())
    context, batches = ContextSizes(**data.pop("context")), dict(data.pop("batches"))
    noise = NoiseSettings(**batches.pop("noise"))
    settings = RunSettings(context=context, batches=BatchSettings(**batches, noise=noise), **data)
    return replace(settings, **changes)  # type: ignore[arg-type]
