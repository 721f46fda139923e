"""A pretrained parent: its sizes, weights and tokenizer, from one GGUF file or from a folder of transformers.

Any model of Llama's or Qwen2's shape can be one. Reads headers and tensors, runs no code that comes with a model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from midfill.model.families.embedded.network import NetworkConfig
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.wire.errors import CheckpointError

MODEL_TYPES = ("llama", "qwen2")
_GGUF_KINDS = {
    "general.architecture": "llama",
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
}
"""What a GGUF file says of its layers, of its tokenizer and of the tokenizer's pre-tokens, where midfill reads it."""
_TENSOR = re.compile(
    r"(embed_tokens|norm|lm_head|layers\.\d+\.(input_layernorm|post_attention_layernorm|mlp\.(gate|up|down)_proj"
    r"|self_attn\.[qkvo]_proj))\.weight|layers\.\d+\.self_attn\.[qkv]_proj\.bias"
)
"""The tensors that the network has a place for."""
_NOT_LEARNT = "rotary_emb.inv_freq"
"""Of older checkpoints; it follows from the config."""
_GGUF_NAMES = {
    "token_embd.weight": "embed_tokens.weight",
    "output_norm.weight": "norm.weight",
    "output.weight": "lm_head.weight",
}
_GGUF_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True, slots=True)
class Parent:
    """tensors: by their names in transformers, without the leading `model.`; sha256: of the file, or of the folder's
    weights and config."""

    config: NetworkConfig
    tensors: Mapping[str, Tensor]
    tokenizer: CodeTokenizer
    sha256: str


def read_parent(path: Path, dtype: torch.dtype = torch.float32) -> Parent:
    """The parent in a GGUF file or in a folder with config.json, tokenizer.json and safetensors.

    Raises CheckpointError that names what is missing or not of a known shape."""
    if path.is_dir():
        return _read_folder(path, dtype)
    if path.is_file():
        return _read_gguf(path, dtype)
    raise CheckpointError(f"There is no parent model at {path}; give a GGUF file or a folder with safetensors.")


