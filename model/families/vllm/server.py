"""A vLLM that serves a model with canvases: its tokens, and one canvas or several asked of it.

Nothing of the model is needed on this machine: vLLM's `/tokenize` and `/detokenize` know the vocabulary.
"""

from __future__ import annotations

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from midfill.model.families.diffusion_gemma.tokenizer import NO_THINKING
from midfill.model.families.vllm.client import VllmClient, VllmError
from midfill.model.families.vllm.requests import (
    SeededCanvas,
    TokenRead,
    detokenize_body,
    prime_body,
    read_body,
    tokenize_body,
    tokenize_chat_body,
    tokens_of,
    write_body,
)
from midfill.model.wire.errors import RequestError

MAX_PARALLEL = 8
"""Canvases asked for at the same time, which is what vLLM runs of this model at once unless told otherwise."""
LEAST_CONTEXT_TOKENS = 64
_KEPT_TEXTS = 256


@dataclass(frozen=True, slots=True)
class ServedModel:
    """name: under which vLLM serves it; canvas_length: the widest canvas; max_model_len: tokens of prompt and answer;
    special_ids may never stand in code."""

    name: str
    version: str
    canvas_length: int
    vocab_size: int
    max_model_len: int
    end_id: int
    pad_id: int
    special_ids: frozenset[int]


class VllmTokens:
    """Text to ids and back, by asking vLLM; what was asked lately is remembered, for most of a text is the same at the
    next key."""

    def __init__(self, client: VllmClient, model: str) -> None:
        self._client, self._model = client, model
        self._remembered: OrderedDict[tuple[str, str], tuple[int, ...]] = OrderedDict()

    async def encode(self, text: str) -> tuple[int, ...]:
        return await self._ids("text", text) if text else ()

    async def decode(self, ids: Sequence[int]) -> str:
        if not ids:
            return ""
        text: str = (await self._client.post("/detokenize", detokenize_body(self._model, ids)))["prompt"]
        return text

    async def conversation(self, user: str, answer_begins: str) -> tuple[int, ...]:
        """What the person says, and how the model's turn begins, without thinking."""
        asked, thought, begins = await asyncio.gather(
            self._ids("user", user), self.encode(NO_THINKING), self.encode(answer_begins)
        )
        thinks = len(await self.encode(NO_THINKING.partition("thought")[0])) == 1
        if thinks and asked[-len(thought) :] != thought:
            asked = (*asked, *thought)
        return (*asked, *begins)

    async def _ids(self, kind: str, text: str) -> tuple[int, ...]:
        if (kind, text) not in self._remembered:
            body = (tokenize_chat_body if kind == "user" else tokenize_body)(self._model, text)
            self._remembered[kind, text] = tuple((await self._client.post("/tokenize", body))["tokens"])
            if len(self._remembered) > _KEPT_TEXTS:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end((kind, text))
        return self._remembered[kind, text]


class VllmServer:
    """Use it on one event loop, one for each request (`for_request`). context_tokens, canvas_tokens: what the request
    has cost so far; how many steps it took, and what of the context was cached, vLLM does not tell."""

    def __init__(self, client: VllmClient, model: ServedModel) -> None:
        self.model, self.tokens = model, VllmTokens(client, model.name)
        self.context_tokens = self.canvas_tokens = 0
        self._client = client
        self._slots = asyncio.Semaphore(MAX_PARALLEL)

    def for_request(self) -> VllmServer:
        """The same server with its own count."""
        server = copy.copy(self)
        server.context_tokens = server.canvas_tokens = 0
        return server

    async def prompt(self, turns: tuple[str, str], before: str, answer_tokens: int) -> tuple[int, ...]:
        """Ids of the conversation and the text that its answer goes on from, of which the beginning is left out where
        vLLM takes no more. Raises RequestError if the rest alone is too long."""
        conversation, text = await asyncio.gather(self.tokens.conversation(*turns), self.tokens.encode(before))
        room = self.model.max_model_len - len(conversation) - answer_tokens
        if room < LEAST_CONTEXT_TOKENS:
            raise RequestError(
                f"What is told beside the text takes {len(conversation)} tokens, and {self.model.name} has room for "
                f"{self.model.max_model_len} in all; send less context, or serve it with a larger --max-model-len."
            )
        prompt = (*conversation, *text[-room:])
        self.context_tokens = len(prompt)
        return prompt

    async def read(self, prompt: Sequence[int], width: int, canvas: SeededCanvas | None = None) -> list[TokenRead]:
        """One canvas, denoised, of which nothing is cut."""
        async with self._slots:
            answer = await self._client.post("/v1/completions", read_body(self.model.name, prompt, width, canvas))
        try:
            read = tokens_of(answer["choices"][0])
        except (KeyError, IndexError, TypeError, ValueError):
            raise self._changed("has other fields") from None
        if len(read) != width:
            raise self._changed(f"has {len(read)} tokens for a canvas of {width}")
        self.canvas_tokens += width
        return read

    async def write(
        self,
        prompt: Sequence[int],
        max_tokens: int,
        canvas: SeededCanvas | None = None,
        show: Callable[[list[TokenRead]], None] = lambda so_far: None,
    ) -> list[TokenRead]:
        """Canvas after canvas until the model ends its turn; `show` is told what there is after each."""
        read: list[TokenRead] = []
        body = write_body(self.model.name, prompt, max_tokens, canvas)
        async with self._slots, aclosing(self._client.stream("/v1/completions", body)) as chunks:
            async for chunk in chunks:
                try:
                    read += [token for choice in chunk["choices"] for token in tokens_of(choice)]
                except (KeyError, TypeError, ValueError):
                    raise self._changed("has other fields") from None
                show(read)
        self.canvas_tokens += len(read)
        return read

    async def prime(self, prompt: Sequence[int]) -> None:
        """Have the prompt read into vLLM's prefix cache."""
        async with self._slots:
            await self._client.post("/v1/completions", prime_body(self.model.name, prompt))

    def _changed(self, what: str) -> VllmError:
        return VllmError(
            f"The answer of vLLM {self.model.version} at {self._client.url} {what}; midfill knows vLLM 0.33: use that."
        )
