"""Which released masked diffusion models are known, and how the config.json of each says what it is.

None of their own code is run: a configuration is read for what transformers' Qwen2 or Llama class needs, and whatever
else it asks for that such a class cannot do is refused. Knows no network and no tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from midfill.model.families.on_transformers.checkpoint import read_json
from midfill.model.wire.errors import CheckpointError

Names = Mapping[str, str]
LLADA_NAMES: Names = MappingProxyType(
    {
        r"^model\.transformer\.wte\.": "model.embed_tokens.",
        r"^model\.transformer\.ln_f\.": "model.norm.",
        r"^model\.transformer\.ff_out\.": "lm_head.",
        r"^model\.transformer\.blocks\.(\d+)\.attn_norm\.": r"model.layers.\1.input_layernorm.",
        r"^model\.transformer\.blocks\.(\d+)\.ff_norm\.": r"model.layers.\1.post_attention_layernorm.",
        r"^model\.transformer\.blocks\.(\d+)\.attn_out\.": r"model.layers.\1.self_attn.o_proj.",
        r"^model\.transformer\.blocks\.(\d+)\.q_proj\.": r"model.layers.\1.self_attn.q_proj.",
        r"^model\.transformer\.blocks\.(\d+)\.k_proj\.": r"model.layers.\1.self_attn.k_proj.",
        r"^model\.transformer\.blocks\.(\d+)\.v_proj\.": r"model.layers.\1.self_attn.v_proj.",
        r"^model\.transformer\.blocks\.(\d+)\.ff_proj\.": r"model.layers.\1.mlp.gate_proj.",
        r"^model\.transformer\.blocks\.(\d+)\.up_proj\.": r"model.layers.\1.mlp.up_proj.",
        r"^model\.transformer\.blocks\.(\d+)\.ff_out\.": r"model.layers.\1.mlp.down_proj.",
    }
)
"""LLaDA's names for the tensors of a Llama, as patterns."""
_LLADA_IS_LLAMA = {
    "block_type": "llama",
    "activation_type": "silu",
    "layer_norm_type": "rms",
    "rope": True,
    "alibi": False,
    "attention_layer_norm": False,
    "include_bias": False,
    "include_qkv_bias": False,
    "input_emb_norm": False,
    "scale_logits": False,
}
"""LLaDA's configuration can ask for more than its released models do; without these values it is no Llama."""
_QWEN2_SIZES = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
)


@dataclass(frozen=True, slots=True)
class MaskedCheckpoint:
    """What a folder holds. config: its config.json; network: the class of transformers, settings: what to make that
    class's configuration of, names: of its tensors, where they differ; shifted: the token at a position is read from
    the position before; mask_id, expand_id: as configured, None where the tokenizer says which."""

    folder: Path
    config: Mapping[str, Any]
    network: Literal["Qwen2ForCausalLM", "LlamaForCausalLM"]
    settings: Mapping[str, Any]
    shifted: bool
    mask_id: int | None
    expand_id: int | None
    names: Names | None = None


def is_masked(folder: Path) -> bool:
    """Whether the architecture is one of those here. A Qwen2 is, though most of them read from left to right: whether
    this one does, its tokenizer tells."""
    return (folder / "config.json").is_file() and _family(read_json(folder / "config.json")) is not None


def read_masked(folder: Path) -> MaskedCheckpoint:
    """Raises CheckpointError for what transformers' class cannot be."""
    config = read_json(folder / "config.json")
    if "quantization_config" in config:
        raise CheckpointError(
            f"The checkpoint {folder} is quantised; midfill loads models of its kind unquantised only. Give the "
            "original one."
        )
    try:
        return _read_llada(folder, config) if _family(config) == "llada" else _read_qwen2(folder, config)
    except KeyError as error:
        raise CheckpointError(
            f"{folder / 'config.json'} does not say {error}; take it again from where the weights are from."
        ) from error


def _family(config: Mapping[str, Any]) -> Literal["dream", "qwen2", "llada"] | None:
    named = (config.get("architectures") or [""])[0]
    model_type = str(config.get("model_type")).lower()
    if named == "LLaDAModelLM":
        return "llada"
    if named == "Qwen2ForCausalLM" and model_type == "qwen2":
        return "qwen2"
    return "dream" if named.startswith("Dream") and model_type.startswith("dream") else None


def _read_qwen2(folder: Path, config: dict[str, Any]) -> MaskedCheckpoint:
    """Dream, DreamOn and DiffuCoder have a type of their own, Open-dCoder says what it is."""
    if config.get("use_sliding_window"):
        raise _unlike(folder, "use_sliding_window", True, False)
    settings = {name: config[name] for name in _QWEN2_SIZES}
    settings |= {
        name: config[name] for name in ("rms_norm_eps", "rope_theta", "rope_parameters", "hidden_act") if name in config
    }
    if config.get("rope_scaling"):
        settings["rope_scaling"] = config["rope_scaling"]
    settings["tie_word_embeddings"] = config.get("tie_word_embeddings", False)
    generation = folder / "generation_config.json"
    others = read_json(generation) if generation.is_file() else {}
    return MaskedCheckpoint(
        folder=folder,
        config=config,
        network="Qwen2ForCausalLM",
        settings=settings,
        shifted=True,
        mask_id=config.get("mask_token_id", others.get("mask_token_id")),
        expand_id=config.get("expand_token_id", others.get("expand_token_id")),
    )


def _read_llada(folder: Path, config: dict[str, Any]) -> MaskedCheckpoint:
    for name, needed in _LLADA_IS_LLAMA.items():
        if config.get(name, needed) != needed:
            raise _unlike(folder, name, config[name], needed)
    settings = {
        "vocab_size": config.get("embedding_size") or config["vocab_size"],
        "hidden_size": config["d_model"],
        "intermediate_size": config["mlp_hidden_size"],
        "num_hidden_layers": config["n_layers"],
        "num_attention_heads": config["n_heads"],
        "num_key_value_heads": config.get("n_kv_heads") or config["n_heads"],
        "max_position_embeddings": config["max_sequence_length"],
        "rms_norm_eps": config.get("rms_norm_eps", 1e-5),
        "rope_theta": config.get("rope_theta", 10_000.0),
        "tie_word_embeddings": config.get("weight_tying", False),
    }
    return MaskedCheckpoint(
        folder=folder,
        config=config,
        network="LlamaForCausalLM",
        settings=settings,
        shifted=False,
        mask_id=config["mask_token_id"],
        expand_id=None,
        names=LLADA_NAMES,
    )


def _unlike(folder: Path, name: str, given: object, needed: object) -> CheckpointError:
    return CheckpointError(
        f"{folder / 'config.json'} sets {name} to {given!r}, and midfill loads such models with {needed!r} only, as "
        "the released ones have it; give one of those (`midfill models`)."
    )