def parent_sha256(path: Path) -> str:
    """What identifies a parent: the digest of a file, or of a folder's config and weights together."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for part in [path / "config.json", *sorted(path.glob("*.safetensors"))]:
        if part.is_file():
            digest.update(bytes.fromhex(parent_sha256(part)))
    return digest.hexdigest()


def _read_gguf(path: Path, dtype: torch.dtype) -> Parent:
    from gguf import GGUFReader, dequantize

    try:
        reader = GGUFReader(path)
    except (ValueError, OSError, IndexError) as error:
        raise CheckpointError(f"{path} is no GGUF file that can be read ({error}); install the base again.") from error
    values = {name: field.contents() for name, field in reader.fields.items()}
    for name, known in _GGUF_KINDS.items():
        if values.get(name) != known:
            raise CheckpointError(f"{path} says that its {name} is {values.get(name)!r}; midfill reads {known} there.")
    try:
        return _parent_of(path, reader, values, dequantize, dtype)
    except KeyError as error:
        raise CheckpointError(f"{path} is a GGUF file without {error.args[0]}, or with one of another kind.") from error


def _parent_of(
    path: Path, reader: Any, values: Mapping[str, Any], dequantize: Callable[..., Any], dtype: torch.dtype
) -> Parent:
    """Raises KeyError for what the file does not have, and for a tensor that no layer here has."""

    def of(name: str) -> Any:
        return values[f"llama.{name}"]

    num_heads, width = int(of("attention.head_count")), int(of("embedding_length"))
    head_dim = width // num_heads
    config = NetworkConfig(
        vocab_size=len(values["tokenizer.ggml.tokens"]),
        num_layers=int(of("block_count")),
        width=width,
        num_heads=num_heads,
        num_kv_heads=int(of("attention.head_count_kv")),
        head_dim=head_dim,
        ff_width=int(of("feed_forward_length")),
        rope_base=float(of("rope.freq_base")),
        norm_epsilon=float(of("attention.layer_norm_rms_epsilon")),
        max_positions=int(of("context_length")),
    )
    tensors = {}
    for tensor in reader.tensors:
        weights = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type))).to(dtype)
        name = _name_of(tensor.name)
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weights = _unpermuted(weights, head_dim)
        tensors[name] = weights
    tokenizer = CodeTokenizer.from_gguf(
        values["tokenizer.ggml.tokens"], values["tokenizer.ggml.merges"], values["tokenizer.ggml.token_type"]
    )
    return Parent(config, tensors, tokenizer, parent_sha256(path))


def _name_of(gguf_name: str) -> str:
    if gguf_name in _GGUF_NAMES:
        return _GGUF_NAMES[gguf_name]
    _, number, name, kind = gguf_name.split(".")
    return f"layers.{number}.{_GGUF_LAYER_NAMES[name]}.{kind}"


def _unpermuted(weights: Tensor, head_dim: int) -> Tensor:
    """Rows of queries or keys in transformers' order, where the halves of a head are rotated: GGUF has neighbours."""
    rows, columns = weights.shape
    pairs = weights.view(rows // head_dim, head_dim // 2, 2, columns)
    return pairs.transpose(1, 2).reshape(rows, columns)


def _read_folder(folder: Path, dtype: torch.dtype) -> Parent:
    for name in ("config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise CheckpointError(f"The parent model {folder} has no {name}; download the whole model.")
    config = _config_of(folder / "config.json")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise CheckpointError(f"The parent model {folder} has no .safetensors file; midfill reads no other weights.")
    try:
        tensors = {
            name.removeprefix("model."): value.to(dtype) for file in files for name, value in load_file(file).items()
        }
    except SafetensorError as error:
        raise CheckpointError(f"The weights in {folder} are truncated or damaged ({error}).") from error
    _check_names(folder, tensors)
    tokenizer = CodeTokenizer.load(folder / "tokenizer.json", config.vocab_size)
    return Parent(config, tensors, tokenizer, parent_sha256(folder))


def _check_names(folder: Path, names: Iterable[str]) -> None:
    """A tensor that is not read, such as a bias of another projection, would change what the network says."""
    unknown = sorted(name for name in names if not _TENSOR.fullmatch(name) and not name.endswith(_NOT_LEARNT))
    if unknown:
        raise CheckpointError(f"The parent model {folder} has the tensor {unknown[0]}, which midfill has no place for.")


def _config_of(path: Path) -> NetworkConfig:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data.get("model_type") not in MODEL_TYPES:
            raise CheckpointError(
                f"{path} describes a model of type {data.get('model_type')!r}; a parent is one of "
                f"{', '.join(MODEL_TYPES)}."
            )
        rope = data.get("rope_parameters") or data.get("rope_scaling") or {}
        if rope.get("rope_type", rope.get("type", "default")) != "default" or data.get("use_sliding_window"):
            raise CheckpointError(f"{path} asks for scaled positions or a sliding window, which midfill does not have.")
        if data.get("hidden_act", "silu") != "silu":
            raise CheckpointError(f"{path} asks for the activation {data['hidden_act']!r}; midfill has silu.")
        num_heads = int(data["num_attention_heads"])
        return NetworkConfig(
            vocab_size=int(data["vocab_size"]),
            num_layers=int(data["num_hidden_layers"]),
            width=int(data["hidden_size"]),
            num_heads=num_heads,
            num_kv_heads=int(data.get("num_key_value_heads") or num_heads),
            head_dim=int(data.get("head_dim") or data["hidden_size"] // num_heads),
            ff_width=int(data["intermediate_size"]),
            rope_base=float(data.get("rope_theta") or rope.get("rope_theta") or 10_000.0),
            norm_epsilon=float(data["rms_norm_eps"]),
            max_positions=int(data["max_position_embeddings"]),
            qkv_bias=data["model_type"] == "qwen2" or bool(data.get("attention_bias")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} cannot be read as a model's config ({error!r}).") from error
