"""From a DiffusionGemma folder to a model that answers requests."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from midfill.model.device import PrecisionError, choose_placement
from midfill.model.errors import CheckpointError
from midfill.model.families.diffusion_gemma import DiffusionGemmaDenoiser
from midfill.model.families.diffusion_gemma_checkpoint import (
    check_architecture,
    check_memory,
    count_elements,
    weight_files,
)
from midfill.model.families.diffusion_gemma_tokenizer import GemmaTokenizer
from midfill.model.infill import DenoisingModel
from midfill.model.machine import host_memory
from midfill.model.renoising import RenoisingSampler

CACHE_BYTES = 4 * 2**30
"""Two contexts of 8,000 tokens of the 26B model in bfloat16."""
_REVISION_BYTES = 2**20
log = logging.getLogger("midfill.model")


def load_diffusion_gemma(folder: Path, report: Callable[[float, str], None], precision: str) -> DenoisingModel:
    """Raises CheckpointError or PrecisionError with what is wrong and what to do."""
    config = check_architecture(folder)
    if importlib.util.find_spec("transformers") is None:
        raise CheckpointError(
            f"{folder} is a DiffusionGemma; loading it needs `pip install 'midfill[diffusiongemma]'`."
        )
    if precision == "int8":
        raise PrecisionError(
            "int8 is for the embedded model; give bfloat16 or float32, or a checkpoint stored smaller."
        )
    report(0.05, f"reading {folder.name}")
    num_elements = count_elements(files := weight_files(folder))
    dtype = _dtype(config, precision)
    placement = choose_placement("float32" if dtype == torch.float32 else "bfloat16", 1)
    log.info("placement: %s", placement.reason)
    stored = sum(path.stat().st_size for path in files)
    num_bytes = stored if "quantization_config" in config else num_elements * dtype.itemsize
    check_memory(folder, num_bytes, _free_bytes(placement.device), str(placement.device))
    tokenizer = GemmaTokenizer(folder, int((config.get("text_config") or config)["vocab_size"]))
    report(0.1, f"loading {num_bytes / 1e9:.1f} GB onto {placement.device} as {placement.precision}")
    network = _load_network(folder, dtype, placement.device)
    name, revision = folder.resolve().name, _revision(files)
    denoiser = DiffusionGemmaDenoiser(network, tokenizer, name, revision, placement.precision)
    return DenoisingModel(denoiser, RenoisingSampler(), CACHE_BYTES)


def _load_network(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    from transformers import DiffusionGemmaForBlockDiffusion
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()  # what it would warn of is refused below
    try:
        network, report = DiffusionGemmaForBlockDiffusion.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
            experts_implementation="grouped_mm" if device.type == "cuda" else "eager",
            ignore_mismatched_sizes=True,  # reported below, in a sentence
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {folder} cannot be loaded: {str(error).splitlines()[0]} Download it again."
        ) from error
    unfit = sorted([*report["missing_keys"], *(name for name, *_ in report["mismatched_keys"])])
    if unfit:
        raise CheckpointError(
            f"The weights of {folder} do not match its config.json: {len(unfit)} tensors are missing or of another "
            f"shape ({unfit[0]}); take both from the same checkpoint."
        )
    return network.eval().requires_grad_(False).to(device)


def _dtype(config: dict[str, Any], precision: str) -> torch.dtype:
    """`auto` is how the weights are stored."""
    if precision == "auto":
        stored = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
        return torch.float32 if stored == "float32" else torch.bfloat16
    return torch.float32 if precision == "float32" else torch.bfloat16


def _revision(files: list[Path]) -> str:
    """Of the end of every weight file: enough to tell checkpoints apart, without reading all of 50 GB."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _REVISION_BYTES), os.SEEK_SET)
            digest.update(file.read())
    return digest.hexdigest()[:12]


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else host_memory().free_bytes
