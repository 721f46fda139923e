"""A checkpoint of the embedded family: a folder with `weights.safetensors`, `config.json` and `tokenizer.json`, and,
if it was tuned to a repository, `repository.json`.

Weights are safetensors only: loading one runs no code. Everything about the model's size is in its config and
nowhere else.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from midfill.model.errors import CheckpointError
from midfill.model.families.embedded_network import EmbeddedNetwork, NetworkConfig
from midfill.model.repository import Repository, load_repository
from midfill.model.tokenizer import CodeTokenizer

FORMAT = 1


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """What a checkpoint says of itself. Context sizes are in tokens; chars_per_token is measured on the training text;
    memory_weights[n] is the share of the workspace memory after a match of n tokens (empty: no memory); verbs: the
    rewriting instructions it was trained for; num_passages: how many passages from elsewhere it may see; calibration:
    of `midfill.model.confidence` (empty: not calibrated)."""

    network: NetworkConfig
    prefix_tokens: int
    suffix_tokens: int
    canvas_lengths: tuple[int, ...]
    languages: tuple[str, ...]
    chars_per_token: float
    name: str
    show_threshold: float = 0.0
    memory_weights: tuple[float, ...] = ()
    verbs: tuple[str, ...] = ()
    calibration: tuple[float, ...] = ()
    num_passages: int = 0
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Checkpoint:
    network: EmbeddedNetwork
    tokenizer: CodeTokenizer
    config: EmbeddedConfig
    revision: str
    repository: Repository | None = None


def save_checkpoint(
    folder: Path, network: EmbeddedNetwork, tokenizer: CodeTokenizer, config: EmbeddedConfig, mode: int = 0o644
) -> None:
    """Write the folder; weights are stored as bfloat16, which halves the download. mode: of the weights' file, at no
    moment wider. Raises OSError.

    The weights are replaced in one step: whoever reads them while a run saves has the old ones or the new ones."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: value.detach().to("cpu", torch.bfloat16).contiguous() for name, value in network.state_dict().items()
    }
    temporary = folder / "weights.safetensors.new"
    temporary.touch(0o600)
    try:
        save_file(tensors, temporary)
    except SafetensorError as error:
        raise OSError(f"{temporary.name}: {error}") from error
    temporary.chmod(mode)
    temporary.replace(folder / "weights.safetensors")
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n", encoding="utf-8")
    tokenizer.save(folder / "tokenizer.json")


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a folder made by `save_checkpoint`, weights as float32. Raises CheckpointError that names what is wrong."""
    for name in ("config.json", "tokenizer.json", "weights.safetensors"):
        if not (folder / name).is_file():
            raise CheckpointError(f"The checkpoint {folder} has no {name}; reinstall midfill or give another folder.")
    config = _read_config(folder / "config.json")
    tokenizer = CodeTokenizer.load(folder / "tokenizer.json")
    if tokenizer.vocab_size != config.network.vocab_size:
        raise CheckpointError(
            f"The checkpoint {folder} does not fit together: its tokenizer has {tokenizer.vocab_size} tokens, "
            f"its network {config.network.vocab_size}; take both from the same training run."
        )
    weights = folder / "weights.safetensors"
    try:
        tensors = {name: value.float() for name, value in load_file(weights).items()}
        network = EmbeddedNetwork(config.network)
        network.load_state_dict(tensors)
    except TypeError as error:
        raise CheckpointError(
            f"A size in {folder / 'config.json'} is no whole number ({error}); reinstall midfill."
        ) from error
    except SafetensorError as error:
        raise CheckpointError(
            f"The weights {weights} are truncated or damaged ({error}); reinstall midfill."
        ) from error
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights {weights} do not match {folder / 'config.json'}: {str(error).splitlines()[-1].strip()}; "
            "take both from the same training run."
        ) from error
    revision = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    return Checkpoint(network.eval().requires_grad_(False), tokenizer, config, revision, load_repository(folder))


def _read_config(path: Path) -> EmbeddedConfig:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise CheckpointError(
                f"The checkpoint {path.parent} has format {data['format']}, this midfill reads format {FORMAT}; "
                "update whichever is older."
            )
        network = NetworkConfig(**data.pop("network"))
        for name in ("canvas_lengths", "languages", "memory_weights", "verbs", "calibration"):
            data[name] = tuple(data.get(name, ()))
        return EmbeddedConfig(network=network, **data)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The configuration {path} cannot be read ({error!r}); reinstall midfill.") from error
