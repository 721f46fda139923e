"""A parent is read as transformers reads it, from GGUF and from a folder; what midfill cannot compute is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_parent import CONTROL_TOKEN, NUM_TEXT_TOKENS, save_parent, toy_qwen2, train_bpe
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from midfill.model.families.embedded.adapter import network_for_training
from midfill.model.families.embedded.parent import Parent, parent_sha256, read_parent
from midfill.model.wire.base import base_file
from midfill.model.wire.errors import CheckpointError

TEXTS = [
    "def add(alpha, beta):\n    total = alpha + beta\n    return total\n",
    "\t\tif x:\r\n\t\t\treturn 12345.678e-9  \n\n\n",
    "naïve = 'e\u0301' + 'é'  # Ωμέγα, привет",
    "日本語のコメント\u3000全角　空白 😀👩‍👩‍👧",
    "self.assertEqual(don't, we'll)  # I've __init__ _x a1b2",
    "a" * 300 + " " * 300 + "\n" * 40,
    "",
]
CONTROL_TEXTS = ["<|endoftext|>", "x<|im_start|>y<|im_end|>", "<file_sep>a.py", "<mask><end><hole_1>"]


@torch.inference_mode()
def logits_of(parent: Parent, ids: list[int]) -> torch.Tensor:
    """(L, V) of the context tower, the parent's own tokens only."""
    network = network_for_training(parent, 1, torch.float32)
    hidden, _ = network.encode(torch.tensor([ids]), torch.arange(len(ids)).unsqueeze(0))
    return network.logits(hidden)[0, :, : parent.config.vocab_size]


@torch.inference_mode()
def check_logits(parent: Parent, network: PreTrainedModel, tolerance: float) -> None:
    ids = parent.tokenizer.encode(TEXTS[0])
    expected = network(input_ids=torch.tensor([ids])).logits[0]
    assert float(expected.std()) > 0.1
    torch.testing.assert_close(logits_of(parent, ids), expected, atol=tolerance, rtol=0)


# --- the base, from its GGUF file


def test_the_base_predicts_what_transformers_predicts(base_parent: Parent) -> None:
    path = base_file()
    network = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    check_logits(base_parent, network, 1e-3)


def test_the_base_cuts_text_as_transformers_does(base_parent: Parent) -> None:
    path = base_file()
    theirs = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    for text in TEXTS:
        assert base_parent.tokenizer.encode(text) == theirs.encode(text, add_special_tokens=False), text
        assert base_parent.tokenizer.decode(base_parent.tokenizer.encode(text)) == text
    assert base_parent.tokenizer.control_ids[CONTROL_TOKEN] == theirs.convert_tokens_to_ids(CONTROL_TOKEN)


@pytest.mark.parametrize("text", CONTROL_TEXTS)
@pytest.mark.parametrize("which", ["base_parent", "toy_parent"])
def test_the_name_of_a_control_token_stays_text(request: pytest.FixtureRequest, which: str, text: str) -> None:
    parent: Parent = request.getfixturevalue(which)
    ids = parent.tokenizer.encode(text)
    assert parent.tokenizer.decode(ids) == text
    assert set(ids).isdisjoint(parent.tokenizer.control_ids.values())
    assert max(ids) < parent.tokenizer.num_text_tokens
    assert all(parent.tokenizer.is_text[token_id] for token_id in ids)


# --- folders


def test_a_llama_folder_predicts_what_transformers_predicts(toy_parent: Parent, toy_parent_folder: Path) -> None:
    check_logits(toy_parent, AutoModelForCausalLM.from_pretrained(toy_parent_folder), 1e-4)


def test_a_qwen2_folder_predicts_what_transformers_predicts(tmp_path: Path) -> None:
    """Biases at queries, keys and values, and a head that is not the table of embeddings."""
    network = toy_qwen2()
    save_parent(tmp_path, network, train_bpe([TEXTS[0]], NUM_TEXT_TOKENS))
    parent = read_parent(tmp_path)
    assert parent.config.qkv_bias
    assert "lm_head.weight" in parent.tensors
    check_logits(parent, network, 1e-4)


def test_weights_in_several_files_are_one_parent(tmp_path: Path, toy_parent: Parent, toy_parent_folder: Path) -> None:
    shutil.copytree(toy_parent_folder, tmp_path, dirs_exist_ok=True)
    tensors = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    for number, names in enumerate((sorted(tensors)[:5], sorted(tensors)[5:])):
        save_file({name: tensors[name] for name in names}, tmp_path / f"model-{number}.safetensors")
    parent = read_parent(tmp_path)
    assert parent.tensors.keys() == toy_parent.tensors.keys()
    ids = parent.tokenizer.encode(TEXTS[0])
    assert torch.equal(logits_of(parent, ids), logits_of(toy_parent, ids))


