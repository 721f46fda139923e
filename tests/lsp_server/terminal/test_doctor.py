"""`midfill doctor` and `midfill status`: what runs, what is wrong, and how to mend it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import struct
import subprocess
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal import doctor_checks, doctor_model
from midfill.model.wire.address import lock_path, resident_socket
from midfill.model.wire.machine import Machine, Memory


def test_all_is_well_elsewhere(midfill: Callable[..., Any], endpoint: str) -> None:
    ran = midfill("doctor", "--endpoint", endpoint)
    assert ran.code == 0
    assert "✓ A small infill: 'filled_1' in " in ran.out
    assert "✗" not in ran.out


def test_a_dead_endpoint_is_named(midfill: Callable[..., Any]) -> None:
    ran = midfill("doctor", "--json", "--endpoint", "unix:/absent/s.sock")
    answer = json.loads(ran.out)
    (wrong,) = [finding for finding in answer["findings"] if not finding["is_well"]]
    assert (ran.code, answer["ok"]) == (1, False)
    assert wrong["what"] == "A small infill"
    assert "/absent/s.sock" in wrong["remedy"]


def test_a_directory_that_others_may_enter(midfill: Callable[..., Any], private_places: Path) -> None:
    (private_places / "midfill").mkdir(mode=0o755)
    (private_places / "midfill").chmod(0o755)
    ran = midfill("doctor")
    assert ran.code == 1
    assert "✗ Private directory" in ran.out
    assert f"chmod 700 {private_places}/midfill" in ran.out


@pytest.mark.parametrize("arguments", [(), ("--model", "embedded")])
def test_what_the_embedded_model_needs_is_looked_at_before_it_is_loaded(
    midfill: Callable[..., Any], private_places: Path, arguments: tuple[str, ...]
) -> None:
    (private_places / "midfill").mkdir(mode=0o755)
    (private_places / "midfill").chmod(0o755)
    needed = ["Packages of the model", "Base model", "Weights"]
    findings = json.loads(midfill("doctor", "--json", *arguments).out)["findings"]
    assert [finding["what"] for finding in findings if finding["what"] in needed] == needed


def test_another_model_needs_no_base(midfill: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("midfill.lsp_server.terminal.doctor.this_machine", lambda: machine(16))
    found = json.loads(midfill("doctor", "--json", "--model", BIG).out)["findings"]
    assert "Base model" not in [finding["what"] for finding in found]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_checks, "_LOCAL", ("no-such-package",))
    finding = doctor_checks.local_packages()
    assert (finding.is_well, finding.detail) == (False, "missing: no-such-package")
    assert re.fullmatch(r"Run: \S+ -m pip install .*\[local\]'", finding.remedy)


@pytest.mark.parametrize(
    ("kept", "is_well", "detail"),
    [(None, True, "model.safetensors"), (-1, False, "truncated or damaged"), (4, False, "truncated or damaged")],
)
def test_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int | None, is_well: bool, detail: str) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    content = struct.pack("<Q", len(header)) + header + b"\0" * 8
    (tmp_path / "model.safetensors").write_bytes(content[:kept])
    spec = ModuleSpec("midfill.model.weights", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    finding = doctor_checks.weights()
    assert finding.is_well is is_well
    assert detail in finding.detail


def test_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("midfill.model.weights", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert "no checkpoint" in doctor_checks.weights().detail


async def test_what_is_in_the_way_of_the_socket(private_places: Path) -> None:
    path = resident_socket("embedded")
    assert (await doctor_checks.socket_state()).detail.startswith("not running")
    path.write_text("not a socket", encoding="utf-8")
    assert "is not a socket" in (await doctor_checks.socket_state()).detail
    path.unlink()
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    stale = await doctor_checks.socket_state()
    assert stale.is_well
    assert "left over" in stale.detail
    lock_path("embedded").write_text(f"{os.getpid()}\n", encoding="ascii")
    held = await doctor_checks.socket_state()
    assert not held.is_well
    assert f"process {os.getpid()} holds" in held.detail


BIG = "google/diffusiongemma-26B-A4B-it"


def machine(free_gb: int, *gpus_gb: int) -> Machine:
    gpus = tuple(Memory(f"GPU {number}", gb * 10**9, 80 * 10**9) for number, gb in enumerate(gpus_gb))
    return Machine(Memory("RAM", free_gb * 10**9, 64 * 10**9), gpus)


@pytest.mark.parametrize(
    ("model", "here", "detail", "remedy"),
    [
        (BIG, machine(16), "39.9 GB of RAM are missing", "In four bits it takes 23.2 GB of a GPU, behind vLLM"),
        (BIG, machine(60), "needs 55.94 GB with its contexts; this machine: 60.0 of 64.0 GB free of RAM", ""),
        (f"{BIG}@main", machine(60, 24, 20), "31.9 GB of GPU 0 are missing", "In four bits it fits GPU 0, behind vLLM"),
        (BIG, machine(16, 79), "needs 55.94 GB", ""),
        ("vllm:http://127.0.0.1:8000", machine(1), "behind another server", ""),
        ("somebody/else", machine(1), "not known before its files are here", ""),
    ],
)
def test_memory_of_a_model(model: str, here: Machine, detail: str, remedy: str) -> None:
    finding = doctor_model.memory(model, here)
    assert detail in finding.detail
    assert finding.is_well == (remedy == "")
    assert finding.remedy.startswith(remedy)
    assert finding.is_well or "vllm serve nvidia/" in finding.remedy


def test_a_model_that_does_not_fit_is_not_loaded(
    midfill: Callable[..., Any], private_places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("midfill.lsp_server.terminal.doctor.this_machine", lambda: machine(16))
    ran = midfill("doctor", "--model", BIG, "--json")
    answer = json.loads(ran.out)
    assert (ran.code, answer["ok"]) == (1, False)
    assert [finding["what"] for finding in answer["findings"]][-1] == "Memory"
    assert not list((private_places / "midfill").glob("*.sock")), "nothing was started"


@pytest.mark.parametrize(
    ("arguments", "variable", "sentence"),
    [
        (("--model", "embedded", "--endpoint", "unix:/s.sock"), "", "leave --model out"),
        (("--model", "embedded"), "unix:/s.sock", "MIDFILL_ENDPOINT is set"),
    ],
)
def test_which_model_is_tried_must_be_clear(
    midfill: Callable[..., Any],
    refused: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    variable: str,
    sentence: str,
) -> None:
    monkeypatch.setenv("MIDFILL_ENDPOINT", variable)
    refused(midfill("doctor", *arguments), 2, sentence)


def test_status(midfill: Callable[..., Any], own_resident: subprocess.Popen[str]) -> None:
    (running,) = json.loads(midfill("status", "--json").out)
    assert running["pid"] == own_resident.pid
    assert (running["state"], running["model"], running["device"]) == ("ready", "embedded", "cpu")
    assert running["memory_bytes"] > 1_000_000
    assert running["uptime_s"] >= 0
    assert str(own_resident.pid) in midfill("status").out


def test_status_of_nothing(midfill: Callable[..., Any], private_places: Path) -> None:
    assert midfill("status", "--json").out.strip() == "[]"
    ran = midfill("status")
    assert (ran.code, "No resident model is running" in ran.out) == (0, True)
