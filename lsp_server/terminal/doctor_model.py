"""The checks of `midfill doctor --model`: whether this machine has the memory for a model, whether it loads, what a
denoising step takes, and one real fill. It is served by a resident, as an editor would have it, and stays there."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

from midfill.lsp_server.resident.resident import Resident
from midfill.lsp_server.terminal.connection import LoadDisplay, connected
from midfill.lsp_server.terminal.doctor_checks import SAMPLE, Finding
from midfill.lsp_server.terminal.errors import TerminalError
from midfill.lsp_server.terminal.models import describe
from midfill.lsp_server.terminal.process import memory_bytes
from midfill.lsp_server.text.filling import FillError, choose, plan_fill
from midfill.lsp_server.text.holes import find_markers
from midfill.model.wire.address import AddressError
from midfill.model.wire.api import ModelInfo
from midfill.model.wire.catalogue import DIFFUSION_GEMMA, MODELS, NVFP4_CHECKPOINT, needed_bytes, vllm_command
from midfill.model.wire.machine import Machine

ELSEWHERE = "vllm:"
"""How a model begins that another program has loaded."""


def memory(model: str, machine: Machine) -> Finding:
    """What is needed, where that is known before loading, and what is free where the model would go."""
    what = "Memory"
    needed = _needed_bytes(model)
    if needed is None:
        where = "behind another server" if model.startswith(ELSEWHERE) else "not known before its files are here"
        return Finding(what, True, f"of {model}: {where}; this machine: {describe(machine)}")
    device = machine.freest_gpu or machine.host
    detail = f"{model} needs {needed / 1e9:.2f} GB with its contexts; this machine: {describe(machine)}"
    if needed <= device.free_bytes:
        return Finding(what, True, detail)
    missing = f"{(needed - device.free_bytes) / 1e9:.1f} GB of {device.name} are missing"
    return Finding(what, False, f"{detail}: {missing}", _way_out(machine))


async def use(model: str, display: LoadDisplay | None) -> AsyncIterator[Finding]:
    """Load it, and fill."""
    what = "Loading"
    started_s = time.perf_counter()
    try:
        async with connected(None, display, model) as (resident, info):
            took_s = time.perf_counter() - started_s
            pid = (await resident.health()).pid
            held = memory_bytes(pid)
            size = "" if held is None else f", {held / 1e9:.2f} GB of RAM"
            where = f"{info.name} {info.revision}, {info.precision} on {info.device}, pid {pid}{size}"
            yield Finding(what, True, f"ready after {took_s:.1f} s: {where}")
            what = "A fill"
            yield await _timed_fill(resident, info)
    except (TerminalError, FillError, AddressError) as error:
        yield Finding(what, False, "failed", str(error))


async def _timed_fill(resident: Resident, info: ModelInfo) -> Finding:
    """The second of two: the first one encodes the context."""
    plan = plan_fill(SAMPLE, find_markers(SAMPLE), language_id="python", path=None, info=info)
    await resident.infill(plan.request)
    started_s = time.perf_counter()
    infill = await resident.infill(plan.request)
    took_ms = 1000 * (time.perf_counter() - started_s)
    candidates = choose(plan, infill)
    answer = repr(candidates[0].fills[0].fill) if candidates and candidates[0].fills else "an empty answer"
    passes = infill.usage.forward_passes
    a_step = f", {passes} forward passes of {took_ms / passes:.1f} ms" if passes else ""
    return Finding("A fill", True, f"{answer} in {took_ms:.0f} ms{a_step}")


def _needed_bytes(model: str) -> int | None:
    """As the catalogue counts them, or for weights as large as the files of the folder."""
    for way in (way for listed in MODELS for way in listed.ways):
        if way.checkpoint == model.partition("@")[0]:
            return way.needed_bytes
    sizes = [path.stat().st_size for path in Path(model).glob("*.safetensors")] if Path(model).is_dir() else []
    return needed_bytes(sum(sizes)) if sizes else None


def _way_out(machine: Machine) -> str:
    gpu = machine.freest_gpu
    four_bits = next(way for way in DIFFUSION_GEMMA.ways if way.checkpoint == NVFP4_CHECKPOINT)
    if gpu is not None and four_bits.needed_bytes <= gpu.free_bytes:
        return f"In four bits it fits {gpu.name}, behind vLLM: {vllm_command(NVFP4_CHECKPOINT)}"
    return (
        f"In four bits it takes {four_bits.needed_bytes / 1e9:.1f} GB of a GPU, behind vLLM: on a machine that has it, "
        f"run: {vllm_command(NVFP4_CHECKPOINT)}"
    )
