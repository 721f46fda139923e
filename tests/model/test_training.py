"""Training: the layout equals what is served, runs repeat and resume, noise and spans are what they say."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from midfill.model.checkpoint import load_checkpoint
from midfill.model.families.embedded_network import (
    EmbeddedNetwork,
    NetworkConfig,
    attend_causally,
    attend_everywhere,
    attend_masked,
)
from midfill.model.tokenizer import CodeTokenizer
from midfill.model.training.batches import CONTEXT, FIRST_DRAW, Rows, RowSettings, attention_mask
from midfill.model.training.examples import ContextSizes, Shards
from midfill.model.training.noise import NoiseSettings, canvas_length, noised_canvas
from midfill.model.training.spans import SourceFile, draw_holes
from midfill.model.training.train import RunSettings, rate_multiplier, settings_from, start_run


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
            state = None
            for part in sorted(set(batch.part[row][chosen].tolist())):
                of_part = chosen & (batch.part[row] == part)
                ids, positions = batch.ids[row][of_part][None], batch.position_ids[row][of_part][None]
                is_canvas = torch.full_like(ids, part >= FIRST_DRAW, dtype=torch.bool)
                attend = attend_everywhere if part >= FIRST_DRAW else attend_causally
                alone, new = network(ids, positions, is_canvas, attend, state)
                state = new if part == CONTEXT else state
                torch.testing.assert_close(alone[0], packed[row][of_part], atol=1e-4, rtol=0)
                num_parts += 1
    assert num_parts > 6


def test_two_runs_with_one_seed_agree(
    tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards, toy_run: Callable[[int], RunSettings]
) -> None:
    for name in ("first", "second"):
        start_run(tmp_path / name, toy_run(6), toy_tokenizer, toy_shards)
    assert logged(tmp_path / "first") == logged(tmp_path / "second")


TRAIN_FROM_FILES = """
import sys
from pathlib import Path
from midfill.model.tokenizer import CodeTokenizer
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
    return RunSettings(NetworkConfig(334, 1, 1, 16), ContextSizes(96, 48), 320, 1, budget_steps=1)


def test_the_toy_language_is_learnt(tiny_checkpoint: Path) -> None:
    rows = logged(tiny_checkpoint.parent)
    assert rows[-1][1] < rows[0][1] * 0.6
    assert rows[-1][2] < 0.6 * math.log(334), "well under what guessing among all tokens costs"


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


SOURCE = """def read(path, mode="r"):
    with open(path, mode) as handle:
        lines = [line.strip() for line in handle if line]
    return {"é": lines, "n": len(lines)}


class Reader:
    def __init__(self, root):
        self.root = root
        self.cache = {}
"""


def test_holes_are_spans_of_the_text_that_do_not_touch() -> None:
    source, rng = SourceFile(SOURCE), random.Random(0)
    drawn = [draw_holes(source, rng.randrange(len(SOURCE)), rng) for _ in range(300)]
    assert {1, 2, 3} <= {len(holes) for holes in drawn}
    for holes in drawn:
        assert all(0 <= hole.start <= hole.end <= len(SOURCE) for hole in holes)
        assert all(first.end < second.start for first, second in itertools.pairwise(holes))
    nodes = {SOURCE[span.start : span.end] for span in source.nodes}
    assert {'{"é": lines, "n": len(lines)}', "path, mode", "self.cache = {}"} <= nodes


def test_settings_survive_their_record(tmp_path: Path, toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> None:
    settings = _short()
    start_run(tmp_path, settings, toy_tokenizer, toy_shards)
    assert settings_from(tmp_path / "run.json") == settings
