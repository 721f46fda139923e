"""From the address of a vLLM to a model that answers requests. Nothing is loaded here but what vLLM says of itself."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

from midfill.model.families.diffusion_gemma.prompt import MAX_PREFIX_CHARS, MAX_SNIPPET_CHARS, MAX_SUFFIX_CHARS
from midfill.model.families.vllm.client import VllmClient, VllmUnreachableError, vllm_address
from midfill.model.families.vllm.inspection import inspect
from midfill.model.families.vllm.model import VllmModel
from midfill.model.families.vllm.server import ServedModel, VllmServer
from midfill.model.wire.api import MAX_HOLE_TOKENS, ContextBudget, ModelInfo

MAX_HOLES = 8
CHARS_PER_TOKEN = 3
STARTING_S = 600.0
"""How long a vLLM that does not answer yet is waited for: it reads tens of gigabytes before it does."""
WAIT_S = 1.0


def load_vllm(name: str, report: Callable[[float, str], None], token_file: Path | None = None) -> VllmModel:
    """`name` as `vllm_address` takes it. Waits for a vLLM that does not answer yet; raises VllmError for one that
    cannot be used, or that does not come."""
    address = vllm_address(name)
    client = VllmClient(address.url, token_file)
    loop = _running_loop()
    give_up_at_s, told = time.monotonic() + STARTING_S, ""
    report(0.1, f"asking vLLM at {address.url} what it serves")
    while True:
        try:
            served = asyncio.run_coroutine_threadsafe(inspect(client, address.model), loop).result()
            return VllmModel(client, VllmServer(client, served), info_of(served, address.url), report, loop)
        except VllmUnreachableError as error:
            if time.monotonic() > give_up_at_s:
                raise
            if str(error) != told:
                told = str(error)
                report(0.1, f"{told} Waiting for it.")
            time.sleep(WAIT_S)


def info_of(served: ServedModel, url: str) -> ModelInfo:
    longest = min(MAX_HOLE_TOKENS, served.max_model_len // 4)
    context_chars = (served.max_model_len - longest - served.canvas_length) * CHARS_PER_TOKEN
    return ModelInfo(
        name=served.name,
        family="vllm",
        revision=f"vLLM {served.version}",
        licence="as its checkpoint's",
        languages=("python",),
        capabilities=("infill", "joint", "draft", "instructions", "prime"),
        max_holes=MAX_HOLES,
        max_canvas_tokens=longest,
        context=ContextBudget(
            prefix_chars=min(MAX_PREFIX_CHARS, context_chars // 2),
            suffix_chars=min(MAX_SUFFIX_CHARS, context_chars // 6),
            snippet_chars=min(MAX_SNIPPET_CHARS, context_chars // 3),
            joint_chars=served.canvas_length,
        ),
        num_parameters=0,
        device=url,
        precision="its own",
    )


def _running_loop() -> asyncio.AbstractEventLoop:
    """A loop that a thread of its own runs until the process ends."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="midfill-vllm", daemon=True).start()
    return loop
