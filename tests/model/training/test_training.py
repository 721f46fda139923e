"""The training program: runs repeat, stop, resume and begin from a checkpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from toy_parent import NUM_TEXT_TOKENS, save_parent, toy_qwen2, train_bpe
from typer.testing import CliRunner

from midfill.model.families.embedded.adapter import adapter_of
from midfill.model.families.embedded.checkpoint import load_checkpoint, parent_path, read_adapter
from midfill.model.families.embedded.parent import Parent
from midfill.model.families.loading import load_model
from midfill.model.training.__main__ import app
from midfill.model.training.examples import Shards
from midfill.model.training.plot import read_log
from midfill.model.training.train import Run, RunSettings, rate_multiplier, settings_from, start_run
from midfill.model.wire.errors import CheckpointError

Settings = Callable[[int], RunSettings]


def logged(folder: Path) -> list[tuple[float, float, float]]:
    rows = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    return [(row["step"], row["causal_loss"], row["canvas_loss"]) for row in rows if "causal_loss" in row]


def without_times(folder: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_a_run_stops_after_its_time_and_goes_on(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    start_run(tmp_path, toy_run(6), toy_parent, toy_shards, stop_after_s=0.0)
    assert (tmp_path / "state.pt").exists()
    assert logged(tmp_path) == []
    start_run(tmp_path, toy_run(6), toy_parent, toy_shards, validation=toy_shards)
    assert [step for step, _, _ in logged(tmp_path)] == [1, 2, 3, 4, 5, 6]
    rows = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert rows[0]["step"] == 0, "what the beginning is worth is known"
    assert all(row["validation_canvas_loss"] > 0 for row in (rows[0], rows[-1]))


def test_a_finished_run_goes_on_with_a_larger_budget(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    for budget in (2, 2, 4):
        start_run(tmp_path, toy_run(budget), toy_parent, toy_shards)
    assert [step for step, _, _ in logged(tmp_path)] == [1, 2, 3, 4]


def test_two_runs_with_one_seed_agree(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    for name in ("first", "second"):
        start_run(tmp_path / name, toy_run(6), toy_parent, toy_shards)
    assert without_times(tmp_path / "first") == without_times(tmp_path / "second")
    first, second = (read_adapter(tmp_path / name / "checkpoint") for name in ("first", "second"))
    assert first[2] == second[2], "the checkpoints are the same bit for bit"
    start_run(tmp_path / "third", replace(toy_run(6), seed=1), toy_parent, toy_shards)
    assert logged(tmp_path / "third") != logged(tmp_path / "first")


TRAIN_FROM_FILES = """
import sys
from pathlib import Path
from midfill.model.families.embedded.parent import read_parent
from midfill.model.training.examples import Shards
from midfill.model.training.plot import read_log
from midfill.model.training.train import Run, settings_from
folder, parent, shards = map(Path, sys.argv[1:])
run = Run(folder, settings_from(folder / "run.json"), read_parent(parent), Shards([shards]))
while run.clock.step < 12:
    row = run.step()
    print(row["step"], row["causal_loss"], row["canvas_loss"], row["examples"], row["positions"], flush=True)
    if row["step"] % 4 == 0:
        run.save()
