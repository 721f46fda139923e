"""A parent's byte-level BPE, and the special tokens of the embedded layout.

The special tokens are ids after the parent's last one, and the parent's own control tokens are taken out of what is
matched: text can never produce either, whatever it contains.
"""

from __future__ import annotations

import bisect
import codecs
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import models, pre_tokenizers

from midfill.model.wire.errors import CheckpointError

MAX_HOLES = 8
VERBS = ("type_hints", "f_string", "comprehension", "rename", "guard_clause", "docstring", "with", "early_return")
"""The rewriting instructions that a model may have learnt, each a token of its own."""
SPECIAL_TOKENS = (
    "<mask>",
    "<end>",
    "<suffix>",
    "<prefix>",
    "<rest>",
    "<snippet>",
    *(f"<hole_{number}>" for number in range(1, MAX_HOLES + 1)),
    *(f"<verb_{verb}>" for verb in VERBS),
)

_TEXT = 1
"""GGUF's type of a token that is ordinary text; control tokens are 3."""


class CodeTokenizer:
    """Text to token ids and back; ids from 0 to `vocab_size`, the special tokens last.

    num_text_tokens: the rows of the parent's table of embeddings, from which the special tokens count; control_ids: the
    parent's own control tokens, by their text."""

    def __init__(
        self,
        bpe: tokenizers.Tokenizer,
        num_text_tokens: int | None = None,
        control_ids: Mapping[str, int] | None = None,
    ) -> None:
        self._bpe = bpe
        self.num_text_tokens: int = bpe.get_vocab_size() if num_text_tokens is None else num_text_tokens
        self.control_ids: Mapping[str, int] = control_ids or {}
        self.special_ids = {name: self.num_text_tokens + index for index, name in enumerate(SPECIAL_TOKENS)}
        self.vocab_size = self.num_text_tokens + len(SPECIAL_TOKENS)
        self.mask_id = self.special_ids["<mask>"]
        self.end_id = self.special_ids["<end>"]
        self.hole_ids = tuple(self.special_ids[f"<hole_{number}>"] for number in range(1, MAX_HOLES + 1))
        self.verb_ids = {verb: self.special_ids[f"<verb_{verb}>"] for verb in VERBS}

    @classmethod
    def load(cls, path: Path, num_text_tokens: int | None = None) -> CodeTokenizer:
        """Read a tokenizer.json with a byte-level BPE. Raises CheckpointError."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["model"]["type"] != "BPE" or "ByteLevel" not in json.dumps(data["pre_tokenizer"]):
                raise ValueError("it is no byte-level BPE")
            control_ids = {token["content"]: token["id"] for token in data["added_tokens"]}
            # Added tokens would be found in text, and a normaliser would change it.
            plain = {**data, "added_tokens": [], "normalizer": None, "post_processor": None}
            return cls(tokenizers.Tokenizer.from_str(json.dumps(plain)), num_text_tokens, control_ids)
        except Exception as error:  # the library raises the bare class
            raise CheckpointError(f"The tokenizer {path} cannot be read ({error}); reinstall midfill.") from error

    @classmethod
    def from_gguf(cls, tokens: Sequence[str], merges: Sequence[str], token_types: Sequence[int]) -> CodeTokenizer:
        """The tokenizer of a GGUF file whose pre-tokens are those of SmolLM: digits stand alone, then GPT-2's rule."""
        vocabulary = {token: token_id for token_id, token in enumerate(tokens)}
        pairs = [(first, second) for first, _, second in (merge.partition(" ") for merge in merges)]
        bpe = tokenizers.Tokenizer(models.BPE(vocabulary, pairs))
        bpe.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        control = {token: i for i, (token, kind) in enumerate(zip(tokens, token_types, strict=True)) if kind != _TEXT}
        return cls(bpe, control_ids=control)

    def to_json(self) -> str:
        """The whole vocabulary; two tokenizers with the same one are the same."""
        return str(self._bpe.to_str())

    def save(self, path: Path) -> None:
        self._bpe.save(str(path))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._bpe.encode_batch(texts, add_special_tokens=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`; special tokens are left out, broken UTF-8 becomes U+FFFD."""
        return b"".join(self._token_bytes[i] for i in ids).decode("utf-8", errors="replace")

    def decode_with_offsets(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        """Text of `ids` and, for each id, the offset in code points at which it begins."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        starts: list[int] = []
        text = ""
        for token_id in ids:
            starts.append(len(text))
            text += decoder.decode(self._token_bytes[token_id])
        return text + decoder.decode(b"", final=True), starts

    @cached_property
    def is_text(self) -> npt.NDArray[np.bool_]:
        """(vocab_size,) True for the tokens that stand for text: no special, no control and no unused one."""
        is_text = np.array([bool(content) for content in self._token_bytes])
        is_text[list(self.control_ids.values())] = False
        return is_text

    def beginning_with(self, text: bytes) -> list[int]:
        """The tokens that can stand where `text` has to: those that begin with it, and those that it begins with."""
        contents, ids = self._sorted_tokens
        first = bisect.bisect_left(contents, text)
        last = bisect.bisect_left(contents, text + b"\xff" * 4, first)
        found = ids[first:last]
        for length in range(1, len(text)):
            at = bisect.bisect_left(contents, text[:length])
            if at < len(contents) and contents[at] == text[:length]:
                found.append(ids[at])
        return found

    def bytes_of(self, ids: Sequence[int]) -> bytes:
        return b"".join(self._token_bytes[i] for i in ids)

    def num_whole(self, ids: Sequence[int], num_bytes: int) -> int:
        """How many of `ids` lie in their first `num_bytes` bytes and end with a whole character."""
        count, length = 0, 0
        for number, token_id in enumerate(ids, start=1):
            length += len(self._token_bytes[token_id])
            if length <= num_bytes and not is_inside_character(self.bytes_of(ids[:number])):
                count = number
        return count

    @cached_property
    def _sorted_tokens(self) -> tuple[list[bytes], list[int]]:
        """The contents of all tokens of text, sorted, and their ids."""
        pairs = sorted((self._token_bytes[i], i) for i in np.flatnonzero(self.is_text).tolist())
        return [content for content, _ in pairs], [token_id for _, token_id in pairs]

    @cached_property
    def continues_character(self) -> npt.NDArray[np.bool_]:
        """(vocab_size,) True for the tokens whose first byte goes on with a character of UTF-8."""
        return np.array([bool(content) and 0x80 <= content[0] < 0xC0 for content in self._token_bytes])

    @cached_property
    def opens_character(self) -> npt.NDArray[np.bool_]:
        """(vocab_size,) True for the tokens that begin a character of UTF-8 and do not complete it."""
        return np.array([is_inside_character(content) for content in self._token_bytes])

    @cached_property
    def line_break_ids(self) -> tuple[int, ...]:
        """The tokens with a line break in them."""
        return tuple(index for index, content in enumerate(self._token_bytes) if b"\n" in content)

    @cached_property
    def _control_id_set(self) -> frozenset[int]:
        return frozenset(self.control_ids.values())

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        table = {char: byte for byte, char in _byte_alphabet().items()}
        vocabulary = self._bpe.get_vocab()
        of_id = [b""] * self.vocab_size
        for token, token_id in vocabulary.items():
            if token_id not in self._control_id_set:
                of_id[token_id] = bytes(table[char] for char in token)
        return of_id


def is_inside_character(content: bytes) -> bool:
    """Whether `content` ends with a character of UTF-8 that is not complete."""
    for back in range(1, min(len(content), 4) + 1):
        byte = content[-back]
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


def _byte_alphabet() -> dict[int, str]:
    """The byte-level alphabet (Radford et al. 2019): printable bytes stand for themselves, others are moved past
    255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = {byte: chr(256 + index) for index, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    return {byte: chr(byte) for byte in printable} | moved
