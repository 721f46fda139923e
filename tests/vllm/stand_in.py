"""A stand-in for `vllm serve` with a DiffusionGemma, over real HTTP: vLLM 0.33's paths, rules and refusals, and a model
that knows a few texts by heart.

Its tokens are characters. What it puts on a canvas is how a known text goes on behind the prompt, the one that agrees
best with what is pinned; it takes no notice of where a hole ends, as pins hold what goes in and not what comes out.
`test_contract.py` holds its rules equal to those of the released vLLM.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAME = "toy/diffusiongemma"
SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<|turn>", "<turn|>", "<|channel>", "<channel|>")
FIRST_SPECIAL = 0x300
VOCAB_SIZE = FIRST_SPECIAL + len(SPECIAL)
ID_OF = {text: FIRST_SPECIAL + index for index, text in enumerate(SPECIAL)}
PIECES = re.compile("|".join(map(re.escape, SPECIAL)) + "|.", re.DOTALL)
MODEL_TURN = "<|turn>model\n<|channel>thought\n<channel|>```python\n"
SURE, UNSURE = -0.02, -1.5


def encode(text: str) -> list[int]:
    unknown = ID_OF["<unk>"]
    return [ID_OF.get(one, ord(one[0]) if ord(one[0]) < FIRST_SPECIAL else unknown) for one in PIECES.findall(text)]


def decode(ids: list[int]) -> str:
    return "".join(SPECIAL[one - FIRST_SPECIAL] if one >= FIRST_SPECIAL else chr(one) for one in ids)


@dataclass
class StandIn:
    """files: texts it writes when the model's turn begins like one of them. rewrites: what becomes of an old text, by
    words of the instruction.

    It can be told to misbehave: to want a token, to be busy for so many requests, to know no canvases, to be slow."""

    files: list[str] = field(default_factory=list)
    rewrites: dict[str, tuple[str, str]] = field(default_factory=dict)
    canvas_length: int = 64
    max_model_len: int = 16384
    token: str | None = None
    num_busy: int = 0
    retry_after: str | None = None
    has_canvases: bool = True
    delay_s: float = 0.0
    names: tuple[str, ...] = (NAME,)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    num_cut: int = 0
    num_running: int = 0
    most_running: int = 0

    def continuation(self, prompt: str, pinned: dict[int, int]) -> list[int]:
        asked, _, said = prompt.rpartition(MODEL_TURN)
        for words, (old, new) in self.rewrites.items():
            if words in asked and old in asked:
                return encode(f"{new}\n```<turn|>")
        known = [encode(f"{text[len(said) :]}\n```<turn|>") for text in self.files if text.startswith(said)]
        return max(known or [encode("pass\n```<turn|>")], key=lambda ids: _num_agreeing(ids, pinned))

    def canvases(self, body: dict[str, Any]) -> list[list[tuple[int, float]]]:
        """Ids and log probabilities, canvas by canvas."""
        arguments = body.get("vllm_xargs") or {}
        width = arguments.get("diffusion_canvas_length") or self.canvas_length
        seed = arguments.get("diffusion_seed_canvas") or []
        pinned = {position: seed[position] for position in arguments.get("diffusion_pinned") or []}
        ids = self.continuation(decode(body["prompt"]), pinned)
        is_read = bool(arguments.get("diffusion_read_only"))
        length = width if is_read else min(body["max_tokens"], ids.index(ID_OF["<turn|>"]) + 1)
        ids = [*ids, *[ID_OF["<pad>"]] * length][:length]
        read = [(one, UNSURE if pinned.get(place, one) != one else SURE) for place, one in enumerate(ids)]
        return [read[start : start + width] for start in range(0, length, width)]


def _num_agreeing(ids: list[int], pinned: dict[int, int]) -> int:
    return sum(ids[place : place + 1] == [one] for place, one in pinned.items())


def refusal(body: dict[str, Any], canvas_length: int, vocab_size: int = VOCAB_SIZE) -> str | None:
    """What vLLM says of a request for a model with canvases; None if it takes it."""
    if body.get("temperature", 1.0) != 1.0 or any(
        body.get(name) for name in ("min_p", "seed", "min_tokens", "logit_bias", "bad_words", "allowed_token_ids")
    ):
        return (
            "The temperature, min_p, seed, min_tokens, logit_bias, bad_words, and allowed_token_ids sampling "
            "parameters are not yet supported with diffusion models."
        )
    arguments = body.get("vllm_xargs") or {}
    width, seed = arguments.get("diffusion_canvas_length"), arguments.get("diffusion_seed_canvas")
    expected = width or canvas_length
    pins, steps = arguments.get("diffusion_pinned"), arguments.get("diffusion_max_steps")
    rules = [
        (
            width is None or 0 < width <= canvas_length,
            "diffusion_canvas_length must be a positive integer no larger than the served canvas.",
        ),
        (
            seed is None or all(0 <= one < vocab_size for one in seed),
            f"diffusion_seed_canvas ids must be in [0, {vocab_size}).",
        ),
        (
            seed is None or len(seed) == expected,
            f"diffusion_seed_canvas must hold exactly {expected} ids, got {len(seed or [])}.",
        ),
        (pins is None or seed is not None, "diffusion_pinned needs a diffusion_seed_canvas to hold."),
        (
            pins is None or all(0 <= pin < expected for pin in pins),
            "diffusion_pinned positions must lie inside the canvas.",
        ),
        (steps is None or steps > 0, "diffusion_max_steps must be a positive integer."),
        (
            arguments.get("diffusion_read_only") in (None, 0, 1),
            "diffusion_read_only must be a boolean (or 0/1).",
        ),
    ]
    return next((f"{sentence} (parameter=extra_args)" for valid, sentence in rules if not valid), None)


def create_app(model: StandIn) -> FastAPI:
    app = FastAPI()
    app.add_middleware(_Guard, model=model)

    @app.get("/version")
    async def version() -> Any:
        return {"version": "0.33.0"}

    @app.get("/health")
    async def health() -> Response:
        return Response()

    @app.get("/v1/models")
    async def models() -> Any:
        cards = [{"id": name, "object": "model", "max_model_len": model.max_model_len} for name in model.names]
        return {"object": "list", "data": [{**card, "root": card["id"], "parent": None} for card in cards]}

    @app.post("/tokenize")
    async def tokenize(request: Request) -> Any:
        body = await request.json()
        text = body.get("prompt")
        if text is None:
            (turn,) = body["messages"]
            text = f"<bos><|turn>user\n{turn['content']}<turn|>\n<|turn>model\n"
        ids = encode(text)
        return {"tokens": ids, "count": len(ids), "max_model_len": model.max_model_len, "token_strs": None}

    @app.post("/detokenize")
    async def detokenize(request: Request) -> Any:
        return {"prompt": decode((await request.json())["tokens"])}

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        body = await request.json()
        if model.num_busy > 0:
            model.num_busy -= 1
            headers = {"Retry-After": model.retry_after} if model.retry_after else {}
            return JSONResponse(_error("The engine is overloaded.", 503), 503, headers)
        model.bodies.append(body)
        if body["model"] not in model.names:
            return JSONResponse(_error(f"The model `{body['model']}` does not exist.", 404), 404)
        if not model.has_canvases:
            return JSONResponse(_completion(body, [(ord("x"), SURE)] * min(body["max_tokens"], 64)))
        if (told := refusal(body, model.canvas_length)) is not None:
            return JSONResponse(_error(told, 400), 400)
        model.num_running += 1
        model.most_running = max(model.most_running, model.num_running)
        try:
            if body.get("stream"):
                return StreamingResponse(_chunks(model, body), media_type="text/event-stream")
            if model.delay_s and await _is_cut(request, model.delay_s):
                model.num_cut += 1
                return Response()
            read = [token for canvas in model.canvases(body) for token in canvas]
            return JSONResponse(_completion(body, read))
        finally:
            model.num_running -= 1

    return app


class _Guard:
    """Wants the token of every path under /v1, and of no other."""

    def __init__(self, app: ASGIApp, model: StandIn) -> None:
        self._app, self._model = app, model

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"").decode()
        if self._model.token is None or not scope["path"].startswith("/v1") or given == f"Bearer {self._model.token}":
            await self._app(scope, receive, send)
        else:
            await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)


async def _is_cut(request: Request, delay_s: float) -> bool:
    """Works for `delay_s`; True if the client closes the connection before that."""
    leaving = asyncio.ensure_future(_left(request))
    try:
        done, _ = await asyncio.wait([leaving], timeout=delay_s)
        return bool(done)
    finally:
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _chunks(model: StandIn, body: dict[str, Any]) -> AsyncIterator[bytes]:
    try:
        for canvas in model.canvases(body):
            await asyncio.sleep(model.delay_s)
            chunk = {**_completion(body, canvas), "usage": None}
            yield f"data: {json.dumps(chunk)}\n\n".encode()
        yield b"data: [DONE]\n\n"
    except (asyncio.CancelledError, GeneratorExit):
        model.num_cut += 1
        raise


def _completion(body: dict[str, Any], read: list[tuple[int, float]]) -> dict[str, Any]:
    ids = [one for one, _ in read]
    texts = [decode([one]) for one in ids]
    logprobs = {
        "tokens": texts,
        "token_logprobs": [log_probability for _, log_probability in read],
        "top_logprobs": [{text: log_probability} for text, (_, log_probability) in zip(texts, read, strict=True)],
        "text_offset": [len("".join(texts[:index])) for index in range(len(texts))],
    }
    choice = {
        "index": 0,
        "text": "".join(texts),
        "logprobs": logprobs,
        "finish_reason": "stop" if ID_OF["<turn|>"] in ids else "length",
        "stop_reason": None,
        "token_ids": ids,
    }
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}
    usage["total_tokens"] = sum(usage.values())
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice],
        "usage": usage,
    }


def _error(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}}


class Serving:
    """An app served on a free loopback port by a thread of its own; `stop` it at the end."""

    def __init__(self, app: Any, port: int = 0, tls: tuple[str, str] | None = None) -> None:
        certificate, key = tls or (None, None)
        config = uvicorn.Config(
            app, port=port, log_level="error", lifespan="off", ssl_certfile=certificate, ssl_keyfile=key
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        self.port: int = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()
