"""`midfill bench gemma`: what DiffusionGemma costs on this device, with random weights of its real shape or of a small
one. Every measure of one call runs in one process on the same network, so they can be compared."""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
import os
import platform
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
import typer

from midfill.model.families.diffusion_gemma.geometry import Geometry
from midfill.model.wire.errors import MidfillModelError
from midfill.model.wire.install_command import install_command

log = logging.getLogger("midfill.model")
Figures = dict[str, Any]


class BenchError(MidfillModelError):
    """It cannot be measured here."""


def gemma(
    geometry: Annotated[
        Literal["small", "full"], typer.Option(help="The same layers, tiny, or all of the model, which needs a GPU.")
    ] = "small",
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU, if there is one.")] = "auto",
    precision: Annotated[
        Literal["auto", "bfloat16", "float32"], typer.Option(help="auto: bfloat16 on a GPU, else float32.")
    ] = "auto",
    context: Annotated[int, typer.Option(min=64, max=4096, help="Tokens of context.")] = 1024,
    compile: Annotated[
        bool, typer.Option("--compile/--eager", help="Compile reading from left to right (CUDA graphs).")
    ] = True,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Milliseconds a denoising step and a left-to-right token of DiffusionGemma's shape, with random weights."""
    if importlib.util.find_spec("transformers") is None:
        raise BenchError(f"`midfill bench gemma` needs transformers; run: {install_command('diffusiongemma')}")
    chosen = _device(device, geometry)
    dtype = {"bfloat16": torch.bfloat16, "float32": torch.float32}.get(
        precision, torch.bfloat16 if chosen.type == "cuda" else torch.float32
    )
    from midfill.model.bench.report import lines
    from midfill.model.bench.subject import GEOMETRIES

    is_compiled = compile and chosen.type == "cuda"
    figures = measure(GEOMETRIES[geometry], chosen, dtype, context, is_compiled=is_compiled, tell=_tell)
    print(json.dumps(figures, indent=2) if json_ else "\n".join(lines(figures)))


def measure(
    geometry: Geometry,
    device: torch.device,
    dtype: torch.dtype,
    num_context_tokens: int,
    *,
    is_compiled: bool,
    tell: Callable[[str], None],
) -> Figures:
    """All figures. A measure that fails stands there with its reason, and the others go on."""
    from midfill.model.bench import measures
    from midfill.model.bench.subject import make_subject
    from midfill.model.families.diffusion_gemma.geometry import random_network, resident_bytes

    weights_bytes = resident_bytes(random_network(geometry, torch.device("meta"), dtype))
    _check_room(weights_bytes, device)
    tell(f"Making {weights_bytes / 1e9:.2f} GB of random weights on {device}.")
    subject = make_subject(geometry, device, dtype, num_context_tokens)
    figures: Figures = {
        "geometry": geometry.name,
        "parameters": sum(parameter.numel() for parameter in subject.network.parameters()),
        "weights_bytes": weights_bytes,
        "precision": str(dtype).removeprefix("torch."),
        "context_tokens": num_context_tokens,
        "bytes_per_s": subject.bandwidth,
        "compiled": is_compiled,
        "machine": _machine(device),
    }
    for name, run in (
        ("denoising_step", measures.denoising_step),
        ("transformers_generate", measures.transformers_generate),
        ("break_even", lambda subject: measures.break_even(subject, is_compiled)),
        ("candidates", measures.candidates),
        ("typing", measures.typing),
        ("one_request", measures.one_request),
        ("cancellation", measures.cancellation),
    ):
        tell(f"Measuring {name.replace('_', ' ')}.")
        try:
            figures[name] = run(subject)
        except Exception as error:  # a boundary: minutes of a GPU went into the other figures
            log.exception("%s failed", name)
            figures[name] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
            gc.collect()
    return figures


def _device(asked: str, geometry: str) -> torch.device:
    if asked == "cuda" and not torch.cuda.is_available():
        raise BenchError("There is no GPU that torch can use; leave --device out, or install a torch with CUDA.")
    device = torch.device("cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu")
    if geometry == "full" and device.type != "cuda":
        raise BenchError(
            "The full geometry has 25 billion parameters and is measured on a GPU only; torch finds none here: "
            "use --geometry small, or run it on a machine with a GPU of 80 GB."
        )
    return device


def _check_room(weights_bytes: int, device: torch.device) -> None:
    from midfill.model.wire.catalogue import needed_bytes
    from midfill.model.wire.machine import host_memory

    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else host_memory().free_bytes
    needed = needed_bytes(weights_bytes)
    if needed > free:
        raise BenchError(
            f"This shape needs {needed / 1e9:.1f} GB and {device} has {free / 1e9:.1f} GB free: "
            f"{(needed - free) / 1e9:.1f} GB are missing. Free memory, or use --geometry small."
        )


def _machine(device: torch.device) -> Figures:
    import transformers

    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr)


def main() -> None:
    """Run it; exit code 1 and one sentence where it cannot be measured."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(gemma)
    try:
        app(prog_name="midfill bench gemma")
    except MidfillModelError as error:
        sys.exit(f"midfill: {error}")


if __name__ == "__main__":
    main()
