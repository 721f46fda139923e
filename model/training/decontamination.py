"""What a text shares with texts it must not repeat: windows with public benchmarks, lines with texts taken before.

Of the benchmarks only digests are kept: 8-byte BLAKE2b of every window, in no promised order. A window is twenty tokens
of `\\w+|[^\\w\\s]` joined by one space, in UTF-8. This module does not know what a corpus is.
"""

import functools
import hashlib
import re
import zlib
from collections import defaultdict
from itertools import dropwhile
from pathlib import Path

import numpy as np

WINDOW_TOKENS = 20
DIGEST_BYTES = 8
DIGESTS_PATH = Path(__file__).with_name("decontamination-20grams.bin")

_TOKEN = re.compile(r"\w+|[^\w\s]")


class Decontamination:
    """The set of benchmark windows that no training file may hold."""

    def __init__(self, digests: np.ndarray) -> None:
        """Take `digests` (N,) uint64, in any order, repeats allowed."""
        self._digests = np.unique(digests)

    def shares_window(self, text: str) -> bool:
        """Whether any 20-token window of `text` is a benchmark's; a text of fewer tokens shares none."""
        if not self._digests.size:
            return False
        windows = window_digests(text)
        places = np.searchsorted(self._digests, windows)
        places[places == self._digests.size] = 0
        return bool((self._digests[places] == windows).any())


def window_digests(text: str, num_tokens: int = WINDOW_TOKENS) -> np.ndarray:
    """Digest each window of `num_tokens` tokens of `text`: (windows,) uint64, or (0,) when there are fewer tokens."""
    tokens = [token.encode() for token in _TOKEN.findall(text)]
    joined = b" ".join(tokens)
    ends = np.cumsum([len(token) + 1 for token in tokens], dtype=np.int64) - 1
    starts = np.concatenate(([0], ends[:-1] + 1))
    windows = zip(starts.tolist(), ends[num_tokens - 1 :].tolist(), strict=False)
    blake2b = hashlib.blake2b
    digests = b"".join([blake2b(joined[start:end], digest_size=DIGEST_BYTES).digest() for start, end in windows])
    return np.frombuffer(digests, dtype="<u8")


@functools.cache
def load_decontamination(path: Path = DIGESTS_PATH) -> Decontamination:
    """Read a file of concatenated digests.

    Raises ValueError when its size is no multiple of eight bytes, OSError when it cannot be read.
    """
    content = path.read_bytes()
    if len(content) % DIGEST_BYTES:
        raise ValueError(f"{path} has {len(content)} bytes, not a multiple of {DIGEST_BYTES}; copy it anew")
    return Decontamination(np.frombuffer(content, dtype="<u8"))


def shares_window(text: str) -> bool:
    """Whether `text` shares a window with the benchmarks that this package knows."""
    return load_decontamination().shares_window(text)


class NearDuplicates:
    """The texts taken so far, and whether a new one repeats one of them.

    MinHash over shingles of three lines (Broder 1997), candidates by banding. Of held-out texts the shingles themselves
    are kept, since a copied part of one is too much. Blank lines and the space around a line do not count, nor does the
    comment that a file begins with: many projects share the text of a licence.
    """

    NUM_HASHES = 64
    NUM_BANDS = 16
    MIN_SIMILARITY = 0.7
    SHINGLE_LINES = 3
    MAX_HELD_OUT_SHARE = 0.25
    MAX_HELD_OUT_SHINGLES = 30

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self._multipliers = generator.integers(1, 2**63, self.NUM_HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        self._offsets = generator.integers(0, 2**63, self.NUM_HASHES, dtype=np.uint64)
        self._exact: set[bytes] = set()
        self._held_out: set[int] = set()
        self._signatures: list[np.ndarray] = []
        self._bands: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)

    def add(self, text: str, is_held_out: bool = False) -> str | None:
        """Take `text` in, or say why not: "duplicate", "near duplicate" or "copies held-out"."""
        lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
        exact = hashlib.sha256("\n".join(lines).encode()).digest()
        if exact in self._exact:
            return "duplicate"
        shingles = self._shingles(list(dropwhile(_is_comment, lines)) or lines)
        if not is_held_out and self._copies_held_out(shingles):
            return "copies held-out"
        signature = self._signature(shingles)
        bands = [(band, rows.tobytes()) for band, rows in enumerate(signature.reshape(self.NUM_BANDS, -1))]
        alike = {index for band in bands for index in self._bands.get(band, ())}
        if any((self._signatures[index] == signature).mean() >= self.MIN_SIMILARITY for index in alike):
            return "near duplicate"
        for band in bands:
            self._bands[band].append(len(self._signatures))
        self._exact.add(exact)
        self._signatures.append(signature)
        if is_held_out:
            self._held_out |= shingles
        return None

    def _shingles(self, lines: list[str]) -> set[int]:
        last = max(len(lines) - self.SHINGLE_LINES, 0)
        texts = ("\n".join(lines[start : start + self.SHINGLE_LINES]) for start in range(last + 1))
        return {zlib.crc32(text.encode()) for text in texts}

    def _copies_held_out(self, shingles: set[int]) -> bool:
        num_shared = len(shingles & self._held_out)
        return num_shared > min(self.MAX_HELD_OUT_SHARE * len(shingles), self.MAX_HELD_OUT_SHINGLES)

    def _signature(self, shingles: set[int]) -> np.ndarray:
        """(NUM_HASHES,) uint32: the least value of each hash over the shingles."""
        values = np.fromiter(shingles, dtype=np.uint64, count=len(shingles))
        hashes: np.ndarray = (values[:, None] * self._multipliers + self._offsets) >> np.uint64(32)
        least: np.ndarray = hashes.min(axis=0)
        return least.astype(np.uint32)


def _is_comment(line: str) -> bool:
    """Whether a stripped line begins like a comment of Python or JavaScript."""
    return line.startswith(("#", "//", "/*", "*"))
