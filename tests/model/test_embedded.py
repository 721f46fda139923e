"""The shipped weights: exactness of the cache, of chunks and of batches; what a request may ask.

Tolerance, float32: kernels add in another order for another shape, which moves a logit by less than 1e-3.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

from midfill.model.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart
from midfill.model.errors import RequestError
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.family import Model
from midfill.model.infill import CHUNK_TOKENS, DenoisingModel
from midfill.model.loading import embedded_folder, load_model

Run = Callable[[Model, InfillRequest], tuple[list[Step], Infill]]
RequestOf = Callable[..., InfillRequest]
TOLERANCE = 1e-3

CODE = '''"""Reading settings."""

import json
from pathlib import Path


class Settings:
    """What a person has set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[str, str] = {}

    def load(self) -> None:
        with self.path.open() as handle:
            ⟨1⟩

    def get(self, name: str, default: str = "") -> str:
        return ⟨2⟩

    def save(self) -> None:
        with self.path.open("w") as handle:
            json.dump(self.values, handle)
'''


def fresh(model: Model) -> DenoisingModel:
    assert isinstance(model, DenoisingModel)
    return DenoisingModel(model.denoiser)


def texts(infill: Infill) -> list[tuple[str, ...]]:
    return [tuple(fill.text for fill in candidate.fills) for candidate in infill.candidates]


def test_fills_every_hole_and_counts_what_it_cost(shipped: Model, run: Run, request_of: RequestOf) -> None:
    steps, answer = run(fresh(shipped), request_of(CODE))
    assert [fill.id for fill in answer.candidates[0].fills] == ["1", "2"]
    usage = answer.usage
    assert usage.forward_passes == len(steps) >= 1
    assert usage.canvas_tokens == 64 >= usage.fill_tokens
    assert usage.context_tokens > 100
    assert usage.cached_tokens == 0
    for fill in answer.candidates[0].fills:
        assert "".join(fill.text[span.start : span.end] for span in fill.spans) == fill.text


def test_encoding_in_chunks_equals_encoding_at_once(shipped: Model, request_of: RequestOf) -> None:
    denoiser = fresh(shipped).denoiser
    ids = denoiser.plan(request_of(CODE), 1).context_ids
    at_once = denoiser.encode(ids, 0, None)
    for size in (1, 7, CHUNK_TOKENS):
        state = None
        for start in range(0, len(ids), size):
            state = denoiser.encode(ids[: start + size], start, state)
        assert state is not None
        torch.testing.assert_close(state, at_once, atol=TOLERANCE, rtol=0)


def test_a_candidate_alone_equals_itself_in_a_batch(shipped: Model, request_of: RequestOf) -> None:
    denoiser = fresh(shipped).denoiser
    plan = denoiser.plan(request_of(CODE), 3)
    state = denoiser.encode(plan.context_ids, 0, None)
    together = denoiser.denoise(plan, plan.canvas, state)
    alone_plan = denoiser.plan(request_of(CODE), 1)
    alone = denoiser.denoise(plan, alone_plan.canvas, state)
    allowed = torch.isfinite(alone[0])
    torch.testing.assert_close(together[0][allowed], alone[0][allowed], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.25), ("int8", 0.25)])
def test_chunks_and_batches_agree_in_every_precision(request_of: RequestOf, precision: str, tolerance: float) -> None:
    """Logits lie between -15 and 15; bfloat16 and int8 round what float32 kernels add in another order."""
    model = load_model(str(embedded_folder()), lambda progress, sentence: None, precision)
    assert isinstance(model, DenoisingModel)
    denoiser = model.denoiser
    together, alone = denoiser.plan(request_of(CODE), 3), denoiser.plan(request_of(CODE), 1)
    ids = together.context_ids
    at_once = denoiser.encode(ids, 0, None)
    in_chunks = denoiser.encode(ids, 100, denoiser.encode(ids[:100], 0, None))
    expected = denoiser.denoise(alone, alone.canvas, at_once)[0]
    allowed = torch.isfinite(expected)
    for canvas, state in ((together.canvas, at_once), (alone.canvas, in_chunks)):
        logits = denoiser.denoise(together, canvas, state)[0]
        torch.testing.assert_close(logits[allowed], expected[allowed], atol=tolerance, rtol=0)


@pytest.mark.parametrize("candidates", [1, 2])
def test_dropping_the_cache_changes_no_answer(shipped: Model, run: Run, request_of: RequestOf, candidates: int) -> None:
    model = fresh(shipped)
    _, first = run(model, request_of(CODE, candidates=candidates))
    _, cached = run(model, request_of(CODE, candidates=candidates))
    model.cache.clear()
    _, again = run(model, request_of(CODE, candidates=candidates))
    assert cached.usage.cached_tokens == cached.usage.context_tokens
    assert again.usage.cached_tokens == 0
    assert texts(first) == texts(cached) == texts(again)


def test_typing_only_extends_the_cache(shipped: Model, run: Run, request_of: RequestOf) -> None:
    model = fresh(shipped)
    before, after = CODE.split("⟨1⟩")
    run(model, request_of(f"{before}self.⟨1⟩{after}".replace("⟨2⟩", "self.values[name]")))
    _, typed = run(model, request_of(f"{before}self.val⟨1⟩{after}".replace("⟨2⟩", "self.values[name]")))
    assert typed.usage.context_tokens - typed.usage.cached_tokens < 12


def test_the_text_after_a_hole_matters(shipped: Model, request_of: RequestOf) -> None:
    denoiser = fresh(shipped).denoiser

    def first_logits(text: str) -> torch.Tensor:
        plan = denoiser.plan(request_of(text), 1)
        return denoiser.denoise(plan, plan.canvas, denoiser.encode(plan.context_ids, 0, None))[0, 0]

    here, renamed = first_logits(CODE), first_logits(CODE.replace("json.dump(self.values", "json.dump(self.entries"))
    assert not torch.allclose(here, renamed, atol=TOLERANCE)


def test_holes_of_one_request_see_each_other(shipped: Model, request_of: RequestOf) -> None:
    denoiser = fresh(shipped).denoiser
    plan = denoiser.plan(request_of(CODE), 1)
    state = denoiser.encode(plan.context_ids, 0, None)
    before = denoiser.denoise(plan, plan.canvas, state)
    ids = plan.canvas.ids.clone()
    ids[0, 0] = 1
    changed = plan.canvas.commit(ids, plan.canvas.settled | (ids == 1), plan.canvas.confidence)
    after = denoiser.denoise(plan, changed, state)
    second = plan.canvas.regions[1].columns
    assert not torch.equal(before[0, second], after[0, second])


def test_a_draft_with_nothing_noised_comes_back_unless_the_model_is_sure_of_better(shipped: Model, run: Run) -> None:
    hole = HolePart(Hole("1", 31, draft="return default_value", strength=0.0))
    request = InfillRequest(parts=(TextPart("def f(default_value):\n    "), hole, TextPart("\n")))
    _, answer = run(fresh(shipped), request)
    assert answer.candidates[0].fills[0].text.startswith("return")


def test_priming_makes_the_next_request_hit_the_cache(shipped: Model, run: Run, request_of: RequestOf) -> None:
    model = fresh(shipped)
    _, primed = run(model, request_of(CODE, candidates=0))
    assert (primed.stop_reason, primed.candidates, primed.usage.forward_passes) == ("primed", (), 0)
    _, answer = run(model, request_of(CODE))
    assert answer.usage.cached_tokens == answer.usage.context_tokens


def test_a_cancelled_request_keeps_the_chunks_it_encoded(shipped: Model, run: Run, request_of: RequestOf) -> None:
    model = fresh(shipped)
    job = model.infill(request_of(CODE), time.monotonic())
    assert next(job) is None
    job.close()
    _, answer = run(model, request_of(CODE))
    assert answer.usage.cached_tokens == CHUNK_TOKENS


def test_at_the_deadline_only_closed_holes_come_back(shipped: Model, run: Run, request_of: RequestOf) -> None:
    request = request_of(CODE, deadline_ms=1)
    _, answer = run(fresh(shipped), request)
    assert answer.usage.forward_passes == 1
    if answer.stop_reason == "deadline":
        assert all(fill.closed for candidate in answer.candidates for fill in candidate.fills)


def test_the_same_seed_gives_the_same_candidates(shipped: Model, run: Run, request_of: RequestOf) -> None:
    answers = [texts(run(fresh(shipped), request_of(CODE, candidates=4, seed=5))[1]) for _ in range(2)]
    assert answers[0] == answers[1]


REFUSALS = [
    ({"instruction": "sort it"}, "does not follow the instruction"),
    ({"parts": tuple(HolePart(Hole(str(n))) for n in range(9))}, "at most 8 together"),
    ({"parts": (HolePart(Hole("1", 500)),)}, "asks for 500 tokens"),
    ({"parts": (HolePart(Hole("1", 64, draft="x = 1\n" * 200, strength=0.5)),)}, "split the region"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSALS, ids=[case[1] for case in REFUSALS])
def test_what_it_cannot_serve_it_refuses(shipped: Model, changes: dict[str, object], sentence: str) -> None:
    request = InfillRequest(**({"parts": (HolePart(Hole("1")),)} | changes))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=sentence):
        shipped.infill(request, time.monotonic())


@pytest.mark.parametrize("size", [100, 5_000, 200_000])
def test_a_window_that_is_too_long_is_cut_to_what_the_model_was_trained_on(
    shipped: Model, run: Run, request_of: RequestOf, size: int
) -> None:
    line = "value = compute(value)\n"
    text = line * (size // len(line)) + "result = ⟨1⟩\n" + line * (size // len(line))
    _, answer = run(fresh(shipped), request_of(text))
    denoiser = fresh(shipped).denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    config = denoiser.config
    assert answer.usage.context_tokens <= config.prefix_tokens + config.suffix_tokens + 8


def test_a_single_line_ends_where_its_line_does(shipped: Model, run: Run) -> None:
    """What a line break had goes to the end of the hole; no fill has a second line, several candidates' neither."""
    text = "def f(a, b):\n    total = a + b\n    return total\n\n\ndef g(a, b):\n    "
    parts = (TextPart(text), HolePart(Hole("1", 31, single_line=True)), TextPart("\n\n\nprint(g(1, 2))\n"))
    _, answer = run(fresh(shipped), InfillRequest(parts=parts, candidates=4))
    assert answer.candidates
    assert not any("\n" in fill.text for candidate in answer.candidates for fill in candidate.fills)
    denoiser = fresh(shipped).denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    log_probabilities = torch.full((denoiser.tokenizer.vocab_size,), -20.0)
    log_probabilities[denoiser.tokenizer.line_break_ids[0]] = -0.1
    ended = denoiser.ending_lines(log_probabilities)
    assert int(ended.argmax()) == denoiser.tokenizer.end_id
    assert float(ended.logsumexp(-1)) == pytest.approx(float(log_probabilities.logsumexp(-1)), abs=1e-4)


def test_candidates_are_branches_of_the_first(shipped: Model, run: Run, request_of: RequestOf) -> None:
    """More candidates change nothing of the likeliest one, and differ from it and from each other."""
    _, alone = run(fresh(shipped), request_of(CODE))
    _, several = run(fresh(shipped), request_of(CODE, candidates=4))
    assert texts(alone)[0] in texts(several)
    assert len(set(texts(several))) == len(texts(several)) > 1


REWRITING = (TextPart("x = 1\n"), HolePart(Hole("1", 31, draft="y = x", strength=1.0)), TextPart("\n"))


def test_a_verb_is_a_token_before_the_old_text(shipped: Model) -> None:
    denoiser = fresh(shipped).denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    assert "verbs" in shipped.info.capabilities
    tokenizer = denoiser.tokenizer
    ids = denoiser.plan(InfillRequest(parts=REWRITING, instruction="rename"), 1).context_ids
    verb = ids.index(tokenizer.verb_ids["rename"])
    assert tokenizer.decode(ids[verb + 1 : -1]) == "y = x"
    assert ids[-1] == tokenizer.hole_ids[0]


def test_a_verb_needs_the_old_text(shipped: Model) -> None:
    request = InfillRequest(parts=(TextPart("x = 1\n"), HolePart(Hole("1"))), instruction="rename")
    with pytest.raises(RequestError, match="rewrites one hole whose draft is the old text"):
        shipped.infill(request, time.monotonic())
