"""What other tools get from `/v1/completions` and `/infill`. The bodies were recorded from llama.vim (January 2026) and
minuet-ai.nvim (August 2026), run in Neovim 0.12, with their texts shortened."""

from __future__ import annotations

import json
from typing import Any

import pytest

from midfill.model.serving import fim
from midfill.model.wire.api import Candidate, Fill, HolePart, Infill, InfillRequest, TextPart, Usage

TEXT = "\u2028é\x0b\n😀"
"""What the stepped model fills every hole with."""
LLAMA = {
    "id_slot": 0,
    "input_prefix": "import math\n\n\ndef area(radius):\n",
    "input_suffix": "\n\n\ndef circumference(radius):\n    return 2 * math.pi * radius\n",
    "input_extra": [{"filename": "geo.py", "time": [937, -1936532257], "text": "PI = 3"}],
    "prompt": "    return ",
    "n_predict": 128,
    "stop": [],
    "n_indent": 4,
    "top_k": 40,
    "top_p": 0.9,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "model": "",
    "response_fields": [
        "content",
        "timings/prompt_n",
        "timings/prompt_ms",
        "timings/prompt_per_token_ms",
        "timings/prompt_per_second",
        "timings/predicted_n",
        "timings/predicted_ms",
        "timings/predicted_per_token_ms",
        "timings/predicted_per_second",
        "truncated",
        "tokens_cached",
    ],
}
LLAMA_WARMING = {
    **LLAMA,
    "input_prefix": "",
    "input_suffix": "",
    "prompt": "",
    "n_predict": 0,
    "temperature": 0.0,
    "samplers": [],
    "t_max_prompt_ms": 1,
    "t_max_predict_ms": 1,
    "response_fields": [""],
}
MINUET = {
    "max_tokens": 32,
    "prompt": "# language: python\n# indentation: use 4 spaces for a tab\ndef area(radius):\n    return ",
    "suffix": "\n\n\ndef circumference(radius):\n    return 2 * math.pi * radius",
    "model": "embedded",
    "stream": True,
}


def data_of(text: str) -> list[Any]:
    """As minuet-ai.nvim reads it: the JSON of every line that has some."""
    lines = [line.removeprefix("data:").strip() for line in text.split("\n")]
    return [json.loads(line) for line in lines if line.startswith("{")]


def parts_of(request: InfillRequest) -> tuple[str, int, str]:
    before, hole, after = request.parts
    assert isinstance(before, TextPart)
    assert isinstance(hole, HolePart)
    assert isinstance(after, TextPart)
    return before.text, hole.hole.max_tokens, after.text


def test_llama_vim_is_answered(resident) -> None:
    resident.model.allow()
    with resident.client() as client:
        answer = client.post("/infill", json=LLAMA)
    assert answer.status_code == 200
    assert '"content":"' in answer.text  # llama.vim looks for it before it reads the JSON
    assert answer.json()["content"] == TEXT
    assert set(answer.json()) == set(LLAMA["response_fields"])
    assert answer.json()["timings/predicted_ms"] >= 0


def test_llama_vims_warming_of_the_cache_fills_nothing(resident) -> None:
    asked = fim.infill_request(LLAMA_WARMING, resident.model.info)
    assert asked.infill.candidates == 0
    assert asked.infill.context[0].text == "PI = 3"
    assert fim.answer(asked, Infill((), "primed", Usage(context_tokens=9), "m")) == {}


def test_minuet_is_answered(resident) -> None:
    resident.model.allow()
    with resident.client() as client:
        answer = client.post("/v1/completions", json=MINUET)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "".join(data["choices"][0]["text"] for data in data_of(answer.text)) == TEXT
    assert answer.text.endswith("data: [DONE]\n\n")


