"""The tokenizer: every text comes back, no text is a special token, and tokens end where typing ends them."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest

from midfill.model.errors import CheckpointError
from midfill.model.loading import embedded_folder
from midfill.model.tokenizer import MAX_HOLES, SPECIAL_TOKENS, CodeTokenizer, train_tokenizer

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
    return train_tokenizer(iter([]), 256)


@pytest.fixture(params=["untrained", "toy", "shipped"], scope="module")
def tokenizer(request: pytest.FixtureRequest, untrained: CodeTokenizer, toy_tokenizer: CodeTokenizer) -> CodeTokenizer:
    if request.param == "shipped":
        return CodeTokenizer.load(embedded_folder() / "tokenizer.json")
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


def pieces(tokenizer: CodeTokenizer, text: str) -> list[str]:
    return [tokenizer.decode([token_id]) for token_id in tokenizer.encode(text)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("20480", ["2", "0", "4", "8", "0"]),
        ("x = 2026", ["x", " =", " ", "2", "0", "2", "6"]),  # digits stand alone, however often they occur together
        ("if x:\n    y", ["if", " x", ":", "\n    ", "y"]),  # a line break and its indentation are one token
        ("x:\n\n\t\ty", ["x", ":", "\n\n\t\t", "y"]),
        ("x\r\n    y", ["x", "\r", "\n    ", "y"]),
        ("f(x)", ["f", "(", "x", ")"]),
        ("a.b_c d", ["a", ".", "b_c", " d"]),  # at most one space belongs to a word
        ("a  b", ["a", "  ", "b"]),
    ],
)
def test_where_tokens_end(line: str, expected: list[str]) -> None:
    """With a vocabulary that has seen nothing but this line, tokens are as long as they may be."""
    assert pieces(train_tokenizer(iter([line] * 10), 400), line) == expected


def test_no_token_is_longer_than_sixteen_bytes() -> None:
    text = "a_very_long_identifier_indeed = 1\n" + " " * 40 + "x\n"
    tokenizer = train_tokenizer(iter([text] * 10), 1000)
    assert max(map(len, pieces(tokenizer, text))) <= 16


def test_a_batch_is_what_each_text_is_alone(toy_tokenizer: CodeTokenizer) -> None:
    assert toy_tokenizer.encode_batch(TEXTS) == [toy_tokenizer.encode(text) for text in TEXTS]


def test_saved_and_loaded_it_is_the_same(toy_tokenizer: CodeTokenizer, tmp_path: Path) -> None:
    toy_tokenizer.save(tmp_path / "tokenizer.json")
    loaded = CodeTokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.special_ids == toy_tokenizer.special_ids
    assert loaded.encode_batch(TEXTS) == toy_tokenizer.encode_batch(TEXTS)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with pytest.raises(CheckpointError, match=f"{path} cannot be read .*reinstall"):
        CodeTokenizer.load(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=f"{path} cannot be read .*reinstall"):
        CodeTokenizer.load(path)
