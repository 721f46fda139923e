"""The `midfill` command.

`midfill lsp` is an editor's hot path: it is dispatched before anything is parsed or drawn, so typer, rich and httpx are
not imported. What belongs to the model (`serve`, `train`, `eval`) is another program: this process becomes it, because
nothing here may import torch.
"""

from __future__ import annotations

import os
import subprocess
import sys

MODEL_PROGRAMS = {
    "serve": "midfill.model.serving.serve",
    "train": "midfill.model.training",
    "eval": "midfill.model.evaluation",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 the input or the usage is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command == "lsp":
        from midfill.lsp_server.main import main as run_language_server

        return run_language_server(rest)
    if (command, rest[:1]) == ("bench", ["gemma"]):
        return become("midfill.model.bench", rest[1:])
    if command in MODEL_PROGRAMS:
        return become(MODEL_PROGRAMS[command], rest)
    from midfill.lsp_server.terminal.commands import run

    return run([command, *rest])


def become(module: str, arguments: list[str]) -> int:
    """This process as another program, which keeps its standard streams; returns on Windows only."""
    command = [sys.executable, "-P", "-m", module, *arguments]  # -P: not from the folder it is called in
    if sys.platform == "win32":  # there `execv` returns to the shell before the new program has ended
        return subprocess.call(command)
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
