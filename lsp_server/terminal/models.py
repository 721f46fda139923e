"""`midfill models`: what can be used, what memory it takes, whether this machine has it, and the setting for it.

Reads the catalogue and the folder of tuned models, and asks the machine; loads nothing."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from midfill.lsp_server.terminal.render import make_console
from midfill.lsp_server.terminal.tuned import TunedModel, tuned_models
from midfill.model.wire.catalogue import BEHIND_VLLM, MODELS, CatalogueModel, Way
from midfill.model.wire.machine import Machine, Memory, this_machine

SMALL_BYTES = 10**9
"""A model up to this size runs on a CPU in passable time; a larger one there is a test of patience."""


@dataclass(frozen=True)
class Fit:
    """Whether a way to run a model fits here. missing_bytes: 0 where it fits."""

    fits: bool
    missing_bytes: int
    sentence: str


def run_models(*, as_json: bool) -> None:
    machine = this_machine()
    if as_json:
        print(json.dumps(_as_data(machine), indent=2))
        return
    console = make_console()
    console.print(Text(f"This machine: {describe(machine)}."), soft_wrap=True)
    for model in MODELS:
        _print_model(console, model, machine)
    _print_tuned(console, tuned_models())
    console.print()
    console.print(
        Text(
            "Memory is that of the loaded weights; a quarter more, at most 4 GiB, is kept for contexts, and up to 3.8 "
            "GB for a step of a masked diffusion model. Choose with the setting `midfill.model`, or `midfill serve "
            "--model`; `midfill doctor --model NAME` tries one.",
            style="dim",
        )
    )


def describe(machine: Machine) -> str:
    """Its memory, in one line."""
    gpus = [f"{gpu.name} with {_free_of(gpu)}" for gpu in machine.gpus] or ["no NVIDIA GPU"]
    return f"{_free_of(machine.host)} of RAM; {', '.join(gpus)}"


def fit(way: Way, machine: Machine) -> Fit:
    gpu = machine.freest_gpu
    if gpu is None and way.runs == "vLLM":
        return Fit(False, way.needed_bytes, "needs an NVIDIA GPU, and there is none")
    device = gpu or machine.host
    missing = max(0, way.needed_bytes - device.free_bytes)
    if missing:
        return Fit(False, missing, f"{missing / 1e9:.1f} GB of {device.name} are missing")
    if gpu is None and way.weights_bytes > SMALL_BYTES:
        return Fit(True, 0, "fits the RAM, but on a CPU every step takes seconds")
    return Fit(True, 0, f"fits {device.name}")


def _print_model(console: Console, model: CatalogueModel, machine: Machine) -> None:
    active = (
        "" if model.active_parameters == model.num_parameters else f" ({_billions(model.active_parameters)} active)"
    )
    console.print()
    console.print(
        Text(model.name, "bold"), Text(f"{_billions(model.num_parameters)} parameters{active}, {model.licence}")
    )
    for what in (f"Languages: {model.languages}", f"Can: {model.capabilities}", f"Proven: {model.proven}"):
        console.print(Text(f"  {what}"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("  precision", "runs", "memory", "here", "meant for"):
        table.add_column(heading, overflow="fold")
    for way in model.ways:
        here = fit(way, machine)
        size = (
            f"{way.weights_bytes / 1e9:.1f} GB"
            if way.weights_bytes > SMALL_BYTES
            else f"{way.weights_bytes / 1e6:.0f} MB"
        )
        style = "green" if here.fits else "yellow"
        table.add_row(f"  {way.precision}", way.runs, size, Text(here.sentence, style), Text(way.note))
    console.print(table)
    for way in model.ways:
        typed = way.command or f'midfill.model = "{way.setting}"'
        console.print(Text(f"  {way.precision}: ", "dim").append(typed, "default not dim"), soft_wrap=True)
    if any(way.command for way in model.ways):
        chosen = f'midfill.model = "{BEHIND_VLLM}"'
        console.print(Text("  once vLLM serves: ", "dim").append(chosen, "default not dim"), soft_wrap=True)


def _print_tuned(console: Console, models: list[TunedModel]) -> None:
    if models:
        console.print()
        console.print(Text("Tuned to your repositories", "bold"), Text("the embedded model, by `midfill tune`"))
    for model in models:
        low, high = (100 * bound for bound in model.interval)
        measured = (
            f"  {model.root}: from revision {model.base_revision}; of {model.num_holes} lines and rests of lines "
            f"{model.exact_before:.1%} exact before, {model.exact_after:.1%} after "
            f"({low:+.1f} to {high:+.1f} points, 95 %)"
        )
        console.print(Text(measured), soft_wrap=True)
        console.print(Text(f'    midfill.model = "{model.setting}"'), soft_wrap=True)


def _as_data(machine: Machine) -> dict[str, object]:
    return {
        "machine": asdict(machine),
        "models": [
            {
                **asdict(model),
                "ways": [
                    {
                        **asdict(way),
                        "needed_bytes": way.needed_bytes,
                        "setting": {"midfill.model": way.setting},
                        "command": way.command,
                        "here": asdict(fit(way, machine)),
                    }
                    for way in model.ways
                ],
            }
            for model in MODELS
        ],
        "tuned": [{**asdict(model), "setting": {"midfill.model": model.setting}} for model in tuned_models()],
    }


def _free_of(memory: Memory) -> str:
    return f"{memory.free_bytes / 1e9:.1f} of {memory.total_bytes / 1e9:.1f} GB free"


def _billions(count: int) -> str:
    return f"{count / 1e9:.1f} billion" if count >= 10**9 else f"{count / 1e6:.1f} million"
