"""Where and how precisely the network runs: chosen by looking and by measuring, and said with its reason."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midfill.model.wire.errors import MidfillModelError

PRECISIONS = ("auto", "float32", "bfloat16", "int8")
AUTO_PRECISIONS = ("float32", "bfloat16")
"""Of the precisions, those that `auto` chooses from on a CPU: what int8 does to the answers is not measured."""


class PrecisionError(MidfillModelError):
    """A precision that does not exist, or not on this device."""

    status = 422
    title = "The precision cannot be used"


@dataclass(frozen=True, slots=True)
class Placement:
    """device and precision, and the sentence that says why."""

    device: torch.device
    precision: str
    reason: str


def choose_placement(precision: str, width: int) -> Placement:
    """cuda, then mps, then cpu; on a CPU, `auto` measures a canvas-sized product of this width in each precision."""
    if precision not in PRECISIONS:
        raise PrecisionError(f"There is no precision {precision!r}; give one of {', '.join(PRECISIONS)}.")
    if torch.cuda.is_available():
        device, why = torch.device("cuda"), f"{torch.cuda.get_device_name()} is there"
    elif torch.backends.mps.is_available():
        device, why = torch.device("mps"), "no CUDA device, Apple's GPU is there"
    else:
        device, why = torch.device("cpu"), "no GPU that torch can use"
    if precision == "int8" and device.type != "cpu":
        raise PrecisionError(f"int8 runs on a CPU only and this machine's device is {device}; use bfloat16.")
    if precision != "auto":
        return Placement(device, precision, f"{device}: {why}; {precision}: asked for")
    if device.type != "cpu":
        return Placement(device, "bfloat16", f"{device}: {why}; bfloat16: half the memory of float32")
    times = measure_precisions(width)
    best = min(AUTO_PRECISIONS, key=lambda name: times[name])
    figures = ", ".join(f"{name} {times[name]:.2f} ms" for name in sorted(times, key=lambda name: times[name]))
    compared = " and ".join(AUTO_PRECISIONS)
    product = f"33 x {width} by {width} x {4 * width}"
    return Placement(device, best, f"cpu: {why}; {best}: the faster of {compared} here ({figures} for {product})")


def measure_precisions(width: int, num_rows: int = 33, num_rounds: int = 12) -> dict[str, float]:
    """Milliseconds of one feed-forward product of a 32-token canvas in each precision: the least of rounds in which the
    precisions take turns, so that a busy moment of the machine hits all of them."""
    linear = nn.Linear(width, 4 * width, bias=False)
    rows = torch.randn(num_rows, width)
    half = nn.Linear(width, 4 * width, bias=False).to(torch.bfloat16)
    quantised = Int8Linear(linear)
    runs: dict[str, Callable[[], Tensor]] = {
        "float32": lambda: linear(rows),
        "bfloat16": lambda: half(rows.bfloat16()),
        "int8": lambda: quantised(rows),
    }
    least = dict.fromkeys(runs, float("inf"))
    with torch.inference_mode():
        for _ in range(num_rounds):
            for name, run in runs.items():
                started = time.perf_counter()
                run()
                least[name] = min(least[name], (time.perf_counter() - started) * 1000)
    return least


def is_fast_in_bfloat16(width: int) -> bool:
    """Whether this machine trains a network of this width faster in bfloat16 than in float32, measured on a CPU."""
    if torch.cuda.is_available():
        return True
    milliseconds = measure_precisions(width, num_rows=1024)
    return milliseconds["bfloat16"] < milliseconds["float32"]


def place(network: nn.Module, placement: Placement) -> None:
    """Move the network to its device and precision, in place."""
    if placement.precision == "int8":
        quantise(network)
    elif placement.precision == "bfloat16":
        network.to(torch.bfloat16)
    network.to(placement.device)


def quantise(network: nn.Module) -> None:
    """Replace every Linear inside by an Int8Linear."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Linear):
            setattr(network, name, Int8Linear(child))
        else:
            quantise(child)


class Int8Linear(nn.Module):
    """x (..., in) to (..., out) in 8-bit integers: one scale for each output channel of the weight and one for each
    row of x.

    A scale for each row makes a row's result independent of the rows beside it, so encoding in chunks stays exact."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(dim=1).clamp_min(1e-8) / 127
        self.register_buffer("weight", (weight / scale.unsqueeze(1)).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1]).float()
        row_scale = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / 127
        quantised = (rows / row_scale).round().to(torch.int8)
        # The integer product wants more than 16 rows.
        padding = max(0, 17 - quantised.shape[0])
        product = torch._int_mm(F.pad(quantised, (0, 0, 0, padding)), self.weight.t())
        result = product[: rows.shape[0]].float() * row_scale * self.scale
        return result.reshape(*x.shape[:-1], -1).to(x.dtype)
