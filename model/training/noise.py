"""How a hole's true tokens become noised canvases and what the network is to predict there.

Three kinds of noise. Masks at a rate drawn for every pair of canvases, whose masks complement each other, so that
each token is predicted once from what the other canvas hides (complementary masks: Fast-dLLM v2, Wu et al. 2025). Masks
from a frontier on, which is what a canvas looks like while it settles from its left end. Corrupted drafts, shifted by
insertions and deletions, for rewriting. In all of them some visible tokens are wrong ones, so that the network learns
to revise. The loss is cross-entropy on what was noised, a tenth on clean visible tokens, and the padding after the end
of the hole counts as about one token, however long the canvas is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midfill.model.families.embedded.tokenizer import CodeTokenizer

CANVAS_LENGTHS = (16, 32, 64, 128)
CLEAN_WEIGHT = 0.1
REPLACED_SHARE = (0.05, 0.15)
"""Share of visible canvas tokens that is replaced: from, to."""
FRONTIER_MASK_RATE = 0.92
"""Share of the tokens behind the frontier that is masked: a few that are surer have settled ahead of it."""

IdArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class NoisedCanvas:
    """All (L,): ids the network sees, targets it is to predict, weights of the loss."""

    ids: IdArray
    targets: IdArray
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """draft_share: the share of canvases that are corrupted drafts; frontier_share: of pairs that are masked from a
    frontier on."""

    draft_share: float = 0.08
    frontier_share: float = 0.4


DEFAULT_NOISE = NoiseSettings()


def canvas_length(num_tokens: int, rng: np.random.Generator) -> int:
    """A length that holds the tokens and the end of the hole; now and then one that is longer than needed."""
    fitting = [length for length in CANVAS_LENGTHS if length > num_tokens] or [CANVAS_LENGTHS[-1]]
    return fitting[min(int(rng.random() < 0.3), len(fitting) - 1)]


def noised_canvases(
    hole: npt.NDArray[np.unsignedinteger],
    length: int,
    count: int,
    tokenizer: CodeTokenizer,
    settings: NoiseSettings,
    rng: np.random.Generator,
) -> list[NoisedCanvas]:
    """`count` canvases of one hole, in pairs."""
    masks = list[BoolArray]()
    while len(masks) < count:
        if rng.random() < settings.frontier_share:
            masks += [_from_frontier(len(hole), length, rng) for _ in range(2)]
        else:
            masked = rng.random(length) < rng.random()
            masks += [masked, ~masked]
    return [_noised(hole, masked, tokenizer, settings, rng) for masked in masks[:count]]


def _from_frontier(num_tokens: int, length: int, rng: np.random.Generator) -> BoolArray:
    """Masked from one of the hole's tokens, or its end, on."""
    return (np.arange(length) >= rng.integers(0, num_tokens + 1)) & (rng.random(length) < FRONTIER_MASK_RATE)


def _noised(
    hole: npt.NDArray[np.unsignedinteger],
    masked: BoolArray,
    tokenizer: CodeTokenizer,
    settings: NoiseSettings,
    rng: np.random.Generator,
) -> NoisedCanvas:
    length = len(masked)
    targets = np.full(length, tokenizer.end_id, np.int64)
    targets[: len(hole)] = hole
    ids = targets.copy()
    if rng.random() < settings.draft_share:
        ids = _corrupted(ids, len(hole), tokenizer, rng)
    replaced = ~masked & (rng.random(length) < rng.uniform(*REPLACED_SHARE))
    ids[replaced] = _wrong_tokens(int(replaced.sum()), targets, tokenizer, rng)
    ids[masked] = tokenizer.mask_id
    weights = np.where(ids == targets, CLEAN_WEIGHT, 1.0).astype(np.float32)
    num_padding = length - len(hole) - 1
    if num_padding > 1:
        weights[len(hole) + 1 :] /= num_padding
    return NoisedCanvas(ids, targets, weights)


def _wrong_tokens(count: int, near: IdArray, tokenizer: CodeTokenizer, rng: np.random.Generator) -> IdArray:
    """Half of them any token, half tokens of the same canvas: those are the mistakes that a denoiser makes."""
    anything = rng.integers(0, tokenizer.num_text_tokens, count)
    return np.where(rng.random(count) < 0.5, anything, rng.choice(near, count))


def _corrupted(ids: IdArray, num_tokens: int, tokenizer: CodeTokenizer, rng: np.random.Generator) -> IdArray:
    """A draft: one to three runs of the true tokens left out or doubled with wrong ones, so that the rest is
    shifted."""
    draft = list(ids[:num_tokens])
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(draft) + 1))
        if rng.random() < 0.5:
            del draft[at : at + int(rng.integers(1, 4))]
        else:
            draft[at:at] = list(_wrong_tokens(int(rng.integers(1, 4)), ids, tokenizer, rng))
    draft = draft[: len(ids)]
    corrupted = np.full(len(ids), tokenizer.end_id, np.int64)
    corrupted[: len(draft)] = draft
    return corrupted
