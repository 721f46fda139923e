"""A parent small enough for tests: a folder as transformers writes it, with a tokenizer of its own, trained in seconds
on a toy language of sums of two names."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from midfill.model.families.embedded.tokenizer import CodeTokenizer

NAMES = ["alpha", "beta", "gamma", "delta", "omega", "sigma", "kappa", "theta"]
NUM_TEXT_TOKENS = 320
CONTROL_TOKEN = "<|endoftext|>"
SIZES = {
    "vocab_size": NUM_TEXT_TOKENS,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}


def toy_source(rng: random.Random, num_functions: int = 4) -> str:
    """A file in which a function returns the sum of its two arguments, a few times over."""
    functions = []
    for _ in range(num_functions):
        first, second = rng.sample(NAMES, 2)
        functions.append(f"def add_{first}({first}, {second}):\n    total = {first} + {second}\n    return total\n")
    return "\n\n".join(functions)


def train_bpe(texts: Iterable[str], num_tokens: int, control_tokens: tuple[str, ...] = (CONTROL_TOKEN,)) -> Tokenizer:
    """A byte-level BPE that cuts text as SmolLM's and Qwen2's do: GPT-2's pre-tokens, digits alone."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=num_tokens, initial_alphabet=alphabet, special_tokens=list(control_tokens), show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    return bpe


def save_parent(folder: Path, network: PreTrainedModel, bpe: Tokenizer) -> None:
    network.save_pretrained(folder)
    bpe.save(str(folder / "tokenizer.json"))


def toy_llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)).eval()


def toy_qwen2() -> Qwen2ForCausalLM:
    """Biases at queries, keys and values, and a head of its own; random weights, the biases too."""
    torch.manual_seed(0)
    network = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False)).eval()
    with torch.no_grad():
        for name, value in network.named_parameters():
            value.normal_(1.0 if "norm" in name else 0.0, 0.2)
    return network


def train_toy(network: PreTrainedModel, tokenizer: CodeTokenizer, num_steps: int) -> None:
    rng = random.Random(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=4e-3, weight_decay=0.0)
    network.train()
    for step in range(num_steps):
        texts = [toy_source(rng) for _ in range(12)]
        ids = torch.tensor([tokenizer.encode(text)[:160] for text in texts])
        loss = network(input_ids=ids, labels=ids).loss
        for group in optimiser.param_groups:
            group["lr"] = 4e-3 * min(1.0, (step + 1) / 10, 0.02 + (num_steps - step) / num_steps)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
