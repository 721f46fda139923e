"""The pretrained base of the embedded model: where its file lies, and whether it is the right one.

The distribution `midfill-base` (the folder `model/base_wheel`) carries the file; pip builds it from a package pinned by
version and sha256. This module downloads nothing, imports no tensor library and does not know what the file means.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from midfill.model.errors import CheckpointError
from midfill.model.install_command import install_command, reinstall_base_command

BASE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""SmolLM2-135M-Instruct (Hugging Face, Apache-2.0, arXiv 2502.02737) in blocks of 32 weights with 4 bits each."""
BASE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BASE_NUM_BYTES = 98_362_432
_PACKAGE = "midfill_base"


def base_file() -> Path:
    """The base's GGUF file, with its size and sha256 checked: it reads all 98 MB.

    Raises CheckpointError if the file is missing, unreadable, truncated or changed; the message has the command to run.
    """
    path = _installed_path()
    try:
        num_bytes = path.stat().st_size
        if num_bytes != BASE_NUM_BYTES:
            raise CheckpointError(
                f"midfill's base model {path} has {num_bytes:,} bytes instead of {BASE_NUM_BYTES:,}; "
                f"run: {reinstall_base_command()}"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"midfill's base model {path} cannot be read ({error.strerror or error}); run: {reinstall_base_command()}"
        ) from error
    if digest != BASE_SHA256:
        raise CheckpointError(
            f"midfill's base model {path} is damaged: its sha256 is {digest} instead of {BASE_SHA256}; "
            f"run: {reinstall_base_command()}"
        )
    return path


def _installed_path() -> Path:
    """Where the package has the file; found without importing the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise CheckpointError(f"midfill's base model is not installed; run: {install_command('local')}")
    for folder in spec.submodule_search_locations or []:
        if (path := Path(folder) / BASE_NAME).is_file():
            return path
    raise CheckpointError(
        f"midfill's base model {BASE_NAME} is missing from the package {_PACKAGE}; run: {reinstall_base_command()}"
    )
