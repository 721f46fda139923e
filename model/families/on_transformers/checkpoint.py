"""A checkpoint folder in transformers' layout, judged before anything heavy is imported: whether all of it is there and
fits.

Reads JSON and the headers of safetensors files only. Every refusal is a CheckpointError with what to do.
"""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from midfill.model.wire.catalogue import NVFP4_CHECKPOINT, needed_bytes
from midfill.model.wire.errors import CheckpointError

QUANTISATIONS = {"compressed-tensors": "compressed_tensors"}
"""Ways in which weights may be stored smaller, and the package that reads each."""
_ADAPTER = "adapter_config.json"
_HEADER_LIMIT = 100 * 2**20


def is_transformers_checkpoint(folder: Path) -> bool:
    """Whether the folder is in transformers' layout (or an adapter in PEFT's) and not an embedded checkpoint."""
    if not (folder / "config.json").is_file():
        return (folder / _ADAPTER).is_file()
    config = read_json(folder / "config.json")
    return "architectures" in config or "model_type" in config


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the folder, all of them there and whole."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(read_json(index).get("weight_map", {}).values()))
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(
                f"The checkpoint {folder} lacks {len(missing)} of its {len(names)} weight files "
                f"({', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}); download it again."
            )
        return [folder / name for name in names]
    single = folder / "model.safetensors"
    if not single.is_file():
        raise CheckpointError(f"The checkpoint {folder} has no model.safetensors; midfill loads safetensors only.")
    return [single]


def count_elements(files: list[Path]) -> int:
    """Numbers in the weight files. Raises CheckpointError for a truncated or damaged one."""
    return sum(_count_elements(path) for path in files)


def check_memory(folder: Path, weights_bytes: int, free_bytes: int, device: str, logits_bytes: int = 0) -> None:
    """Raises CheckpointError with the missing gigabytes if the weights, their contexts and a step do not fit."""
    needed = needed_bytes(weights_bytes, logits_bytes)
    if needed > free_bytes:
        raise CheckpointError(
            f"The weights of {folder} need {needed / 1e9:.1f} GB with their contexts and {device} has "
            f"{free_bytes / 1e9:.1f} GB free: {(needed - free_bytes) / 1e9:.1f} GB are missing. Free memory, serve it "
            f"on another machine and set `endpoint`, or serve a smaller one with vLLM ({NVFP4_CHECKPOINT} takes "
            "19 GB of a GPU): `midfill models` has the commands."
        )


def check_quantisation(folder: Path, config: Mapping[str, Any]) -> None:
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method is None:
        return
    if method not in QUANTISATIONS:
        raise CheckpointError(
            f"The checkpoint {folder} is quantised with {method}; midfill loads unquantised ones and "
            f"{', '.join(QUANTISATIONS)}. Give one of these, or serve this one with vLLM."
        )
    if importlib.util.find_spec(QUANTISATIONS[method]) is None:
        raise CheckpointError(f"The checkpoint {folder} is quantised; reading it needs `pip install {method}`.")


def _count_elements(path: Path) -> int:
    """From the header: 8 bytes with its length, then JSON with shape and place of every tensor."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _HEADER_LIMIT:
                raise ValueError(f"a header of {length} bytes")
            header: dict[str, Any] = json.loads(file.read(length))
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        expected = 8 + length + max((entry["data_offsets"][1] for entry in tensors), default=0)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The weights {path} are damaged ({error}); download them again.") from error
    if path.stat().st_size < expected:
        raise CheckpointError(
            f"The weights {path} are truncated: {path.stat().st_size} of {expected} bytes; download them again."
        )
    return sum(math.prod(entry["shape"]) for entry in tensors)


def read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); take it again from where it is from.") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} is not a JSON object; take it again from where it is from.")
    return data
