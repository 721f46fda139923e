"""What travels between two machines: packed shards to the one that trains, its checkpoint back; in small files.

A shipment is a folder of xz files, each of at most 16 MiB, and `manifest.json` (`parts.py`). What arrives damaged or
incomplete is refused, and the files to copy again are named. Nothing here knows the network.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from midfill.model.tokenizer import CodeTokenizer
from midfill.model.training.examples import NUM_COLUMNS, Example, Shards
from midfill.model.training.parts import (
    MANIFEST_BYTES,
    MIB,
    Part,
    TransportError,
    check_parts,
    make_empty,
    read_manifest,
    sha256,
    write_manifest,
    write_part,
)

SHARDS, CHECKPOINT = "shards", "checkpoint"
SPLITS = ("validation", "train")
CHECKPOINT_FILES = ("checkpoint/adapter.safetensors", "checkpoint/config.json", "run.json")

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 3, "lp": 1, "pb": 1}]
"""uint16 ids and bfloat16 weights come in pairs of bytes, which `lp` and `pb` tell xz. Measured on one shard of 11 MiB
and on the weights of 6.6 MiB: 6.09 and 1.49 times smaller; without that 6.06 and 1.40; with low and high bytes apart
4.36 and 1.46; with preset 9 extreme 6.13 (the shard) in 1.7 times the time."""

_BLOCK = 64
"""Examples that stay together when the order is drawn. Neighbours share text: a shard of 28 MiB becomes 6.2 times
smaller in blocks, 4.5 times one by one."""

_PENDING = 72 * 1024
"""Compressed bytes that xz may hold back before it writes them (a chunk of 64 KiB and a little)."""

_FRAME_BYTES = 256
"""Of an xz stream: its header, index and footer."""


# --- shards


def ship_shards(
    folders: Sequence[Path], tokenizer: CodeTokenizer, out: Path, max_mib: float, max_part_mib: float = 16
) -> dict[str, Any]:
    """Pack folders of shards into `out`: validation first, then of train what fits `max_mib`.

    tokenizer: of the parent that they were packed with, which the other machine has a copy of.

    The order is drawn anew, so that what fits is a fair sample of all. Returns the manifest, which says how much did.
    Raises TransportError if the tokenizer is another one, or not even a part of the training examples fits."""
    make_empty(out)
    room = int(max_mib * MIB) - MANIFEST_BYTES
    parts: list[Part] = []
    num_found = dict.fromkeys(SPLITS, 0)
    for split in SPLITS:
        paths = [path for folder in folders for path in sorted(folder.glob(f"{split}-*.npz"))]
        if not paths and split != "train":
            continue
        of_split = Shards(paths)
        num_found[split] = len(of_split)
        _check_tokenizer(of_split, tokenizer)
        for content, num_examples, num_tokens in _filled_parts(of_split, room, int(max_part_mib * MIB)):
            number = sum(part.name.startswith(split) for part in parts)
            parts.append(write_part(out / f"{split}-{number:03}.xz", content, num_examples, num_tokens))
            room -= len(content)
    if not any(part.name.startswith("train") for part in parts):
        raise TransportError(
            f"Not even {_BLOCK} training examples fit into {max_mib} MiB in parts of {max_part_mib} MiB; allow more."
        )
    return write_manifest(out, SHARDS, parts, [], num_found=num_found)


def unship_shards(folder: Path, out: Path) -> dict[str, Any]:
    """Unpack what `ship_shards` made into `out`, one shard for each part. Returns the manifest.

    Raises TransportError, before anything is written, that names every damaged or missing file."""
    manifest, parts, _ = read_manifest(folder, SHARDS)
    check_parts(folder, parts)
    out.mkdir(parents=True, exist_ok=True)
    others = sorted({path.stem for path in out.glob("*.npz")} - {Path(part.name).stem for part in parts})
    if others:
        raise TransportError(f"{out} holds shards of another packing ({', '.join(others)}); give an empty folder.")
    for part in parts:
        content = lzma.decompress((folder / part.name).read_bytes())
        id_bytes = (len(content) - part.num_examples * NUM_COLUMNS * 2) // part.num_tokens
        tokens = np.frombuffer(content, f"<u{id_bytes}", part.num_tokens)
        lengths = np.frombuffer(content, "<i2", offset=tokens.nbytes).reshape(part.num_examples, NUM_COLUMNS)
        np.savez(
            out / Path(part.name).with_suffix(".npz").name,
            tokens=tokens.astype(f"=u{id_bytes}"),
            lengths=lengths.astype(np.int16),
        )
    return manifest


def _filled_parts(shards: Shards, room: int, max_part: int) -> Iterator[tuple[bytes, int, int]]:
    """Content, number of examples and of tokens of each part; parts of at most `max_part` bytes, `room` in all."""
    blocks = (_Block([shards[index] for index in block]) for block in _block_order(len(shards)))
    block = next(blocks, None)
    while block is not None:
        ids, lengths = _Stream(), _Stream()
        num_examples, limit = 0, min(room, max_part)
        while block is not None and ids.bound + lengths.bound + block.num_bytes <= limit:
            ids.add(block.ids)
            lengths.add(block.lengths)
            num_examples += block.num_examples
            block = next(blocks, None)
        if not num_examples:
            return
        content = ids.finish() + lengths.finish()
        yield content, num_examples, ids.num_raw // shards.token_dtype.itemsize
        room -= len(content)
        if limit < max_part:  # the room was used up, but for crumbs
            return


def _block_order(num_examples: int) -> Iterator[range]:
    starts = range(0, num_examples, _BLOCK)
    for place in np.random.default_rng(0).permutation(len(starts)).tolist():
        yield range(starts[place], min(starts[place] + _BLOCK, num_examples))


class _Block:
    """Some examples as bytes: ids (as in their shard) and lengths (int16, a row for each example)."""

    def __init__(self, examples: Sequence[Example]) -> None:
        rows = np.array([example.lengths for example in examples], "<i2")
        ids = np.concatenate([piece for example in examples for piece in example.pieces])
        self.ids = ids.astype(ids.dtype.newbyteorder("<")).tobytes()
        self.lengths = rows.tobytes()
        self.num_examples = len(examples)
        self.num_bytes = len(self.ids) + len(self.lengths)


class _Stream:
    """An xz stream that knows while it is written how large it will be at most. Two end to end are one xz file."""

    def __init__(self) -> None:
        self.num_raw = 0
        self._compressor = lzma.LZMACompressor(filters=_FILTERS)
        self._written: list[bytes] = []

    @property
    def bound(self) -> int:
        """The most bytes that the stream has if it is finished now."""
        return sum(map(len, self._written)) + min(self.num_raw, _PENDING) + _FRAME_BYTES

    def add(self, raw: bytes) -> None:
        self._written.append(self._compressor.compress(raw))
        self.num_raw += len(raw)

    def finish(self) -> bytes:
        return b"".join([*self._written, self._compressor.flush()])


def _check_tokenizer(shards: Shards, tokenizer: CodeTokenizer) -> None:
    first = shards[0].context
    if int(first.max()) >= tokenizer.vocab_size or tokenizer.special_ids["<prefix>"] not in first:
        raise TransportError("The shards were packed with another parent; give the one they were packed with.")


# --- a run's checkpoint


def split_checkpoint(
    run: Path, out: Path, max_part_mib: float = 16, max_files: int = 8, max_mib: float = 64
) -> dict[str, Any]:
    """Pack a run's last saved checkpoint, its settings and its losses into at most `max_files` files, the manifest
    included, of `max_mib` together. The optimisers' state stays behind: what arrives can be finished and warm-started.

    Returns the manifest. Raises TransportError if there is no checkpoint yet or it does not fit."""
    missing = [name for name in CHECKPOINT_FILES if not (run / name).is_file()]
    if missing:
        raise TransportError(f"The run {run} has no {', '.join(missing)}: it has not been saved yet; let it train on.")
    names = [*CHECKPOINT_FILES, *(["losses.jsonl"] if (run / "losses.jsonl").exists() else [])]
    contents = {name: (run / name).read_bytes() for name in names}
    packed = lzma.compress(b"".join(contents.values()), filters=_FILTERS)
    size = int(max_part_mib * MIB)
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    if len(pieces) + 1 > max_files or len(packed) + MANIFEST_BYTES > max_mib * MIB:
        raise TransportError(
            f"The checkpoint of {run} takes {len(packed) / MIB:.1f} MiB in {len(pieces)} files and a manifest, more "
            f"than {max_mib} MiB in {max_files} files; allow more, or train a smaller network."
        )
    make_empty(out)
    parts = [write_part(out / f"checkpoint-{number:03}.xz.part", piece) for number, piece in enumerate(pieces)]
    files = [Part(name, len(content), sha256(content)) for name, content in contents.items()]
    return write_manifest(out, CHECKPOINT, parts, files)


def join_checkpoint(folder: Path, out: Path) -> dict[str, Any]:
    """Make a run's folder of what `split_checkpoint` made: `checkpoint/`, `run.json` and `losses.jsonl`, no state.pt.

    Returns the manifest. Raises TransportError, before anything is written, that names what is damaged or missing."""
    manifest, parts, files = read_manifest(folder, CHECKPOINT)
    check_parts(folder, parts)
    if (out / "state.pt").exists():
        raise TransportError(f"{out} is a run that can still be trained; give another folder.")
    content = lzma.decompress(b"".join((folder / part.name).read_bytes() for part in parts))
    for file in files:
        path = out / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[: file.num_bytes])
        content = content[file.num_bytes :]
    return manifest
