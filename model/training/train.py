"""The training program: one run, on a CPU or one GPU with the same code, stopped and resumed at will.

A run is a folder: `run.json` (its settings), `state.pt` (network, optimisers, position in the data; rewritten at
least every two minutes, atomically), `losses.jsonl` and `checkpoint/` (what midfill loads). Started again, it goes on
where it stopped. First next-token loss only, then joint with denoising while the largest mask rate rises; the learning
rate warms up, stays, and falls linearly at the end. How far a run has come is `progress`: by steps or by training
minutes, whichever its budget says.

The last part of a run sees rows of twice the length: most is learnt as well from short contexts, at half the cost of
attention.
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
import torch.nn.functional as F
from torch import Tensor

from midfill.model.checkpoint import EmbeddedConfig, save_checkpoint
from midfill.model.families.embedded_network import EmbeddedNetwork, NetworkConfig, attend_masked, equal_runs
from midfill.model.passages import NUM_PASSAGES
from midfill.model.tokenizer import SPECIAL_TOKENS, CodeTokenizer
from midfill.model.training.batches import (
    CANVAS_LOSS,
    CAUSAL_LOSS,
    CONTEXT,
    FIRST_DRAW,
    Batch,
    Rows,
    RowSettings,
    attention_mask,
    pointer_mask,
)
from midfill.model.training.examples import ContextSizes, Shards
from midfill.model.training.noise import CANVAS_LENGTHS, NoiseSettings
from midfill.model.training.optimiser import make_optimisers, set_rate

NUM_VALIDATIONS = 40
VALIDATION_BATCHES = 6


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that a run's result depends on, the shards apart. One of budget_steps and budget_minutes is set.

    begun_from: the revision of the checkpoint whose weights it began with, "" for new ones; long_share: share of the
    budget, at its end, with rows twice as long and half as many."""

    network: NetworkConfig
    context: ContextSizes
    row_length: int
    rows_per_batch: int
    seed: int = 0
    causal_share: float = 0.5
    warm_up_share: float = 0.02
    cool_down_share: float = 0.4
    long_share: float = 0.0
    short_share: float = 0.0
    num_draws: int = 2
    rate: float = 1.0
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
    positions: int = 0

    def progress(self, settings: RunSettings) -> float:
        if settings.budget_steps is not None:
            return self.step / settings.budget_steps
        return self.seconds / 60 / (settings.budget_minutes or 1)


def rate_multiplier(progress: float, settings: RunSettings) -> float:
    """Warm-up, stable, linear cool-down to a twentieth."""
    if progress < settings.warm_up_share:
        return settings.rate * max(progress / settings.warm_up_share, 0.02)
    return settings.rate * max(min(1.0, (1 - progress) / settings.cool_down_share), 0.05)


