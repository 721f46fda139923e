"""What the released vLLM says of requests and answers: run in a process of its own, with its sources on PYTHONPATH.

Of each line, JSON with a list of `[path, body]`, it tells what became of each: null, or why it is refused. `path` is
the request's; with `answer` behind it, the body is an answer of that path."""

import json
import sys
from types import SimpleNamespace

from vllm.entrypoints.openai.completion.protocol import (
    CompletionRequest,
    CompletionResponse,
    CompletionStreamResponse,
)
from vllm.entrypoints.serve.tokenize.protocol import (
    DetokenizeRequest,
    DetokenizeResponse,
    TokenizeChatRequest,
    TokenizeCompletionRequest,
    TokenizeResponse,
)
from vllm.utils.diffusion import validate_diffusion_sampling_params

ANSWERS = {
    "/v1/completions": CompletionResponse,
    "/v1/completions stream": CompletionStreamResponse,
    "/tokenize": TokenizeResponse,
    "/detokenize": DetokenizeResponse,
}


def admit(path: str, body: dict, canvas_length: int, vocab_size: int) -> None:
    """As the server does: the request's class, the sampling parameters of it, and the rules for diffusion models."""
    if path.endswith(" answer"):
        ANSWERS[path.removesuffix(" answer")].model_validate(body)
        return
    if path == "/tokenize":
        (TokenizeChatRequest if "messages" in body else TokenizeCompletionRequest).model_validate(body)
        return
    if path == "/detokenize":
        DetokenizeRequest.model_validate(body)
        return
    request = CompletionRequest.model_validate(body)
    unknown = set(body) - set(CompletionRequest.model_fields)
    if unknown:
        raise ValueError(f"vLLM has no fields {sorted(unknown)}")
    params = request.to_sampling_params(body["max_tokens"], {})
    model = SimpleNamespace(is_diffusion=True, max_logprobs=20, get_vocab_size=lambda: vocab_size, logprobs_mode="raw")
    params._validate_logprobs(model)
    params._validate_diffusion(model)
    validate_diffusion_sampling_params(params, canvas_length=canvas_length, vocab_size=vocab_size)
    if (body.get("vllm_xargs") or {}).get("diffusion_read_only"):
        width = (body.get("vllm_xargs") or {}).get("diffusion_canvas_length") or canvas_length
        assert params.max_tokens == min(body["max_tokens"], width), "a read is one canvas"
        assert params.ignore_eos


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        verdicts = []
        for path, body in asked["bodies"]:
            try:
                admit(path, body, asked["canvas_length"], asked["vocab_size"])
                verdicts.append(None)
            except Exception as error:
                verdicts.append(str(error))
        print(json.dumps(verdicts), flush=True)


main()
