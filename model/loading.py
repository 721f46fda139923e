"""From a model's name to a model that answers requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch

from midfill.model.checkpoint import load_checkpoint
from midfill.model.device import choose_placement, place
from midfill.model.errors import CheckpointError
from midfill.model.families.embedded import EmbeddedDenoiser
from midfill.model.families.family import Model
from midfill.model.families.masked_checkpoint import is_masked
from midfill.model.families.transformers_checkpoint import is_transformers_checkpoint
from midfill.model.hub import checkpoint_folder
from midfill.model.infill import DenoisingModel

ReportProgress = Callable[[float, str], None]
"""progress from 0 to 1, and a sentence for a person."""

EMBEDDED = "embedded"
SINGLE_THREAD_WIDTH = 256
"""Up to this width a second thread costs more than it wins once anything else runs: one forward pass of the 3.4 million
parameter network took 16 ms with one thread and 45 ms with two, on two cores that a test run shared."""
log = logging.getLogger(__name__)


def load_model(
    name: str,
    report: ReportProgress,
    precision: str = "auto",
    *,
    offload: bool = False,
    infilling: Literal["chat", "clamped"] = "chat",
) -> Model:
    """`embedded` is the checkpoint that ships; anything else is the folder of one, or a hub's `owner/model[@revision]`.

    offload: a model that does not fit may be spread over GPU, RAM and disk. infilling: how DiffusionGemma is asked.
    Raises CheckpointError."""
    folder = embedded_folder() if name == EMBEDDED else checkpoint_folder(name, report)
    if folder is None:
        raise CheckpointError(
            f"There is no model {name!r}: it is neither `{EMBEDDED}`, nor a folder with a checkpoint, nor a hub's "
            "`owner/model`; see `midfill models`."
        )
    if is_masked(folder):
        from midfill.model.families.masked_loading import load_masked

        return load_masked(folder, report, precision)
    if is_transformers_checkpoint(folder):
        from midfill.model.families.diffusion_gemma_loading import load_diffusion_gemma

        return load_diffusion_gemma(folder, report, precision, offload=offload, infilling=infilling)
    report(0.1, f"reading {folder.name}")
    checkpoint = load_checkpoint(folder)
    report(0.6, "choosing device and precision")
    placement = choose_placement(precision, checkpoint.config.network.width)
    log.info("placement: %s", placement.reason)
    report(0.8, f"loading onto {placement.device} as {placement.precision}")
    place(checkpoint.network, placement)
    if placement.device.type == "cpu" and checkpoint.config.network.width <= SINGLE_THREAD_WIDTH:
        torch.set_num_threads(1)
    return DenoisingModel(EmbeddedDenoiser(checkpoint, placement.device, placement.precision))


def embedded_folder() -> Path:
    """The folder of the checkpoint that ships in the package."""
    return Path(str(files("midfill.model.weights").joinpath("python")))
