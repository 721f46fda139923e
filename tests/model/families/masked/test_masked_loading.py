"""A folder with the files of a released masked diffusion model becomes one that answers, without its own code; or a
sentence says why not and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toy_coder
from safetensors.torch import load_file, save_file

from midfill.model.families.device import PrecisionError
from midfill.model.families.loading import load_model
from midfill.model.wire.errors import CheckpointError

KINDS: tuple[toy_coder.Kind, ...] = ("dream", "dreamon", "open-dcoder", "llada")


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[[toy_coder.Kind], Path]:
    """Untrained, to be spoiled."""

    def made(kind: toy_coder.Kind) -> Path:
        folder = tmp_path / f"tiny-{kind}"
        toy_coder.save_toy(folder, kind, toy_coder.toy_network(kind).state_dict())
        return folder

    return made


def load(folder: Path, **options: str) -> Any:
    return load_model(str(folder), lambda progress, sentence: None, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_is_loaded_and_its_own_code_is_not_run(
    kind: toy_coder.Kind, folder_of: Any, request_from: Any, run: Any
) -> None:
    folder = folder_of(kind)
    ran = folder / "ran"
    for name in ("modeling_dream.py", "configuration_dream.py", "tokenization_dream.py", "modeling_llada.py"):
        (folder / name).write_text(f"open({str(ran)!r}, 'w')\n")
    assert load(folder, precision="bfloat16").info.precision == "bfloat16"
    model = load(folder)
    assert (model.info.name, model.info.family, model.info.device) == (f"tiny-{kind}", "masked", "cpu")
    assert model.info.precision == "float32"  # as config.json says
    _, infill = run(model, request_from("def add(alpha, beta):\n    return ⟨⟩ + beta\n"))
    assert [len(candidate.fills) for candidate in infill.candidates] == [1]
    assert infill.usage.cached_tokens == 0
    assert not ran.exists()


def test_weights_in_shards_and_a_head_that_is_the_embedding(folder_of: Any) -> None:
    """As Open-dCoder has it: the output layer is not stored."""
    folder = folder_of("open-dcoder")
    changed_config(folder, tie_word_embeddings=True)
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    names = sorted(tensors)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, of_file in shards.items():
        save_file({name: tensors[name] for name in of_file}, folder / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, of_file in shards.items() for name in of_file}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    network = load(folder).denoiser.loaded.network
    assert network.lm_head.weight is network.model.embed_tokens.weight
    (folder / "model-2.safetensors").unlink()
    check_refused(folder, "lacks 1 of its 2 weight files (model-2.safetensors); download it again")


def test_a_dreamon_finds_lengths_whether_or_not_a_configuration_says_so(folder_of: Any) -> None:
    folder = folder_of("dreamon")
    configured = load(folder)
    (folder / "generation_config.json").unlink()
    unconfigured = load(folder)
    assert unconfigured.sampler == configured.sampler
    assert unconfigured.denoiser.tokenizer.expand_id == 3


def check_refused(folder: Path, sentence: str, error: type[Exception] = CheckpointError, **options: str) -> None:
    with pytest.raises(error) as refused:
        load(folder, **options)
    assert sentence in str(refused.value)


def changed_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def with_config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: changed_config(folder, **changes)


def without_config(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != name}))

    return spoil


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncated(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def without_mask(folder: Path) -> None:
    """As an ordinary Qwen2 is."""
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "mask_token"}))


def without_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.transformer.blocks.1.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def enormous(folder: Path) -> None:
    """A file that says it has a million million numbers, without using the disk for them."""
    header = json.dumps({"lm": {"dtype": "BF16", "shape": [10**6, 10**6], "data_offsets": [0, 2 * 10**12]}}).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 2 * 10**12)


@pytest.mark.parametrize(
    ("kind", "spoil", "sentence"),
    [
        (
            "dream",
            with_config(architectures=["DreamVLModel"], model_type="other"),
            "is a DreamVLModel, which needs code",
        ),
        ("llada", with_config(architectures=["LLaDAMoEModelLM"]), "is a LLaDAMoEModelLM, which needs code of its own"),
        (
            "open-dcoder",
            without_mask,
            "is a Qwen2ForCausalLM without a mask token, so one that writes from left to right",
        ),
        ("dream", with_config(mask_token_id=310), "lacks the mask token 310"),
        ("dreamon", with_config(expand_token_id=310), "lacks the token 310, which stands for two masks"),
        ("dream", with_config(vocab_size=200), "tokens and its network 200; take both from the same checkpoint"),
        ("dream", with_config(use_sliding_window=True), "sets use_sliding_window to True"),
        ("dream", with_config(intermediate_size=96), "do not match its config.json"),
        ("dream", with_config(quantization_config={"quant_method": "awq"}), "is quantised"),
        ("dream", without_config("hidden_size"), "config.json does not say 'hidden_size'"),
        ("dream", without("vocab.json"), "tokenizer of"),
        ("dream", without("model.safetensors"), "has no model.safetensors"),
        ("dream", truncated("model.safetensors"), "are truncated"),
        ("dream", enormous, "need 4004.3 GB with their contexts and cpu has"),
        ("llada", with_config(block_type="sequential"), "sets block_type to 'sequential'"),
        ("llada", with_config(alibi=True), "sets alibi to True"),
        ("llada", without_config("d_model"), "config.json does not say 'd_model'"),
        ("llada", without_a_tensor, "1 tensors are missing or of another shape (model.layers.1.mlp.up_proj.weight)"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused(
    kind: toy_coder.Kind, spoil: Callable[[Path], None], sentence: str, folder_of: Any
) -> None:
    folder = folder_of(kind)
    spoil(folder)
    check_refused(folder, sentence)


def test_eight_bits_are_the_embedded_models(folder_of: Any) -> None:
    check_refused(folder_of("dream"), "int8 is for the embedded model", PrecisionError, precision="int8")
