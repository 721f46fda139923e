"""The embedded family on a tiny checkpoint and on the one that ships: exactness of the cache, of chunks and of batches;
what a request may ask.

Tolerance, float32: kernels add in another order for another shape, which moves a log probability by less than 1e-4.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from midfill.model.engine.family import Model
from midfill.model.engine.infill import CHUNK_TOKENS, DenoisingModel
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.embedded.tokenizer import VERBS
from midfill.model.families.loading import load_model
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, Step, TextPart
from midfill.model.wire.errors import RequestError

Run = Callable[[Model, InfillRequest], tuple[list[Step], Infill]]
RequestOf = Callable[..., InfillRequest]
TinyWith = Callable[..., DenoisingModel]
TOLERANCE = 1e-4

FUNCTION = "def add_{0}({0}, {1}):\n    total = {0} + {1}\n    return total\n\n\n"
PAIRS = [("alpha", "beta"), ("gamma", "delta"), ("omega", "sigma"), ("kappa", "theta")]
MANY = "".join(FUNCTION.format(*pair) for pair in PAIRS)
CODE = (
    MANY + "def add_beta(beta, gamma):\n    total = ⟨1⟩\n    return total\n\n\n"
    "def add_sigma(sigma, omega):\n    total = sigma + omega\n    return ⟨2⟩\n\n\n" + MANY
)
"""Both windows of the tiny checkpoint are full, and the context has more tokens than a chunk."""


def fresh(model: DenoisingModel) -> DenoisingModel:
    """The model with an empty cache."""
    return DenoisingModel(model.denoiser)


def embedded(model: DenoisingModel) -> EmbeddedDenoiser:
    assert isinstance(model.denoiser, EmbeddedDenoiser)
    return model.denoiser


def texts(infill: Infill) -> list[tuple[str, ...]]:
    return [tuple(fill.text for fill in candidate.fills) for candidate in infill.candidates]


def test_fills_every_hole_and_counts_what_it_cost(tiny: DenoisingModel, run: Run, request_of: RequestOf) -> None:
    steps, answer = run(fresh(tiny), request_of(CODE))
    assert [fill.id for fill in answer.candidates[0].fills] == ["1", "2"]
    usage = answer.usage
    assert usage.forward_passes == len(steps) >= 1
    plan = tiny.denoiser.plan(request_of(CODE), 1)
    assert usage.canvas_tokens == plan.canvas.ids.numel() >= usage.fill_tokens
    assert usage.context_tokens > 100
    assert usage.cached_tokens == 0
    for fill in answer.candidates[0].fills:
        assert "".join(fill.text[span.start : span.end] for span in fill.spans) == fill.text


def test_encoding_in_chunks_equals_encoding_at_once(tiny: DenoisingModel, request_of: RequestOf) -> None:
    denoiser = fresh(tiny).denoiser
    ids = denoiser.plan(request_of(CODE), 1).context_ids
    at_once = denoiser.encode(ids, 0, None)
    for size in (1, 7, CHUNK_TOKENS):
        state = None
        for start in range(0, len(ids), size):
            state = denoiser.encode(ids[: start + size], start, state)
        assert state is not None
        torch.testing.assert_close(state, at_once, atol=TOLERANCE, rtol=0)


def test_a_candidate_alone_equals_itself_in_a_batch(tiny: DenoisingModel, request_of: RequestOf) -> None:
    denoiser = fresh(tiny).denoiser
    plan = denoiser.plan(request_of(CODE), 3)
    state = denoiser.encode(plan.context_ids, 0, None)
    together = denoiser.denoise(plan, plan.canvas, state)
    alone_plan = denoiser.plan(request_of(CODE), 1)
    alone = denoiser.denoise(plan, alone_plan.canvas, state)
    allowed = torch.isfinite(alone[0])
    torch.testing.assert_close(together[0][allowed], alone[0][allowed], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("bfloat16", 0.5), ("int8", 0.5)])
def test_chunks_and_batches_agree_in_every_precision(
    tiny_checkpoint: Path, request_of: RequestOf, precision: str, tolerance: float
) -> None:
    """bfloat16 and int8 round what float32 kernels add in another order."""
    model = load_model(str(tiny_checkpoint), lambda progress, sentence: None, precision)
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
def test_dropping_the_cache_changes_no_answer(
    tiny: DenoisingModel, run: Run, request_of: RequestOf, candidates: int
) -> None:
    model = fresh(tiny)
    _, first = run(model, request_of(CODE, candidates=candidates))
    _, cached = run(model, request_of(CODE, candidates=candidates))
    model.cache.clear()
    _, again = run(model, request_of(CODE, candidates=candidates))
    assert cached.usage.cached_tokens == cached.usage.context_tokens
    assert again.usage.cached_tokens == 0
    assert texts(first) == texts(cached) == texts(again)


def test_typing_only_extends_the_cache(tiny: DenoisingModel, run: Run, request_of: RequestOf) -> None:
    model = fresh(tiny)
    before, after = FUNCTION.format("alpha", "beta") + "def add(omega, theta):\n    total", "\n    return total\n"
    run(model, request_of(f"{before}⟨1⟩{after}"))
    _, typed = run(model, request_of(f"{before} = om⟨1⟩{after}"))
    assert typed.usage.context_tokens > 30
    assert typed.usage.context_tokens - typed.usage.cached_tokens < 12


def test_the_text_after_a_hole_matters(tiny: DenoisingModel, request_of: RequestOf) -> None:
    denoiser = fresh(tiny).denoiser

    def first_logits(text: str) -> torch.Tensor:
        plan = denoiser.plan(request_of(text), 1)
        return denoiser.denoise(plan, plan.canvas, denoiser.encode(plan.context_ids, 0, None))[0, 0]

    here, renamed = first_logits(CODE), first_logits(CODE.replace("return total", "return theta"))
    assert not torch.allclose(here, renamed, atol=TOLERANCE)


def test_holes_of_one_request_see_each_other(tiny: DenoisingModel, request_of: RequestOf) -> None:
    denoiser = fresh(tiny).denoiser
    plan = denoiser.plan(request_of(CODE), 1)
    state = denoiser.encode(plan.context_ids, 0, None)
    before = denoiser.denoise(plan, plan.canvas, state)
    ids = plan.canvas.ids.clone()
    ids[0, 0] = 1
    changed = plan.canvas.commit(ids, plan.canvas.settled | (ids == 1), plan.canvas.confidence)
    after = denoiser.denoise(plan, changed, state)
    second = plan.canvas.regions[1].columns
    assert not torch.equal(before[0, second], after[0, second])


def test_a_draft_with_nothing_noised_comes_back_unless_the_model_is_sure_of_better(
    tiny: DenoisingModel, run: Run
) -> None:
    hole = HolePart(Hole("1", 31, draft="return total", strength=0.0))
    request = InfillRequest(
        parts=(TextPart("def add(alpha, beta):\n    total = alpha + beta\n    "), hole, TextPart("\n"))
    )
    _, answer = run(fresh(tiny), request)
    assert answer.candidates[0].fills[0].text.startswith("return")


@pytest.mark.parametrize("candidates", [1, 4])
def test_priming_makes_the_next_request_hit_the_cache(
    tiny: DenoisingModel, run: Run, request_of: RequestOf, candidates: int
) -> None:
    """Of several candidates' requests too: what the judge reads is encoded with the rest."""
    model, code = fresh(tiny), CODE.replace("⟨2⟩", "total")
    _, primed = run(model, request_of(code, candidates=0))
    assert (primed.stop_reason, primed.candidates, primed.usage.forward_passes) == ("primed", (), 0)
    _, answer = run(model, request_of(code, candidates=candidates))
    assert answer.usage.cached_tokens == answer.usage.context_tokens


