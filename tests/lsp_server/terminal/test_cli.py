"""The `midfill` command itself: its commands, its version, and what it hands over to other programs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

COMMANDS = (
    "demo",
    "lsp",
    "fill",
    "rewrite",
    "serve",
    "status",
    "stats",
    "models",
    "tune",
    "doctor",
    "bench",
    "train",
    "eval",
)


def test_help_lists_every_command(midfill: Callable[..., Any]) -> None:
    ran = midfill("--help")
    assert ran.code == 0
    assert [name for name in COMMANDS if f" {name} " not in ran.out] == []


def test_version(midfill: Callable[..., Any]) -> None:
    assert midfill("--version").out == f"midfill {importlib.metadata.version('midfill')}\n"


@pytest.mark.parametrize(("command", "expected"), [("serve", "usage: midfill serve"), ("lsp", "usage: midfill lsp")])
def test_other_programs_speak_for_themselves(command: str, expected: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "midfill.lsp_server", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith(expected)


def test_the_language_server_starts_without_what_only_a_terminal_needs() -> None:
    program = (
        "import sys; from midfill.lsp_server.cli import main\n"
        "try: main(['lsp', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('typer', 'rich', 'httpx', 'torch') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
