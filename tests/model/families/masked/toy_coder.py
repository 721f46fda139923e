"""Masked diffusion models small enough for tests, saved with the files, names and settings of the released ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from toy_coder_language import SIGNS, WORDS
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

Kind = Literal["dream", "dreamon", "open-dcoder", "llada"]
END, BEGIN, MASK, EXPAND = "<|endoftext|>", "<|beginoftext|>", "<|mask|>", "<|expand|>"
SPECIAL_TOKENS = {
    "dream": (END, BEGIN, MASK),
    "dreamon": (END, BEGIN, MASK, EXPAND),
    "open-dcoder": (END, "<|im_start|>", "<M>"),
    "llada": (END, "<|startoftext|>", "<|mdm_mask|>"),
}
SIZES = {"vocab_size": 320, "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 512}
WIDTH, INNER_WIDTH, NUM_KEY_VALUE_HEADS = 64, 160, 2
LLADA_NAMES = {
    "model.embed_tokens.": "model.transformer.wte.",
    "model.norm.": "model.transformer.ln_f.",
    "lm_head.": "model.transformer.ff_out.",
    "model.layers.": "model.transformer.blocks.",
    ".self_attn.o_proj.": ".attn_out.",
    ".self_attn.": ".",
    ".mlp.gate_proj.": ".ff_proj.",
    ".mlp.up_proj.": ".up_proj.",
    ".mlp.down_proj.": ".ff_out.",
    ".input_layernorm.": ".attn_norm.",
    ".post_attention_layernorm.": ".ff_norm.",
}


def toy_network(kind: Kind) -> nn.Module:
    """Embeddings are of one unit, and what the blocks add at first is small beside them."""
    network = _network(kind)
    nn.init.normal_(network.get_input_embeddings().weight)
    return network


def _network(kind: Kind) -> Any:
    if kind == "llada":
        heads = SIZES["num_attention_heads"]
        sizes = {"hidden_size": WIDTH, "intermediate_size": INNER_WIDTH, "num_key_value_heads": heads}
        return LlamaForCausalLM(LlamaConfig(**SIZES, **sizes, rms_norm_eps=1e-5, tie_word_embeddings=False))
    sizes = {"hidden_size": WIDTH, "intermediate_size": INNER_WIDTH, "num_key_value_heads": NUM_KEY_VALUE_HEADS}
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, **sizes, tie_word_embeddings=False))


def save_toy(folder: Path, kind: Kind, tensors: dict[str, Tensor]) -> None:
    """tensors: by their names in transformers' own class. Stored in half of the bytes that config.json asks for."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder, kind)
    _write(folder / "config.json", config_of(kind))
    if kind == "dreamon":
        _write(folder / "generation_config.json", {"expand_token_id": 3, "eos_token_id": 0, "mask_token_id": 2})
    named = {_released_name(name) if kind == "llada" else name: tensor for name, tensor in tensors.items()}
    halved = {name: tensor.bfloat16().contiguous() for name, tensor in named.items()}
    save_file(halved, folder / "model.safetensors", {"format": "pt"})


def config_of(kind: Kind) -> dict[str, Any]:
    """As the released config.json: Dream and DreamOn have a type of their own, Open-dCoder says Qwen2, LLaDA has other
    words for its sizes; all but Open-dCoder's tokenizer want code that comes with the weights."""
    ids: dict[str, Any] = {"eos_token_id": 0, "pad_token_id": 0, "torch_dtype": "float32"}
    if kind == "llada":
        return ids | {
            "architectures": ["LLaDAModelLM"],
            "auto_map": {"AutoModelForCausalLM": "modeling_llada.LLaDAModelLM"},
            "model_type": "llada",
            "block_type": "llama",
            "d_model": WIDTH,
            "mlp_hidden_size": INNER_WIDTH,
            "n_layers": SIZES["num_hidden_layers"],
            "n_heads": SIZES["num_attention_heads"],
            "n_kv_heads": SIZES["num_attention_heads"],
            "max_sequence_length": SIZES["max_position_embeddings"],
            "vocab_size": SIZES["vocab_size"],
            "embedding_size": SIZES["vocab_size"],
            "rms_norm_eps": 1e-05,
            "rope": True,
            "rope_theta": 10000.0,
            "activation_type": "silu",
            "layer_norm_type": "rms",
            "weight_tying": False,
            "mask_token_id": 2,
        }
    shape = {"hidden_size": WIDTH, "intermediate_size": INNER_WIDTH, "num_key_value_heads": NUM_KEY_VALUE_HEADS}
    shape |= {**SIZES, "hidden_act": "silu", "rms_norm_eps": 1e-06, "rope_theta": 10000.0, "use_sliding_window": False}
    if kind == "open-dcoder":
        return ids | shape | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}
    named = {"architectures": ["DreamModel"], "model_type": "Dream", "tie_word_embeddings": False}
    own_code = {"AutoConfig": "configuration_dream.DreamConfig", "AutoModel": "modeling_dream.DreamModel"}
    return ids | shape | named | {"auto_map": own_code, "bos_token_id": 1, "mask_token_id": 2, "rope_scaling": None}


def save_tokenizer(folder: Path, kind: Kind) -> None:
    """Dream's comes as vocab.json and merges.txt with a class of its own, the others' as tokenizer.json."""
    specials = SPECIAL_TOKENS[kind]
    tokenizer = byte_pairs(specials)
    named = {"eos_token": END, "pad_token": END}
    named |= {} if kind == "open-dcoder" else {"bos_token": specials[1]}
    named |= {} if kind == "llada" else {"mask_token": specials[2]}
    added = {str(index): {"content": token, "special": True} for index, token in enumerate(specials)}
    own_class = {"tokenizer_class": "DreamTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_dream.X", None]}}
    if kind in ("dream", "dreamon"):
        tokenizer.model.save(str(folder))
        _write(folder / "tokenizer_config.json", named | own_class | {"added_tokens_decoder": added})
    else:
        tokenizer.save(str(folder / "tokenizer.json"))
        _write(folder / "tokenizer_config.json", named | {"tokenizer_class": "PreTrainedTokenizerFast"})


def byte_pairs(specials: tuple[str, ...]) -> Tokenizer:
    """Every word is one token, whatever stands before it; the special tokens are the first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZES["vocab_size"],
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{word}\n" for word in (*WORDS, *SIGNS, "def", "return")), trainer)
    return tokenizer


def _released_name(name: str) -> str:
    for ours, theirs in LLADA_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