def test_a_cancelled_request_keeps_the_chunks_it_encoded(tiny: DenoisingModel, run: Run, request_of: RequestOf) -> None:
    model = fresh(tiny)
    job = model.infill(request_of(CODE), time.monotonic())
    assert next(job) is None
    job.close()
    _, answer = run(model, request_of(CODE))
    assert answer.usage.cached_tokens == CHUNK_TOKENS


def test_at_the_deadline_only_closed_holes_come_back(tiny: DenoisingModel, run: Run, request_of: RequestOf) -> None:
    request = request_of(CODE, deadline_ms=1)
    _, answer = run(fresh(tiny), request)
    assert answer.usage.forward_passes == 1
    if answer.stop_reason == "deadline":
        assert all(fill.closed for candidate in answer.candidates for fill in candidate.fills)


def test_the_same_seed_gives_the_same_candidates(tiny: DenoisingModel, run: Run, request_of: RequestOf) -> None:
    answers = [texts(run(fresh(tiny), request_of(CODE, candidates=4, seed=5))[1]) for _ in range(2)]
    assert answers[0] == answers[1]


REFUSALS = [
    ({"instruction": "sort it"}, "does not follow the instruction"),
    ({"parts": tuple(HolePart(Hole(str(n))) for n in range(9))}, "at most 8 together"),
    ({"parts": (HolePart(Hole("1", 500)),)}, "asks for 500 tokens"),
    ({"parts": (HolePart(Hole("1", 64, draft="x = 1\n" * 200, strength=0.5)),)}, "split the region"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSALS, ids=[case[1] for case in REFUSALS])
def test_what_it_cannot_serve_it_refuses(tiny: DenoisingModel, changes: dict[str, object], sentence: str) -> None:
    request = InfillRequest(**({"parts": (HolePart(Hole("1")),)} | changes))  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=sentence):
        tiny.infill(request, time.monotonic())


