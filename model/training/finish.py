"""From a run's checkpoint to what ships: characters per token, memory weights and a show threshold, all fitted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from midfill.model.checkpoint import EmbeddedConfig, load_checkpoint, save_checkpoint
from midfill.model.confidence import calibrated, threshold_for_share
from midfill.model.evaluation.in_domain import draw_tasks, request_of
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.infill import DenoisingModel
from midfill.model.loading import load_model
from midfill.model.tokenizer import CodeTokenizer
from midfill.model.training.calibrate import CALIBRATED_KINDS, collect, fit_calibration
from midfill.model.training.memory_weights import fit_memory_weights

SHARE_SHOWN = 0.3
"""Share of suggestions that are sure enough to be shown unasked."""


def finish(
    run: Path, texts: Sequence[str], out: Path, num_fitted: int = 80, num_calibrated: int = 100
) -> EmbeddedConfig:
    """Write the run's checkpoint to `out` with what is fitted on `texts`, whole files that were not trained on.

    num_fitted: holes of each kind for the memory's weights; num_calibrated: for the confidence and its threshold."""
    checkpoint = load_checkpoint(run / "checkpoint")
    measured = chars_per_token(texts, checkpoint.parent.tokenizer)
    config = replace(checkpoint.config, chars_per_token=measured, memory_weights=(), calibration=(), show_threshold=0.0)
    save_checkpoint(out, checkpoint.adapter, config)
    model = _load(out)
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    holes = [(request_of(task, model), task.truth) for task in draw_tasks(texts, num_fitted)]
    config = replace(config, memory_weights=fit_memory_weights(model.denoiser, holes))
    _write(out, config)
    tasks = draw_tasks(texts, num_calibrated, seed=1, kinds=CALIBRATED_KINDS)
    collected = list(collect(_load(out), tasks))
    calibration = fit_calibration(pair for one in collected for pair in one.pairs)
    confidences = [
        max(calibrated(calibration, pair.confidences, pair.closed, pair.evidence) for pair in one.inline)
        for one in collected
    ]
    threshold = round(threshold_for_share(confidences, SHARE_SHOWN), 3)
    config = replace(config, calibration=calibration.coefficients, show_threshold=threshold)
    _write(out, config)
    return config


def chars_per_token(texts: Sequence[str], tokenizer: CodeTokenizer) -> float:
    num_tokens = sum(len(ids) for ids in tokenizer.encode_batch(texts))
    return round(sum(map(len, texts)) / max(num_tokens, 1), 3)


def _load(folder: Path) -> DenoisingModel:
    model = load_model(str(folder), lambda progress, sentence: None)
    assert isinstance(model, DenoisingModel)
    return model


def _write(folder: Path, config: EmbeddedConfig) -> None:
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
