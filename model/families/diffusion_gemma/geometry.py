"""The shapes of DiffusionGemma without its weights: what its configuration is, and networks of that shape with random
ones, to count bytes (on the meta device) and to measure time.

Random weights take the time that trained ones take, with one exception: which experts are chosen is more even than what
a trained router chooses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

FP8_KEPT = (r".*vision_tower", r".*embed_vision", r".*router", r".*self_conditioning", "lm_head")
"""Modules that a checkpoint in FP8 keeps in bfloat16."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """text and vision: what DiffusionGemmaTextConfig and Gemma4VisionConfig are made of."""

    name: str
    canvas_length: int
    text: dict[str, Any]
    vision: dict[str, Any]


FULL = Geometry(
    name="full",
    canvas_length=256,
    text={
        "vocab_size": 262_144,
        "hidden_size": 2816,
        "intermediate_size": 2112,
        "moe_intermediate_size": 704,
        "num_hidden_layers": 30,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 256,
        "global_head_dim": 512,
        "num_global_key_value_heads": 2,
        "sliding_window": 1024,
        "num_experts": 128,
        "top_k_experts": 8,
        "max_position_embeddings": 262_144,
        "use_bidirectional_attention": "vision",
    },
    vision={
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 72,
    },
)
"""google/diffusiongemma-26B-A4B-it."""

SMALL = Geometry(
    name="small",
    canvas_length=256,
    text=FULL.text
    | {
        "vocab_size": 2048,
        "hidden_size": 128,
        "intermediate_size": 96,
        "moe_intermediate_size": 32,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "global_head_dim": 64,
        "num_global_key_value_heads": 1,
        "num_experts": 16,
        "top_k_experts": 2,
        "max_position_embeddings": 8192,
    },
    vision=FULL.vision | {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
)
"""The same kinds of layers and a canvas as wide, about a ten-thousandth of the parameters: for a CPU."""


def configuration(geometry: Geometry) -> Any:
    from transformers import DiffusionGemmaConfig, DiffusionGemmaTextConfig, Gemma4VisionConfig

    vocab_size = geometry.text["vocab_size"]
    return DiffusionGemmaConfig(
        text_config=DiffusionGemmaTextConfig(**geometry.text),
        vision_config=Gemma4VisionConfig(**geometry.vision),
        canvas_length=geometry.canvas_length,
        image_token_id=vocab_size - 1,
        boi_token_id=vocab_size - 2,
        eoi_token_id=vocab_size - 3,
    )


def random_network(geometry: Geometry, device: torch.device, dtype: torch.dtype) -> Any:
    """Made on `device` directly: at no time are there more bytes than the network's own. On `meta`, shapes only."""
    from transformers import DiffusionGemmaForBlockDiffusion

    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            network = DiffusionGemmaForBlockDiffusion(configuration(geometry))
    finally:
        torch.set_default_dtype(default)
    network.set_experts_implementation("grouped_mm" if device.type == "cuda" else "eager")
    return network.eval().requires_grad_(False)


def fp8_network(geometry: Geometry) -> Any:
    """On the meta device: the network as transformers lays it out in FP8, its experts packed, one byte a weight."""
    from transformers import FineGrainedFP8Config
    from transformers.integrations.finegrained_fp8 import replace_with_fp8_linear

    network = random_network(geometry, torch.device("meta"), torch.bfloat16)
    replace_with_fp8_linear(network, list(FP8_KEPT), FineGrainedFP8Config())
    network.tie_weights()
    return network


def resident_bytes(network: nn.Module) -> int:
    """What the network's tensors take; one that two modules share counts once."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _tensors(network))


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}.values()
