"""Eight-bit products and the choice of device and precision."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from midfill.model.families import device
from midfill.model.families.device import (
    Int8Linear,
    Placement,
    PrecisionError,
    choose_placement,
    measure_precisions,
    place,
)
from midfill.model.families.embedded.adapter import merged_network
from midfill.model.families.embedded.checkpoint import load_checkpoint

WIDTH = 64


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(WIDTH, 4 * WIDTH, bias=False).requires_grad_(False)


def rows(num_rows: int) -> torch.Tensor:
    """(num_rows, WIDTH) of very different sizes: an outlier in one row must not coarsen another."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num_rows, WIDTH, generator=generator) * torch.logspace(-3, 3, num_rows).unsqueeze(1)


def test_int8_is_the_float_product_within_a_hundredth() -> None:
    exact, x = linear(), rows(40)
    expected, got = exact(x), Int8Linear(exact)(x)
    error = (got - expected).norm(dim=1) / expected.norm(dim=1)
    assert float(error.max()) < 0.02
    assert float(error.mean()) < 0.01
    assert not torch.equal(got, expected), "nothing was quantised"


@pytest.mark.parametrize("num_rows", [1, 2, 16, 17, 18, 33, 40])
def test_a_row_is_the_same_bit_for_bit_whatever_stands_beside_it(num_rows: int) -> None:
    quantised, x = Int8Linear(linear()), rows(40)
    together = quantised(x)
    assert torch.equal(quantised(x[:num_rows]), together[:num_rows])
    assert torch.equal(quantised(x[-num_rows:]), together[-num_rows:])
    assert torch.equal(quantised(x.flip(0)), together.flip(0))


def test_int8_keeps_shape_and_type_and_takes_a_row_of_zeros() -> None:
    quantised = Int8Linear(linear())
    x = torch.randn(2, 3, WIDTH).bfloat16()
    assert (quantised(x).shape, quantised(x).dtype) == ((2, 3, 4 * WIDTH), torch.bfloat16)
    assert torch.equal(quantised(torch.zeros(1, WIDTH)), torch.zeros(1, 4 * WIDTH))


def num_modules(module: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(child, kind) for child in module.modules())


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_a_placed_network_predicts_nearly_the_same(tiny_checkpoint: Path, precision: str) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    tokenizer = checkpoint.parent.tokenizer
    ids = torch.tensor([tokenizer.encode("def add_alpha(alpha, beta):\n    total = alpha + beta\n")])
    positions = torch.arange(ids.shape[1]).unsqueeze(0)
    canvas = torch.tensor([[tokenizer.hole_ids[0], *tokenizer.encode("alpha"), tokenizer.mask_id, tokenizer.mask_id]])
    network = merged_network(checkpoint.parent, checkpoint.adapter, torch.float32)

    def predict() -> torch.Tensor:
        """What both towers say."""
        hidden, past = network.encode(ids, positions)
        filled = network.fill(canvas, ids.shape[1] + torch.arange(canvas.shape[1]).unsqueeze(0), past)
        return network.logits(torch.cat((hidden, filled), dim=1)).softmax(dim=-1)

    before = predict()
    num_linear = num_modules(network, nn.Linear)
    place(network, Placement(torch.device("cpu"), precision, ""))
    num_quantised = num_modules(network, Int8Linear)
    assert num_linear == 2 * 4 * checkpoint.parent.config.num_layers
    assert num_quantised == (num_linear if precision == "int8" else 0)
    assert (network.text_table.dtype == torch.bfloat16) == (precision == "bfloat16")
    assert float((predict() - before).abs().max()) < 0.06


# --- the choice


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")


@pytest.mark.parametrize("precision", ["int4", "", "FLOAT32", "half"])
def test_a_precision_that_does_not_exist_is_refused(precision: str) -> None:
    with pytest.raises(PrecisionError, match=f"no precision '{precision}'; give one of auto, float32, bfloat16, int8"):
        choose_placement(precision, WIDTH)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_on_a_cpu_what_is_asked_for_is_taken(precision: str) -> None:
    placement = choose_placement(precision, WIDTH)
    assert (placement.device.type, placement.precision) == ("cpu", precision)
    assert placement.reason == f"cpu: no GPU that torch can use; {precision}: asked for"


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"float32": 3.0, "bfloat16": 2.0, "int8": 1.25}, "bfloat16"),  # int8 only where it is asked for
        ({"float32": 3.0, "bfloat16": 0.5, "int8": 1.0}, "bfloat16"),
        ({"float32": 0.1, "bfloat16": 9.0, "int8": 9.0}, "float32"),
    ],
)
def test_auto_takes_the_least_of_the_measured_and_says_so(
    monkeypatch: pytest.MonkeyPatch, times: dict[str, float], expected: str
) -> None:
    measured: list[int] = []

    def measure(width: int) -> dict[str, float]:
        measured.append(width)
        return times

    monkeypatch.setattr(device, "measure_precisions", measure)
    placement = choose_placement("auto", 512)
    assert measured == [512]
    assert (placement.device.type, placement.precision) == ("cpu", expected)
    assert f"{expected}: the faster of float32 and bfloat16 here (" in placement.reason
    assert all(f"{name} {time:.2f} ms" in placement.reason for name, time in times.items())
    assert "by 512 x 2048" in placement.reason


@pytest.mark.usefixtures("a_gpu")
def test_a_gpu_is_taken_where_there_is_one() -> None:
    placement = choose_placement("auto", WIDTH)
    assert (placement.device.type, placement.precision) == ("cuda", "bfloat16")
    assert "Some GPU is there" in placement.reason
    with pytest.raises(PrecisionError, match=r"int8 runs on a CPU only.* is cuda; use bfloat16"):
        choose_placement("int8", WIDTH)


def test_every_precision_but_auto_is_measured() -> None:
    times = measure_precisions(WIDTH, num_rounds=2)
    assert set(times) == {"float32", "bfloat16", "int8"}
    assert all(0 < milliseconds < 10_000 for milliseconds in times.values())
