"""A LoRA adapter, made with PEFT as a person would, is loaded with the base that it names."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import DiffusionGemmaForBlockDiffusion

from midfill.model.engine.infill import DenoisingModel
from midfill.model.wire.errors import CheckpointError

TEXT_ATTENTION = r".*(language_model|decoder)\.layers\.\d+\.self_attn\.(q|k)_proj"
IDS = torch.arange(10, 40).unsqueeze(0)


@pytest.fixture
def adapter(random_checkpoint: Path, tmp_path: Path) -> Path:
    """On the attention of encoder and decoder, with weights that are not the zeros that training begins with."""
    torch.manual_seed(1)
    base = DiffusionGemmaForBlockDiffusion.from_pretrained(random_checkpoint)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules=TEXT_ATTENTION))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)
    folder = tmp_path / "adapter"
    adapted.save_pretrained(str(folder))
    torch.save(logits_of(adapted), tmp_path / "logits.pt")
    return folder


def logits_of(network: Any) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = network(input_ids=IDS, decoder_input_ids=IDS).logits
    return logits


def test_it_answers_as_in_peft(adapter: Path, random_model: DenoisingModel, load: Callable[..., Any]) -> None:
    model = load(adapter)
    logits = logits_of(model.denoiser.network)
    assert torch.allclose(logits, torch.load(adapter.parent / "logits.pt"), atol=1e-5)
    assert not torch.allclose(logits, logits_of(random_model.denoiser.network), atol=1e-3)  # type: ignore[attr-defined]
    assert model.info.name == "adapter"
    assert model.info.revision.startswith(random_model.info.revision + "+")


def test_it_fills(
    adapter: Path, load: Callable[..., Any], request_from: Callable[..., Any], run: Callable[..., Any]
) -> None:
    _, infill = run(load(adapter), request_from("def add(alpha, beta):\n    return ⟨⟩ + beta\n"))
    assert len(infill.candidates) == 1


def other_base(adapter: Path, base: Path) -> None:
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"]}))


def no_base(adapter: Path, base: Path) -> None:
    shutil.rmtree(base)


def other_shape(adapter: Path, base: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: tensor.repeat(2, 2) for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")


def other_names(adapter: Path, base: Path) -> None:
    tensors = load_file(adapter / "adapter_model.safetensors")
    renamed = {name.replace("layers.1.", "layers.9."): tensor for name, tensor in tensors.items()}
    save_file(renamed, adapter / "adapter_model.safetensors")


def other_modules(adapter: Path, base: Path) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "target_modules": ["wq"]}))


def no_weights(adapter: Path, base: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (other_base, "which cannot be loaded. The checkpoint"),
        (other_base, "is a LlamaForCausalLM; midfill loads DiffusionGemma"),
        (no_base, "which is neither a folder here nor a model of the hub"),
        (other_shape, "does not fit"),
        (other_names, "of its tensors have no place there"),
        (other_modules, "does not fit"),
        (no_weights, "has no adapter_model.safetensors; midfill loads safetensors only"),
    ],
)
def test_an_adapter_for_another_base_is_refused(
    adapter: Path,
    checkpoint: Path,
    load: Callable[..., Any],
    spoil: Callable[[Path, Path], None],
    sentence: str,
) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": str(checkpoint)}))
    spoil(adapter, checkpoint)
    with pytest.raises(CheckpointError) as refused:
        load(adapter)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_peft_it_says_what_to_install(
    adapter: Path, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "peft" else find(name))
    with pytest.raises(CheckpointError, match=r"pip install .*\[adapters\]'"):
        load(adapter)
