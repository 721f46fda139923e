"""A corpus split becomes shards: every language, passages of other files, ids of any size, the order drawn."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from tokenizers import models, pre_tokenizers

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.measuring.spans import CharSpan
from midfill.model.training.examples import (
    ContextSizes,
    Example,
    Shards,
    TrainingFile,
    draw_examples,
    make_example,
    token_dtype,
    write_shard,
)
from midfill.model.training.packing import pack_split

SIZES = ContextSizes(96, 48)
PYTHON = "\n\n".join(f"def add_{n}(alpha, beta):\n    total = alpha + beta + {n}\n    return total" for n in range(20))
SCRIPT = "\n\n".join(
    f"function add_{n}(alpha, beta) {{\n  const total = alpha + beta + {n};\n  return total;\n}}" for n in range(20)
)
TYPED = SCRIPT.replace("alpha, beta)", "alpha: number, beta: number): number")


def write_split(path: Path, files: list[tuple[str, str, str, str]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as out:
        for package, language, file_path, text in files:
            out.write(json.dumps({"package": package, "language": language, "path": file_path, "text": text}) + "\n")
    return path


def examples_of(shards: Shards) -> Iterator[Example]:
    return (shards[index] for index in range(len(shards)))


def test_a_split_is_packed_in_all_languages_alike_each_time(tmp_path: Path, toy_tokenizer: CodeTokenizer) -> None:
    files = [
        ("one", "python", "one/a.py", PYTHON),
        ("npm:two", "javascript", "lib/a.js", SCRIPT),
        ("npm:three", "typescript", "src/a.ts", TYPED),
        ("npm:three", "tsx", "src/b.tsx", TYPED),
    ]
    split = write_split(tmp_path / "validation.jsonl.gz", files)
    printed: list[str] = []
    for name in ("first", "second"):
        pack_split(split, tmp_path / name, toy_tokenizer, SIZES, seed=3, print_line=printed.append)
    first, second = ((tmp_path / name / "validation-000.npz").read_bytes() for name in ("first", "second"))
    assert first == second
    shards = Shards([tmp_path / "first" / "validation-000.npz"])
    languages = shards.languages.tolist()
    assert set(languages) == {"python", "javascript", "typescript"}
    assert languages == [example.language for example in examples_of(shards)]
    for example in examples_of(shards):
        text = toy_tokenizer.decode(example.context)
        assert ("function" in text or "const" in text or "}" in text) <= (example.language != "python")
    assert languages != sorted(languages)  # the order is drawn: a shard is a sample of all packages
    assert printed[-1].startswith(f"validation-000.npz: {len(shards)} examples")
    assert "MB a second" in printed[0]


def test_passages_come_from_other_files_too(toy_tokenizer: CodeTokenizer) -> None:
    start = PYTHON.index("alpha + beta + 7")
    hole = [CharSpan(start, start + len("alpha + beta + 7"))]
    other = "def elsewhere(alpha, beta):\n    total = alpha + beta + 71717\n    return total\n"
    for others, is_seen in (((), False), ((other,), True)):
        file = TrainingFile(PYTHON[:start] + PYTHON[start : start + 60], "python", others)
        example = make_example(file, hole, toy_tokenizer, ContextSizes(400, 48), random.Random(0))
        assert example is not None
        passages = [toy_tokenizer.decode(passage) for passage in example.passages]
        assert any("71717" in passage for passage in passages) == is_seen


def test_nearly_every_place_in_a_file_gives_an_example(toy_tokenizer: CodeTokenizer) -> None:
    """In a short file many kinds of hole find nothing that fits: another kind is drawn."""
    file, rng = TrainingFile("total = alpha\n"), random.Random(0)
    num_examples = sum(len(list(draw_examples(file, toy_tokenizer, SIZES, rng))) for _ in range(400))
    assert num_examples > 0.97 * 400


@pytest.fixture(scope="module")
def large_tokenizer() -> CodeTokenizer:
    """Every byte and 70,000 words: more ids than uint16 holds."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    words = [*alphabet, *(f"word{number}" for number in range(70_000))]
    bpe = tokenizers.Tokenizer(models.BPE(vocab={word: index for index, word in enumerate(words)}, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return CodeTokenizer(bpe)


@pytest.mark.parametrize(
    ("vocab_size", "expected"), [(256, np.uint16), (65_536, np.uint16), (65_537, np.uint32), (151_936, np.uint32)]
)
def test_ids_take_two_bytes_where_they_can(vocab_size: int, expected: type) -> None:
    assert token_dtype(vocab_size) == expected


def test_a_large_vocabulary_survives_a_shard(tmp_path: Path, large_tokenizer: CodeTokenizer) -> None:
    examples = list(draw_examples(TrainingFile(SCRIPT, "javascript"), large_tokenizer, SIZES, random.Random(0)))
    write_shard(tmp_path / "train-000.npz", examples)
    shards = Shards([tmp_path / "train-000.npz"])
    assert shards.token_dtype == np.uint32
    assert shards.has_token(large_tokenizer.hole_ids[0])
    for packed, read in zip(examples, examples_of(shards), strict=True):
        assert [piece.tolist() for piece in packed.pieces] == [piece.tolist() for piece in read.pieces]
        assert (read.context >= large_tokenizer.num_text_tokens).sum() >= 3  # suffix, prefix, rest, hole


def test_shards_of_another_layout_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "train-000.npz", tokens=np.zeros(3, np.uint16), lengths=np.zeros((1, 12), np.int16))
    with pytest.raises(ValueError, match="packed by another version"):
        Shards([tmp_path / "train-000.npz"])
