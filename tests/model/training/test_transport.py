"""Shards and checkpoints arrive as they were sent, within the sizes allowed, or are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_parent import train_bpe

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.measuring.languages import FAMILIES
from midfill.model.training.examples import Example, Shards, write_shard
from midfill.model.training.parts import MIB, TransportError
from midfill.model.training.transport import join_checkpoint, ship_shards, split_checkpoint, unship_shards

SMALL_PARTS_MIB = 24 * 1024 / MIB


def contents(shards: Shards) -> list[tuple[str | bytes, ...]]:
    examples = [shards[index] for index in range(len(shards))]
    return [
        (example.language, example.context.tobytes(), *(hole.tobytes() for hole in example.holes))
        for example in examples
    ]


def total_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture(scope="module")
def shards_folder(tmp_path_factory: pytest.TempPathFactory, toy_tokenizer: CodeTokenizer, toy_shards: Shards) -> Path:
    """300 training examples in two shards, holes of every number, empty ones too; and a validation shard."""
    folder, rng = tmp_path_factory.mktemp("packed"), np.random.default_rng(0)

    def example() -> Example:
        holes = [rng.integers(0, 320, rng.integers(0, 20)).astype(np.uint16) for _ in range(rng.integers(1, 9))]
        context = rng.integers(0, 320, rng.integers(50, 90)).astype(np.uint16)
        context = np.append(context, toy_tokenizer.special_ids["<prefix>"]).astype(np.uint16)
        return Example(context, tuple(holes), (), str(rng.choice(FAMILIES)))

    for name, num_examples in (("train-000", 170), ("train-001", 130), ("validation-000", 20)):
        write_shard(folder / f"{name}.npz", [example() for _ in range(num_examples)])
    return folder


@pytest.fixture
def shipment(tmp_path: Path, shards_folder: Path) -> Path:
    ship_shards([shards_folder], tmp_path / "sent", 1, SMALL_PARTS_MIB)
    return tmp_path / "sent"


def test_shards_arrive_bit_by_bit(tmp_path: Path, shards_folder: Path, shipment: Path) -> None:
    parts = sorted(shipment.glob("*.xz"))
    assert len(parts) > 3
    assert all(path.stat().st_size <= SMALL_PARTS_MIB * MIB for path in parts)
    for _ in range(2):  # to repeat it does no harm
        unship_shards(shipment, tmp_path / "got")
    for split in ("train", "validation"):
        sent, got = (Shards(sorted(folder.glob(f"{split}-*.npz"))) for folder in (shards_folder, tmp_path / "got"))
        assert sorted(contents(got)) == sorted(contents(sent))
        assert got[0].context.dtype == np.uint16


def test_ids_of_a_large_vocabulary_arrive(tmp_path: Path, shards_folder: Path, toy_tokenizer: CodeTokenizer) -> None:
    packed, sent, got = tmp_path / "packed", tmp_path / "sent", tmp_path / "got"
    packed.mkdir()
    of_two_bytes = Shards(sorted(shards_folder.glob("train-*.npz")))
    examples = [of_two_bytes[index] for index in range(64)]
    wide = [
        replace(e, context=e.context.astype(np.uint32), holes=tuple(h.astype(np.uint32) for h in e.holes))
        for e in examples
    ]
    write_shard(packed / "train-000.npz", wide)
    ship_shards([packed], sent, 1)
    unship_shards(sent, got)
    shards = Shards([got / "train-000.npz"])
    assert shards.token_dtype == np.uint32
    assert sorted(contents(shards)) == sorted(contents(Shards([packed / "train-000.npz"])))


def test_the_order_is_drawn_anew_and_the_same_each_time(
    tmp_path: Path, shards_folder: Path, toy_tokenizer: CodeTokenizer, shipment: Path
) -> None:
    ship_shards([shards_folder], tmp_path / "again", 1, SMALL_PARTS_MIB)
    assert {path.name: path.read_bytes() for path in shipment.iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()
    }
    unship_shards(shipment, tmp_path / "got")
    sent, got = (contents(Shards(sorted(f.glob("train-*.npz")))) for f in (shards_folder, tmp_path / "got"))
    assert got != sent


def test_what_does_not_fit_stays_behind_and_is_counted(
    tmp_path: Path, shards_folder: Path, toy_tokenizer: CodeTokenizer
) -> None:
    limit_mib = 0.05
    manifest = ship_shards([shards_folder], tmp_path / "sent", limit_mib)
    num_sent = sum(part["num_examples"] for part in manifest["parts"] if part["name"].startswith("train"))
    assert 0 < num_sent < manifest["num_found"]["train"] == 300
    assert total_bytes(tmp_path / "sent") <= limit_mib * MIB
    assert len(list((tmp_path / "sent").glob("train-*.xz"))) == 1, "no crumbs of a few examples"
    unship_shards(tmp_path / "sent", tmp_path / "got")
    sent, got = (contents(Shards(sorted(f.glob("train-*.npz")))) for f in (shards_folder, tmp_path / "got"))
    assert len(got) == num_sent
    assert set(got) <= set(sent)
    with pytest.raises(TransportError, match=r"Not even 64 training examples fit into 0\.02 MiB"):
        ship_shards([shards_folder], tmp_path / "none", 0.02)


def test_several_packings_travel_together(tmp_path: Path, shards_folder: Path, toy_tokenizer: CodeTokenizer) -> None:
    ship_shards([shards_folder, shards_folder], tmp_path / "sent", 1)
    unship_shards(tmp_path / "sent", tmp_path / "got")
    assert len(Shards(sorted((tmp_path / "got").glob("train-*.npz")))) == 600


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("name", "damage", "complaint"),
    [
        ("train-001.xz", flip_a_bit, r"train-001.xz is damaged\. Copy these files again"),
        ("train-001.xz", cut_short, r"train-001.xz has [\d,]+ bytes of"),
        ("validation-000.xz", Path.unlink, "validation-000.xz is missing"),
        ("manifest.json", cut_short, "manifest.json cannot be read"),
        ("manifest.json", Path.unlink, "manifest.json cannot be read"),
    ],
)
def test_damage_is_named_and_nothing_is_unpacked(
    tmp_path: Path, shipment: Path, name: str, damage: Callable[[Path], None], complaint: str
) -> None:
    damage(shipment / name)
    with pytest.raises(TransportError, match=complaint):
        unship_shards(shipment, tmp_path / "got")
    assert not (tmp_path / "got").exists()


def test_a_manifest_cannot_write_outside_its_folder(tmp_path: Path, shipment: Path) -> None:
    manifest = json.loads((shipment / "manifest.json").read_text())
    manifest["parts"][0]["name"] = "../train-000.xz"
    (shipment / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(TransportError, match="outside its folder"):
        unship_shards(shipment, tmp_path / "got")


def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, shards_folder: Path, toy_tokenizer: CodeTokenizer, shipment: Path
) -> None:
    other = CodeTokenizer(train_bpe(["x = 1\n"], 258))
    Shards(sorted(shards_folder.glob("train-*.npz"))).check_tokenizer(toy_tokenizer)
    with pytest.raises(ValueError, match="packed with another parent"):
        Shards(sorted(shards_folder.glob("train-*.npz"))).check_tokenizer(other)
    with pytest.raises(TransportError, match="is not empty"):
        ship_shards([shards_folder], shipment, 1)
    with pytest.raises(TransportError, match="wanted are 'checkpoint'"):
        join_checkpoint(shipment, tmp_path / "run")
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "train-077.npz").touch()
    with pytest.raises(TransportError, match=r"holds shards of another packing \(train-077\)"):
        unship_shards(shipment, tmp_path / "got")


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path: Path, tiny_checkpoint: Path) -> None:
    run = tiny_checkpoint.parent
    manifest = split_checkpoint(run, tmp_path / "parts", max_part_mib=0.005)
    parts = sorted((tmp_path / "parts").glob("*.part"))
    assert len(parts) == len(manifest["parts"]) > 2
    assert all(path.stat().st_size <= 0.005 * MIB for path in parts)
    join_checkpoint(tmp_path / "parts", tmp_path / "joined")
    for name in ("config.json", "adapter.safetensors", "../run.json", "../losses.jsonl"):
        assert (tmp_path / "joined" / "checkpoint" / name).read_bytes() == (tiny_checkpoint / name).read_bytes()
    assert not (tmp_path / "joined" / "state.pt").exists()
    flip_a_bit(parts[1])
    parts[2].unlink()
    with pytest.raises(
        TransportError, match=r"checkpoint-001\.xz\.part is damaged; checkpoint-002\.xz\.part is missing"
    ):
        join_checkpoint(tmp_path / "parts", tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_a_checkpoint_that_is_too_large_or_not_there_is_refused(tmp_path: Path, tiny_checkpoint: Path) -> None:
    run = tiny_checkpoint.parent
    with pytest.raises(TransportError, match=r"in \d+ files and a manifest, more than 64 MiB in 3 files"):
        split_checkpoint(run, tmp_path / "parts", max_part_mib=0.005, max_files=3)
    with pytest.raises(TransportError, match=r"more than 0\.02 MiB in 8 files"):
        split_checkpoint(run, tmp_path / "parts", max_mib=0.02)
    with pytest.raises(TransportError, match=r"adapter\.safetensors.*has not been saved yet"):
        split_checkpoint(tmp_path, tmp_path / "parts")
    split_checkpoint(run, tmp_path / "parts")
    with pytest.raises(TransportError, match="can still be trained"):
        join_checkpoint(tmp_path / "parts", run)