@pytest.mark.parametrize("size", [100, 5_000, 200_000])
def test_a_window_that_is_too_long_is_cut_to_what_the_model_was_trained_on(
    tiny: DenoisingModel, run: Run, request_of: RequestOf, size: int
) -> None:
    line = "value = compute(value)\n"
    text = line * (size // len(line)) + "result = ⟨1⟩\n" + line * (size // len(line))
    _, answer = run(fresh(tiny), request_of(text))
    denoiser = embedded(tiny)
    config = denoiser.config
    assert answer.usage.context_tokens <= config.prefix_tokens + config.suffix_tokens + 8


def test_a_single_line_ends_where_its_line_does(tiny: DenoisingModel, run: Run) -> None:
    """What a line break had goes to the end of the hole; no fill has a second line, several candidates' neither."""
    text = "def f(a, b):\n    total = a + b\n    return total\n\n\ndef g(a, b):\n    "
    parts = (TextPart(text), HolePart(Hole("1", 31, single_line=True)), TextPart("\n\n\nprint(g(1, 2))\n"))
    _, answer = run(fresh(tiny), InfillRequest(parts=parts, candidates=4))
    assert answer.candidates
    assert not any("\n" in fill.text for candidate in answer.candidates for fill in candidate.fills)
    denoiser = embedded(tiny)
    log_probabilities = torch.full((denoiser.tokenizer.vocab_size,), -20.0)
    log_probabilities[denoiser.tokenizer.line_break_ids[0]] = -0.1
    ended = denoiser.rules.ending_lines(log_probabilities)
    assert int(ended.argmax()) == denoiser.tokenizer.end_id
    assert float(ended.logsumexp(-1)) == pytest.approx(float(log_probabilities.logsumexp(-1)), abs=1e-4)


def test_candidates_are_branches_of_the_first(tiny: DenoisingModel, run: Run, request_of: RequestOf) -> None:
    """More candidates change nothing of the likeliest one, and differ from it and from each other."""
    _, alone = run(fresh(tiny), request_of(CODE))
    _, several = run(fresh(tiny), request_of(CODE, candidates=4))
    assert texts(alone)[0] in texts(several)
    assert len(set(texts(several))) == len(texts(several)) > 1


REWRITING = (TextPart("x = 1\n"), HolePart(Hole("1", 31, draft="y = x", strength=1.0)), TextPart("\n"))


def test_a_verb_is_a_token_before_the_old_text(tiny_with: TinyWith) -> None:
    denoiser = embedded(tiny_with(verbs=VERBS))
    tokenizer = denoiser.tokenizer
    ids = denoiser.plan(InfillRequest(parts=REWRITING, instruction="rename"), 1).context_ids
    verb = ids.index(tokenizer.verb_ids["rename"])
    assert tokenizer.decode(ids[verb + 1 : -1]) == "y = x"
    assert ids[-1] == tokenizer.hole_ids[0]


def test_a_verb_needs_the_old_text(tiny_with: TinyWith) -> None:
    request = InfillRequest(parts=(TextPart("x = 1\n"), HolePart(Hole("1"))), instruction="rename")
    with pytest.raises(RequestError, match="rewrites one hole whose draft is the old text"):
        tiny_with(verbs=("rename",)).denoiser.plan(request, 1)


def test_a_verb_that_was_not_learnt_is_refused(tiny_with: TinyWith) -> None:
    with pytest.raises(RequestError, match="it knows these: rename, with"):
        tiny_with(verbs=("rename", "with")).denoiser.plan(InfillRequest(parts=REWRITING, instruction="docstring"), 1)


# --- the checkpoint that ships


def test_the_shipped_model_writes_again_what_stands_in_the_function_above(
    shipped: Model, run: Run, request_of: RequestOf
) -> None:
    assert isinstance(shipped, DenoisingModel)
    asked = request_of(
        "def area(width, height):\n    return width * height\n\n\ndef area_of_room(width, height):\n    return ⟨1⟩\n",
        candidates=4,
    )
    _, answer = run(fresh(shipped), asked)
    assert answer.candidates[0].fills[0].text == "width * height"
    assert answer.stop_reason == "closed"
    assert shipped.info.num_parameters == 134_515_008
    assert "python" in shipped.info.languages


def test_dropping_the_cache_changes_no_answer_of_the_shipped_model(
    shipped: Model, run: Run, request_of: RequestOf
) -> None:
    assert isinstance(shipped, DenoisingModel)
    model, asked = fresh(shipped), request_of(CODE.replace("⟨2⟩", "total"), candidates=2)
    (_, first), (_, cached) = run(model, asked), run(model, asked)
    assert cached.usage.cached_tokens == cached.usage.context_tokens
    assert texts(first) == texts(cached)
