"""The tokenizer: every text comes back, no text is a special token, and tokens end where typing ends them."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from toy_parent import train_bpe

from midfill.model.families.embedded.parent import Parent
from midfill.model.families.embedded.tokenizer import MAX_HOLES, SPECIAL_TOKENS, CodeTokenizer, is_inside_character
from midfill.model.wire.errors import CheckpointError

TEXTS = [
    "",
    " ",
    "def add(alpha, beta):\n    total = alpha + beta\n    return total\n",
    "\t\tif x:\r\n\t\t\treturn\r\n",
    "\r\r\n\n\r",
    "\n\n\n        \n   \t \n",
    "NUL\0 and \x1b[0m, \x7f, \x0b, \x0c, \x85",
    "naïve = 'e\u0301' + 'é'  # Ωμέγα, Ελλάδα",
    "😀👩‍👩‍👧 = '𝔘𝔫𝔦' # \U0010ffff \ufffe \ufeff",
    "日本語のコメント\u3000全角　空白\u2028\u2029",
    "  trailing   \nx = 12345.678e-9  \n",
    "<mask><end><suffix><prefix><rest><snippet>" + "".join(f"<hole_{number}>" for number in range(1, 9)),
    "<|endoftext|> [MASK] <unk> </s>",
    "\ufffd",
    "Ġ Ċ Ã©",  # characters of the byte-level alphabet itself
    "a" * 500 + " " * 500 + "\n" * 50,
]


@pytest.fixture(scope="module")
def untrained() -> CodeTokenizer:
    """Bytes alone: nothing has been learned."""
    return CodeTokenizer(train_bpe([], 256, ()))


@pytest.fixture(params=["untrained", "toy", "base"], scope="module")
def tokenizer(request: pytest.FixtureRequest, untrained: CodeTokenizer, toy_tokenizer: CodeTokenizer) -> CodeTokenizer:
    if request.param == "base":
        base: Parent = request.getfixturevalue("base_parent")
        return base.tokenizer
    return toy_tokenizer if request.param == "toy" else untrained


def check_round_trip(tokenizer: CodeTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= token_id < tokenizer.num_text_tokens for token_id in ids), "text became a special token"


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_comes_back_and_none_is_special(tokenizer: CodeTokenizer, text: str) -> None:
    check_round_trip(tokenizer, text)


@pytest.mark.parametrize("seed", range(20))
def test_every_random_text_comes_back(toy_tokenizer: CodeTokenizer, seed: int) -> None:
    rng = random.Random(seed)
    alphabets = [range(0x80), range(0x2000, 0x2100), range(0xE000, 0x11_0000), [9, 10, 13, 32, 48, 97]]
    chars = [chr(rng.choice(rng.choice(alphabets))) for _ in range(200)]
    check_round_trip(toy_tokenizer, "".join(chars))


@pytest.mark.parametrize("text", [text for text in TEXTS if text])
def test_offsets_cut_the_text_into_its_tokens(tokenizer: CodeTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    decoded, starts = tokenizer.decode_with_offsets(ids)
    assert decoded == text
    assert len(starts) == len(ids)
    assert starts[0] == 0
    spans = list(pairwise([*starts, len(text)]))
    assert all(start <= end for start, end in spans)
    assert "".join(text[start:end] for start, end in spans) == text
    for token_id, (start, end) in zip(ids, spans, strict=True):
        piece = tokenizer.decode([token_id])
        if "\ufffd" not in piece:  # a whole token, not some bytes of a character
            assert text[start:end] == piece


def test_bytes_of_one_character_begin_where_it_begins(untrained: CodeTokenizer) -> None:
    assert untrained.decode_with_offsets(untrained.encode("é😀x")) == ("é😀x", [0, 0, 1, 1, 1, 1, 2])


def test_offsets_count_what_broken_utf8_is_shown_as(untrained: CodeTokenizer) -> None:
    """A model can leave a character unfinished: what stands for it is one code point, and no later offset is moved."""
    half = untrained.encode("😀")[:2]
    assert untrained.decode(half) == "\ufffd"
    assert untrained.decode_with_offsets([*half, *untrained.encode("ab")])[0] == "\ufffdab"
    for broken in (half, half[1:], half + half[1:]):
        decoded, starts = untrained.decode_with_offsets([*broken, *untrained.encode("abc")])
        assert decoded == untrained.decode(broken) + "abc"
        assert starts[len(broken) + 1 :] == [len(decoded) - 2, len(decoded) - 1]


def test_special_tokens_are_no_text(tokenizer: CodeTokenizer) -> None:
    special = tokenizer.special_ids
    assert list(special) == list(SPECIAL_TOKENS)
    assert sorted(special.values()) == list(range(tokenizer.num_text_tokens, tokenizer.vocab_size))
    assert tokenizer.hole_ids == tuple(special[f"<hole_{number}>"] for number in range(1, MAX_HOLES + 1))
    around = [special["<prefix>"], *tokenizer.encode("x = 1"), tokenizer.mask_id, tokenizer.end_id]
    assert tokenizer.decode(around) == "x = 1"
    assert tokenizer.decode_with_offsets(around)[0] == "x = 1"


def test_a_batch_is_what_each_text_is_alone(toy_tokenizer: CodeTokenizer) -> None:
    assert toy_tokenizer.encode_batch(TEXTS) == [toy_tokenizer.encode(text) for text in TEXTS]


# --- where tokens may stand


def test_the_parents_control_tokens_and_unused_ids_are_no_text(tokenizer: CodeTokenizer) -> None:
    unused = [i for i in range(tokenizer.num_text_tokens) if not tokenizer.bytes_of([i])]
    assert set(tokenizer.control_ids.values()) <= set(unused)
    for token_id in (*unused, *tokenizer.special_ids.values()):
        assert not tokenizer.is_text[token_id]
        assert tokenizer.decode([token_id]) == ""
    assert tokenizer.is_text.sum() == tokenizer.num_text_tokens - len(unused)


@pytest.mark.parametrize(
    "text", ["x", " ", " ret", "return", "    ", "(", "é", "日", "😀", "\n", "a_very_long_name_indeed"]
)
def test_the_tokens_that_can_begin_a_text_are_those_by_brute_force(tokenizer: CodeTokenizer, text: str) -> None:
    content = text.encode()
    for beginning in {content, content[:1], content[-1:]}:
        expected = set()
        for token_id in np.flatnonzero(tokenizer.is_text).tolist():
            token = tokenizer.bytes_of([token_id])
            if token.startswith(beginning) or beginning.startswith(token):
                expected.add(token_id)
        found = tokenizer.beginning_with(beginning)
        assert set(found) == expected
        assert len(found) == len(expected)
        assert expected, "every byte is a token"


@pytest.mark.parametrize("text", ["x", "é", "日本", "😀", "aé", "é日", ""])
def test_whether_bytes_end_inside_a_character(text: str) -> None:
    content = text.encode()
    for end in range(len(content) + 1):
        part = content[:end]
        try:
            part.decode()
            is_whole = True
        except UnicodeDecodeError:
            is_whole = False
        assert is_inside_character(part) != is_whole, part


def test_line_breaks_and_inner_bytes(tokenizer: CodeTokenizer) -> None:
    for token_id in range(0, tokenizer.num_text_tokens, 1 + tokenizer.num_text_tokens // 2000):
        content = tokenizer.bytes_of([token_id])
        assert (token_id in tokenizer.line_break_ids) == (b"\n" in content)
        continues = bool(content) and content[0] & 0b1100_0000 == 0b1000_0000
        assert tokenizer.continues_character[token_id] == continues


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(CheckpointError, match=f"{path} cannot be read .*reinstall"):
        CodeTokenizer.load(path)
    whole = {"type": "WordLevel"}, {"type": "BPE"}
    for model in whole:
        path.write_text(json.dumps({"model": model, "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []}))
        with pytest.raises(CheckpointError, match=f"{path} cannot be read .*it is no byte-level BPE"):
            CodeTokenizer.load(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"{path} cannot be read .*reinstall"):
        CodeTokenizer.load(path)
