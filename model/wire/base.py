"""The pretrained base of the embedded model: where its file lies, and whether it is the right one.

The distribution `midfill-base` (the folder `model/base_wheel`) carries the file; pip builds it from a package pinned by
version and sha256. This module downloads nothing, imports no tensor library and does not know what the file means.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from midfill.model.wire.errors import CheckpointError
from midfill.model.wire.install_command import install_command, reinstall_base_command

BASE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""SmolLM2-135M-Instruct (Hugging Face, Apache-2.0, arXiv 2502.02737) in blocks of 32 weights with 4 bits each."""
BASE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
BASE_NUM_BYTES = 98_362_432
_PACKAGE = "midfill_base"


class BaseModelError(CheckpointError):
    """The base model's file cannot be used. problem: what is wrong; command: what to run."""

    def __init__(self, problem: str, command: str) -> None:
        super().__init__(f"midfill's base model {problem}; run: {command}")
        self.problem = problem
        self.command = command


def base_file() -> Path:
    """The base's GGUF file, with its size and sha256 checked: it reads all 98 MB.

    Raises BaseModelError, a CheckpointError, if the file is missing, unreadable, truncated or changed.
    """
    path = _installed_path()
    try:
        num_bytes = path.stat().st_size
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest() if num_bytes == BASE_NUM_BYTES else ""
    except OSError as error:
        raise BaseModelError(f"cannot be read ({error})", reinstall_base_command()) from error
    if num_bytes != BASE_NUM_BYTES:
        problem = f"has {num_bytes:,} bytes instead of {BASE_NUM_BYTES:,} ({path})"
        raise BaseModelError(problem, reinstall_base_command())
    if digest != BASE_SHA256:
        problem = f"is damaged: {path} has the sha256 {digest} instead of {BASE_SHA256}"
        raise BaseModelError(problem, reinstall_base_command())
    return path


def _installed_path() -> Path:
    """Where the package has the file; found without importing the package."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        raise BaseModelError("is not installed", install_command("local"))
    for folder in spec.submodule_search_locations or []:
        if (path := Path(folder) / BASE_NAME).is_file():
            return path
    raise BaseModelError(f"is missing: the package {_PACKAGE} has no {BASE_NAME}", reinstall_base_command())
