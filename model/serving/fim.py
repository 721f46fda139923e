"""Fill-in-the-middle as other tools ask for it: OpenAI's `/v1/completions` with `suffix`, and llama.cpp's `/infill`.

Bodies become an InfillRequest with one hole, an Infill becomes their kind of answer. Sources: OpenAI's API reference
(completions, legacy) and llama.cpp's `tools/server/README.md`. What steers how tokens are drawn (`temperature`,
`top_k`, `samplers`, ...) is accepted and left out, since tools send it with every request; what would change the
meaning of the answer is refused. A draft is no prefix of the answer, so a stream brings the whole text as one chunk.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from midfill.model.wire.api import (
    MAX_CANDIDATES,
    MAX_HOLE_TOKENS,
    Fill,
    Hole,
    HolePart,
    Infill,
    InfillRequest,
    InvalidValueError,
    ModelInfo,
    Snippet,
    TextPart,
)

COMPLETIONS, INFILL = "/v1/completions", "/infill"
_DEFAULT_TOKENS = 64
_REFUSED = {
    "echo": "the answer holds the fill alone",
    "logprobs": "a diffusion model has no left-to-right probabilities; /v1/infill has confidences",
    "logit_bias": "tokens cannot be favoured",
    "grammar": "the answer cannot be held to a grammar",
    "json_schema": "the answer cannot be held to a schema",
    "response_format": "the answer cannot be held to a format",
    "tools": "no tools are called",
    "messages": "this is no chat; send `prompt` and `suffix`",
}
_TEMPLATE = re.compile(
    r"\s*(<\|?(?:fim_(?:prefix|suffix|middle)|repo_name|file_sep)\|?>|<｜fim▁(?:begin|hole|end)｜>|<PRE>|\[SUFFIX\])"
)
"""How a prompt begins that was made for another model; further on, the same words are somebody's code."""


@dataclass(frozen=True, slots=True)
class FimRequest:
    """What a tool wants. infill: the same for a resident; num_choices: how many of its candidates are answered;
    stop: the text ends before any of these; response_fields: paths such as `timings/predicted_n`, empty for all."""

    kind: Literal["completions", "infill"]
    infill: InfillRequest
    num_choices: int = 1
    stream: bool = False
    with_usage: bool = False
    stop: tuple[str, ...] = ()
    response_fields: tuple[str, ...] = ()


def completions_request(body: object, model: ModelInfo) -> FimRequest:
    """Raises InvalidValueError with a sentence for the tool's user."""
    fields = _Fields(body)
    prompt = fields.beginning("prompt")
    suffix = fields.text("suffix")
    num_choices = fields.number("n", 1, 1, MAX_CANDIDATES)
    num_candidates = max(num_choices, fields.number("best_of", 1, 1, MAX_CANDIDATES))
    stop = fields.texts("stop")
    single_line = "\n" in stop or _stands_in_a_line(prompt, suffix)
    hole = _hole(fields.number("max_tokens", _DEFAULT_TOKENS, 1, None), single_line, model)
    seed = fields.number("seed", None, 0, None)
    request = _request(prompt, hole, suffix, candidates=num_candidates, seed=seed)
    options = fields.body.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    return FimRequest("completions", request, num_choices, fields.flag("stream"), with_usage, stop)


def infill_request(body: object, model: ModelInfo) -> FimRequest:
    """Raises InvalidValueError with a sentence for the tool's user. `n_predict` 0 only encodes. Time limits are left
    out: they end a text in its middle, and a canvas has none before its end; closing the connection ends the work."""
    fields = _Fields(body)
    before = fields.beginning("input_prefix") + fields.text("prompt")
    after = fields.text("input_suffix")
    stop = fields.texts("stop")
    num_tokens = fields.number("n_predict", -1, -1, None)
    single_line = "\n" in stop or _stands_in_a_line(before, after)
    hole = _hole(num_tokens if num_tokens > 0 else _DEFAULT_TOKENS, single_line, model)
    seed = fields.number("seed", -1, -1, None)
    request = _request(
        before,
        hole,
        after,
        context=_snippets(fields.body.get("input_extra")),
        candidates=0 if num_tokens == 0 else 1,
        seed=None if seed < 0 else seed,
    )
    return FimRequest(
        "infill", request, stream=fields.flag("stream"), stop=stop, response_fields=fields.texts("response_fields")
    )


def answer(request: FimRequest, infill: Infill) -> dict[str, Any]:
    """The whole answer to a request that is not streamed."""
    if request.kind == "infill":
        return _only(_llama_answer(request, infill), request.response_fields)
    return {**_openai_answer(_choices(request, infill), infill), "usage": _openai_usage(infill)}


def chunks(request: FimRequest, infill: Infill) -> list[dict[str, Any] | str]:
    """The data of a streamed answer's events."""
    if request.kind == "infill":
        last = _llama_answer(request, infill)
        first = {"content": last["content"], "stop": False}
        return [first, {**_only(last, request.response_fields), "content": "", "stop": True}]
    whole = _openai_answer(_choices(request, infill), infill)
    of_choices: list[dict[str, Any] | str] = [{**whole, "choices": [choice]} for choice in whole["choices"]]
    usage = [{**whole, "choices": [], "usage": _openai_usage(infill)}] if request.with_usage else []
    return [*of_choices, *usage, "[DONE]"]


