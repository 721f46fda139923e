"""Training: the layout equals what is served, runs repeat and resume, noise and spans are what they say."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from midfill.model.checkpoint import load_checkpoint
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.embedded.network import (
    EmbeddedNetwork,
    NetworkConfig,
    attend_causally,
    attend_everywhere,
    attend_masked,
)
from midfill.model.infill import DenoisingModel
from midfill.model.tokenizer import CodeTokenizer, train_tokenizer
from midfill.model.training.__main__ import app
from midfill.model.training.batches import CONTEXT, FIRST_DRAW, Rows, RowSettings, attention_mask
from midfill.model.training.examples import ContextSizes, Shards
from midfill.model.training.noise import NoiseSettings, canvas_length, noised_canvas
from midfill.model.training.train import (
    RunSettings,
    pointer_log_probability,
    rate_multiplier,
    row_settings,
    settings_from,
    start_run,
    target_log_probability,
)


def logged(folder: Path) -> list[tuple[float, float, float]]:
    rows = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    return [(row["step"], row["causal_loss"], row["canvas_loss"]) for row in rows]


def test_what_is_trained_is_what_is_served(tiny_checkpoint: Path, toy_shards: Shards) -> None:
    """Every part of a packed row has the hidden states that encoding and denoising it alone give."""
    checkpoint = load_checkpoint(tiny_checkpoint)
    network: EmbeddedNetwork = checkpoint.network
    rows = Rows(toy_shards, checkpoint.tokenizer, seed=3)
    batch = rows.batch(RowSettings(480, 2, 2, 0.4, NoiseSettings()))
    mask = attention_mask(batch.segment, batch.part)
    packed, _ = network(batch.ids, batch.position_ids, batch.part >= FIRST_DRAW, attend_masked(mask))
    num_parts = 0
    for row in range(2):
        for segment in range(int(batch.segment[row].max()) + 1):
            chosen = batch.segment[row] == segment
            visible = None  # what branch and draws see: passages and context
            for part in sorted(set(batch.part[row][chosen].tolist())):
                of_part = chosen & (batch.part[row] == part)
                ids, positions = batch.ids[row][of_part][None], batch.position_ids[row][of_part][None]
                is_canvas = torch.full_like(ids, part >= FIRST_DRAW, dtype=torch.bool)
                attend = attend_everywhere if part >= FIRST_DRAW else attend_causally
                alone, new = network(ids, positions, is_canvas, attend, visible if part > CONTEXT else None)
                if part <= CONTEXT:
                    visible = new if visible is None else torch.cat((visible, new), dim=4)
                torch.testing.assert_close(alone[0], packed[row][of_part], atol=1e-4, rtol=0)
                num_parts += 1
    assert num_parts > 6


def test_what_is_copied_in_training_is_what_is_copied_in_serving(tiny: DenoisingModel, toy_shards: Shards) -> None:
    """The log probability of every target after an example's context, pointer included, canvases and branch alike."""
    denoiser = tiny.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    network = denoiser.network
    batch = Rows(toy_shards, denoiser.tokenizer, seed=5).batch(RowSettings(480, 2, 2, 0.4, NoiseSettings()))
    mask = attention_mask(batch.segment, batch.part)
    hidden, new = network(batch.ids, batch.position_ids, batch.part >= FIRST_DRAW, attend_masked(mask))
    everywhere = torch.ones_like(batch.part, dtype=torch.bool)
    trained = target_log_probability(network, batch, hidden, new[-1], everywhere).view(batch.part.shape)
    assert bool((pointer_log_probability(network, batch, hidden, new[-1]) > -1).any()), "something is there to copy"
    for row in range(2):
        in_first = batch.segment[row] == 0
        context = in_first & (batch.part[row] <= CONTEXT)
        others = in_first & ~context & (batch.targets[row] <= denoiser.tokenizer.end_id)
        state = new[:, :, row : row + 1, :, context]
        left, visible = batch.left[row : row + 1, others], batch.ids[row][context].tolist()
        served = denoiser.predict(hidden[row : row + 1, others], left, visible, state)[0]
        targets = batch.targets[row][others].unsqueeze(-1)
        allowed = ~denoiser.forbidden[targets.squeeze(-1)]
        torch.testing.assert_close(
            served.gather(-1, targets).squeeze(-1)[allowed], trained[row][others][allowed], atol=1e-4, rtol=0
        )


