"""The Neovim plugin's files, as far as they can be checked without an editor."""

from __future__ import annotations

import re
import runpy
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PLUGIN = REPOSITORY / "editors" / "nvim"
DOCUMENTS = REPOSITORY / "tests" / "editors" / "neovim" / "documents.py"
PROTOCOL = REPOSITORY / "docs" / "PROTOCOL.md"


def test_help_and_readme_are_fresh() -> None:
    for file, content in runpy.run_path(str(DOCUMENTS))["fresh"]().items():
        assert file.read_text(encoding="utf-8") == content, f"run {DOCUMENTS.relative_to(REPOSITORY)} --write"


def test_the_names_on_the_wire_are_those_of_the_protocol() -> None:
    described = re.findall(r"^\| `(midfill[./]\w+)` \|", PROTOCOL.read_text(encoding="utf-8"), re.MULTILINE)
    used = re.findall(r'= "(midfill[./]\w+)"', (PLUGIN / "lua" / "midfill" / "protocol.lua").read_text())
    assert used
    assert set(used) <= set(described)


@pytest.mark.parametrize(
    "check", [("stylua", "--check", "."), ("luacheck", "--no-color", "--quiet", ".")], ids=lambda check: check[0]
)
def test_lua(check: tuple[str, ...], require: Callable[[str], Path]) -> None:
    program, *arguments = check
    done = subprocess.run(
        [require(f"{program}/bin/{program}"), *arguments], cwd=PLUGIN, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