class _Fields:
    """A body's fields, each read by its kind."""

    def __init__(self, body: object) -> None:
        if not isinstance(body, dict):
            raise InvalidValueError("the body must be one JSON object")
        self.body: Mapping[str, Any] = body
        for name, why in _REFUSED.items():
            if body.get(name):
                raise InvalidValueError(f"`{name}` is not served here: {why}. Leave it out")

    def text(self, name: str, *, required: bool = False) -> str:
        value = self.body.get(name)
        if value is None and not required:
            return ""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, str):
            raise InvalidValueError(f"`{name}` must be one text, not {_kind_of(value)}")
        return value

    def beginning(self, name: str) -> str:
        """The text that everything begins with, which must be there."""
        value = self.text(name, required=True)
        if template := _TEMPLATE.match(value):
            raise InvalidValueError(
                f"`{name}` begins with {template[1]}, another model's marker: turn the template off in your tool, and "
                "send what stands before the cursor and what stands after it in two fields"
            )
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.body.get(name)
        values = [] if value is None else [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise InvalidValueError(f"`{name}` must be a text or a list of texts, not {_kind_of(value)}")
        return tuple(values)

    def number(self, name: str, default: Any, least: int, most: int | None) -> Any:
        value = self.body.get(name)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidValueError(f"`{name}` must be a whole number, not {_kind_of(value)}")
        if value < least or (most is not None and value > most):
            rule = f"at least {least}" if most is None else f"from {least} to {most}"
            raise InvalidValueError(f"`{name}` must be {rule}, not {value}")
        return value

    def flag(self, name: str) -> bool:
        value = self.body.get(name)
        if value is not None and not isinstance(value, bool):
            raise InvalidValueError(f"`{name}` must be true or false, not {_kind_of(value)}")
        return bool(value)


def _hole(num_tokens: int, single_line: bool, model: ModelInfo) -> Hole:
    return Hole("1", min(num_tokens, model.max_canvas_tokens, MAX_HOLE_TOKENS), single_line=single_line)


def _stands_in_a_line(before: str, after: str) -> bool:
    """Whether the cursor stands beside code, and not behind what opens a block or a bracket: then its line is filled,
    and the next question is for the next one."""
    line_before, line_after = before.rpartition("\n")[2].strip(), after.partition("\n")[0].strip()
    return bool(line_after) or (bool(line_before) and not line_before.endswith((":", "(", "[", "{", ",")))


def _request(before: str, hole: Hole, after: str, **rest: Any) -> InfillRequest:
    return InfillRequest((TextPart(before), HolePart(hole), TextPart(after)), priority="inline", **rest)


def _snippets(extra: object) -> tuple[Snippet, ...]:
    """llama.cpp's `input_extra`: texts of elsewhere."""
    texts = [] if extra is None else extra
    if not isinstance(texts, list) or not all(isinstance(_text_of(one), str) for one in texts):
        raise InvalidValueError("`input_extra` must be a list of objects with `text` and `filename`")
    return tuple(Snippet(str(one.get("filename", "")), one["text"]) for one in texts)


def _text_of(extra: object) -> object:
    return extra.get("text") if isinstance(extra, dict) else None


def _choices(request: FimRequest, infill: Infill) -> list[tuple[str, str]]:
    """Text and reason why it ends, of each choice: `stop`, or `length` for a hole that did not end by itself. One empty
    choice where nothing was asked for."""
    found = [_cut(candidate.fills[0], request.stop) for candidate in infill.candidates[: request.num_choices]]
    return found or [("", "length")]


def _cut(fill: Fill, stop: Sequence[str]) -> tuple[str, str]:
    ends = [fill.text.index(word) for word in stop if word and word in fill.text]
    return (fill.text[: min(ends)], "stop") if ends else (fill.text, "stop" if fill.closed else "length")


def _openai_answer(choices: Sequence[tuple[str, str]], infill: Infill) -> dict[str, Any]:
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": infill.model,
        "choices": [
            {"index": index, "text": text, "logprobs": None, "finish_reason": reason}
            for index, (text, reason) in enumerate(choices)
        ],
    }


def _openai_usage(infill: Infill) -> dict[str, int]:
    read, written = infill.usage.context_tokens, infill.usage.fill_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _llama_answer(request: FimRequest, infill: Infill) -> dict[str, Any]:
    (text, reason), usage = _choices(request, infill)[0], infill.usage
    num_encoded = usage.context_tokens - usage.cached_tokens
    return {
        "content": text,
        "stop": True,
        "stop_type": "eos" if reason == "stop" else "limit",
        "model": infill.model,
        "tokens_predicted": usage.fill_tokens,
        "tokens_evaluated": usage.context_tokens,
        "tokens_cached": usage.cached_tokens,
        "truncated": False,
        "timings": {
            "cache_n": usage.cached_tokens,
            **_timings("prompt", num_encoded, usage.encode_ms),
            **_timings("predicted", usage.fill_tokens, usage.denoise_ms),
        },
    }


def _timings(name: str, num_tokens: int, duration_ms: float) -> dict[str, float]:
    return {
        f"{name}_n": num_tokens,
        f"{name}_ms": duration_ms,
        f"{name}_per_token_ms": duration_ms / num_tokens if num_tokens else 0.0,
        f"{name}_per_second": 1000 * num_tokens / duration_ms if duration_ms else 0.0,
    }


def _only(whole: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Any]:
    """The values at these paths, each under its path, as llama.cpp names them; all where none is asked for."""
    if not paths:
        return dict(whole)
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = whole
        for name in path.split("/"):
            value = value.get(name) if isinstance(value, Mapping) else None
        if value is not None:
            found[path] = value
    return found


def _kind_of(value: object) -> str:
    kinds = {"NoneType": "nothing", "list": "a list", "dict": "an object", "str": "a text", "bool": "true or false"}
    return kinds.get(type(value).__name__, "a number")
