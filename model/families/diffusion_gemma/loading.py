"""From a DiffusionGemma folder to a model that answers requests."""

from __future__ import annotations

import atexit
import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.device import PrecisionError, choose_placement
from midfill.model.families.diffusion_gemma.adapter import ADAPTER_WEIGHTS, add_adapter, base_of, is_adapter
from midfill.model.families.diffusion_gemma.checkpoint import check_architecture
from midfill.model.families.diffusion_gemma.denoiser import DiffusionGemmaDenoiser, Infilling
from midfill.model.families.diffusion_gemma.renoising import RenoisingSampler
from midfill.model.families.diffusion_gemma.tokenizer import GemmaTokenizer
from midfill.model.families.hub import checkpoint_folder
from midfill.model.families.on_transformers.checkpoint import check_memory, count_elements, weight_files
from midfill.model.families.on_transformers.loading import dtype_of, free_bytes, read_network, revision_of
from midfill.model.wire.errors import CheckpointError
from midfill.model.wire.install_command import install_command

CACHE_BYTES = 4 * 2**30
"""Two contexts of 8,000 tokens of the 26B model in bfloat16."""
log = logging.getLogger("midfill.model")


def load_diffusion_gemma(
    folder: Path,
    report: Callable[[float, str], None],
    precision: str,
    *,
    offload: bool = False,
    infilling: Infilling = "chat",
) -> DenoisingModel:
    """Of a checkpoint, or of an adapter and the checkpoint it names. offload: what the GPU has no room for stays in RAM
    and on disk, and is fetched at every step. Raises CheckpointError or PrecisionError with what to do."""
    if is_adapter(folder):
        loaded = _load_adapted(folder, report, precision, offload=offload)
    else:
        loaded = _load_parts(folder, report, precision, offload=offload)
    network, tokenizer, revision, stored_as = loaded
    name = folder.resolve().name
    denoiser = DiffusionGemmaDenoiser(network, tokenizer, name, revision, stored_as, infilling)
    return DenoisingModel(denoiser, RenoisingSampler(), CACHE_BYTES)


def _load_adapted(
    folder: Path, report: Callable[[float, str], None], precision: str, *, offload: bool
) -> tuple[Any, GemmaTokenizer, str, str]:
    named = base_of(folder)
    base = checkpoint_folder(named, report)
    if base is None:
        raise CheckpointError(
            f"The adapter {folder} is for {named}, which is neither a folder here nor a model of the hub; write where "
            "that model is into its adapter_config.json."
        )
    try:
        network, tokenizer, revision, stored_as = _load_parts(base, report, precision, offload=offload)
    except CheckpointError as error:
        raise CheckpointError(f"The adapter {folder} is for {named}, which cannot be loaded. {error}") from error
    report(0.95, f"adding the adapter {folder.name}")
    add_adapter(network, folder, named)
    revision = f"{revision}+{revision_of([folder / ADAPTER_WEIGHTS])}"
    return network, tokenizer, revision, stored_as


def _load_parts(
    folder: Path, report: Callable[[float, str], None], precision: str, *, offload: bool
) -> tuple[Any, GemmaTokenizer, str, str]:
    """Network, tokenizer, revision and precision of a checkpoint."""
    config = check_architecture(folder)
    needed = {"transformers": "diffusiongemma", **({"accelerate": "adapters"} if offload else {})}
    for package, extra in needed.items():
        if importlib.util.find_spec(package) is None:
            raise CheckpointError(f"Loading {folder} so needs {package}; run: {install_command(extra)}")
    if precision == "int8":
        raise PrecisionError(
            "int8 is for the embedded model; give bfloat16 or float32, or a checkpoint stored smaller."
        )
    report(0.05, f"reading {folder.name}")
    num_elements = count_elements(files := weight_files(folder))
    dtype = dtype_of(config, precision)
    placement = choose_placement("float32" if dtype == torch.float32 else "bfloat16", 1)
    log.info("placement: %s%s", placement.reason, "; what has no room is fetched at every step" if offload else "")
    stored = sum(path.stat().st_size for path in files)
    num_bytes = stored if "quantization_config" in config else num_elements * dtype.itemsize
    if not offload:
        check_memory(folder, num_bytes, free_bytes(placement.device), str(placement.device))
    tokenizer = GemmaTokenizer(folder, int((config.get("text_config") or config)["vocab_size"]))
    told = f"loading {num_bytes / 1e9:.1f} GB onto {placement.device} as {placement.precision}"
    report(0.1, told)
    network = _load_network(
        folder, dtype, placement.device, lambda share: report(0.1 + 0.8 * share, told), offload=offload
    )
    return network, tokenizer, revision_of(files), placement.precision


def _load_network(
    folder: Path, dtype: torch.dtype, device: torch.device, report: Callable[[float], None], *, offload: bool
) -> Any:
    from transformers import DiffusionGemmaForBlockDiffusion

    network = read_network(
        DiffusionGemmaForBlockDiffusion,
        folder,
        report,
        dtype=dtype,
        experts_implementation="grouped_mm" if device.type == "cuda" else "eager",
        **({"device_map": "auto", "offload_folder": _temporary_folder()} if offload else {}),
    )
    return network if offload else network.to(device)


def _temporary_folder() -> str:
    folder = tempfile.mkdtemp(prefix="midfill-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
