"""Emacs with eglot, set up as docs/EDITORS.md says, and the language server with a scripted model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]


def test_eglot(require: Callable[[str], Path], folders: tuple[Path, dict[str, str]]) -> None:
    folder, environment = folders
    section = (REPOSITORY / "docs" / "EDITORS.md").read_text(encoding="utf-8").partition("### Emacs, eglot")[2]
    documented = re.search(r"```elisp\n(.*?)```", section, re.DOTALL)
    assert documented
    (folder / "documented.el").write_text(documented[1], encoding="utf-8")
    midfill = folder / "bin" / "midfill"
    midfill.parent.mkdir()
    server = REPOSITORY / "tests" / "lsp_server" / "scripted_server.py"
    midfill.write_text(f'#!/bin/sh\n[ "$1" = lsp ] && exec {sys.executable} {server} --stdio\n')
    midfill.chmod(0o755)
    tests = ["-l", folder / "documented.el", "-l", HERE / "eglot-test.el", "-f", "ert-run-tests-batch-and-exit"]
    done = subprocess.run(
        [require("emacs/bin/emacs"), "-Q", "--batch", *tests],
        env={
            **environment,
            "LC_ALL": "C.UTF-8",
            "HOME": str(folder),
            "PATH": f"{midfill.parent}:{environment['PATH']}",
            "MIDFILL_PROJECT": str(folder / "project"),
            "SCRIPTED_RESIDENT": json.dumps([sys.executable, str(REPOSITORY / "tests/wire/scripted_resident.py")]),
        },
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "5 results as expected, 0 unexpected" in said
