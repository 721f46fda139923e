"""The pip commands that midfill's messages recommend: from the place that this midfill was installed from.

A checkout installs itself and its base model, a wheel finds its neighbours in its own folder, and what came from an
index goes back to it. Imports no tensor library.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

BASE_FOLDER = "model/base_wheel"
"""The base model's distribution in a checkout."""
BASE_REQUIREMENT = "midfill-base==0.1.2"
EXTRAS_WITHOUT_BASE = ("vllm", "ws")
"""All other extras install `local`, and `local` needs the base model."""


def install_command(extra: str = "", *options: str) -> str:
    """The command that installs midfill with an extra (empty: without), and the base model if the extra needs it.

    options: of `pip install`.
    """
    return installed_from().install(extra, *options)


def reinstall_base_command() -> str:
    """The command that replaces the base model's file and nothing else."""
    return installed_from().reinstall_base()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where midfill was installed from: a checkout, a folder of wheels, or (neither) an index."""

    checkout: Path | None = None
    wheels: Path | None = None
    is_editable: bool = False

    def install(self, extra: str = "", *options: str) -> str:
        """As `install_command`, from this origin."""
        brackets = f"[{extra}]" if extra else ""
        if self.checkout is None:
            return _pip(*options, *self._find_links(), f"midfill{brackets}")
        base = [str(self.checkout / BASE_FOLDER)] if extra and extra not in EXTRAS_WITHOUT_BASE else []
        editable = ["--editable"] if self.is_editable else []
        return _pip(*options, *base, *editable, f"{self.checkout}{brackets}")

    def reinstall_base(self) -> str:
        """As `reinstall_base_command`, from this origin."""
        base = BASE_REQUIREMENT if self.checkout is None else str(self.checkout / BASE_FOLDER)
        return _pip("--force-reinstall", "--no-deps", *self._find_links(), base)

    def _find_links(self) -> list[str]:
        return [] if self.wheels is None else ["--find-links", str(self.wheels)]


def installed_from() -> Origin:
    """What pip noted when it installed midfill (PEP 610); an index if it noted nothing or the place is gone."""
    url, is_editable = _noted()
    path = Path(unquote(url.path))
    if url.scheme != "file" or not path.exists():
        return Origin()
    if path.is_file():
        return Origin(wheels=path.parent)
    return Origin(checkout=path, is_editable=is_editable) if (path / BASE_FOLDER).is_dir() else Origin()


def _noted() -> tuple[SplitResult, bool]:
    """The URL that pip noted, empty if none, and whether the install is editable.

    In a checkout, `midfill.egg-info` is found first and has no note: the first distribution that has one counts.
    """
    from importlib import metadata  # slow to import, and only needed when something is wrong

    for distribution in metadata.distributions(name="midfill"):
        try:
            noted = json.loads(distribution.read_text("direct_url.json") or "{}")
            if noted:
                return urlsplit(noted["url"]), bool(noted.get("dir_info", {}).get("editable"))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return urlsplit(""), False


def _pip(*arguments: str) -> str:
    """For this environment: by its own pip, or by uv where it has none, as in those that uv makes."""
    if importlib.util.find_spec("pip") is not None:
        return shlex.join([sys.executable, "-m", "pip", "install", *arguments])
    return shlex.join(["uv", "pip", "install", "--python", sys.executable, *arguments])
