"""DiffusionGemma's tokens: text to ids and back, the chat template, and the ids that mean something to the family.

Knows transformers' tokenizer, no network and no canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from midfill.model.errors import CheckpointError

END_OF_TURN = "<turn|>"
NO_THINKING = "<|channel>thought\n<channel|>"
"""Stands at the beginning of the model's turn where it shall answer without thinking."""


class GemmaTokenizer:
    """end_id ends the model's turn; pad_id stands behind it; special_ids may never stand in code; line_break_ids are
    those with a line break in them."""

    def __init__(self, folder: Path, vocab_size: int) -> None:
        from transformers import AutoTokenizer

        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # tokenizers raises bare Exceptions
            raise CheckpointError(
                f"The tokenizer of {folder} cannot be read ({str(error).splitlines()[0]}); copy tokenizer.json and "
                "tokenizer_config.json from where the weights are from."
            ) from error
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        if max(vocabulary.values()) >= vocab_size:
            raise CheckpointError(
                f"The tokenizer of {folder} has {max(vocabulary.values()) + 1} tokens and its network {vocab_size}; "
                "take both from the same checkpoint."
            )
        if END_OF_TURN not in vocabulary or self._tokenizer.pad_token_id is None or not self._tokenizer.chat_template:
            raise CheckpointError(
                f"The tokenizer of {folder} is not DiffusionGemma's: it lacks {END_OF_TURN}, a padding token or a chat "
                "template; copy tokenizer.json, tokenizer_config.json and chat_template.jinja from where the weights "
                "are from."
            )
        self.vocab_size = vocab_size
        self.end_id, self.pad_id = vocabulary[END_OF_TURN], int(self._tokenizer.pad_token_id)
        self.special_ids = tuple(sorted(set(self._tokenizer.all_special_ids) | {self.end_id, self.pad_id}))
        self.line_break_ids = tuple(index for index in vocabulary.values() if "\n" in self.decode([index]))
        self._thinks = NO_THINKING.partition("thought")[0] in vocabulary

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

    def prompt(self, user: str, answer_begins: str) -> list[int]:
        """Ids of a conversation: what the person says, and how the model's turn begins."""
        turns = [{"role": "user", "content": user}]
        text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        thought = NO_THINKING if self._thinks and not text.endswith(NO_THINKING) else ""
        return self.encode(text + thought + answer_begins)
