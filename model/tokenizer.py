"""Byte-level BPE for code, and the special tokens of the embedded layout.

The special tokens are ids after the last BPE id: text can never produce one, whatever it contains.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import Regex, models, pre_tokenizers, trainers

from midfill.model.errors import CheckpointError

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

# One pre-token is a line break with the indentation after it, a word with at most one space before it, a single digit,
# a run of punctuation with at most one space before it, or white space inside a line.
_PRE_TOKENS = r"\n+[ \t]*| ?[\p{L}\p{M}_]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}_]+|[ \t]+|\s"


class CodeTokenizer:
    """Text to token ids and back; ids from 0 to `vocab_size`, the special tokens last."""

    def __init__(self, bpe: tokenizers.Tokenizer) -> None:
        self._bpe = bpe
        self.num_text_tokens: int = bpe.get_vocab_size()
        self.special_ids = {name: self.num_text_tokens + index for index, name in enumerate(SPECIAL_TOKENS)}
        self.vocab_size = self.num_text_tokens + len(SPECIAL_TOKENS)
        self.mask_id = self.special_ids["<mask>"]
        self.end_id = self.special_ids["<end>"]
        self.hole_ids = tuple(self.special_ids[f"<hole_{number}>"] for number in range(1, MAX_HOLES + 1))
        self.verb_ids = {verb: self.special_ids[f"<verb_{verb}>"] for verb in VERBS}

    @classmethod
    def load(cls, path: Path) -> CodeTokenizer:
        try:
            return cls(tokenizers.Tokenizer.from_file(str(path)))
        except Exception as error:  # the library raises the bare class
            raise CheckpointError(f"The tokenizer {path} cannot be read ({error}); reinstall midfill.") from error

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
    def line_break_ids(self) -> tuple[int, ...]:
        """The tokens with a line break in them."""
        return tuple(index for index, content in enumerate(self._token_bytes) if b"\n" in content)

    @cached_property
    def _token_bytes(self) -> list[bytes]:
        table = {char: byte for byte, char in _byte_alphabet().items()}
        vocabulary = self._bpe.get_vocab()
        of_id = [b""] * self.vocab_size
        for token, token_id in vocabulary.items():
            of_id[token_id] = bytes(table[char] for char in token)
        return of_id


def train_tokenizer(texts: Iterator[str], num_text_tokens: int) -> CodeTokenizer:
    """Train the BPE on `texts`; all 256 bytes are in the vocabulary, so every text can be encoded."""
    bpe = tokenizers.Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PRE_TOKENS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=num_text_tokens,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=16,
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return CodeTokenizer(bpe)


def _byte_alphabet() -> dict[int, str]:
    """The byte-level alphabet (Radford et al. 2019): printable bytes stand for themselves, others are moved past
    255."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    moved = {byte: chr(256 + index) for index, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    return {byte: chr(byte) for byte in printable} | moved
