"""`midfill tune`: which files of a repository the model may learn from.

This process then becomes the program that learns, `midfill.model.training.tune`, which gets the answer on its standard
input: nothing here may import torch."""

from __future__ import annotations

import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from midfill.lsp_server.cli import become
from midfill.lsp_server.terminal.errors import TerminalError, bad_input
from midfill.lsp_server.terminal.tuned import tuned_folder
from midfill.lsp_server.workspace.exclusion import excluding_glob
from midfill.lsp_server.workspace.gitignore import GitIgnore
from midfill.lsp_server.workspace.settings import DEFAULT_EXCLUDE
from midfill.model.wire.install_command import install_command

TUNING_PROGRAM = "midfill.model.training.tune"
SKIPPED_FOLDERS = frozenset({"node_modules", "site-packages", "__pycache__"})


@dataclass(frozen=True)
class TuneOptions:
    """As typed, the path and the globs apart; the names are those of the program's settings."""

    model: str
    minutes: float
    num_holes: int
    keep: bool
    seed: int


def run_tune(path: Path, exclude: Sequence[str], options: TuneOptions) -> int:
    if not path.is_dir():
        raise bad_input(f"{path} is no folder; give the folder of a repository.")
    if importlib.util.find_spec("torch") is None:
        raise TerminalError(f"PyTorch is not installed, and tuning needs it; run: {install_command('local')}")
    root = path.resolve()
    files = sorted(learnable_files(root, (*DEFAULT_EXCLUDE, *exclude)))
    if not files:
        raise bad_input(f"There is no Python file to learn from in {path}; give the folder of a repository.")
    settings = {"root": str(root), "files": files, "out": str(tuned_folder(root)), **asdict(options)}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as listed:
        json.dump(settings, listed)
        listed.seek(0)
        os.dup2(listed.fileno(), 0)
    return become(TUNING_PROGRAM, [])


def learnable_files(root: Path, globs: tuple[str, ...]) -> Iterator[str]:
    """The Python files below `root`, as paths from there, that neither git ignores nor a glob excludes. Hidden folders,
    virtual environments and installed packages are passed over, and links are not followed."""
    ignored = GitIgnore()
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _may_enter(here / name))
        for name in names:
            file = here / name
            if file.suffix != ".py" or file.is_symlink() or not file.is_file():
                continue
            if excluding_glob(str(file), (str(root),), globs) is None and ignored.ignoring_rule(file) is None:
                yield file.relative_to(root).as_posix()


def _may_enter(folder: Path) -> bool:
    return not (folder.name.startswith(".") or folder.name in SKIPPED_FOLDERS or (folder / "pyvenv.cfg").exists())
