"""What training adds to a parent, and nothing else: low-rank deltas and norm scales of the hole tower, the embeddings
of midfill's special tokens, and one embedding each for canvas and left-to-right positions.

While training the deltas stay beside the parent's weights (Hu et al. 2021); for serving they are merged into a second
set of them. The context tower is the parent's own weights both times.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from midfill.model.families.embedded.network import (
    PROJECTIONS,
    EmbeddedNetwork,
    Layer,
    Linear,
    NetworkConfig,
    Norm,
    Tower,
)
from midfill.model.families.embedded.parent import Parent
from midfill.model.families.embedded.tokenizer import SPECIAL_TOKENS
from midfill.model.wire.errors import CheckpointError

DELTA_SCALE = 2.0
"""A delta is this times the product of its two matrices."""
_LIKE_TEXT = {
    "<end>": ("<|endoftext|>",),
    "<suffix>": ("<|endoftext|>",),
    "<snippet>": ("<|endoftext|>",),
    "<prefix>": ("<file_sep>", "<|file_sep|>"),
    "<rest>": ("<jupyter_output>", "<|fim_suffix|>"),
}
"""Special tokens that begin as a control token of the parent, where it has one of these."""

_NORMS = ("attention_norm", "ff_norm")

Adapter = Mapping[str, Tensor]
"""The trained tensors by name, float32, as `adapter_of` gives them."""


class DeltaLinear(nn.Module):
    """A frozen linear map and a low-rank delta beside it: delta_in (rank, in), delta_out (out, rank)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None, rank: int) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        num_out, num_in = weight.shape
        self.delta_in = nn.Parameter(torch.randn(rank, num_in) / math.sqrt(num_in))
        self.delta_out = nn.Parameter(torch.zeros(num_out, rank))

    def forward(self, x: Tensor) -> Tensor:
        thin = F.linear(x, self.delta_in.to(x.dtype))
        return F.linear(x, self.weight, self.bias) + F.linear(thin, self.delta_out.to(x.dtype) * DELTA_SCALE)


class ScaledNorm(nn.Module):
    """RMSNorm with a frozen weight times a learnt scale (width,)."""

    def __init__(self, weight: nn.Parameter, epsilon: float) -> None:
        super().__init__()
        self.weight, self.epsilon = weight, epsilon
        self.scale = nn.Parameter(torch.ones(weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight * self.scale.to(x.dtype), self.epsilon)


def network_for_training(parent: Parent, rank: int, dtype: torch.dtype) -> EmbeddedNetwork:
    """The network with the parent's weights in `dtype`, once, and a new adapter in float32: what requires gradients."""
    config = parent.config
    context = _parents_tower(parent, dtype)
    layers = []
    for frozen_layer in context.layers:
        assert isinstance(frozen_layer, Layer)
        projections = {
            name: DeltaLinear(getattr(frozen_layer, name).weight, getattr(frozen_layer, name).bias, rank)
            for name in PROJECTIONS
        }
        norms = (ScaledNorm(norm.weight, config.norm_epsilon) for norm in _norms_of(frozen_layer))
        layers.append(Layer(config, projections, *norms))
    assert isinstance(context.norm, Norm)
    hole = Tower(config, layers, ScaledNorm(context.norm.weight, config.norm_epsilon))
    network = _network(parent, context, hole, new_special_table(parent), dtype)
    for parameter in (network.special_table, network.canvas_embedding, network.branch_embedding):
        parameter.requires_grad_(True)
    return network


def adapter_of(network: EmbeddedNetwork) -> dict[str, Tensor]:
    """What is learnt in a network of `network_for_training`, by name."""
    return {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}


def load_adapter(network: EmbeddedNetwork, adapter: Adapter) -> None:
    """Put an adapter into a network of `network_for_training`. Raises CheckpointError if it is of another shape."""
    own = adapter_of(network)
    _check_fits(adapter, {name: tuple(value.shape) for name, value in own.items()})
    for name, value in own.items():
        value.copy_(adapter[name])


def merged_network(parent: Parent, adapter: Adapter, dtype: torch.dtype) -> EmbeddedNetwork:
    """The network for serving: the parent's weights, and a second set of them with the deltas added.

    Raises CheckpointError if the adapter is not of this parent's shape."""
    config = parent.config
    _check_fits(adapter, _shapes(config, _rank_of(adapter)))
    context = _parents_tower(parent, dtype)
    layers = []
    for number, layer in enumerate(context.layers):
        assert isinstance(layer, Layer)
        own = {name.removeprefix(f"hole.layers.{number}."): value for name, value in adapter.items()}
        projections = {}
        for name in PROJECTIONS:
            linear = getattr(layer, name)
            delta = DELTA_SCALE * (own[f"{name}.delta_out"].float() @ own[f"{name}.delta_in"].float())
            projections[name] = Linear((linear.weight.float() + delta).to(dtype), linear.bias)
        norms = (
            Norm((norm.weight.float() * own[f"{name}.scale"].float()).to(dtype), config.norm_epsilon)
            for name, norm in zip(_NORMS, _norms_of(layer), strict=True)
        )
        layers.append(Layer(config, projections, *norms))
    assert isinstance(context.norm, Norm)
    norm = Norm((context.norm.weight.float() * adapter["hole.norm.scale"].float()).to(dtype), config.norm_epsilon)
    hole = Tower(config, layers, norm)
    network = _network(parent, context, hole, adapter["special_table"].to(dtype), dtype)
    network.canvas_embedding.copy_(adapter["canvas_embedding"])
    network.branch_embedding.copy_(adapter["branch_embedding"])
    return network.eval()


def new_special_table(parent: Parent) -> Tensor:
    """(special tokens, width): like a control token of the parent where one means about the same, else near the mean
    of the text's embeddings."""
    table = _table(parent, "embed_tokens.weight").float()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(SPECIAL_TOKENS), table.shape[1], generator=generator)
    special = table.mean(dim=0) + 0.3 * table.std(dim=0) * noise
    for number, name in enumerate(SPECIAL_TOKENS):
        found = [
            parent.tokenizer.control_ids[text]
            for text in _LIKE_TEXT.get(name, ())
            if text in parent.tokenizer.control_ids
        ]
        if found:
            special[number] = table[found[0]]
    return special


