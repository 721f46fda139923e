"""What vLLM is sent and what it answers, as plain data: `/v1/completions` with a canvas, `/tokenize`.

Names and rules are those of vLLM 0.33 (`vllm/utils/diffusion.py`, `vllm/entrypoints/openai/completion/protocol.py`).
Pins hold what goes into the network, not what comes out of it, so an answer says of a pinned position too what the
model would have put there. Knows ids; no text, no connection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from midfill.model.families.vllm.client import Body


@dataclass(frozen=True, slots=True)
class SeededCanvas:
    """A canvas before its first step. ids: of every position; pinned: the positions that stay what they are."""

    ids: tuple[int, ...]
    pinned: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenRead:
    """A token of an answer. text: as vLLM decodes it alone; probability: what the model gave it in the last step."""

    id: int
    text: str
    log_probability: float


def read_body(model: str, prompt_ids: Sequence[int], width: int, canvas: SeededCanvas | None = None) -> Body:
    """One canvas of `width` positions is denoised and is the whole answer; without `canvas` it begins as noise."""
    arguments = {"diffusion_canvas_length": width, "diffusion_read_only": 1, **_seeded(canvas)}
    return {**_body(model, prompt_ids, width), "vllm_xargs": arguments}


def write_body(model: str, prompt_ids: Sequence[int], max_tokens: int, canvas: SeededCanvas | None = None) -> Body:
    """Canvas after canvas until the model ends its turn, each sent when it is done; the first may be seeded."""
    body = {**_body(model, prompt_ids, max_tokens), "stream": True}
    return {**body, "vllm_xargs": _seeded(canvas)} if canvas else body


def prime_body(model: str, prompt_ids: Sequence[int]) -> Body:
    """As little as can be asked for beside reading the prompt into vLLM's prefix cache."""
    body = read_body(model, prompt_ids, 1)
    return {**body, "vllm_xargs": {**body["vllm_xargs"], "diffusion_max_steps": 1}}


def impossible_body(model: str, prompt_ids: Sequence[int]) -> Body:
    """No vLLM that knows canvases takes this: its refusal names the size of the vocabulary."""
    return {**_body(model, prompt_ids, 1), "vllm_xargs": {"diffusion_seed_canvas": [-1]}}


def served_width_body(model: str, prompt_ids: Sequence[int], max_tokens: int) -> Body:
    """One step on a canvas as wide as the server has it, of which `max_tokens` is far more."""
    arguments = {"diffusion_read_only": 1, "diffusion_max_steps": 1}
    return {**_body(model, prompt_ids, max_tokens), "vllm_xargs": arguments}


def tokenize_body(model: str, text: str) -> Body:
    return {"model": model, "prompt": text, "add_special_tokens": False}


def tokenize_chat_body(model: str, user: str) -> Body:
    """The conversation's ids up to where the model's turn begins."""
    return {"model": model, "messages": [{"role": "user", "content": user}], "add_generation_prompt": True}


def detokenize_body(model: str, ids: Sequence[int]) -> Body:
    return {"model": model, "tokens": list(ids)}


def tokens_of(choice: Body) -> list[TokenRead]:
    """The tokens of a choice, or of what a stream's chunk adds to it. Another shape raises KeyError or TypeError."""
    told = choice["logprobs"]
    return [
        TokenRead(token_id, text, log_probability)
        for token_id, text, log_probability in zip(
            choice["token_ids"], told["tokens"], told["token_logprobs"], strict=True
        )
    ]


def _body(model: str, prompt_ids: Sequence[int], max_tokens: int) -> Body:
    return {
        "model": model,
        "prompt": list(prompt_ids),
        "max_tokens": max_tokens,
        "temperature": 1.0,
        "logprobs": 1,
        "return_token_ids": True,
        "skip_special_tokens": False,
    }


def _seeded(canvas: SeededCanvas | None) -> Body:
    if canvas is None:
        return {}
    pinned = {"diffusion_pinned": list(canvas.pinned)} if canvas.pinned else {}
    width = {"diffusion_canvas_length": len(canvas.ids)}
    return {**width, "diffusion_seed_canvas": list(canvas.ids), **pinned}
