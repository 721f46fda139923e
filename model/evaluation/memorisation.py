"""Whether a fill repeats the corpus that the model was trained on: runs of 30 tokens that stand there verbatim.

Tokens are those of the corpus's decontamination, `\\w+|[^\\w\\s]`. Of the corpus only digests are kept: 8-byte
BLAKE2b of each run, the tokens joined by one space, in UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from midfill.model.training.decontamination import window_digests
from midfill.model.training.examples import read_texts

RUN_TOKENS = 30
Digests = npt.NDArray[np.uint64]
Verdict = Literal["too short", "new", "corpus", "corpus and request"]


class TrainingRuns:
    """The runs of a training corpus."""

    def __init__(self, digests: Digests) -> None:
        """digests: (N,), sorted."""
        self._digests = digests

    def verdict(self, fill: str, request_text: str) -> Verdict:
        """`corpus`: the fill has a run of the corpus that the request's own text does not hold, so it comes from
        memory; `corpus and request`: whatever run of the corpus it has could have been read from the request."""
        runs = run_digests(fill)
        if not runs.size:
            return "too short"
        known = runs[self._holds(runs)]
        if not known.size:
            return "new"
        return "corpus and request" if np.isin(known, run_digests(request_text)).all() else "corpus"

    def _holds(self, runs: Digests) -> npt.NDArray[np.bool_]:
        if not self._digests.size:
            return np.zeros(runs.shape, np.bool_)
        places = np.minimum(np.searchsorted(self._digests, runs), self._digests.size - 1)
        return np.asarray(self._digests[places] == runs)


def load_training_runs(corpus: Path, report: Callable[[str], None]) -> TrainingRuns:
    """The runs of `train.jsonl.gz` in the folder `corpus`; read from a file beside it that is made when it is missing
    or older, which takes minutes: `report` gets a sentence then. Raises FileNotFoundError without a training split."""
    texts = corpus / "train.jsonl.gz"
    cached = corpus / f"train-{RUN_TOKENS}-token-runs.npy"
    if not texts.is_file():
        raise FileNotFoundError(f"{texts} does not exist; build it with `midfill train corpus --out {corpus}`.")
    if not cached.is_file() or cached.stat().st_mtime_ns < texts.stat().st_mtime_ns:
        report(f"reading {texts} for its runs of {RUN_TOKENS} tokens, once")
        digests = np.unique(np.concatenate([np.zeros(0, "<u8"), *map(run_digests, read_texts(texts))]))
        unfinished = cached.with_suffix(".unfinished.npy")
        np.save(unfinished, digests)
        unfinished.replace(cached)
    return TrainingRuns(np.load(cached, mmap_mode="r"))


def run_digests(text: str) -> Digests:
    """The digest of each run of 30 tokens; (0,) where there are fewer tokens."""
    return window_digests(text, RUN_TOKENS)
