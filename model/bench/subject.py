"""What `midfill bench gemma` measures: a DiffusionGemma of a real shape with random weights, in the family's own code.

A tokenizer of bytes stands in for the real one, so a token is a character; what is timed does not depend on it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from midfill.model.bench.timing import bytes_per_s
from midfill.model.engine.infill import CHUNK_TOKENS, DenoisingModel
from midfill.model.families.diffusion_gemma.denoiser import DiffusionGemmaDenoiser
from midfill.model.families.diffusion_gemma.geometry import FULL, SMALL, Geometry, random_network
from midfill.model.families.diffusion_gemma.loading import CACHE_BYTES
from midfill.model.families.diffusion_gemma.renoising import RenoisingSampler
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN, GemmaTokenizer

GEOMETRIES = {"full": replace(FULL, vision=SMALL.vision), "small": SMALL}
"""Without the tower for pictures, of which code has none."""
_SPECIAL = ("<pad>", "<eos>", "<bos>", "<|turn>", END_OF_TURN, "<|channel>", "<channel|>")
_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|turn>{{ message.role }}\n{{ message.content }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


@dataclass(frozen=True)
class Subject:
    """bandwidth: bytes that the device's memory gives in a second, measured."""

    geometry: Geometry
    network: Any
    denoiser: DiffusionGemmaDenoiser
    model: DenoisingModel
    device: torch.device
    bandwidth: float
    context_ids: tuple[int, ...]
    context_state: Tensor

    @property
    def vocab_size(self) -> int:
        return int(self.geometry.text["vocab_size"])


def make_subject(geometry: Geometry, device: torch.device, dtype: torch.dtype, num_context_tokens: int) -> Subject:
    """With a context of `num_context_tokens` random tokens that is encoded already."""
    torch.manual_seed(0)
    bandwidth = bytes_per_s(device)
    network = random_network(geometry, device, dtype)
    with tempfile.TemporaryDirectory() as folder:
        _save_byte_tokenizer(Path(folder))
        tokenizer = GemmaTokenizer(Path(folder), int(geometry.text["vocab_size"]))
    precision = str(dtype).removeprefix("torch.")
    denoiser = DiffusionGemmaDenoiser(network, tokenizer, f"random-{geometry.name}", "random", precision, "clamped")
    context_ids = tuple(torch.randint(len(_SPECIAL), 256, (num_context_tokens,)).tolist())
    return Subject(
        geometry=geometry,
        network=network,
        denoiser=denoiser,
        model=DenoisingModel(denoiser, RenoisingSampler(), CACHE_BYTES),
        device=device,
        bandwidth=bandwidth,
        context_ids=context_ids,
        context_state=encoded(denoiser, context_ids),
    )


def encoded(denoiser: DiffusionGemmaDenoiser, ids: tuple[int, ...]) -> Tensor:
    """In chunks, as a request is."""
    state = None
    for start in range(0, len(ids), CHUNK_TOKENS):
        state = denoiser.encode(ids[: start + CHUNK_TOKENS], start, state)
    assert state is not None
    return state


def touched_bytes(subject: Subject, num_tokens: int) -> float:
    """Bytes of weights that a forward pass over `num_tokens` reads: all but the experts that no token chooses, where
    each token chooses evenly, and but the embeddings of tokens that do not occur."""
    text = subject.geometry.text
    share: float = 1 - (1 - text["top_k_experts"] / text["num_experts"]) ** num_tokens
    experts = others = 0
    for name, parameter in subject.network.named_parameters():
        if ".experts." in name:
            experts += parameter.numel() * parameter.element_size()
        elif "vision" not in name:
            others += parameter.numel() * parameter.element_size()
    return others + share * experts


def _save_byte_tokenizer(folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: index for index, token in enumerate([*_SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in _SPECIAL])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=_SPECIAL[0],
        eos_token=_SPECIAL[1],
        bos_token=_SPECIAL[2],
        additional_special_tokens=list(_SPECIAL[3:]),
        chat_template=_TEMPLATE,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
