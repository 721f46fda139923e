"""What a running vLLM serves, found out by asking it: which model, whether it takes canvases, and how wide they are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN
from midfill.model.families.vllm.client import VllmClient, VllmError, VllmRefusedError
from midfill.model.families.vllm.requests import impossible_body, served_width_body
from midfill.model.families.vllm.server import ServedModel, VllmTokens

PAD = "<pad>"
SPECIAL = (END_OF_TURN, PAD, "<|turn>", "<eos>", "<bos>", "<unk>", "<mask>", "<|channel>", "<channel|>")
_SPARE_TOKENS = 8
_VOCABULARY = re.compile(r"diffusion_seed_canvas ids must be in \[0, (\d+)\)")


async def inspect(client: VllmClient, wanted: str | None) -> ServedModel:
    """Raises VllmError, also where it is no vLLM, serves another model, or one that takes no canvas."""
    try:
        version = str((await client.get("/version"))["version"])
        cards = [card for card in (await client.get("/v1/models"))["data"] if not card.get("parent")]
        card = _chosen(client.url, cards, wanted)
        name, max_model_len = str(card["id"]), int(card["max_model_len"])
        tokens = VllmTokens(client, name)
        found = await asyncio.gather(*(tokens.encode(text) for text in SPECIAL))
        ids = {text: encoded[0] for text, encoded in zip(SPECIAL, found, strict=True) if len(encoded) == 1}
        if END_OF_TURN not in ids or PAD not in ids:
            raise VllmError(
                f"vLLM at {client.url} serves {name}, whose vocabulary lacks {END_OF_TURN} or {PAD}; serve a "
                "DiffusionGemma."
            )
        prompt = (ids[END_OF_TURN],)
        vocab_size = await _vocab_size(client, name, version, prompt)
        asked = max_model_len - _SPARE_TOKENS
        answer = await client.post("/v1/completions", served_width_body(name, prompt, asked))
        canvas_length = len(answer["choices"][0]["token_ids"])
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise VllmError(
            f"What answers at {client.url} is not vLLM as midfill knows it (0.33); give the address of a `vllm serve`."
        ) from None
    if canvas_length >= asked:
        raise _takes_no_canvas(client.url, name, version)
    special_ids = frozenset(ids.values())
    return ServedModel(name, version, canvas_length, vocab_size, max_model_len, ids[END_OF_TURN], ids[PAD], special_ids)


async def _vocab_size(client: VllmClient, name: str, version: str, prompt: Sequence[int]) -> int:
    """By a canvas that every vLLM with canvases refuses. One that answers would ignore every other canvas as well."""
    try:
        await client.post("/v1/completions", impossible_body(name, prompt))
    except VllmRefusedError as refusal:
        if told := _VOCABULARY.search(refusal.reason):
            return int(told[1])
        raise VllmError(
            f"vLLM {version} at {client.url} speaks of canvases in a way that midfill does not know "
            f"({refusal.reason}); use vLLM 0.33."
        ) from None
    raise _takes_no_canvas(client.url, name, version)


def _takes_no_canvas(url: str, name: str, version: str) -> VllmError:
    return VllmError(
        f"vLLM {version} at {url} serves {name} without canvases: it ignores the diffusion fields; serve a "
        "DiffusionGemma with vLLM 0.33 or newer."
    )


def _chosen(url: str, cards: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    names = [str(card["id"]) for card in cards]
    if wanted is None and len(cards) == 1:
        return cards[0]
    if wanted in names:
        return cards[names.index(wanted)]
    served = ", ".join(names) or "no model"
    if wanted is None:
        raise VllmError(f"vLLM at {url} serves {served}; name one of them behind the address, as in {url}#NAME.")
    raise VllmError(f"vLLM at {url} serves {served}, not {wanted}; correct the name behind the address.")
