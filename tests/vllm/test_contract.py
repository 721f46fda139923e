"""Everything that midfill sends to vLLM, and everything that the stand-in answers, is what the released vLLM takes and
gives: its own request classes and its own validation say so, in a process of their own without CUDA."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from marked import COUNTING, NEW, OLD, request_of
from stand_in import NAME, VOCAB_SIZE, StandIn, refusal

from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midfill-vllm"
CANVAS_LENGTH = 64


@pytest.fixture(scope="module")
def released() -> Iterator[Any]:
    """Ask the released vLLM what it says of bodies."""
    sources = CACHE / "0.33.0-python{}.{}".format(*sys.version_info)
    if not sources.is_dir():
        why = f"{sources} is not there; run tests/vllm/fetch.sh {sys.executable} (336 MB)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    environment = {**os.environ, "PYTHONPATH": str(sources), "VLLM_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, str(HERE / "released.py")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:

        def ask(bodies: Sequence[tuple[str, dict[str, Any]]]) -> list[str | None]:
            asked = {"bodies": bodies, "canvas_length": CANVAS_LENGTH, "vocab_size": VOCAB_SIZE}
            process.stdin.write(f"{json.dumps(asked)}\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            assert answer, process.stderr.read()[-2000:]
            verdicts: list[str | None] = json.loads(answer)
            return verdicts

        yield ask
        process.stdin.close()


def sent_and_answered(model: StandIn, url: str, load: Any, ask: Any, monkeypatch: Any) -> list[tuple[str, Any]]:
    """What goes over the wire, both ways, for each kind of request."""
    seen: list[tuple[str, Any]] = []
    send = httpx.AsyncClient.send

    async def noting(client: Any, request: httpx.Request, **options: Any) -> httpx.Response:
        answer = await send(client, request, **options)
        if request.method == "POST":
            path, text = request.url.path, (await answer.aread()).decode()
            seen.append((path, json.loads(request.content)))
            if text.startswith("data: "):
                chunks = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
                seen.extend((f"{path} stream answer", json.loads(chunk)) for chunk in chunks)
            elif answer.status_code == 200:
                seen.append((f"{path} answer", json.loads(text)))
        return answer

    monkeypatch.setattr(httpx.AsyncClient, "send", noting)
    model.files.append(COUNTING)
    model.rewrites["with +="] = (OLD, NEW)
    loaded = load(url)
    before, behind = COUNTING.split(OLD)
    rewriting = InfillRequest(
        (TextPart(before), HolePart(Hole("1", 200, OLD, 0.5)), TextPart(behind)), instruction="count with +="
    )
    for request in (
        request_of(COUNTING.replace("words):", "‹words›):").replace("{}", "‹{}›"), max_tokens=28),
        request_of(COUNTING.replace("{}", "‹{}›"), max_tokens=200),
        request_of(COUNTING.replace("{}", "‹{}›"), candidates=0),
        rewriting,
        InfillRequest((HolePart(Hole("1", 50, OLD, 1.0)),)),
    ):
        ask(loaded, request)
    return seen


def test_vllm_takes_what_is_sent_and_gives_what_the_stand_in_answers(
    stand_in, load, ask, released, monkeypatch
) -> None:
    model, url = stand_in
    seen = sent_and_answered(model, url, load, ask, monkeypatch)
    (impossible,) = (body for path, body in seen if body.get("vllm_xargs") == {"diffusion_seed_canvas": [-1]})
    seen.remove(("/v1/completions", impossible))
    assert {path for path, _ in seen} == {
        f"{path}{kind}" for path in ("/v1/completions", "/tokenize", "/detokenize") for kind in ("", " answer")
    } | {"/v1/completions stream answer"}
    assert {verdict for verdict in released(seen)} == {None}
    assert released([("/v1/completions", impossible)]) == [refusal(impossible, CANVAS_LENGTH)]


RULES = [
    {},
    {"diffusion_canvas_length": 64},
    {"diffusion_canvas_length": 65},
    {"diffusion_canvas_length": -1},
    {"diffusion_seed_canvas": [1] * 64},
    {"diffusion_seed_canvas": [1] * 63},
    {"diffusion_seed_canvas": [1] * 7, "diffusion_canvas_length": 7},
    {"diffusion_seed_canvas": [1] * 8, "diffusion_canvas_length": 7},
    {"diffusion_seed_canvas": [VOCAB_SIZE] * 64},
    {"diffusion_seed_canvas": [-1]},
    {"diffusion_pinned": [0]},
    {"diffusion_pinned": []},
    {"diffusion_seed_canvas": [1] * 64, "diffusion_pinned": [0, 63]},
    {"diffusion_seed_canvas": [1] * 64, "diffusion_pinned": [64]},
    {"diffusion_seed_canvas": [1] * 7, "diffusion_canvas_length": 7, "diffusion_pinned": [7]},
    {"diffusion_max_steps": 0},
    {"diffusion_max_steps": 1},
    {"diffusion_read_only": 1},
    {"diffusion_read_only": 2},
]
PARAMETERS = [{"temperature": 0.7}, {"seed": 3}, {"min_p": 0.1}, {"logit_bias": {"1": 2.0}}, {"min_tokens": 2}]


def test_the_stand_in_refuses_what_vllm_refuses_in_its_words(released) -> None:
    body = {"model": NAME, "prompt": [1], "max_tokens": 64, "temperature": 1.0}
    bodies = [{**body, "vllm_xargs": rule} for rule in RULES] + [{**body, **more} for more in PARAMETERS]
    said = released([("/v1/completions", one) for one in bodies])
    assert said == [refusal(one, CANVAS_LENGTH) for one in bodies]
    assert None in said
    assert len({sentence for sentence in said if sentence}) == 9