def test_an_answer_in_openais_shape(resident) -> None:
    resident.model.allow()
    with resident.client() as client:
        answer = client.post("/v1/completions", json={"prompt": ["a = "]}).json()
    assert answer["object"] == "text_completion"
    assert answer["choices"] == [{"index": 0, "text": TEXT, "logprobs": None, "finish_reason": "stop"}]
    assert set(answer["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}


def test_what_the_model_is_asked_for(resident) -> None:
    info = resident.model.info
    llama = fim.infill_request(LLAMA, info).infill
    assert parts_of(llama) == (LLAMA["input_prefix"] + LLAMA["prompt"], 64, LLAMA["input_suffix"])
    assert llama.priority == "inline"
    assert llama.holes[0].single_line
    minuet = fim.completions_request({**MINUET, "n": 2, "best_of": 3, "seed": 7}, info)
    assert parts_of(minuet.infill) == (MINUET["prompt"], 32, MINUET["suffix"])
    assert minuet.infill.holes[0].single_line
    assert (minuet.infill.candidates, minuet.num_choices, minuet.infill.seed) == (3, 2, 7)
    assert fim.infill_request({**LLAMA, "n_predict": -1, "seed": -1}, info).infill.seed is None


def test_another_models_marker_within_code_is_code(resident) -> None:
    prompt = 'PAGE = "<PRE>"\nMARKER = "<|fim_prefix|>"\n'
    asked = fim.completions_request({"prompt": prompt, "suffix": "<PRE>"}, resident.model.info)
    assert parts_of(asked.infill)[0] == prompt


@pytest.mark.parametrize(
    ("marked", "single_line"),
    [
        ("x = |", True),
        ("x = f(|)", True),
        ("    |\ny = 1", False),
        ("def f(a):|\n", False),
        ("x = [|\n]", False),
        ("x = [|]", True),
    ],
)
def test_a_hole_beside_code_is_one_line(resident, marked: str, single_line: bool) -> None:
    before, _, after = marked.partition("|")
    asked = fim.completions_request({"prompt": before, "suffix": after}, resident.model.info)
    assert asked.infill.holes[0].single_line == single_line


def infill(*texts: str, closed: bool = True) -> Infill:
    candidates = tuple(Candidate((Fill("1", text, 0.5, closed=closed),), 0.5) for text in texts)
    return Infill(candidates, "closed", Usage(context_tokens=30, fill_tokens=4), "m")


def test_a_stop_word_ends_the_text_and_a_limit_is_told(resident) -> None:
    asked = fim.completions_request({"prompt": "a", "stop": ["#", ";;"], "n": 2}, resident.model.info)
    choices = fim.answer(asked, infill("b;; c # d", "e", "f"))["choices"]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [("b", "stop"), ("e", "stop")]
    assert fim.answer(asked, infill("b", closed=False))["choices"][0]["finish_reason"] == "length"


def test_a_stream_can_end_with_what_it_cost(resident) -> None:
    body = {"prompt": "a", "stream": True, "n": 2, "stream_options": {"include_usage": True}}
    *choices, usage, done = fim.chunks(fim.completions_request(body, resident.model.info), infill("b", "c"))
    assert [chunk["choices"][0]["text"] for chunk in choices] == ["b", "c"]
    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 34, "[DONE]")
    llama = fim.infill_request({"input_prefix": "a", "stream": True}, resident.model.info)
    assert [(chunk["content"], chunk["stop"]) for chunk in fim.chunks(llama, infill("b"))] == [("b", False), ("", True)]


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("/v1/completions", [], "the body must be one JSON object"),
        ("/v1/completions", {}, "`prompt` must be one text, not nothing"),
        ("/v1/completions", {"prompt": [1, 2]}, "`prompt` must be one text, not a list"),
        ("/v1/completions", {"prompt": "a", "n": 17}, "`n` must be from 1 to 16, not 17"),
        ("/v1/completions", {"prompt": "a", "max_tokens": "8"}, "`max_tokens` must be a whole number, not a text"),
        (
            "/v1/completions",
            {"prompt": "a", "echo": True},
            "`echo` is not served here: the answer",
        ),
        ("/v1/completions", {"messages": [{}]}, "this is no chat; send `prompt` and `suffix`. Leave it out"),
        ("/v1/completions", {"prompt": "<|fim_prefix|>a<|fim_suffix|>"}, "turn the template off in your tool"),
        ("/v1/completions", {"prompt": "<PRE> a <SUF>"}, "begins with <PRE>, another model's marker"),
        ("/infill", {"input_suffix": "b"}, "`input_prefix` must be one text, not nothing"),
        (
            "/infill",
            {"input_prefix": "a", "input_extra": [{"filename": "b"}]},
            "`input_extra` must be a list of objects",
        ),
        ("/infill", {"input_prefix": "a", "grammar": "x"}, "`grammar` is not served here"),
        ("/infill", {"input_prefix": "a", "stream": 1}, "`stream` must be true or false"),
    ],
)
def test_what_is_not_served_is_told(resident, path: str, body: Any, sentence: str) -> None:
    with resident.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 422
    assert sentence in answer.json()["error"]["message"]
    assert answer.json()["detail"] == answer.json()["error"]["message"]
