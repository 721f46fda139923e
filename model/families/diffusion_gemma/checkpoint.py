"""Whether a folder holds a DiffusionGemma. Every refusal is a CheckpointError with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from midfill.model.families.on_transformers.checkpoint import check_quantisation, read_json
from midfill.model.wire.errors import CheckpointError

ARCHITECTURE = "DiffusionGemmaForBlockDiffusion"


def check_architecture(folder: Path) -> dict[str, Any]:
    """The configuration of a DiffusionGemma folder. Raises CheckpointError for anything else."""
    config = read_json(folder / "config.json")
    named = ", ".join(config.get("architectures") or [str(config.get("model_type"))])
    if ARCHITECTURE not in (config.get("architectures") or []):
        code = ", which needs code of its own that midfill never runs" if config.get("auto_map") else ""
        raise CheckpointError(
            f"The checkpoint {folder} is a {named}{code}; midfill loads {ARCHITECTURE}, Dream, DreamOn, "
            "DiffuCoder, Open-dCoder, LLaDA and its own embedded checkpoints. Give a folder of one of these."
        )
    check_quantisation(folder, config)
    if not (folder / "tokenizer.json").is_file():
        raise CheckpointError(
            f"The checkpoint {folder} has no tokenizer.json; copy it from where the weights are from."
        )
    return config
