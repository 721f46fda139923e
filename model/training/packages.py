"""The list that the corpus is made from: projects at one version, each with its licence and the split it belongs to."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from midfill.model.measuring.languages import FAMILIES
from midfill.model.training.licences import is_allowed

LIST_PATH = Path(__file__).with_name("corpus.toml")
REGISTRIES = ("pypi", "npm")
SPLITS = ("test", "validation", "train")  # the order in which they claim a text that two of them hold


@dataclass(frozen=True)
class Package:
    """One entry of the list: a project at one version, its SPDX licence and the split that it belongs to.

    `language` says which of its files are sources: a package in TypeScript may ship what was compiled from it, too.
    `first_release` is the day of the project's first release. Where the registry does not keep it, it is the day of
    the first commit, which cannot be later.
    """

    name: str
    version: str
    licence: str
    split: str
    registry: str = "pypi"
    language: str = "python"
    first_release: date | None = None
    is_standard_library: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"{self.name}: split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if self.registry not in REGISTRIES:
            raise ValueError(f"{self.name}: registry must be one of {', '.join(REGISTRIES)}, got {self.registry!r}")
        if self.language not in FAMILIES:
            raise ValueError(f"{self.name}: language must be one of {', '.join(FAMILIES)}, got {self.language!r}")
        if not is_allowed(self.licence):
            raise ValueError(f"{self.name}: licence {self.licence!r} is not permissive; take the package off the list")

    @property
    def identifier(self) -> str:
        """What tells this project from all others: a name can stand for one project on PyPI and another on npm."""
        return self.name if self.registry == "pypi" else f"{self.registry}:{self.name}"


def read_list(path: Path) -> list[Package]:
    """Read the list, the standard library first. Raises ValueError for a bad licence, split or repeated name."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = [Package(**entry) for entry in content["package"]]
    if standard_library := content.get("standard_library"):
        packages.insert(0, Package(name="python", is_standard_library=True, **standard_library))
    repeated = [
        name for name, count in Counter(normalised(package.identifier) for package in packages).items() if count > 1
    ]
    if repeated:
        raise ValueError(f"{path} names {', '.join(repeated)} more than once; keep one entry each")
    return packages


def normalised(name: str) -> str:
    """An identifier as its registry compares it: on PyPI, case and the kind of separator do not count."""
    return name if name.startswith("npm:") else re.sub(r"[-_.]+", "-", name).lower()
