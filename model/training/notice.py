"""The NOTICE that ships with the weights: what they were trained on, and under which licences."""

from collections.abc import Iterable
from pathlib import Path

from midfill.model.training.packages import Package, normalised, read_list


def write_notice(list_path: Path, out: Path) -> None:
    """Write the NOTICE of weights trained on the list. Raises ValueError for a list that cannot be used."""
    out.write_text(notice(read_list(list_path)), encoding="utf-8")


def notice(packages: Iterable[Package]) -> str:
    """The NOTICE: what the weights were trained on, and under which licences."""
    trained_on = sorted((package for package in packages if package.split == "train"), key=lambda p: normalised(p.name))
    lines = [f"{package.name} {package.version} ({package.licence})" for package in trained_on]
    return "\n".join(["midfill", "Licensed under the Apache License, Version 2.0.", "", *_NOTICE_LINES, "", *lines, ""])


_NOTICE_LINES = (
    "The weights in model/weights were trained on source code of the following projects.",
    "None of that source is distributed here. Each project belongs to its authors and stands",
    "under its own licence; `python` is the standard library of CPython. This file is generated",
    "from model/training/corpus.toml by `midfill train notice`.",
)
