"""What `midfill models` says of memory is counted: tensors of the real shapes, on a device that stores none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from midfill.model.families.diffusion_gemma.geometry import FULL, SMALL, fp8_network, random_network, resident_bytes
from midfill.model.families.loading import embedded_folder
from midfill.model.wire.catalogue import DIFFUSION_GEMMA, EMBEDDED, MODELS, Way

META = torch.device("meta")


def way(precision: str) -> Way:
    return next(way for way in DIFFUSION_GEMMA.ways if way.precision == precision)


def test_bfloat16_is_counted() -> None:
    network = random_network(FULL, META, torch.bfloat16)
    assert sum(parameter.numel() for parameter in network.parameters()) == DIFFUSION_GEMMA.num_parameters
    assert resident_bytes(network) == way("bfloat16").weights_bytes


def test_fp8_is_counted_with_packed_experts() -> None:
    network = fp8_network(FULL)
    experts = [tensor for name, tensor in network.named_parameters() if name.endswith("experts.gate_up_proj")]
    assert {tensor.dtype for tensor in experts} == {torch.float8_e4m3fn}
    assert resident_bytes(network) == way("FP8").weights_bytes


def test_the_embedded_model_is_counted() -> None:
    elements = (
        sum(path.stat().st_size for path in Path(embedded_folder()).glob("*.safetensors")) / 2
    )  # stored in 16 bits
    parent = 134_515_008
    assert parent + elements == pytest.approx(EMBEDDED.num_parameters, rel=0.001)
    layers, table = 30 * (960 * 576 + 576 * 576 + 3 * 1536 * 576), (49_152 + 22) * 576
    assert 2 * (2 * layers + table) == pytest.approx(EMBEDDED.ways[0].weights_bytes, rel=0.001)


def test_the_small_geometry_has_the_same_kinds_of_tensors() -> None:
    """So what `midfill bench gemma` times on a CPU is the code that it times on a GPU."""

    def kinds(geometry: object) -> set[str]:
        names = dict(random_network(geometry, META, torch.bfloat16).named_parameters())  # type: ignore[arg-type]
        return {".".join(part for part in name.split(".") if not part.isdecimal()) for name in names}

    assert kinds(SMALL) == kinds(FULL)


def test_every_model_says_how_it_is_chosen() -> None:
    for model in MODELS:
        assert model.licence
        assert all(way.weights_bytes > 0 and way.checkpoint for way in model.ways), model.name