"""


def test_a_killed_run_goes_on_with_the_same_losses(
    tmp_path: Path, toy_parent_folder: Path, toy_run: Settings, toy_shards_path: Path
) -> None:
    def begin(name: str) -> subprocess.Popen[str]:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            (folder / "run.json").write_text(json.dumps(asdict(toy_run(12))))
        command = [sys.executable, "-c", TRAIN_FROM_FILES, str(folder), str(toy_parent_folder), str(toy_shards_path)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})

    whole, _ = begin("whole").communicate(timeout=240)
    killed = begin("killed")
    assert killed.stdout is not None
    seen = [killed.stdout.readline() for _ in range(6)]
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    resumed, _ = begin("killed").communicate(timeout=240)
    assert seen == whole.splitlines(keepends=True)[:6]
    first_step = int(resumed.split()[0])
    assert first_step in (5, 9), "it goes on after the last saved step"
    assert resumed.splitlines() == whole.splitlines()[first_step - 1 :]


def test_the_log_of_a_run_that_was_killed_goes_on(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    """Steps after the last save are done again; half a line that the kill has left spoils no other."""
    start_run(tmp_path, toy_run(3), toy_parent, toy_shards)
    with (tmp_path / "losses.jsonl").open("a") as log:
        log.write(json.dumps({"step": 4, "causal_loss": 99.0, "canvas_loss": 99.0}) + "\n" + '{"step": 5, "caus')
    start_run(tmp_path, toy_run(6), toy_parent, toy_shards)
    read = read_log(tmp_path)
    assert read.damaged_lines == (5,)
    assert len(read.columns["causal_loss"]) == 6
    assert (read.columns["causal_loss"] < 99).all()


def test_what_is_saved_is_what_was_trained(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    run = Run(tmp_path, toy_run(3), toy_parent, toy_shards)
    begun = {name: value.clone() for name, value in adapter_of(run.network).items()}
    run.train(lambda row: None)
    _, adapter, _ = read_adapter(tmp_path / "checkpoint")
    assert adapter.keys() == begun.keys()
    trained = adapter_of(run.network)
    for name, value in adapter.items():
        assert torch.equal(value, trained[name].bfloat16().float()), name
    assert all(not torch.equal(begun[name], trained[name]) for name in begun), "something is not learnt"
    again = Run(tmp_path, toy_run(3), toy_parent, toy_shards)
    assert all(torch.equal(value, trained[name]) for name, value in adapter_of(again.network).items())
    assert again.batches.state() == run.batches.state()


def test_the_parent_is_not_changed_by_training(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    before = {name: value.clone() for name, value in toy_parent.tensors.items()}
    run = Run(tmp_path, toy_run(2), toy_parent, toy_shards)
    frozen = {n: p.clone() for n, p in run.network.named_parameters() if not p.requires_grad}
    run.train(lambda row: None)
    named = dict(run.network.named_parameters())
    assert all(torch.equal(named[name], value) for name, value in frozen.items())
    assert all(torch.equal(value, before[name]) for name, value in toy_parent.tensors.items())


def test_a_run_refuses_other_settings(
    tmp_path: Path, toy_parent: Parent, toy_shards: Shards, toy_run: Settings
) -> None:
    settings = toy_run(1)
    start_run(tmp_path, settings, toy_parent, toy_shards)
    assert settings_from(tmp_path / "run.json") == settings
    for changes in ({"seed": 7}, {"parent_sha256": "0" * 64}, {"rank": 2}):
        (name,) = changes
        with pytest.raises(ValueError, match=rf"begun with other settings \({name}\)"):
            start_run(tmp_path, replace(settings, **changes), toy_parent, toy_shards)  # type: ignore[arg-type]


def test_a_run_has_one_budget(toy_run: Settings) -> None:
    for changes in ({"budget_minutes": 1.0}, {"budget_steps": None}):
        with pytest.raises(ValueError, match="either budget_steps or budget_minutes"):
            replace(toy_run(3), **changes)  # type: ignore[arg-type]


def test_the_toy_language_is_learnt(tiny_checkpoint: Path) -> None:
    rows = logged(tiny_checkpoint.parent)
    first, last = (
        [sum(row[column] for row in part) / len(part) for column in (1, 2)] for part in (rows[:10], rows[-10:])
    )
    assert last[0] < first[0] * 0.75
    assert last[1] < first[1] * 0.6


@pytest.mark.parametrize(
    ("step", "progress", "rate"), [(0, 0.0, 0.2), (1, 0.01, 0.4), (9, 0.3, 1.0), (9, 0.7, 0.5), (9, 1.0, 0.02)]
)
def test_the_rate_warms_up_stays_and_cools_down(toy_run: Settings, step: int, progress: float, rate: float) -> None:
    settings = replace(toy_run(10), rate=1.0, warm_up_steps=5, cool_down_share=0.6)
    assert rate_multiplier(step, progress, settings) == pytest.approx(rate)
    assert rate_multiplier(step, progress, replace(settings, rate=3.0)) == pytest.approx(3 * rate)


# --- the command


def run_command(folder: Path, shards: Path, *options: str) -> None:
    command = ["run", str(folder), "--shards", str(shards.parent), "--steps", "1", "--no-bfloat16"]
    command += ["--positions", "1200", "--max-context", "160", "--draws", "4"]
    result = CliRunner().invoke(app, [*command, *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_a_run_begins_with_the_weights_of_a_checkpoint(
    tmp_path: Path, tiny_checkpoint: Path, toy_parent_folder: Path, toy_shards_path: Path
) -> None:
    """`--from`: the first loss is a trained network's, and the run says which weights it began with."""
    for name, options in (("new", ()), ("from", ("--from", str(tiny_checkpoint)))):
        run_command(tmp_path / name, toy_shards_path, "--parent", str(toy_parent_folder), *options)
    settings = settings_from(tmp_path / "from" / "run.json")
    tiny = load_checkpoint(tiny_checkpoint)
    assert settings.begun_from == tiny.revision
    assert settings.rank == tiny.config.rank
    assert logged(tmp_path / "from")[0][2] < 0.6 * logged(tmp_path / "new")[0][2]


def test_an_adapter_of_another_parent_is_refused(tmp_path: Path, tiny_checkpoint: Path, toy_shards_path: Path) -> None:
    parent = tmp_path / "parent"
    save_parent(parent, toy_qwen2(), train_bpe(["other words for another vocabulary " * 9], NUM_TEXT_TOKENS))
    with pytest.raises(CheckpointError, match="another parent"):
        run_command(tmp_path / "run", toy_shards_path, "--parent", str(parent), "--from", str(tiny_checkpoint))
    assert not (tmp_path / "run").exists()


def test_a_qwen2_parent_is_trained_and_served_by_the_same_commands(
    tmp_path: Path, toy_shards_path: Path, request_of: Callable[..., object], run: Callable[..., object]
) -> None:
    parent = tmp_path / "qwen"
    save_parent(parent, toy_qwen2(), train_bpe(["def add(alpha):\n    return alpha\n"], NUM_TEXT_TOKENS))
    run_command(tmp_path / "run", toy_shards_path, "--parent", str(parent))
    checkpoint = tmp_path / "run" / "checkpoint"
    config, _, _ = read_adapter(checkpoint)
    assert config.name == "midfill-qwen"
    assert parent_path(checkpoint, config) == parent
    model = load_model(str(checkpoint), lambda progress, sentence: None, "float32")
    _, answer = run(model, request_of("def add(alpha):\n    return ⟨1⟩\n", candidates=2))  # type: ignore[misc]
    assert answer.candidates
