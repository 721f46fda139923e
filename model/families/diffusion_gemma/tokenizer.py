"""DiffusionGemma's tokens: the chat template, and the ids that mean something to the family.

Knows transformers' tokenizer, no network and no canvas.
"""

from __future__ import annotations

from pathlib import Path

from midfill.model.families.on_transformers.tokenizer import TransformersTokenizer, check_vocabulary, read_tokenizer
from midfill.model.wire.errors import CheckpointError

END_OF_TURN = "<turn|>"
NO_THINKING = "<|channel>thought\n<channel|>"
"""Stands at the beginning of the model's turn where it shall answer without thinking."""


class GemmaTokenizer(TransformersTokenizer):
    """end_id ends the model's turn; pad_id stands behind it; special_ids may never stand in code."""

    def __init__(self, folder: Path, vocab_size: int) -> None:
        from transformers import AutoTokenizer

        tokenizer = read_tokenizer(AutoTokenizer, folder)
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        check_vocabulary(folder, vocabulary, vocab_size)
        if END_OF_TURN not in vocabulary or tokenizer.pad_token_id is None or not tokenizer.chat_template:
            raise CheckpointError(
                f"The tokenizer of {folder} is not DiffusionGemma's: it lacks {END_OF_TURN}, a padding token or a chat "
                "template; copy tokenizer.json, tokenizer_config.json and chat_template.jinja from where the weights "
                "are from."
            )
        super().__init__(tokenizer)
        self.vocab_size = vocab_size
        self.end_id, self.pad_id = vocabulary[END_OF_TURN], int(tokenizer.pad_token_id)
        self.special_ids = tuple(sorted(set(tokenizer.all_special_ids) | {self.end_id, self.pad_id}))
        self._thinks = NO_THINKING.partition("thought")[0] in vocabulary

    def prompt(self, user: str, answer_begins: str) -> list[int]:
        """Ids of a conversation: what the person says, and how the model's turn begins."""
        turns = [{"role": "user", "content": user}]
        text: str = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        thought = NO_THINKING if self._thinks and not text.endswith(NO_THINKING) else ""
        return self.encode(text + thought + answer_begins)
