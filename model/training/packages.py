"""The list that the corpus is made from: projects at one version, each with its licence and the split it belongs to."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from midfill.model.training.licences import is_allowed

LIST_PATH = Path(__file__).with_name("corpus.toml")
SPLITS = ("test", "validation", "train")  # the order in which they claim a text that two of them hold


@dataclass(frozen=True)
class Package:
    """One entry of the list: a project at one version, its SPDX licence and the split that it belongs to."""

    name: str
    version: str
    licence: str
    split: str
    is_standard_library: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"{self.name}: split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if not is_allowed(self.licence):
            raise ValueError(f"{self.name}: licence {self.licence!r} is not permissive; take the package off the list")


def read_list(path: Path) -> list[Package]:
    """Read the list, the standard library first. Raises ValueError for a bad licence, split or repeated name."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = [Package(**entry) for entry in content["package"]]
    if standard_library := content.get("standard_library"):
        packages.insert(0, Package(name="python", is_standard_library=True, **standard_library))
    repeated = [name for name, count in Counter(normalised(package.name) for package in packages).items() if count > 1]
    if repeated:
        raise ValueError(f"{path} names {', '.join(repeated)} more than once; keep one entry each")
    return packages


def normalised(name: str) -> str:
    """A project's name as the registry compares it: case and the kind of separator do not count."""
    return re.sub(r"[-_.]+", "-", name).lower()
