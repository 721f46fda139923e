"""From a model's name to a model that answers requests."""

from __future__ import annotations

import contextlib
import ctypes
import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch

from midfill.model.engine.family import Model
from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.device import choose_placement, place
from midfill.model.families.embedded.adapter import merged_network
from midfill.model.families.embedded.checkpoint import load_checkpoint
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.hub import checkpoint_folder
from midfill.model.families.masked.checkpoint import is_masked
from midfill.model.families.on_transformers.checkpoint import is_transformers_checkpoint
from midfill.model.wire.errors import CheckpointError

ReportProgress = Callable[[float, str], None]
"""progress from 0 to 1, and a sentence for a person."""

EMBEDDED = "embedded"
PLACEMENT_WIDTH = 576
"""Of the layers with which precisions are compared: that of the base."""
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
        from midfill.model.families.masked.loading import load_masked

        return load_masked(folder, report, precision)
    if is_transformers_checkpoint(folder):
        from midfill.model.families.diffusion_gemma.loading import load_diffusion_gemma

        return load_diffusion_gemma(folder, report, precision, offload=offload, infilling=infilling)
    return load_embedded(folder, report, precision)


def load_embedded(folder: Path, report: ReportProgress, precision: str = "auto") -> DenoisingModel:
    """A checkpoint of the embedded family, with its parent, on the device that `choose_placement` names."""
    report(0.1, "choosing device and precision")
    placement = choose_placement(precision, PLACEMENT_WIDTH)
    log.info("placement: %s", placement.reason)
    report(0.2, f"reading {folder.name} and its parent")
    dtype = torch.bfloat16 if placement.precision == "bfloat16" else torch.float32
    checkpoint = load_checkpoint(folder, dtype)
    report(0.6, f"loading onto {placement.device} as {placement.precision}")
    network = merged_network(checkpoint.parent, checkpoint.adapter, dtype)
    place(network, placement)
    denoiser = EmbeddedDenoiser(checkpoint, network, placement.device, placement.precision)
    del checkpoint
    return_freed_memory()
    return DenoisingModel(denoiser)


def return_freed_memory() -> None:
    """Give the system back what loading has freed: glibc would keep 400 MB of the parent for as long as we live."""
    with contextlib.suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def embedded_folder() -> Path:
    """The folder of the checkpoint that ships in the package."""
    return Path(str(files("midfill.model.weights").joinpath("embedded")))
