"""`midfill doctor`: everything midfill needs, checked one by one, each with what mends it. Imports no torch."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict

from rich.text import Text

from midfill.lsp_server.terminal import doctor_checks as checks
from midfill.lsp_server.terminal.connection import LoadDisplay, named_model
from midfill.lsp_server.terminal.doctor_checks import Finding
from midfill.lsp_server.terminal.doctor_model import ELSEWHERE, memory, use
from midfill.lsp_server.terminal.errors import bad_input
from midfill.lsp_server.terminal.render import make_console
from midfill.model.wire.machine import this_machine


def run_doctor(*, as_json: bool, endpoint: str | None, model: str | None = None) -> int:
    """Print the findings as they come; the exit code, 1 when something is wrong. Raises TerminalError for both an
    endpoint and a model."""
    if endpoint and model:
        raise bad_input("--endpoint is a model that runs already; leave --model out.")
    return asyncio.run(_run(as_json=as_json, endpoint=endpoint, model=model))


async def _run(*, as_json: bool, endpoint: str | None, model: str | None) -> int:
    console = make_console()
    display = None if as_json else LoadDisplay(console)
    findings = []
    async for finding in examine_model(named_model(model), display) if model else examine(endpoint):
        findings.append(finding)
        if not as_json:
            mark = Text("\N{CHECK MARK} ", "green") if finding.is_well else Text("\N{BALLOT X} ", "bold red")
            console.print(mark.append(f"{finding.what}: {finding.detail}", style="default not bold"), soft_wrap=True)
            if finding.remedy:
                console.print(Text(f"    {finding.remedy}", style="yellow"), soft_wrap=True)
    is_well = all(finding.is_well for finding in findings)
    if as_json:
        print(json.dumps({"ok": is_well, "findings": [asdict(finding) for finding in findings]}, indent=2))
    elif not model:
        console.print(Text(EDITOR_HINT, style="dim"), soft_wrap=True)
    return 0 if is_well else 1


async def examine(endpoint: str | None) -> AsyncIterator[Finding]:
    """Every check, in the order in which one depends on the other; the model is only asked if it can be there."""
    yield checks.python_version()
    yield checks.base_packages()
    yield checks.grammars()
    is_elsewhere = checks.chosen_endpoint(endpoint) is not None
    local = [] if is_elsewhere else [*_embedded_model(), checks.private_directory()]
    for finding in local:
        yield finding
    if all(finding.is_well for finding in local):
        if not is_elsewhere:
            yield await checks.socket_state()
        yield await checks.small_infill(endpoint)


async def examine_model(model: str, display: LoadDisplay | None) -> AsyncIterator[Finding]:
    """Of one model; it is loaded only where it fits."""
    runs_here = not model.startswith(ELSEWHERE)
    files = _embedded_model() if model == checks.MODEL else [checks.local_packages()] if runs_here else []
    before = [*files, checks.private_directory(), memory(model, this_machine())]
    for finding in before:
        yield finding
    if all(finding.is_well for finding in before):
        async for finding in use(model, display):
            yield finding


def _embedded_model() -> list[Finding]:
    """What the model that comes with midfill needs."""
    return [checks.local_packages(), checks.base_model(), checks.weights()]


EDITOR_HINT = f"""
An editor starts the language server with: {sys.executable} -m midfill.lsp_server lsp
  Neovim 0.12: vim.lsp.config("midfill", {{ cmd = {{ "midfill", "lsp" }} }}); vim.lsp.enable("midfill");
               vim.lsp.inline_completion.enable()
  VS Code, Emacs and others: any client of LSP 3.18 with inline completion; code actions work in every client."""
