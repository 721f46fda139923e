"""Which files `midfill tune` learns from, where it keeps what it learnt, and what it says where it cannot begin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal.tune import learnable_files
from midfill.lsp_server.terminal.tuned import tuned_folder
from midfill.lsp_server.workspace.settings import DEFAULT_EXCLUDE


def test_only_python_that_may_be_sent_is_learnt_from(tmp_path: Path) -> None:
    files = (
        "app.py",
        "pkg/core.py",
        "pkg/notes.txt",
        "pkg/my_secrets.py",
        "legacy/old.py",
        "built/made.py",
        ".tox/hidden.py",
        "venv/pyvenv.cfg",
        "venv/lib/installed.py",
        "node_modules/gyp.py",
    )
    for name in (*files, ".git/HEAD"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".gitignore").write_text("built/\n")
    (tmp_path / "link.py").symlink_to("/etc/hostname")
    assert sorted(learnable_files(tmp_path, (*DEFAULT_EXCLUDE, "legacy/"))) == ["app.py", "pkg/core.py"]


def test_each_repository_has_a_folder_outside_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    one, other = (tuned_folder(tmp_path / parent / "project") for parent in "ab")
    assert one != other
    assert one.parent == tmp_path / "data" / "midfill" / "tuned"


def test_what_cannot_be_learnt_from_is_said(tmp_path: Path, midfill: Callable[..., Any]) -> None:
    missing, empty = midfill("tune", tmp_path / "gone"), midfill("tune", tmp_path)
    assert (missing.code, empty.code) == (2, 2)
    assert "is no folder; give the folder of a repository" in missing.err
    assert "There is no Python file to learn from" in empty.err


def test_a_repository_with_nothing_to_learn_from_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("print('a file too short to be learnt from')\n")
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "midfill.lsp_server", "tune", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={"XDG_DATA_HOME": str(tmp_path / "data"), "PATH": ""},
    )
    assert ran.returncode == 1
    assert "There is too little to learn from" in ran.stderr
    assert "Traceback" not in ran.stderr
