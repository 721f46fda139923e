"""The tokens of a masked diffusion model, and the ids that mean something to the family.

Knows transformers' tokenizer, no network and no canvas.
"""

from __future__ import annotations

from midfill.model.families.masked.checkpoint import MaskedCheckpoint
from midfill.model.families.on_transformers.tokenizer import TransformersTokenizer, check_vocabulary, read_tokenizer
from midfill.model.wire.errors import CheckpointError

EXPAND = "<|expand|>"
"""DreamOn's token for two masks; tells it from Dream where generation_config.json, which has the id, is missing."""


class MaskedTokenizer(TransformersTokenizer):
    """begin_id: what a document begins with, or what the one before it ended with; end_id: what it ends with, and what
    takes a mask away where lengths are the model's own; expand_id: what stands for two masks there, None where lengths
    are supposed; allowed_ids: what may stand in code."""

    def __init__(self, checkpoint: MaskedCheckpoint) -> None:
        from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

        folder, vocab_size = checkpoint.folder, int(checkpoint.settings["vocab_size"])
        # By class and not by what tokenizer_config.json names: Dream's is code that comes with it, and equals Qwen2's.
        kind = Qwen2Tokenizer if checkpoint.network == "Qwen2ForCausalLM" else PreTrainedTokenizerFast
        tokenizer = read_tokenizer(kind, folder)
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        check_vocabulary(folder, vocabulary, vocab_size)
        mask_id = tokenizer.mask_token_id if checkpoint.mask_id is None else checkpoint.mask_id
        if mask_id is None:
            raise CheckpointError(
                f"{folder} is a {checkpoint.network} without a mask token, so one that writes from left to right; "
                "midfill fills holes with masked diffusion models (`midfill models`), give one of those."
            )
        if tokenizer.eos_token_id is None or mask_id not in vocabulary.values():
            raise CheckpointError(
                f"The tokenizer of {folder} lacks the mask token {mask_id} or one that ends a document; copy its files "
                "from where the weights are from."
            )
        expand_id = vocabulary.get(EXPAND) if checkpoint.expand_id is None else checkpoint.expand_id
        if expand_id is not None and expand_id not in vocabulary.values():
            raise CheckpointError(
                f"The tokenizer of {folder} lacks the token {expand_id}, which stands for two masks; copy its files "
                "from where the weights are from."
            )
        super().__init__(tokenizer)
        self.mask_id, self.end_id = int(mask_id), int(tokenizer.eos_token_id)
        self.expand_id = None if expand_id is None else int(expand_id)
        self.begin_id = self.end_id if tokenizer.bos_token_id is None else int(tokenizer.bos_token_id)
        added = tokenizer.added_tokens_decoder.items()
        special = {index for index, token in added if token.special or token.content.startswith("<")} | {self.mask_id}
        self.allowed_ids = tuple(sorted(set(vocabulary.values()) - special))

    def encode(self, text: str) -> list[int]:
        """What looks like a special token in a person's code is text."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids
