"""Token healing: what is given back of the text before a hole; a fill begins with it and does not repeat it."""

from __future__ import annotations

import inspect
import itertools
import json
import random
import textwrap
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch

from midfill.model.engine.canvas import HoleReading, new_canvas
from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.embedded.denoiser import EmbeddedDenoiser
from midfill.model.families.embedded.healing import MAX_HEALED_CHARS, healed_text
from midfill.model.families.embedded.parent import Parent
from midfill.model.families.embedded.token_rules import TokenRules
from midfill.model.families.embedded.tokenizer import CodeTokenizer, is_inside_character
from midfill.model.wire.api import Hole, HolePart, Infill, InfillRequest, TextPart

HEALED = [
    # before the hole, what is given back of it
    ("", ""),
    ("x = ", " "),
    ("x =", " ="),
    ("x", "x"),
    ("def f():\n    ", " "),
    ("\t\t", "\t"),
    ("\tx", "x"),
    ("import os\n", ""),
    ("import os\r\n", ""),
    ("\n", ""),
    ("self.cou", "cou"),
    ("return self.", "."),
    ("f(", "("),
    ("f (", " ("),
    ("f([{", "([{"),
    ("x = 12", ""),
    ("x = 1.", "."),
    ("name2", ""),
    ("v2a", "a"),
    ("self._na", "na"),
    ("a__", "__"),
    ("snake_", "_"),
    ('"""', '"""'),
    ("    # ", " "),
    ("from pathlib import Pa", " Pa"),
    ("  word", " word"),  # one space at most
    ("naïve", "naïve"),
    ("# Общая сум", " сум"),
    ("日本語", "日本語"),
    ("s = '😀", " '😀"),  # punctuation and signs are one pre-token
    ("x\u00a0", ""),  # white space that no word begins with
    ("a" * MAX_HEALED_CHARS, "a" * MAX_HEALED_CHARS),
    ("a" * (MAX_HEALED_CHARS + 1), ""),
    (" " + "a" * MAX_HEALED_CHARS, ""),
    ("=" * 200, ""),
    ("x = " + "b" * 39, " " + "b" * 39),
]


@pytest.mark.parametrize(("before", "expected"), HEALED)
def test_what_is_given_back(before: str, expected: str) -> None:
    assert healed_text(before) == expected
    assert before.endswith(expected)


SOURCE = (
    inspect.getsource(textwrap)[:9000]
    + "\n# Общая сумма\nx = '日本語のコメント'  # 😀😀\nif x:\n    y = a_b__c[12:34]\n"
)


def test_the_parent_reads_what_it_would_have_read_in_one_piece(base_parent: Parent) -> None:
    """Cut anywhere, context and hole have the tokens of the whole text.

    Left out: a hole that begins with white space; white space over several lines before it, or before a healed word at
    the beginning of a line; contractions (`you'll`), and runs of signs that are too long to be given back."""
    tokenizer, num_cuts = base_parent.tokenizer, 0
    for at in range(1, len(SOURCE), 3):
        before, after = SOURCE[max(at - 200, 0) : at], SOURCE[at : at + 60]
        healed = healed_text(before)
        context = before[: len(before) - len(healed)]
        several_lines = context.endswith("\n") and context[-2:].isspace()
        if after[0].isspace() or several_lines or "'" in before[-4:] or before.endswith("-" * 20):
            continue
        ids = tokenizer.encode(context) + tokenizer.encode(healed + after)
        assert ids == tokenizer.encode(before + after), (before[-20:], after[:10])
        num_cuts += 1
    assert num_cuts > 1500


# --- the rules


def rules_of(tokenizer: CodeTokenizer) -> TokenRules:
    return TokenRules(tokenizer, torch.device("cpu"))


def allowed_by_brute_force(tokenizer: CodeTokenizer, ids: list[int], healed: str) -> set[int]:
    """What may follow: as long as the text is shorter than what is healed, tokens with which it agrees with it; after
    that what makes whole characters."""
    content, beginning = tokenizer.bytes_of(ids), healed.encode()
    found = set()
    for token_id in range(tokenizer.vocab_size):
        token = tokenizer.bytes_of([token_id]) if tokenizer.is_text[token_id] else b""
        if len(content) < len(beginning):
            text = content + token
            if token and (text.startswith(beginning) or beginning.startswith(text)):
                found.add(token_id)
        else:
            continues = bool(token) and token[0] & 0xC0 == 0x80
            if continues == is_inside_character(content):
                found.add(token_id)
    return found


