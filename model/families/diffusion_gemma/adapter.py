"""PEFT adapters (LoRA; Unsloth writes the same files) on a DiffusionGemma.

An adapter names its base. It is added beside the weights and not merged into them: encoder and decoder share their
weights, so merging what was trained for one would change the other.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

from midfill.model.wire.errors import CheckpointError
from midfill.model.wire.install_command import install_command

_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    return (folder / _CONFIG).is_file() and not (folder / "config.json").is_file()


def base_of(folder: Path) -> str:
    """The folder or hub id that the adapter was made for. Raises CheckpointError for one that cannot be used."""
    try:
        base = json.loads((folder / _CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / _CONFIG} cannot be read ({error}); take it from where it is from.") from error
    if not isinstance(base, str) or not base:
        raise CheckpointError(f"The adapter {folder} names no base; write its folder into {_CONFIG}.")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise CheckpointError(f"The adapter {folder} has no {ADAPTER_WEIGHTS}; midfill loads safetensors only.")
    if importlib.util.find_spec("peft") is None:
        raise CheckpointError(f"{folder} is an adapter; to load it, run first: {install_command('adapters')}")
    return base


def add_adapter(network: Any, folder: Path, base: str) -> None:
    """Changes `network`. Raises CheckpointError where the adapter's tensors have no place in it."""
    from peft import PeftConfig, inject_adapter_in_model, load_peft_weights, set_peft_model_state_dict

    try:
        config = PeftConfig.from_pretrained(str(folder))
        config.inference_mode = True
        inject_adapter_in_model(config, network)
        weights = load_peft_weights(str(folder), device=str(network.device))
        outcome: Any = set_peft_model_state_dict(network, weights)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"The adapter {folder} does not fit {base}: {str(error).splitlines()[0]} Give the base it was trained on."
        ) from error
    if outcome.unexpected_keys:
        raise CheckpointError(
            f"The adapter {folder} does not fit {base}: {len(outcome.unexpected_keys)} of its tensors have no place "
            f"there ({outcome.unexpected_keys[0]}); give the base it was trained on."
        )
    network.eval().requires_grad_(False)
