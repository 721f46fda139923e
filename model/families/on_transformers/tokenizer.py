"""A tokenizer of transformers as the families use it: text to ids, and ids back to text with offsets.

Knows no model's special tokens and no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midfill.model.wire.errors import CheckpointError


class TransformersTokenizer:
    """line_break_ids: those with a line break in them; vocabulary: from token to id."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.line_break_ids = tuple(index for index in self.vocabulary.values() if "\n" in self.decode([index]))

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def decode_with_offsets(self, ids: Sequence[int]) -> tuple[str, list[int]]:
        """Text of `ids` and the offset in code points at which each id begins; part of a character begins where the
        character does."""
        text = self.decode(ids)
        starts = [len(self.decode(ids[:index]).rstrip("\ufffd")) for index in range(len(ids))]
        return text, [min(start, len(text)) for start in starts]


def read_tokenizer(kind: Any, folder: Path) -> Any:
    """kind: a tokenizer class of transformers. Raises CheckpointError."""
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # tokenizers raises bare Exceptions
        raise CheckpointError(
            f"The tokenizer of {folder} cannot be read ({str(error).splitlines()[0]}); copy its files (their names "
            "begin with tokenizer, vocab or merges) from where the weights are from."
        ) from error


def check_vocabulary(folder: Path, vocabulary: dict[str, int], vocab_size: int) -> None:
    """Raises CheckpointError where the network has no place for some token."""
    if max(vocabulary.values()) >= vocab_size:
        raise CheckpointError(
            f"The tokenizer of {folder} has {max(vocabulary.values()) + 1} tokens and its network {vocab_size}; "
            "take both from the same checkpoint."
        )
