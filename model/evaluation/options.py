"""What the commands of `midfill eval` have in common: their options, and the loading of a model and of a split."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.loading import EMBEDDED, load_model
from midfill.model.measuring.front import ServedAs
from midfill.model.measuring.languages import FAMILIES
from midfill.model.measuring.split import SplitFile, read_files
from midfill.model.wire.install_command import install_command

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Corpus = Annotated[Path, typer.Option(help="Folder made by `midfill train corpus`.")]
Split = Annotated[str, typer.Option(help="test or validation: packages that were not trained on.")]
Language = Annotated[
    str | None, typer.Option(help=f"{', '.join(FAMILIES)}; without it all that the split has, in equal shares.")
]
ModelName = Annotated[str, typer.Option(help="`embedded`, the folder of a checkpoint, or OWNER/MODEL.")]
Record = Annotated[
    Path | None, typer.Option(help="Keep each result in this file as soon as it is known, and go on from it.")
]
ServedBy = Annotated[
    ServedAs, typer.Option("--served-as", help="The front's request: of `midfill fill`, or of ghost text asked for.")
]
__all__ = [
    "EMBEDDED",
    "AsJson",
    "Corpus",
    "Language",
    "ModelName",
    "Record",
    "ServedBy",
    "Split",
    "load",
    "names_of",
    "read_split",
    "require_matplotlib",
]


def load(name: str) -> DenoisingModel:
    """The model on this machine. Raises CheckpointError."""
    model = load_model(name, lambda progress, sentence: None)
    assert isinstance(model, DenoisingModel)
    return model


def read_split(corpus: Path, split: str, language: str | None = None) -> list[SplitFile]:
    """The files of one split of a corpus; with a language, those in it. Raises typer.BadParameter for a language that
    there is not, and if the split is missing, damaged or empty."""
    if language is not None and language not in FAMILIES:
        raise typer.BadParameter(f"{language!r} is no language of the corpus; choose from {', '.join(FAMILIES)}.")
    path = corpus / f"{split}.jsonl.gz"
    if not path.is_file():
        raise typer.BadParameter(f"{path} does not exist; build it with `midfill train corpus --out {corpus}`.")
    try:
        files = list(read_files(path))
    except (gzip.BadGzipFile, EOFError, ValueError, LookupError, TypeError) as error:
        raise typer.BadParameter(
            f"{path} is damaged ({error}); build it again with `midfill train corpus --out {corpus}`."
        ) from error
    if not files:
        raise typer.BadParameter(f"{path} holds no files; give another --split, or another list to build it from.")
    chosen = [file for file in files if language in (None, file.family)]
    if not chosen:
        there = ", ".join(sorted({file.family for file in files}))
        raise typer.BadParameter(f"{path} holds no files in {language}, only in {there}.")
    return chosen


def names_of(chosen: str, known: tuple[str, ...], option: str) -> tuple[str, ...]:
    """The names in `chosen`, separated by commas, in the order of `known`. Raises typer.BadParameter for another."""
    names = {name.strip() for name in chosen.split(",") if name.strip()}
    if unknown := sorted(names - set(known)):
        raise typer.BadParameter(f"{option} has {', '.join(unknown)}; choose from {', '.join(known)}.")
    if not names:
        raise typer.BadParameter(f"{option} is empty; choose from {', '.join(known)}.")
    return tuple(name for name in known if name in names)


def require_matplotlib() -> None:
    """Raises typer.BadParameter where it is not installed: better before an hour of measuring than after it."""
    if importlib.util.find_spec("matplotlib") is None:
        raise typer.BadParameter(f"--plot needs matplotlib, which is not installed; run: {install_command('train')}")