def row_settings(progress: float, settings: RunSettings) -> RowSettings:
    """What the rows are made of at this point: left to right first, then joint; noise and drafts come in by degrees."""
    is_long = progress >= 1 - settings.long_share
    row_length = settings.row_length * (2 if is_long else 1)
    num_rows = max(settings.rows_per_batch // (2 if is_long else 1), 1)
    joint = (progress - settings.causal_share) / max(1 - settings.causal_share, 1e-9)
    if joint < 0:
        return RowSettings(row_length, num_rows, 0, 1.0, NoiseSettings())
    max_rate = min(1.0, 0.2 + joint / 0.3) if settings.causal_share else 1.0
    noise = NoiseSettings(max_rate, draft_share=0.15 if joint > 0.6 else 0.0)
    return RowSettings(row_length, num_rows, settings.num_draws, 0.3, noise, settings.short_share)


def losses(network: EmbeddedNetwork, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The weighted mean loss, and its causal and canvas parts, each a mean over its own weighted positions."""
    mask = attention_mask(batch.segment, batch.part)
    hidden, new = network(batch.ids, batch.position_ids, batch.part >= FIRST_DRAW, attend_masked(mask))
    wanted = batch.weights > 0
    each = -target_log_probability(network, batch, hidden, new[-1], wanted)
    weights, kind = batch.weights[wanted], batch.loss_kind[wanted]
    weighted = each * weights

    def mean(chosen: Tensor) -> Tensor:
        return (weighted * chosen).sum() / (weights * chosen).sum().clamp_min(1e-9)

    return weighted.sum() / weights.sum(), mean(kind == CAUSAL_LOSS), mean(kind == CANVAS_LOSS)


def target_log_probability(
    network: EmbeddedNetwork, batch: Batch, hidden: Tensor, keys: Tensor, wanted: Tensor
) -> Tensor:
    """(N,) log probability of the targets where `wanted` (B, T) is True: the vocabulary's and the pointer's mixed."""
    chosen = hidden[wanted]
    of_vocabulary = -F.cross_entropy(network.logits(chosen), batch.targets[wanted], reduction="none")
    allowed, equal = copyable_places(network, batch)
    longest = None if equal is None else (equal & allowed).any(dim=-1)[:, wanted]
    log_gate, log_rest = network.pointer.log_gates(chosen, longest)
    of_pointer = pointer_log_probability(network, batch, hidden, keys)[wanted]
    return torch.logaddexp(log_rest.squeeze(-1) + of_vocabulary, log_gate.squeeze(-1) + of_pointer)


IMPOSSIBLE = -1e4
"""Log probability of what the pointer cannot copy: finite, so that no gradient is lost."""


def copyable_places(network: EmbeddedNetwork, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """(B, T, T) where the pointer may look, and `equal_runs` of all places where it counts those."""
    next_ids, next_part, next_segment = (x.roll(-1, dims=1) for x in (batch.ids, batch.part, batch.segment))
    is_text = next_ids < network.config.vocab_size - len(SPECIAL_TOKENS)
    copyable = (batch.part <= CONTEXT) & (next_part == batch.part) & (next_segment == batch.segment) & is_text
    allowed = pointer_mask(batch.segment, batch.part, copyable)
    num_runs = network.config.matched_tokens
    left = batch.left[..., :num_runs]
    return allowed, equal_runs(left, left) if num_runs else None


def pointer_log_probability(network: EmbeddedNetwork, batch: Batch, hidden: Tensor, keys: Tensor) -> Tensor:
    """(B, T) log probability of the targets under the pointer alone."""
    allowed, equal = copyable_places(network, batch)
    scores = network.pointer.scores(hidden, keys, equal).masked_fill(~allowed, IMPOSSIBLE)
    hit = allowed & (batch.ids.roll(-1, dims=1)[:, None, :] == batch.targets[:, :, None])
    of_hits = scores.masked_fill(~hit, IMPOSSIBLE).logsumexp(dim=-1)
    return torch.where(hit.any(dim=-1), of_hits - scores.logsumexp(dim=-1), IMPOSSIBLE)


class Run:
    """One training run in one folder."""

    def __init__(
        self,
        folder: Path,
        settings: RunSettings,
        tokenizer: CodeTokenizer,
        shards: Shards,
        validation: Shards | None = None,
        compiled: bool = False,
        initial: EmbeddedNetwork | None = None,
    ) -> None:
        self.folder, self.settings, self.tokenizer, self.validation = folder, settings, tokenizer, validation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(settings.seed)
        self.network = EmbeddedNetwork(settings.network).to(self.device)
        if initial is not None:
            begin_with(self.network, initial)
        self.optimisers = make_optimisers(self.network, in_bfloat16=settings.in_bfloat16)
        self.rows = Rows(shards, tokenizer, settings.seed)
        self.clock = Clock()
        torch.set_float32_matmul_precision("high")
        self._losses: Callable[[EmbeddedNetwork, Batch], tuple[Tensor, Tensor, Tensor]] = (
            torch.compile(losses, dynamic=True) if compiled else losses
        )
        if (folder / "state.pt").exists():
            self._resume()

    def train(
        self, log: Callable[[dict[str, float]], None], save_every_s: float = 110.0, stop_after_s: float = math.inf
    ) -> None:
        """Train until the budget is spent or `stop_after_s` have passed, saving as it goes and at the end; validation
        losses are logged at every fortieth of the budget."""
        started_at = saved_at = time.monotonic()
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
        set_rate(self.optimisers, rate_multiplier(progress, self.settings))
        batch = self.rows.batch(row_settings(progress, self.settings)).to(self.device)
        with self._autocast():
            total, causal, canvas = self._losses(self.network, batch)
        total.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.clock.step += 1
        row = {
            "step": self.clock.step,
            "progress": round(progress, 5),
            "causal_loss": round(causal.item(), 5),
            "canvas_loss": round(canvas.item(), 5),
            "gradient_norm": round(norm.item(), 4),
        }
        self.clock.seconds += time.monotonic() - started
        self.clock.positions += batch.ids.numel()
        return row | {
            "seconds": round(self.clock.seconds, 2),
            "examples": self.rows.next_index,
            "positions": self.clock.positions,
        }

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Both losses on the same few batches of validation packages every time, noise of every rate."""
        if self.validation is None:
            return {}
        rows = Rows(self.validation, self.tokenizer, seed=0)
        settings = replace(row_settings(1.0, self.settings), short_share=0.0)
        sums = [0.0, 0.0]
        for _ in range(VALIDATION_BATCHES):
            with self._autocast():
                _, causal, canvas = losses(self.network, rows.batch(settings).to(self.device))
            sums = [sums[0] + causal.item(), sums[1] + canvas.item()]
        means = [round(total / VALIDATION_BATCHES, 5) for total in sums]
        return {"validation_causal_loss": means[0], "validation_canvas_loss": means[1]}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.in_bfloat16)

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "rows": self.rows.state(),
            "clock": asdict(self.clock),
            "random": torch.get_rng_state(),
        }
        temporary = self.folder / "state.pt.new"
        torch.save(state, temporary)
        temporary.replace(self.folder / "state.pt")
        save_checkpoint(self.folder / "checkpoint", self.network, self.tokenizer, self.config())

    def config(self) -> EmbeddedConfig:
        return EmbeddedConfig(
            network=self.settings.network,
            prefix_tokens=self.settings.context.prefix_tokens,
            suffix_tokens=self.settings.context.suffix_tokens,
            canvas_lengths=CANVAS_LENGTHS,
            languages=("python",),
            chars_per_token=2.8,
            name="midfill-embedded-python",
            verbs=tuple(verb for verb, token in self.tokenizer.verb_ids.items() if self.rows.shards.has_token(token)),
            num_passages=NUM_PASSAGES,
        )

    def _resume(self) -> None:
        state = torch.load(self.folder / "state.pt", map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.rows.next_index, self.rows.pool = state["rows"]["next_index"], list(state["rows"]["pool"])
        self.clock = Clock(**state["clock"])
        torch.set_rng_state(state["random"].cpu())


def begin_with(network: EmbeddedNetwork, initial: EmbeddedNetwork) -> None:
    """Take over the weights; where the pointer of `initial` counted no runs, its steps stay new."""
    missing, unknown = network.load_state_dict(initial.state_dict(), strict=False)
    if unknown or any(name not in ("pointer.run_steps", "pointer.gate_steps") for name in missing):
        raise ValueError(f"The weights are of another network: {', '.join([*missing, *unknown])}.")


def start_run(
    folder: Path,
    settings: RunSettings,
    tokenizer: CodeTokenizer,
    shards: Shards,
    *,
    validation: Shards | None = None,
    compiled: bool = False,
    stop_after_s: float = math.inf,
    initial: EmbeddedNetwork | None = None,
) -> None:
    """Start the run in `folder`, or go on with it; a larger budget prolongs it, other settings must agree.

    initial: the weights that a new run begins with, of the network that the settings describe."""
    folder.mkdir(parents=True, exist_ok=True)
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
    run = Run(folder, settings, tokenizer, shards, validation, compiled, initial)
    print(f"training on {run.device}: {sum(p.numel() for p in run.network.parameters()):,} parameters", file=sys.stderr)
    with (folder / "losses.jsonl").open("a", encoding="utf-8") as log_file:

        def log(row: dict[str, float]) -> None:
            log_file.write(json.dumps(row) + "\n")
            if row["step"] % 10 == 0:
                log_file.flush()
                print(json.dumps(row), file=sys.stderr, flush=True)

        run.train(log, stop_after_s=stop_after_s)


def settings_from(record: Path, **changes: object) -> RunSettings:
    """The settings of a run's `run.json`, with changes."""
    data = json.loads(record.read_text())
    network, context = NetworkConfig(**data.pop("network")), ContextSizes(**data.pop("context"))
    return replace(RunSettings(network=network, context=context, **data), **changes)  # type: ignore[arg-type]
