"""Weights of a folder in a class of transformers, with progress, or a sentence that says why not."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from midfill.model.wire.errors import CheckpointError
from midfill.model.wire.machine import host_memory

_REVISION_BYTES = 2**20


def read_network(kind: Any, folder: Path, report: Callable[[float], None], **options: Any) -> Any:
    """kind: the class; report: is told the share of the tensors that is read; options: of `from_pretrained`. Every
    tensor that the class knows has to be there. Raises CheckpointError."""
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    disable_progress_bar()
    set_verbosity_error()  # what it would warn of is refused below
    try:
        with _reported(report):
            network, outcome = kind.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                attn_implementation="sdpa",
                ignore_mismatched_sizes=True,  # reported below, in a sentence
                output_loading_info=True,
                **options,
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"The checkpoint {folder} cannot be loaded: {str(error).splitlines()[0]} Download it again."
        ) from error
    unfit = sorted([*outcome["missing_keys"], *(name for name, *_ in outcome["mismatched_keys"])])
    if unfit:
        raise CheckpointError(
            f"The weights of {folder} do not match its config.json: {len(unfit)} tensors are missing or of another "
            f"shape ({unfit[0]}); take both from the same checkpoint."
        )
    return network.eval().requires_grad_(False)


def dtype_of(config: Mapping[str, Any], precision: str) -> torch.dtype:
    """`auto` is how the weights are stored."""
    if precision == "auto":
        stored = config.get("dtype") or config.get("torch_dtype") or "bfloat16"
        return torch.float32 if stored == "float32" else torch.bfloat16
    return torch.float32 if precision == "float32" else torch.bfloat16


def revision_of(files: list[Path]) -> str:
    """Of the end of every weight file: enough to tell checkpoints apart, without reading all of 50 GB."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _REVISION_BYTES), os.SEEK_SET)
            digest.update(file.read())
    return digest.hexdigest()[:12]


def free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else host_memory().free_bytes


@contextlib.contextmanager
def _reported(report: Callable[[float], None]) -> Iterator[None]:
    """Shares of the tensors that transformers has loaded."""
    from transformers.utils.logging import set_tqdm_hook

    def counted(factory: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        items = list(arguments[0]) if arguments else []

        def count() -> Iterator[Any]:
            for number, item in enumerate(items):
                report(number / len(items))
                yield item

        return count() if items else factory(*arguments, **options)

    previous = set_tqdm_hook(counted)
    try:
        yield
    finally:
        set_tqdm_hook(previous)
