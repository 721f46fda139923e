"""The Torch-TensorRT experiment as far as a CPU gets: the network is one graph, and a compiled pass is compared."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from midfill.model.bench import compilers
from midfill.model.bench.compilers import Backend, CompilersError, compare


@pytest.mark.parametrize("kind", ["dream", "llada"])
def test_the_whole_network_is_one_graph_that_says_the_same(checkpoints: dict[str, Path], kind: str) -> None:
    plain, traced = compare(checkpoints[kind], [Backend.AOT_EAGER], rows=3, tokens=48, precision="auto")
    assert plain.difference == 0
    assert traced.difference <= 1e-5
    assert traced.agreement == 1
    assert min(plain.pass_ms, traced.pass_ms) > 0


def test_other_logits_are_no_result(checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(network: torch.nn.Module, *_: object) -> object:
        return lambda ids, visible: network(ids.roll(1), visible)

    monkeypatch.setattr(compilers, "_compiled", wrong)
    with pytest.raises(CompilersError, match="aot_eager computes other logits"):
        compare(checkpoints["dream"], [Backend.AOT_EAGER], rows=2, tokens=32, precision="auto")


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is said without a GPU")
def test_without_a_gpu_one_sentence_says_what_tensorrt_needs(checkpoints: dict[str, Path]) -> None:
    command = [sys.executable, "-P", "-m", "midfill.model.bench.compilers", str(checkpoints["dream"])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("midfill: TensorRT needs an NVIDIA GPU")
    assert ran.stderr.count("\n") == 1
