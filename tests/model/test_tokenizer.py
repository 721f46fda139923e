"""Every text comes back as it was, no text becomes a special token, and offsets say where each token begins."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from midfill.model.errors import CheckpointError
from midfill.model.loading import embedded_folder
from midfill.model.tokenizer import SPECIAL_TOKENS, CodeTokenizer

ODD_TEXTS = {
    "empty": "",
    "code": "def add(first, second):\n    return first + second  # 42\n",
    "astral": "x = '𝒳😀👩\u200d👩\u200d👧'\n",
    "NUL": "a\0b\0\0",
    "CRLF": "if a:\r\n\treturn\r\n\r\n",
    "lone CR": "a\rb\r",
    "tabs and form feed": "\t\tx\f\n \t y\v\x1c",
    "combining": "cafe\u0301 = 'école, naïve, 東京'\n",
    "line separators": "a\u2028b\u2029c\x85d\ufeff",
    "blank lines": "\n\n\n        \n    x   \n",
    "digits": "0x1F 3.14 ²½ ٣",
    "names of special tokens": "".join(SPECIAL_TOKENS),
}


@pytest.fixture(params=["toy", "shipped"], scope="module")
def tokenizer(request: pytest.FixtureRequest, toy_tokenizer: CodeTokenizer) -> CodeTokenizer:
    return toy_tokenizer if request.param == "toy" else CodeTokenizer.load(embedded_folder() / "tokenizer.json")


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_a_text_comes_back_as_it_was(tokenizer: CodeTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.encode_batch([text, "x"])[0] == ids


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_no_text_becomes_a_special_token(tokenizer: CodeTokenizer, text: str) -> None:
    assert not set(tokenizer.encode(text)) & set(tokenizer.special_ids.values())


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_offsets_say_where_each_token_begins(tokenizer: CodeTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    decoded, starts = tokenizer.decode_with_offsets(ids)
    assert decoded == text
    # A token that begins inside a character begins where that character does.
    assert starts == [len(tokenizer.decode(ids[:count]).rstrip("\ufffd")) for count in range(len(ids))]
    if text.isascii():
        pieces = [text[a:b] for a, b in pairwise([*starts, len(text)])]
        assert pieces == [tokenizer.decode([token_id]) for token_id in ids]


def test_special_tokens_are_the_last_ids_and_have_no_text(tokenizer: CodeTokenizer) -> None:
    ids = [tokenizer.special_ids[name] for name in SPECIAL_TOKENS]
    assert ids == list(range(tokenizer.vocab_size - len(ids), tokenizer.vocab_size))
    assert (tokenizer.mask_id, tokenizer.end_id, *tokenizer.hole_ids) == (ids[0], ids[1], *ids[6:])
    around = tokenizer.encode("ab")
    assert tokenizer.decode_with_offsets([ids[0], *around, *ids]) == (
        "ab",
        [0, *tokenizer.decode_with_offsets(around)[1], *[2] * len(ids)],
    )


def test_each_digit_is_a_token(tokenizer: CodeTokenizer) -> None:
    assert [tokenizer.decode([i]) for i in tokenizer.encode("20480")] == ["2", "0", "4", "8", "0"]


def test_a_line_break_and_its_indentation_are_one_token(tokenizer: CodeTokenizer) -> None:
    ids = tokenizer.encode("total\n    return")
    assert "\n    " in [tokenizer.decode([i]) for i in ids]
    assert len(tokenizer.encode("\n    ")) == 1


def test_saved_and_read_it_is_the_same(tokenizer: CodeTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = CodeTokenizer.load(tmp_path / "tokenizer.json")
    assert again.special_ids == tokenizer.special_ids
    assert [again.encode(text) for text in ODD_TEXTS.values()] == [tokenizer.encode(t) for t in ODD_TEXTS.values()]


def test_an_unreadable_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json.*reinstall midfill"):
        CodeTokenizer.load(tmp_path / "tokenizer.json")
