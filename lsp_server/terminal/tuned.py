"""Where the models tuned on repositories are kept, and what each says of itself. Loads none of them."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TunedModel:
    """What `tuned.json` in its folder says, as `midfill.model.training.tune` wrote it. exact_before, exact_after:
    shares of `num_holes` held-out holes; interval: of their difference, 95 %."""

    folder: str
    root: str
    base_revision: str
    num_holes: int
    exact_before: float
    exact_after: float
    interval: tuple[float, float]

    @property
    def setting(self) -> str:
        """What `midfill.model` says to choose it."""
        return self.folder


def tuned_folder(root: Path) -> Path:
    """Where the model tuned on a repository is kept."""
    return _place() / f"{root.name}-{hashlib.sha256(os.fsencode(root)).hexdigest()[:8]}"


def tuned_models() -> list[TunedModel]:
    """By folder. One that does not say what it is, as one half deleted, is none."""
    place = _place()
    read = [_read(folder) for folder in sorted(place.iterdir())] if place.is_dir() else []
    return [model for model in read if model is not None]


def _place() -> Path:
    """Outside of all repositories, in the user's own data folder."""
    from platformdirs import user_data_path

    return user_data_path("midfill") / "tuned"


def _read(folder: Path) -> TunedModel | None:
    try:
        said = json.loads((folder / "tuned.json").read_text(encoding="utf-8"))
        low, high = said["interval"]
        return TunedModel(
            folder=str(folder),
            root=str(said["root"]),
            base_revision=str(said["base_revision"]),
            num_holes=int(said["num_holes"]),
            exact_before=float(said["exact_before"]),
            exact_after=float(said["exact_after"]),
            interval=(float(low), float(high)),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