@pytest.mark.parametrize(
    ("begun", "healed"),
    [
        ("", ""),
        ("", " "),
        ("", "tot"),
        ("to", "total"),
        ("total", "total"),
        ("total =", "total"),
        ("", "сум"),
        ("с", "сум"),
        ("", "日"),
        ("x", ""),
    ],
)
def test_what_may_stand_where_is_what_brute_force_says(toy_tokenizer: CodeTokenizer, begun: str, healed: str) -> None:
    ids = toy_tokenizer.encode(begun)
    for end in range(len(ids) + 1):
        flat = torch.zeros(toy_tokenizer.vocab_size).log_softmax(dim=-1)
        ruled = rules_of(toy_tokenizer).at(flat, ids[:end], healed)
        allowed = set(np.flatnonzero(torch.isfinite(ruled).numpy()).tolist())
        expected = allowed_by_brute_force(toy_tokenizer, ids[:end], healed)
        assert allowed == expected
        if len(toy_tokenizer.bytes_of(ids[:end])) < len(healed.encode()):
            assert float(ruled.exp().sum()) == pytest.approx(1), "what is known costs no confidence"


def test_special_tokens_and_control_tokens_never_stand_in_a_hole(toy_tokenizer: CodeTokenizer) -> None:
    ruled = rules_of(toy_tokenizer).allowed(torch.zeros(toy_tokenizer.vocab_size))
    allowed = set(np.flatnonzero(torch.isfinite(ruled).numpy()).tolist())
    assert allowed == {*np.flatnonzero(toy_tokenizer.is_text).tolist(), toy_tokenizer.end_id}


# --- what is served


def candidates(model: DenoisingModel, before: str, after: str, num_candidates: int, seed: int = 0) -> list[str]:
    parts = (TextPart(before), HolePart(Hole("1", 15)), TextPart(after))
    request = InfillRequest(parts=parts, candidates=num_candidates, seed=seed)
    (answer,) = (item for item in model.infill(request, time.monotonic()) if isinstance(item, Infill))
    return [fill.text for candidate in answer.candidates for fill in candidate.fills]


@pytest.fixture(scope="module")
def unknowing(tiny_with: Callable[..., DenoisingModel]) -> DenoisingModel:
    """The tiny model: of these texts it knows nothing, so it would write anything that it may."""
    return tiny_with()


@pytest.mark.parametrize("num_candidates", [1, 6])
@pytest.mark.parametrize(
    "before",
    [
        "def add_alpha(alpha, beta):\n    total = alpha + be",
        "total = ",
        "    ret",
        "f(",
        "x_",
        "# Общая сум",
        "日本",
        "😀",
    ],
)
def test_a_fill_goes_on_from_what_stands_there(unknowing: DenoisingModel, before: str, num_candidates: int) -> None:
    """The tokens of a candidate begin with what is healed, and its text does not: it would stand there twice."""
    denoiser = unknowing.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    healed = healed_text(before)
    assert healed
    read = list[HoleReading]()

    class Listening(DenoisingModel):
        def candidates(self, request, found, stopped):  # type: ignore[no-untyped-def]
            read.extend(reading for one in found for reading in one.readings.values())
            return super().candidates(request, found, stopped)

    texts = candidates(Listening(denoiser), before, "\n", num_candidates)
    assert texts
    served = set()
    for reading in read:
        whole = denoiser.tokenizer.decode(reading.ids)
        if reading.closed or reading.settled_all:
            assert whole.startswith(healed), (whole, healed)
            assert reading.num_given == len(healed)
            served.add(whole[len(healed) :])
    assert set(texts) <= served


CHARACTERS = ["Общая сумма ", "# 计算所有的总和", 's = "😀👩‍👩‍👧 ', "naïve Ωμέγα ", "日本語のコ", "\U0001d518"]


@pytest.mark.parametrize("num_candidates", [1, 6])
@pytest.mark.parametrize("seed", range(4))
def test_no_answer_ends_inside_a_character(unknowing: DenoisingModel, seed: int, num_candidates: int) -> None:
    """Nor does it begin inside one: neither on a canvas nor read from left to right."""
    rng = random.Random(seed)
    for _ in range(4):
        before = "".join(rng.choice(CHARACTERS) for _ in range(3))
        before = before[: rng.randint(1, len(before))]
        for text in candidates(unknowing, before, rng.choice(["\n", "", " дальше", "的", "😀"]), num_candidates, seed):
            assert "\ufffd" not in text, (before, text)
            assert json.loads(json.dumps(text)).encode().decode() == text