def test_nothing_is_copied_before_it_is_known(tiny: DenoisingModel, toy_shards: Shards) -> None:
    """Other tokens behind a context position change nothing of what the pointer gives the targets before it."""
    denoiser = tiny.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    network, rows = denoiser.network, Rows(toy_shards, denoiser.tokenizer, seed=5)
    batch = rows.batch(RowSettings(480, 1, 0, 0.4, NoiseSettings()))
    middle = int((batch.part[0] == CONTEXT).sum()) // 2
    changed = replace(batch, ids=batch.ids.clone())
    changed.ids[0, middle:] = 5
    found = []
    for one in (batch, changed):
        mask = attention_mask(one.segment, one.part)
        hidden, new = network(one.ids, one.position_ids, one.part >= FIRST_DRAW, attend_masked(mask))
        found.append(pointer_log_probability(network, one, hidden, new[-1])[0, : middle - 1])
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)


def test_short_contexts_and_few_draws_leave_room_in_a_row(toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> None:
    """Asked for many draws, an example with long canvases gets fewer, so that it fits; short contexts are shorter."""
    rows = {
        share: Rows(toy_shards, toy_tokenizer, seed=1).batch(RowSettings(320, 8, 6, 0.4, NoiseSettings(), share))
        for share in (0.0, 1.0)
    }
    num_context = {share: int((batch.part[batch.segment >= 0] == CONTEXT).sum()) for share, batch in rows.items()}
    num_examples = {share: int((batch.segment.max(dim=1).values + 1).sum()) for share, batch in rows.items()}
    assert num_context[1.0] / num_examples[1.0] <= num_context[0.0] / num_examples[0.0]
    assert int(rows[1.0].part.max()) > FIRST_DRAW
    assert int((rows[0.0].part >= FIRST_DRAW).sum(dim=1).max()) <= 320 // 2 + 129


def test_the_last_part_of_a_run_has_rows_of_twice_the_length(toy_run: Callable[[int], RunSettings]) -> None:
    settings = replace(toy_run(10), long_share=0.2)
    assert [(row_settings(p, settings).row_length, row_settings(p, settings).rows_per_batch) for p in (0.7, 0.85)] == [
        (320, 2),
        (640, 1),
    ]


def test_a_run_stops_after_its_time_and_goes_on(
    tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards, toy_run: Callable[[int], RunSettings]
) -> None:
    start_run(tmp_path, toy_run(6), toy_tokenizer, toy_shards, stop_after_s=0.0)
    assert (tmp_path / "state.pt").exists()
    assert logged(tmp_path) == []
    start_run(tmp_path, toy_run(6), toy_tokenizer, toy_shards, validation=toy_shards)
    assert [step for step, _, _ in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]
    assert "validation_canvas_loss" in (tmp_path / "losses.jsonl").read_text()


def test_two_runs_with_one_seed_agree(
    tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards, toy_run: Callable[[int], RunSettings]
) -> None:
    for name in ("first", "second"):
        start_run(tmp_path / name, toy_run(6), toy_tokenizer, toy_shards)
    assert logged(tmp_path / "first") == logged(tmp_path / "second")


TRAIN_FROM_FILES = """
import sys
from pathlib import Path
from midfill.model.tokenizer import CodeTokenizer, train_tokenizer
from midfill.model.training.__main__ import app
from midfill.model.training.examples import ContextSizes, Shards
from midfill.model.training.train import Run, settings_from
folder, tokenizer, shards = map(Path, sys.argv[1:])
run = Run(folder, settings_from(folder / "run.json"), CodeTokenizer.load(tokenizer), Shards([shards]))
while run.clock.step < 12:
    row = run.step()
    print(row["step"], row["causal_loss"], row["canvas_loss"], flush=True)
    if row["step"] % 4 == 0:
        run.save()
"""


def test_a_killed_run_goes_on_with_the_same_losses(
    tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_run: Callable[[int], RunSettings], toy_shards_path: Path
) -> None:
    toy_tokenizer.save(tmp_path / "tokenizer.json")
    arguments = [str(tmp_path / "tokenizer.json"), str(toy_shards_path)]

    def begin(name: str) -> subprocess.Popen[str]:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            (folder / "run.json").write_text(json.dumps(asdict(toy_run(12))))
        command = [sys.executable, "-c", TRAIN_FROM_FILES, str(folder), *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    whole, _ = begin("whole").communicate(timeout=120)
    killed = begin("killed")
    assert killed.stdout is not None
    seen = [killed.stdout.readline() for _ in range(6)]
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    resumed, _ = begin("killed").communicate(timeout=120)
    assert seen == whole.splitlines(keepends=True)[:6]
    first_step = int(resumed.split()[0])
    assert first_step in (5, 9), "it goes on after the last saved step"
    assert resumed.splitlines() == whole.splitlines()[first_step - 1 :]


def test_a_run_refuses_other_settings(tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> None:
    settings = _short()
    start_run(tmp_path, settings, toy_tokenizer, toy_shards)
    with pytest.raises(ValueError, match="begun with other settings \\(seed\\)"):
        start_run(tmp_path, replace(settings, seed=7), toy_tokenizer, toy_shards)


def _short() -> RunSettings:
    return RunSettings(NetworkConfig(342, 1, 1, 16), ContextSizes(96, 48), 320, 1, budget_steps=1)


def test_the_toy_language_is_learnt(tiny_checkpoint: Path) -> None:
    rows = logged(tiny_checkpoint.parent)
    assert rows[-1][1] < rows[0][1] * 0.6
    assert rows[-1][2] < 0.6 * math.log(342), "well under what guessing among all tokens costs"


@pytest.mark.parametrize(("progress", "rate"), [(0.01, 0.5), (0.3, 1.0), (0.6, 1.0), (0.8, 0.5), (1.0, 0.05)])
def test_the_rate_warms_up_stays_and_cools_down(
    toy_run: Callable[[int], RunSettings], progress: float, rate: float
) -> None:
    assert rate_multiplier(progress, toy_run(10)) == pytest.approx(rate)


def test_padding_counts_as_one_token(toy_tokenizer: CodeTokenizer) -> None:
    hole = np.array([5, 6, 7], np.uint16)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        canvas = noised_canvas(hole, 32, toy_tokenizer, NoiseSettings(), rng)
        assert canvas.weights[4:].sum() <= 1.0 + 1e-5
        assert canvas.targets.tolist() == [5, 6, 7] + [toy_tokenizer.end_id] * 29
        assert all(weight in (np.float32(0.1), np.float32(1.0)) for weight in canvas.weights[:4])
        assert canvas_length(3, rng) in (32, 64)


def test_settings_survive_their_record(tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> None:
    settings = _short()
    start_run(tmp_path, settings, toy_tokenizer, toy_shards)
    assert settings_from(tmp_path / "run.json") == settings


def test_a_run_begins_with_the_weights_of_a_checkpoint(
    tmp_path: Path, tiny_checkpoint: Path, toy_shards_path: Path, toy_run: Callable[[int], RunSettings]
) -> None:
    """`--from`: the first loss is a trained network's, and the run says which weights it began with."""
    settings = _begin_from(tiny_checkpoint, tmp_path, toy_shards_path)
    assert settings.begun_from == load_checkpoint(tiny_checkpoint).revision
    assert settings.network == toy_run(1).network
    assert logged(tmp_path)[0][1] < 0.6 * logged(tiny_checkpoint.parent)[0][1]


def test_a_pointer_learns_to_count_in_a_run_that_begins_with_older_weights(
    tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards, toy_shards_path: Path
) -> None:
    start_run(tmp_path / "older", _short(), toy_tokenizer, toy_shards)
    older = load_checkpoint(tmp_path / "older" / "checkpoint")
    assert older.config.network.matched_tokens == 0
    settings = _begin_from(tmp_path / "older" / "checkpoint", tmp_path / "newer", toy_shards_path)
    assert settings.network == replace(older.config.network, matched_tokens=6)
    newer = load_checkpoint(tmp_path / "newer" / "checkpoint").network.state_dict()
    assert set(newer) - set(older.network.state_dict()) == {"pointer.run_steps", "pointer.gate_steps"}


def test_a_run_that_goes_on_may_cool_down_from_its_beginning(
    tmp_path: Path, tiny_checkpoint: Path, toy_shards_path: Path
) -> None:
    settings = _begin_from(tiny_checkpoint, tmp_path, toy_shards_path, "--cool-down-share", "0.98", "--rate", "0.3")
    assert rate_multiplier(0.51, settings) == pytest.approx(0.15)


def _begin_from(checkpoint: Path, folder: Path, shards: Path, *more: str) -> RunSettings:
    command = ["run", str(folder), "--shards", str(shards.parent), "--steps", "1", "--rows", "2", "--no-bfloat16"]
    command += ["--tokenizer", str(checkpoint / "tokenizer.json"), "--row-length", "320", "--from", str(checkpoint)]
    result = CliRunner().invoke(app, [*command, "--prefix-tokens", "96", "--suffix-tokens", "48", *more])
    assert result.exit_code == 0, result.output
    return settings_from(folder / "run.json")


def test_weights_of_another_vocabulary_are_refused(
    tmp_path: Path, tiny_checkpoint: Path, toy_shards_path: Path
) -> None:
    other = tmp_path / "tokenizer.json"
    train_tokenizer(iter(["other words for another vocabulary " * 9]), 300).save(other)
    command = ["run", str(tmp_path / "run"), "--shards", str(toy_shards_path.parent), "--tokenizer", str(other)]
    result = CliRunner().invoke(app, [*command, "--steps", "1", "--from", str(tiny_checkpoint)])
    assert result.exit_code == 2
    assert "another tokenizer" in " ".join(result.output.replace("│", " ").split())
    assert not (tmp_path / "run").exists()