def _parents_tower(parent: Parent, dtype: torch.dtype) -> Tower:
    config = parent.config

    def tensor(name: str) -> Tensor:
        return _tensor(parent, name).to(dtype)

    def joined(number: int, names: tuple[str, ...], *, bias: bool) -> Linear:
        weights = [tensor(f"layers.{number}.{name}.weight") for name in names]
        biases = [tensor(f"layers.{number}.{name}.bias") for name in names] if bias else None
        return Linear(torch.cat(weights), torch.cat(biases) if biases else None)

    layers = []
    for number in range(config.num_layers):
        projections = {
            "qkv": joined(number, tuple(f"self_attn.{x}_proj" for x in "qkv"), bias=config.qkv_bias),
            "out": joined(number, ("self_attn.o_proj",), bias=False),
            "gate_up": joined(number, ("mlp.gate_proj", "mlp.up_proj"), bias=False),
            "down": joined(number, ("mlp.down_proj",), bias=False),
        }
        for name in PROJECTIONS:
            if projections[name].weight.shape != config.shape_of(name):
                raise CheckpointError(
                    f"{name} of layer {number} has the shape {tuple(projections[name].weight.shape)}, the parent's "
                    f"config says {config.shape_of(name)}."
                )
        names = ("input_layernorm", "post_attention_layernorm")
        norms = (Norm(tensor(f"layers.{number}.{name}.weight"), config.norm_epsilon) for name in names)
        layers.append(Layer(config, projections, *norms))
    return Tower(config, layers, Norm(tensor("norm.weight"), config.norm_epsilon))


def _network(parent: Parent, context: Tower, hole: Tower, special_table: Tensor, dtype: torch.dtype) -> EmbeddedNetwork:
    text_table = _table(parent, "embed_tokens.weight").to(dtype)
    head = _table(parent, "lm_head.weight").to(dtype) if "lm_head.weight" in parent.tensors else None
    zeros = torch.zeros(parent.config.width)
    return EmbeddedNetwork(context, hole, text_table, special_table, zeros, zeros.clone(), head)


def _tensor(parent: Parent, name: str) -> Tensor:
    if name not in parent.tensors:
        raise CheckpointError(f"The parent model has no tensor {name}; download the whole model.")
    return parent.tensors[name]


def _table(parent: Parent, name: str) -> Tensor:
    """One row for each token of the parent."""
    table, shape = _tensor(parent, name), (parent.config.vocab_size, parent.config.width)
    if table.shape != shape:
        raise CheckpointError(f"{name} has the shape {tuple(table.shape)}, the parent's config says {shape}.")
    return table


def _norms_of(layer: Layer) -> tuple[Norm, Norm]:
    first, second = layer.attention_norm, layer.ff_norm
    assert isinstance(first, Norm)
    assert isinstance(second, Norm)
    return first, second


def _rank_of(adapter: Adapter) -> int:
    return next((len(value) for name, value in adapter.items() if name.endswith(".delta_in")), 1)


def _shapes(config: NetworkConfig, rank: int) -> dict[str, tuple[int, ...]]:
    """What an adapter consists of, by name."""
    width = (config.width,)
    shapes = {"special_table": (len(SPECIAL_TOKENS), *width), "hole.norm.scale": width}
    shapes |= {"canvas_embedding": width, "branch_embedding": width}
    for layer in (f"hole.layers.{number}" for number in range(config.num_layers)):
        for name in PROJECTIONS:
            num_out, num_in = config.shape_of(name)
            shapes |= {f"{layer}.{name}.delta_in": (rank, num_in), f"{layer}.{name}.delta_out": (num_out, rank)}
        shapes |= {f"{layer}.{name}.scale": width for name in _NORMS}
    return shapes


def _check_fits(adapter: Adapter, shapes: Mapping[str, tuple[int, ...]]) -> None:
    for name in sorted(adapter.keys() | shapes.keys()):
        if name not in adapter:
            raise CheckpointError(f"The adapter has no {name}: it belongs to another parent.")
        if name not in shapes:
            raise CheckpointError(f"The adapter has {name}, the parent has no place for it: it belongs to another one.")
        if tuple(adapter[name].shape) != shapes[name]:
            raise CheckpointError(
                f"The adapter's {name} has the shape {tuple(adapter[name].shape)}, the parent needs {shapes[name]}: it "
                "belongs to another one."
            )