@pytest.mark.parametrize("single_line", [False, True])
def test_whatever_the_network_says_characters_are_whole(
    tiny_with: Callable[..., DenoisingModel], single_line: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that likes nothing so much as the first byte of a character: at the limit of the canvas too."""
    model = tiny_with()
    denoiser = model.denoiser
    assert isinstance(denoiser, EmbeddedDenoiser)
    bytes_of = [denoiser.tokenizer.bytes_of([i]) for i in range(denoiser.tokenizer.vocab_size)]
    liked = torch.tensor([20.0 if is_inside_character(content) else 0.0 for content in bytes_of])
    logits = denoiser.network.logits

    def liking(hidden: torch.Tensor) -> torch.Tensor:
        return logits(hidden) + liked

    drafts = (None, "# Общая сумма", "日本語 😀 x", "s = '😀😀'")
    holes = [Hole("1", 15, draft=d, strength=0.5, single_line=single_line) for d in drafts]
    holes.append(Hole("1", 60, single_line=single_line))  # so long that several tokens settle in a step
    with monkeypatch.context() as patched:
        patched.setattr(denoiser.network, "logits", liking)
        for hole, num_candidates, seed in itertools.product(holes, (1, 6), (0, 1)):
            parts = (TextPart("x = "), HolePart(hole), TextPart("\n"))
            request = InfillRequest(parts=parts, candidates=num_candidates, seed=seed)
            (answer,) = (item for item in model.infill(request, time.monotonic()) if isinstance(item, Infill))
            for candidate in answer.candidates:
                assert "\ufffd" not in candidate.fills[0].text, (hole, candidate.fills[0].text)


@pytest.mark.parametrize(
    ("canvas", "column", "wanted"),
    [
        ("____", 0, "any beginning"),  # the first open position may begin a character
        ("____", 2, "whole"),  # of what will stand to its left nothing is known
        ("__x_", 1, "whole"),
        ("__\xd1_", 1, "whole"),
        ("__\x81_", 1, "beginning"),  # a settled token waits for its first half
        ("_x\xd1_", 3, "second half"),
        ("x\xd1\x81x", 1, "beginning"),  # settled ones are replaced by their like
        ("x\xd1\x81x", 2, "second half"),
        ("x\xd1\x81x", 3, "whole"),
    ],
)
def test_a_token_fits_between_its_neighbours(
    toy_tokenizer: CodeTokenizer, canvas: str, column: int, wanted: str
) -> None:
    """`_` is open, `\\xd1\\x81` are the two bytes of one letter, each a token."""
    contents = [toy_tokenizer.bytes_of([i]) for i in range(toy_tokenizer.vocab_size)]
    id_of = {content: i for i, content in enumerate(contents) if content}
    ids = [toy_tokenizer.mask_id if char == "_" else id_of[char.encode("latin-1")] for char in canvas]
    empty = new_canvas((4,), (0,), toy_tokenizer.mask_id, toy_tokenizer.end_id, torch.device("cpu"))
    settled = torch.tensor([[char != "_" for char in canvas]])
    filled = empty.commit(torch.tensor([ids]), settled, settled.float())
    flat = torch.zeros(1, 4, toy_tokenizer.vocab_size)
    ruled = torch.isfinite(rules_of(toy_tokenizer).with_beginnings(flat, filled, [""]))[0, column]
    letter, first, second = (bool(ruled[id_of[content]]) for content in (b"x", b"\xd1", b"\x81"))
    expected = {
        "any beginning": (True, True, False),
        "whole": (True, False, False),
        "beginning": (False, True, False),
        "second half": (False, False, True),
    }
    assert (letter, first, second) == expected[wanted]


def test_what_is_healed_stands_there_whatever_has_settled_behind_it(toy_tokenizer: CodeTokenizer) -> None:
    """Of a letter of two tokens the first is the only one that may stand there, though the next place is taken."""
    empty = new_canvas((4,), (0,), toy_tokenizer.mask_id, toy_tokenizer.end_id, torch.device("cpu"))
    ids = torch.tensor([[toy_tokenizer.mask_id, *toy_tokenizer.encode("x"), *[toy_tokenizer.mask_id] * 2]])
    settled = torch.tensor([[False, True, False, False]])
    canvas = empty.commit(ids, settled, settled.float())
    ruled = rules_of(toy_tokenizer).with_beginnings(torch.zeros(1, 4, toy_tokenizer.vocab_size), canvas, ["с"])
    assert not bool(ruled.isnan().any())
    (first,) = np.flatnonzero(torch.isfinite(ruled[0, 0]).numpy()).tolist()
    assert toy_tokenizer.bytes_of([first]) == "с".encode()[:1]