def test_a_parent_is_known_by_its_weights_and_its_config(tmp_path: Path, toy_parent_folder: Path) -> None:
    before = parent_sha256(toy_parent_folder)
    assert read_parent(toy_parent_folder).sha256 == before
    shutil.copytree(toy_parent_folder, tmp_path, dirs_exist_ok=True)
    assert parent_sha256(tmp_path) == before
    edit_config(rms_norm_eps=1e-3)(tmp_path)
    other_config = parent_sha256(tmp_path)
    edit_weights(lambda tensors: tensors["model.norm.weight"].add_(1))(tmp_path)
    assert len({before, other_config, parent_sha256(tmp_path)}) == 3


# --- what is refused

Damage = Callable[[Path], object]


def edit_config(**changes: Any) -> Damage:
    def damage(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")

    return damage


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return damage


def cut(name: str, num_bytes: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:num_bytes])


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


PROJECTION = "model.layers.0.self_attn.o_proj"
REFUSALS: dict[str, tuple[Damage, str]] = {
    "no config": (remove("config.json"), "has no config.json; download the whole model"),
    "no tokenizer": (remove("tokenizer.json"), "has no tokenizer.json; download the whole model"),
    "no safetensors": (remove("model.safetensors"), "has no .safetensors file"),
    "half the weights": (cut("model.safetensors", 5000), "truncated or damaged"),
    "half a config": (cut("config.json", 60), "config.json cannot be read"),
    "half a tokenizer": (cut("tokenizer.json", 60), "tokenizer.json cannot be read"),
    "another architecture": (edit_config(model_type="gpt2"), "of type 'gpt2'; a parent is one of llama, qwen2"),
    "a sliding window": (edit_config(use_sliding_window=True), "sliding window"),
    "scaled positions": (edit_config(rope_parameters={"rope_type": "yarn", "factor": 4.0}), "scaled positions"),
    "scaled positions, older": (
        edit_config(rope_parameters=None, rope_scaling={"type": "linear", "factor": 2.0}),
        "scaled positions",
    ),
    "another activation": (edit_config(hidden_act="gelu"), "activation 'gelu'"),
    "a size that is none": (edit_config(hidden_size="wide"), "config.json cannot be read"),
    "heads that share unevenly": (edit_config(num_key_value_heads=3), "num_kv_heads"),
    "a bias that is not read": (
        edit_weights(lambda tensors: tensors.update({f"{PROJECTION}.bias": torch.ones(64)})),
        "has the tensor layers.0.self_attn.o_proj.bias, which midfill has no place for",
    ),
    "a tensor that is missing": (
        edit_weights(lambda tensors: tensors.pop(f"{PROJECTION}.weight")),
        "no tensor layers.0.self_attn.o_proj.weight",
    ),
    "no embeddings": (edit_weights(lambda tensors: tensors.pop("model.embed_tokens.weight")), "embed_tokens.weight"),
    "another vocabulary": (edit_config(vocab_size=300), "embed_tokens.weight has the shape (320, 64)"),
    "another size than the config's": (edit_config(intermediate_size=96), "gate_up of layer 0"),
    "more layers than there are": (edit_config(num_hidden_layers=3), "no tensor layers.2."),
}


@pytest.mark.parametrize(("damage", "sentence"), REFUSALS.values(), ids=REFUSALS)
def test_a_folder_that_midfill_cannot_compute_is_refused(
    tmp_path: Path, toy_parent_folder: Path, damage: Damage, sentence: str
) -> None:
    shutil.copytree(toy_parent_folder, tmp_path, dirs_exist_ok=True)
    damage(tmp_path)
    with pytest.raises(CheckpointError) as refused:
        network_for_training(read_parent(tmp_path), 1, torch.float32)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_parent_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no parent model at .*nowhere; give a GGUF file or a folder"):
        read_parent(tmp_path / "nowhere")


@pytest.mark.parametrize("num_bytes", [0, 10, 1000, 1_000_000, 3_000_000])
def test_a_truncated_gguf_file_is_refused(tmp_path: Path, num_bytes: int) -> None:
    path = tmp_path / "parent.gguf"
    with base_file().open("rb") as file:
        path.write_bytes(file.read(num_bytes))
    with pytest.raises(CheckpointError, match=r"parent\.gguf is no GGUF file that can be read"):
        read_parent(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"general.architecture": "qwen2"}, "general.architecture is 'qwen2'; midfill reads llama there"),
        ({"tokenizer.ggml.model": "llama"}, "tokenizer.ggml.model is 'llama'; midfill reads gpt2 there"),
        ({"tokenizer.ggml.pre": "llama-bpe"}, "tokenizer.ggml.pre is 'llama-bpe'; midfill reads smollm there"),
        ({}, "without llama.attention.head_count"),
    ],
)
def test_a_gguf_file_of_another_model_is_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    from gguf import GGUFWriter

    values = {"general.architecture": "llama", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm"} | changes
    writer = GGUFWriter(tmp_path / "parent.gguf", values.pop("general.architecture"))
    for name, value in values.items():
        writer.add_string(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CheckpointError) as refused:
        read_parent(tmp_path / "parent.gguf")
    assert sentence in str(refused.value)
