"""Fills and rewritings through a vLLM's stand-in: what comes back, and what it was sent for it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from marked import COUNTING, NEW, OLD, request_of, wait_for
from stand_in import encode

from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

LONG_BODY = "".join(f"    total += values[{index}]\n" for index in range(8))
SUMMING = f"def total(values):\n    total = 0\n{LONG_BODY}    return total\n"


def check(stand_in: Any, load: Any, ask: Any, marked: str, **more: Any) -> None:
    """What the marks hide comes back as the best candidate, closed."""
    model, url = stand_in
    model.files.append(marked.replace("‹", "").replace("›", ""))
    answer, _ = ask(load(url), request_of(marked, **more))
    best = answer.candidates[0]
    assert [fill.text for fill in best.fills] == re.findall("‹(.*?)›", marked, flags=re.DOTALL)
    assert all(fill.closed for fill in best.fills)
    assert answer.stop_reason == "closed"
    assert best.confidence > max((one.confidence for one in answer.candidates[1:]), default=0.5)
    assert all(span.end <= len(fill.text) for fill in best.fills for span in fill.spans)
    assert answer.usage.canvas_tokens > answer.usage.fill_tokens


@pytest.mark.parametrize(
    "marked",
    [
        COUNTING.replace("found[word] = found", "‹found[word]› = found"),
        COUNTING.replace("{}", "‹{}›"),
        COUNTING.replace("return found\n", "‹return found›\n"),
        COUNTING.replace("words):", "‹words›):").replace("{}", "‹{}›"),
        COUNTING.replace("in words:", "‹in words›:").replace("+ 1", "‹+ 1›"),
        COUNTING.replace("\n    return found\n", "‹\n    return found›"),
    ],
    ids=[
        "a line's part",
        "two characters",
        "the last line",
        "two holes",
        "two holes lines apart",
        "the end of the file",
    ],
)
@pytest.mark.parametrize("candidates", [1, 4])
def test_what_was_cut_out_comes_back(stand_in, load, ask, marked: str, candidates: int) -> None:
    check(stand_in, load, ask, marked, candidates=candidates, max_tokens=28)
    assert stand_in[0].most_running <= 8


def test_a_hole_longer_than_a_canvas_is_written(stand_in, load, ask) -> None:
    marked = SUMMING.replace(LONG_BODY, f"‹{LONG_BODY}›")
    check(stand_in, load, ask, marked, max_tokens=256)


def test_the_text_behind_decides_between_two_continuations(stand_in, load, ask) -> None:
    model, url = stand_in
    model.files += ["x = 12 * 3\n", "x = 12 + 4\n"]
    answer, _ = ask(load(url), request_of("x = ‹12› + 4\n", max_tokens=4))
    assert answer.candidates[0].fills[0].text == "12"
    model.files.insert(0, "x = (y - 1)\n")
    answer, _ = ask(load(url), request_of("x = ‹12› + 4\n", max_tokens=4, candidates=4))
    assert answer.candidates[0].fills[0].text == "12"
    assert not any(fill.closed for one in answer.candidates[1:] for fill in one.fills)


def test_a_hole_of_one_line_stays_on_its_line(stand_in, load, ask) -> None:
    model, url = stand_in
    model.files.append("x = 1\ny = 2\n")
    answer, _ = ask(load(url), request_of("x = ‹1›", max_tokens=20, single_line=True, candidates=8))
    assert all("\n" not in fill.text for one in answer.candidates for fill in one.fills)


@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("max_tokens", [50, 200])
def test_a_region_is_rewritten_from_its_old_text(stand_in, load, ask, strength: float, max_tokens: int) -> None:
    model, url = stand_in
    model.rewrites["with +="] = (OLD, NEW)
    before, behind = COUNTING.split(OLD)
    hole = Hole("1", max_tokens, OLD, strength)
    parts = (TextPart(before), HolePart(hole), TextPart(behind))
    request = InfillRequest(parts, instruction="count with +=", candidates=2, stream=True)
    loaded = load(url)
    del model.bodies[:]
    answer, steps = ask(loaded, request)
    assert [one.fills[0].text for one in answer.candidates] == [NEW]
    assert answer.candidates[0].fills[0].closed
    assert steps[-1].drafts[0].pieces[0].text == NEW
    seeds = [body.get("vllm_xargs", {}).get("diffusion_seed_canvas") for body in model.bodies]
    assert len(seeds) == 2
    if strength == 1.0:
        assert seeds == [None, None]
        return
    (warm,) = [seed for seed in seeds if seed is not None]  # the other one begins from nothing
    old = encode(OLD)
    kept = sum(one == other for one, other in zip(warm, old, strict=False))
    assert kept == pytest.approx(len(old) * (1 - strength), abs=3)
    assert warm[len(old) :][:5] == encode("\n```<turn|>")


def test_priming_reads_the_prompt_and_fills_nothing(stand_in, load, ask) -> None:
    model, url = stand_in
    loaded = load(url)
    del model.bodies[:]
    answer, _ = ask(loaded, request_of("x = ‹1›\n", candidates=0))
    assert answer.candidates == ()
    assert answer.stop_reason == "primed"
    (body,) = model.bodies
    assert body["vllm_xargs"]["diffusion_max_steps"] == 1


def test_at_the_deadline_what_is_there_comes_back(stand_in, load, ask) -> None:
    model, url = stand_in
    loaded = load(url)
    model.delay_s = 30.0
    started_s = time.monotonic()
    answer, _ = ask(loaded, request_of("x = ‹1›\n", deadline_ms=200))
    assert answer.stop_reason == "deadline"
    assert answer.candidates == ()
    assert time.monotonic() - started_s < 5
    wait_for(lambda: model.num_cut == 8)


def test_closing_a_request_closes_it_in_vllm(stand_in, load) -> None:
    model, url = stand_in
    job = load(url).infill(request_of("x = ‹1›\n"), time.monotonic())
    model.delay_s = 30.0
    del model.bodies[:]
    while not model.bodies:
        assert next(job) is None
    job.close()
    wait_for(lambda: model.num_cut == len(model.bodies) > 0)


def test_the_card_tells_what_vllm_told(stand_in, load) -> None:
    model, url = stand_in
    model.max_model_len = 2048
    info = load(url).info
    assert (info.name, info.revision, info.family) == ("toy/diffusiongemma", "vLLM 0.33.0", "vllm")
    assert (info.max_holes, info.max_canvas_tokens, info.context.joint_chars) == (8, 512, 64)
    assert {"infill", "joint", "draft", "instructions"} <= set(info.capabilities)


def test_of_a_text_that_is_too_long_the_end_is_kept(stand_in, load, ask) -> None:
    model, url = stand_in
    model.max_model_len = 1024
    marked = "# padding\n" * 200 + "x = ‹1›\n"
    ask(load(url), request_of(marked, max_tokens=8))
    assert all(len(body["prompt"]) + body["max_tokens"] <= 1024 for body in model.bodies)
