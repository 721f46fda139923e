"""The models that midfill can use, as data: what each is, what memory each way of running it takes, and what has to be
typed. Standard library only, so that the front can list them without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RESERVE_BYTES = 4 * 2**30
"""Kept beside the weights of a large model: the cached contexts may take as much (see `diffusion_gemma.loading`)."""
MASKED_CELLS = 16 * 130
"""Positions of all rows of a masked diffusion model's canvas together: 16 rows of two holes of 64 tokens, or of one of
128."""
BEHIND_VLLM = "vllm:http://127.0.0.1:8000"
"""What `midfill.model` says of a model that vLLM serves on this machine."""


@dataclass(frozen=True)
class Way:
    """One way to run a model. weights_bytes: what its weights take once they are loaded; checkpoint: what
    midfill or vLLM loads; note: what has to be known about it; logits_bytes: what a step takes beside the weights and
    contexts."""

    precision: str
    runs: Literal["in process", "vLLM"]
    checkpoint: str
    weights_bytes: int
    note: str = ""
    logits_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        return needed_bytes(self.weights_bytes, self.logits_bytes)

    @property
    def setting(self) -> str:
        """What `midfill.model` says to choose it."""
        return self.checkpoint if self.runs == "in process" else BEHIND_VLLM

    @property
    def command(self) -> str | None:
        """What to type before that; nothing for what the front starts by itself."""
        return None if self.runs == "in process" else vllm_command(self.checkpoint)


@dataclass(frozen=True)
class CatalogueModel:
    """num_parameters counts all; active_parameters those that one token uses."""

    name: str
    num_parameters: int
    active_parameters: int
    licence: str
    languages: str
    capabilities: str
    proven: str
    ways: tuple[Way, ...]


def needed_bytes(weights_bytes: int, logits_bytes: int = 0) -> int:
    """With room for contexts: 4 GiB beside large weights, a quarter of small ones."""
    return weights_bytes + min(RESERVE_BYTES, weights_bytes // 4) + logits_bytes


def masked_logits_bytes(vocab_size: int) -> int:
    """Of a masked diffusion model's step: float32 for every token at every position of the canvas, three times, as
    those of the step before and what is reckoned from them stand beside them."""
    return 3 * 4 * MASKED_CELLS * vocab_size


def vllm_command(checkpoint: str) -> str:
    return (
        f"vllm serve {checkpoint} --max-num-seqs 4 --max-model-len 16384 --max-num-batched-tokens 16384 "
        """--diffusion-config '{"canvas_length":64,"max_denoising_steps":24}' --enable-prefix-caching"""
    )


NVFP4_CHECKPOINT = "nvidia/diffusiongemma-26B-A4B-it-NVFP4"

EMBEDDED_PARAMETERS = 150_784_128
"""SmolLM2-135M's 134,515,008 and the adapter's 16,269,120; a test counts them."""
EMBEDDED_LOADED = 240_696_000
"""What is in memory: the table of embeddings, and both towers' layers with the deltas added to one of them."""

EMBEDDED = CatalogueModel(
    name="embedded",
    num_parameters=EMBEDDED_PARAMETERS,
    active_parameters=EMBEDDED_PARAMETERS,
    licence="Apache-2.0",
    languages="Python, JavaScript, TypeScript",
    capabilities="ghost text, fills, several holes jointly, rewriting by eight verbs",
    proven="measured: model/weights/MODEL_CARD.md",
    ways=(
        Way("bfloat16", "in process", "embedded", 2 * EMBEDDED_LOADED, "comes with midfill; runs on two CPU cores"),
        Way("float32", "in process", "embedded", 4 * EMBEDDED_LOADED, "where a processor has no bfloat16"),
    ),
)

DIFFUSION_GEMMA = CatalogueModel(
    name="DiffusionGemma 26B A4B",
    num_parameters=25_823_778_864,
    active_parameters=3_800_000_000,
    licence="Apache-2.0",
    languages="most programming languages, by its maker; with midfill none is measured yet",
    capabilities="fills, several holes jointly, instructions",
    proven="the mechanics only; no trained weights were run: docs/DIFFUSIONGEMMA.md",
    ways=(
        Way("bfloat16", "in process", "google/diffusiongemma-26B-A4B-it", 51_647_564_140, "an 80 GB GPU"),
        Way("FP8", "vLLM", "RedHatAI/diffusiongemma-26B-A4B-it-FP8-dynamic", 27_170_284_060, "a 48 GB GPU"),
        Way("NVFP4", "vLLM", NVFP4_CHECKPOINT, 18_864_434_565, "a 24 GB GPU, best a Blackwell"),
        Way(
            "w4a16",
            "vLLM",
            "GoedelMachines/diffusiongemma-26B-A4B-w4a16",
            18_800_000_000,
            "a 24 GB GPU; quantised by a third party, its size reckoned",
        ),
    ),
)

_MASKED_PROVEN = (
    "the mechanics, by tiny trained models of its shape; no released weights were run: docs/MASKED_MODELS.md"
)


@dataclass(frozen=True)
class _Shape:
    num_parameters: int
    vocab_size: int


_QWEN_SMALL = _Shape(494_032_768, 151_936)
_QWEN_7B = _Shape(7_615_616_512, 152_064)
_LLADA_8B = _Shape(8_015_581_184, 126_464)


def _masked(name: str, shape: _Shape, licence: str, hub_id: str, note: str) -> CatalogueModel:
    """A masked diffusion model, which runs in process as its weights are released."""
    return CatalogueModel(
        name=name,
        num_parameters=shape.num_parameters,
        active_parameters=shape.num_parameters,
        licence=licence,
        languages="programming languages, by its maker; midfill asks it for Python only, and nothing is measured yet",
        capabilities="fills, several holes jointly",
        proven=_MASKED_PROVEN,
        ways=(
            Way(
                "bfloat16",
                "in process",
                hub_id,
                weights_bytes=2 * shape.num_parameters,
                note=note,
                logits_bytes=masked_logits_bytes(shape.vocab_size),
            ),
        ),
    )


MASKED = (
    _masked("Open-dCoder 0.5B", _QWEN_SMALL, "Apache-2.0", "fredzzp/open-dcoder-0.5B", "a CPU, slowly"),
    _masked("DreamOn 7B", _QWEN_7B, "Apache-2.0", "Dream-org/DreamOn-v0-7B", "a 24 GB GPU; finds lengths itself"),
    _masked("Dream-Coder 7B", _QWEN_7B, "Apache-2.0", "Dream-org/Dream-Coder-v0-Instruct-7B", "a 24 GB GPU"),
    _masked("DiffuCoder 7B", _QWEN_7B, "Apple's research licence", "apple/DiffuCoder-7B-Instruct", "a 24 GB GPU"),
    _masked("LLaDA 8B", _LLADA_8B, "MIT", "GSAI-ML/LLaDA-8B-Base", "a 24 GB GPU; not made for code"),
)

MODELS = (EMBEDDED, DIFFUSION_GEMMA, *MASKED)
