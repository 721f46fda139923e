"""A folder becomes a DiffusionGemma that answers, or a sentence says why not and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from midfill.model.engine.infill import DenoisingModel
from midfill.model.families.device import PrecisionError
from midfill.model.families.loading import load_model
from midfill.model.wire.errors import CheckpointError


def test_a_folder_is_loaded_and_answers(
    random_checkpoint: Path, request_from: Callable[..., Any], run: Callable[..., Any]
) -> None:
    told = list[float]()
    model = load_model(str(random_checkpoint), lambda progress, sentence: told.append(progress))
    assert told == sorted(told)
    assert len(set(told)) > 10, "progress while the tensors are read"
    assert (model.info.name, model.info.family, model.info.device) == ("tiny-gemma", "diffusion_gemma", "cpu")
    assert model.info.precision == "float32"  # as the weights are stored
    assert len(model.info.revision) == 12
    _, infill = run(model, request_from("def add(alpha, beta):\n    return ⟨⟩ + beta\n"))
    assert [len(candidate.fills) for candidate in infill.candidates] == [1]


def test_the_same_weights_in_two_shards_are_the_same_model(checkpoint: Path, random_model: DenoisingModel) -> None:
    tensors = load_file(checkpoint / "model.safetensors")
    names = sorted(tensors)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, of_file in shards.items():
        save_file({name: tensors[name] for name in of_file}, checkpoint / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, of_file in shards.items() for name in of_file}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    (checkpoint / "model.safetensors").unlink()
    sharded = load_model(str(checkpoint), lambda progress, sentence: None)
    assert isinstance(sharded, DenoisingModel)
    assert sharded.info.num_parameters == random_model.info.num_parameters
    (checkpoint / "model-2.safetensors").unlink()
    check_refused(checkpoint, "lacks 1 of its 2 weight files (model-2.safetensors); download it again")


def check_refused(folder: Path, sentence: str, error: type[Exception] = CheckpointError, **options: str) -> None:
    with pytest.raises(error) as refused:
        load_model(str(folder), lambda progress, sentence: None, **options)
    assert sentence in str(refused.value)


def changed_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def truncated(name: str) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size // 2)


def written(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def with_config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: changed_config(folder, **changes)


def smaller_vocabulary(folder: Path) -> None:
    """As if the tokenizer were another checkpoint's."""
    text_config = json.loads((folder / "config.json").read_text())["text_config"]
    changed_config(folder, text_config={**text_config, "vocab_size": 256})


def without_turns(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("<turn|>", "<other>"))


def enormous(folder: Path) -> None:
    """A file that says it has a million million numbers, without using the disk for them."""
    header = json.dumps({"lm": {"dtype": "BF16", "shape": [10**6, 10**6], "data_offsets": [0, 2 * 10**12]}}).encode()
    path = folder / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 8 + len(header) + 2 * 10**12)


def other_width(folder: Path) -> None:
    text_config = json.loads((folder / "config.json").read_text())["text_config"]
    changed_config(folder, text_config={**text_config, "intermediate_size": 96})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (with_config(architectures=["GemmaForCausalLM"]), "is a GemmaForCausalLM; midfill loads DiffusionGemma"),
        (
            with_config(architectures=["OwnModel"], auto_map={"AutoModel": "own.OwnModel"}),
            "is a OwnModel, which needs code of its own that midfill never runs",
        ),
        (with_config(quantization_config={"quant_method": "bitsandbytes"}), "is quantised with bitsandbytes"),
        (written("config.json", "{"), "config.json cannot be read"),
        (without("tokenizer.json"), "has no tokenizer.json"),
        (written("tokenizer.json", "{}"), "tokenizer of"),
        (smaller_vocabulary, "tokens and its network 256; take both from the same checkpoint"),
        (without_turns, "is not DiffusionGemma's"),
        (without("model.safetensors"), "has no model.safetensors"),
        (truncated("model.safetensors"), "are truncated"),
        (written("model.safetensors", "no weights at all"), "are damaged"),
        (enormous, "need 4004.3 GB with their contexts and cpu has"),
        (other_width, "do not match its config.json"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused(
    checkpoint: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(checkpoint)
    check_refused(checkpoint, sentence)


def test_what_is_spread_over_devices_answers_the_same(
    random_checkpoint: Path, random_model: DenoisingModel, request_from: Callable[..., Any], run: Callable[..., Any]
) -> None:
    name, precision = str(random_checkpoint), "float32"
    model = load_model(name, lambda progress, sentence: None, precision, offload=True, infilling="clamped")
    request = request_from("def add(alpha, beta):\n    return ⟨⟩ + beta\n")
    assert run(model, request)[1].candidates == run(random_model, request)[1].candidates


def test_eight_bits_are_the_embedded_models(random_checkpoint: Path) -> None:
    check_refused(random_checkpoint, "int8 is for the embedded model", PrecisionError, precision="int8")
