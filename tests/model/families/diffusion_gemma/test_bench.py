"""`midfill bench gemma` measures everything it promises, on a shape small enough for a test."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from midfill.model.bench import measures
from midfill.model.bench.__main__ import measure
from midfill.model.bench.report import lines
from midfill.model.bench.subject import make_subject, touched_bytes
from midfill.model.families.diffusion_gemma.geometry import SMALL

CPU = torch.device("cpu")
SMALLER = {
    "vocab_size": 512,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"],
}
TINY = replace(SMALL, name="tiny", canvas_length=128, text=SMALL.text | SMALLER)


def test_every_measure_is_taken_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "BATCHES", (1, 2))
    monkeypatch.setattr(measures, "CANDIDATE_TOKENS", 8)
    told = list[str]()
    figures = measure(TINY, CPU, torch.float32, 64, is_compiled=False, tell=told.append)
    failed = {name: of for name, of in figures.items() if isinstance(of, dict) and "failed" in of}
    assert not failed
    assert figures["denoising_step"]["step_ms"] > 0
    assert [row["batch"] for row in figures["break_even"]] == [1, 2]
    assert all(row["break_even"] == pytest.approx(row["step_ms"] / row["token_ms"]) for row in figures["break_even"])
    assert figures["typing"]["cached_share"] > 0.99
    assert figures["one_request"]["forward_passes"] > 1
    assert figures["cancellation"]["passes_begun_after"] <= 1
    text = "\n".join(lines(figures))
    assert "break-even: tokens a forward" in text
    assert "failed" not in text


def test_a_measure_that_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(subject: object) -> dict[str, float]:
        raise RuntimeError("no kernel image")

    for name in ("transformers_generate", "candidates", "typing", "one_request", "cancellation"):
        monkeypatch.setattr(measures, name, fail)
    monkeypatch.setattr(measures, "BATCHES", (1,))
    figures = measure(TINY, CPU, torch.float32, 64, is_compiled=False, tell=lambda sentence: None)
    assert figures["typing"] == {"failed": "RuntimeError: no kernel image"}
    assert figures["denoising_step"]["step_ms"] > 0
    assert "typing: failed: RuntimeError: no kernel image" in list(lines(figures))


def test_a_wide_canvas_touches_every_expert_and_one_token_a_few() -> None:
    subject = make_subject(TINY, CPU, torch.float32, 64)
    all_bytes = sum(
        parameter.numel() * 4 for name, parameter in subject.network.named_parameters() if "vision" not in name
    )
    assert touched_bytes(subject, 256) == pytest.approx(all_bytes, rel=1e-6)
    assert touched_bytes(subject, 1) < 0.9 * all_bytes


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--geometry", "full"), "is measured on a GPU only; torch finds none here"),
        (("--device", "cuda"), "There is no GPU that torch can use"),
    ],
)
def test_what_cannot_be_measured_here_is_refused(options: tuple[str, ...], sentence: str) -> None:
    command = [sys.executable, "-P", "-m", "midfill.lsp_server", "bench", "gemma", *options]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert sentence in ran.stderr
    assert ran.stderr.count("\n") == 1
