"""Precision: int8 rows do not disturb each other, and the choice is the fastest measured, said with its reason."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from midfill.model import device
from midfill.model.device import Int8Linear, PrecisionError, choose_placement


def test_int8_is_near_the_float_product() -> None:
    torch.manual_seed(0)
    linear, rows = nn.Linear(64, 96, bias=False), torch.randn(40, 64)
    error = (Int8Linear(linear)(rows) - linear(rows)).norm() / linear(rows).norm()
    assert error < 0.02


def test_a_row_is_the_same_whatever_rows_stand_beside_it() -> None:
    torch.manual_seed(1)
    quantised, rows = Int8Linear(nn.Linear(64, 96, bias=False)), torch.randn(40, 64)
    rows[7] *= 1000  # one scale for all rows would crush the others
    together = quantised(rows)
    for index in (0, 7, 39):
        assert torch.equal(quantised(rows[index : index + 1])[0], together[index])


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="auto measures on CPUs only")
@pytest.mark.parametrize("fastest", ["float32", "bfloat16", "int8"])
def test_auto_takes_the_fastest_and_says_why(monkeypatch: pytest.MonkeyPatch, fastest: str) -> None:
    times = {"float32": 2.0, "bfloat16": 3.0, "int8": 4.0} | {fastest: 1.0}
    monkeypatch.setattr(device, "measure_precisions", lambda width: times)
    placement = choose_placement("auto", 64)
    assert placement.precision == fastest
    assert f"{fastest} 1.00 ms" in placement.reason


def test_every_precision_is_measured() -> None:
    assert set(device.measure_precisions(64, num_rounds=2)) == {"float32", "bfloat16", "int8"}


def test_a_precision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PrecisionError, match="no precision 'int3'; give one of auto, float32"):
        choose_placement("int3", 64)
