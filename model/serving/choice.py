"""Which model is served, and how it is loaded: plain data, so that another process or machine can be told of it."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from midfill.model.wire.address import VLLM_SCHEME
from midfill.model.wire.install_command import install_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from midfill.model.engine.family import Model

_SERVING_PACKAGES = ("fastapi", "uvicorn", "prometheus_client")
_LOCAL_PACKAGES = ("torch", "numpy", "safetensors", "tokenizers", "gguf", *_SERVING_PACKAGES)


class MissingPackagesError(Exception):
    """Packages that serving needs are not installed; the message says how they are."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """name: `embedded`, a checkpoint's folder, a hub's OWNER/MODEL, or `vllm:URL`; vllm_token_file: a path; the rest is
    `load_model`'s."""

    name: str = "embedded"
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    infilling: Literal["chat", "clamped"] = "chat"
    offload: bool = False
    vllm_token_file: str | None = None

    @property
    def is_elsewhere(self) -> bool:
        return self.name.startswith(VLLM_SCHEME)

    def check_packages(self) -> None:
        """Raises MissingPackagesError. Imports nothing."""
        needed = _SERVING_PACKAGES if self.is_elsewhere else _LOCAL_PACKAGES
        missing = [name for name in needed if importlib.util.find_spec(name) is None]
        if missing:
            what, extra = ("Serving", "vllm") if self.is_elsewhere else ("The local model", "local")
            raise MissingPackagesError(
                f"{what} needs more packages (missing: {', '.join(missing)}); run: {install_command(extra)}"
            )

    def load(self, report: Callable[[float, str], None]) -> Model:
        """Load it here, telling `report` the share that is done and a sentence. Raises MidfillModelError."""
        if self.is_elsewhere:
            from midfill.model.families.vllm.loading import load_vllm

            return load_vllm(self.name, report, Path(self.vllm_token_file) if self.vllm_token_file else None)
        from midfill.model.families.loading import load_model

        return load_model(self.name, report, self.precision, offload=self.offload, infilling=self.infilling)
