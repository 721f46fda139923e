"""`midfill models` tells the truth of the machine it runs on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal.models import fit
from midfill.model.wire.catalogue import DIFFUSION_GEMMA, EMBEDDED, MASKED, MODELS
from midfill.model.wire.machine import Machine, Memory, gpu_memory, host_memory

GB = 10**9
LAPTOP = Machine(Memory("RAM", 10 * GB, 16 * GB), ())
SERVER = Machine(Memory("RAM", 200 * GB, 256 * GB), ())


def with_gpu(free_gb: int) -> Machine:
    """Two of them, the other one in use."""
    gpus = (Memory("busy", 1 * GB, 80 * GB), Memory("GPU", free_gb * GB, 80 * GB))
    return Machine(Memory("RAM", 50 * GB, 64 * GB), gpus)


@pytest.mark.parametrize(
    ("precision", "machine", "fits", "sentence"),
    [
        ("float32", LAPTOP, True, "fits RAM"),
        ("bfloat16", LAPTOP, False, "45.9 GB of RAM are missing"),
        ("bfloat16", SERVER, True, "fits the RAM, but on a CPU every step takes seconds"),
        ("bfloat16", with_gpu(40), False, "15.9 GB of GPU are missing"),
        ("bfloat16", with_gpu(79), True, "fits GPU"),
        ("FP8", SERVER, False, "needs an NVIDIA GPU, and there is none"),
        ("FP8", with_gpu(40), True, "fits GPU"),
        ("NVFP4", with_gpu(24), True, "fits GPU"),
        ("NVFP4", with_gpu(20), False, "3.2 GB of GPU are missing"),
    ],
)
def test_fit(precision: str, machine: Machine, fits: bool, sentence: str) -> None:
    ways = {way.precision: way for way in (*EMBEDDED.ways, *DIFFUSION_GEMMA.ways)}
    found = fit(ways[precision], machine)
    assert (found.fits, found.sentence) == (fits, sentence)
    assert (found.missing_bytes == 0) == fits


@pytest.mark.parametrize(("free_gb", "sentence"), [(20, "2.8 GB of GPU are missing"), (24, "fits GPU")])
def test_a_step_of_a_masked_diffusion_model_takes_memory_beside_its_weights(free_gb: int, sentence: str) -> None:
    dream = next(model for model in MASKED if model.name == "Dream-Coder 7B")
    assert fit(dream.ways[0], with_gpu(free_gb)).sentence == sentence


def test_every_model_and_how_to_choose_it_is_printed(midfill: Callable[..., Any]) -> None:
    ran = midfill("models")
    assert ran.code == 0
    for model in MODELS:
        assert model.name in ran.out
    assert 'midfill.model = "google/diffusiongemma-26B-A4B-it"' in ran.out
    assert "vllm serve nvidia/diffusiongemma-26B-A4B-it-NVFP4 --max-num-seqs" in ran.out, "copyable, so on one line"


def test_json_names_the_setting_and_the_command_before_it(midfill: Callable[..., Any]) -> None:
    told = json.loads(midfill("models", "--json").out)
    assert told["machine"]["host"]["total_bytes"] == host_memory().total_bytes
    ways = [way for model in told["models"] for way in model["ways"]]
    assert ways[0]["setting"] == {"midfill.model": "embedded"}
    assert [way["command"] is None for way in ways] == [way["runs"] == "in process" for way in ways]
    assert {way["setting"]["midfill.model"] for way in ways if way["command"]} == {"vllm:http://127.0.0.1:8000"}
    assert all(way["here"]["sentence"] for way in ways)


TUNED = {
    "root": "/home/me/shop",
    "base_revision": "27c3f7c73cfd",
    "learnt_files": ["a.py"],
    "held_out_files": ["b.py"],
    "num_steps": 40,
    "num_holes": 200,
    "exact_before": 0.31,
    "exact_after": 0.38,
    "interval": [0.021, 0.119],
    "is_kept": True,
}


def test_what_was_tuned_is_listed_with_what_was_measured_and_its_setting(
    midfill: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert json.loads(midfill("models", "--json").out)["tuned"] == []
    tuned = tmp_path / "midfill" / "tuned"
    for name, said in (("shop-1a2b3c4d", json.dumps(TUNED)), ("half-00000000", "{}"), (".tuning-x", None)):
        (tuned / name).mkdir(parents=True)
        if said is not None:
            (tuned / name / "tuned.json").write_text(said)
    told = json.loads(midfill("models", "--json").out)["tuned"]
    assert [one["setting"] for one in told] == [{"midfill.model": str(tuned / "shop-1a2b3c4d")}]
    printed = midfill("models").out
    assert f'midfill.model = "{tuned / "shop-1a2b3c4d"}"' in printed
    assert "/home/me/shop: from revision 27c3f7c73cfd; of 200 lines and rests of lines 31.0% exact before" in printed
    assert "38.0% after (+2.1 to +11.9 points, 95 %)" in printed


@pytest.mark.parametrize(
    ("answer", "gpus"),
    [
        ("echo 'NVIDIA H100, SXM, 1024, 81559'", (Memory("NVIDIA H100, SXM", 2**30, 81559 * 2**20),)),
        ("echo 'No devices were found'; exit 6", ()),
        ("echo 'Driver mismatch'", ()),
    ],
)
def test_gpus_are_what_nvidia_smi_says(
    answer: str, gpus: tuple[Memory, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert gpu_memory() == gpus
