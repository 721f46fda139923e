"""From the folder of a masked diffusion coder to a model that answers requests."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.device import PrecisionError, choose_placement
from midfill.model.families.masked import text as masked_text
from midfill.model.families.masked.checkpoint import MaskedCheckpoint, read_masked
from midfill.model.families.masked.denoiser import MAX_HOLE_TOKENS, MAX_HOLES, MaskedDenoiser, MaskedNetwork
from midfill.model.families.masked.tokenizer import MaskedTokenizer
from midfill.model.families.masked.unmasking import ConfidenceSampler, ResizingSampler
from midfill.model.families.on_transformers.checkpoint import check_memory, count_elements, weight_files
from midfill.model.families.on_transformers.loading import dtype_of, free_bytes, read_network, revision_of
from midfill.model.wire.api import ContextBudget, ModelInfo
from midfill.model.wire.catalogue import masked_logits_bytes
from midfill.model.wire.errors import CheckpointError
from midfill.model.wire.install_command import install_command

log = logging.getLogger("midfill.model")


def load_masked(folder: Path, report: Callable[[float, str], None], precision: str) -> DenoisingModel:
    """Raises CheckpointError or PrecisionError with what is wrong and what to do."""
    checkpoint = read_masked(folder)
    if importlib.util.find_spec("transformers") is None:
        raise CheckpointError(f"Loading {folder} needs transformers; run: {install_command('diffusiongemma')}")
    if precision == "int8":
        raise PrecisionError("int8 is for the embedded model; give bfloat16 or float32.")
    report(0.05, f"reading {folder.name}")
    num_elements = count_elements(files := weight_files(folder))
    dtype = dtype_of(checkpoint.config, precision)
    placement = choose_placement("float32" if dtype == torch.float32 else "bfloat16", 1)
    log.info("placement: %s", placement.reason)
    num_bytes = num_elements * dtype.itemsize
    logits_bytes = masked_logits_bytes(int(checkpoint.settings["vocab_size"]))
    check_memory(folder, num_bytes, free_bytes(placement.device), str(placement.device), logits_bytes)
    tokenizer = MaskedTokenizer(checkpoint)
    told = f"loading {num_bytes / 1e9:.1f} GB onto {placement.device} as {placement.precision}"
    report(0.1, told)
    network = _load_network(checkpoint, dtype, lambda share: report(0.1 + 0.8 * share, told)).to(placement.device)
    info = ModelInfo(
        name=folder.resolve().name,
        family="masked",
        revision=revision_of(files),
        licence="see the checkpoint's card",
        languages=("python",),
        capabilities=("infill", "joint"),
        max_holes=MAX_HOLES,
        max_canvas_tokens=min(MAX_HOLE_TOKENS, network.config.max_position_embeddings // 4),
        context=ContextBudget(
            prefix_chars=masked_text.MAX_PREFIX_CHARS,
            suffix_chars=masked_text.MAX_SUFFIX_CHARS,
            snippet_chars=masked_text.MAX_SNIPPET_CHARS,
            joint_chars=masked_text.MAX_JOINT_CHARS,
        ),
        num_parameters=sum(parameter.numel() for parameter in network.parameters()),
        device=str(placement.device),
        precision=placement.precision,
    )
    denoiser = MaskedDenoiser(MaskedNetwork(network, checkpoint.shifted), tokenizer, info)
    sampler = (
        ConfidenceSampler() if tokenizer.expand_id is None else ResizingSampler(tokenizer.mask_id, tokenizer.expand_id)
    )
    return DenoisingModel(denoiser, sampler, max_cache_bytes=0)  # a state is ids: there is nothing to keep


def _load_network(checkpoint: MaskedCheckpoint, dtype: torch.dtype, report: Callable[[float], None]) -> Any:
    import transformers

    kind = getattr(transformers, checkpoint.network)
    return read_network(
        kind,
        checkpoint.folder,
        report,
        config=kind.config_class(**checkpoint.settings),
        key_mapping=None if checkpoint.names is None else dict(checkpoint.names),
        dtype=dtype,
    )
