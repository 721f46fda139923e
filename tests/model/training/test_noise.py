"""Noised canvases: what is hidden, what is to be predicted, and how much each token counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.training.noise import (
    CANVAS_LENGTHS,
    CLEAN_WEIGHT,
    NoisedCanvas,
    NoiseSettings,
    canvas_length,
    noised_canvases,
)

HOLE = np.arange(40, 49).astype(np.uint16)
LENGTH = 16
PLAIN = NoiseSettings(draft_share=0.0, frontier_share=0.0)
SEEDS = range(40)


def drawn(
    tokenizer: CodeTokenizer, settings: NoiseSettings, seed: int, count: int = 4, hole: np.ndarray = HOLE
) -> list[NoisedCanvas]:
    return noised_canvases(hole, LENGTH, count, tokenizer, settings, np.random.default_rng(seed))


def masked(canvas: NoisedCanvas, tokenizer: CodeTokenizer) -> np.ndarray:
    return canvas.ids == tokenizer.mask_id


@pytest.mark.parametrize("hole", [HOLE, HOLE[:0], np.arange(15).astype(np.uint32)], ids=["nine", "none", "full"])
@pytest.mark.parametrize("settings", [PLAIN, NoiseSettings(), NoiseSettings(1.0, 0.0), NoiseSettings(0.0, 1.0)])
def test_the_targets_are_the_hole_and_its_end(
    toy_tokenizer: CodeTokenizer, settings: NoiseSettings, hole: np.ndarray
) -> None:
    for seed in SEEDS:
        for count in (1, 3, 4):
            canvases = drawn(toy_tokenizer, settings, seed, count, hole)
            assert len(canvases) == count
            for canvas in canvases:
                end = [toy_tokenizer.end_id] * (LENGTH - len(hole))
                assert canvas.targets.tolist() == [*hole.tolist(), *end]
                known = {toy_tokenizer.mask_id, toy_tokenizer.end_id, *range(toy_tokenizer.num_text_tokens)}
                assert set(canvas.ids.tolist()) <= known


def test_of_a_pair_each_token_is_hidden_exactly_once(toy_tokenizer: CodeTokenizer) -> None:
    shares = []
    for seed in SEEDS:
        first, second, third, fourth = (masked(c, toy_tokenizer) for c in drawn(toy_tokenizer, PLAIN, seed))
        assert (first ^ second).all()
        assert (third ^ fourth).all()
        shares += [first.mean(), third.mean()]
    assert min(shares) < 0.1 < 0.9 < max(shares), "every rate is drawn"


def test_from_a_frontier_on_nearly_everything_is_hidden(toy_tokenizer: CodeTokenizer) -> None:
    """What is to the left of it has settled; it is a token of the hole or its end."""
    frontiers = set()
    for seed in SEEDS:
        for canvas in drawn(toy_tokenizer, NoiseSettings(0.0, 1.0), seed):
            hidden = np.flatnonzero(masked(canvas, toy_tokenizer))
            frontier = int(hidden[0])
            frontiers.add(frontier)
            assert len(hidden) > (LENGTH - frontier) / 2
    assert {0, len(HOLE)} <= frontiers <= set(range(len(HOLE) + 4))


def test_what_counts_how_much(toy_tokenizer: CodeTokenizer) -> None:
    """A token that was hidden or changed counts as one, one that stands there right as a tenth; all of the padding
    behind the hole's end together as one."""
    for seed in SEEDS:
        for canvas in drawn(toy_tokenizer, NoiseSettings(0.3, 0.4), seed):
            is_right = canvas.ids == canvas.targets
            expected = np.where(is_right, np.float32(CLEAN_WEIGHT), np.float32(1))
            num_padding = LENGTH - len(HOLE) - 1
            expected[len(HOLE) + 1 :] /= num_padding
            np.testing.assert_allclose(canvas.weights, expected, rtol=1e-6)
            assert canvas.weights[len(HOLE) + 1 :].sum() <= 1 + 1e-5


def test_some_of_what_is_seen_is_wrong(toy_tokenizer: CodeTokenizer) -> None:
    """So that the network learns to revise: 5 to 15 of a hundred, half of them tokens of the same canvas."""
    num_wrong = num_seen = num_near = 0
    for seed in range(300):
        for canvas in drawn(toy_tokenizer, PLAIN, seed):
            seen = ~masked(canvas, toy_tokenizer)
            wrong = seen & (canvas.ids != canvas.targets)
            num_seen, num_wrong = num_seen + int(seen.sum()), num_wrong + int(wrong.sum())
            num_near += int(np.isin(canvas.ids[wrong], canvas.targets).sum())
    assert 0.05 < num_wrong / num_seen < 0.15
    assert 0.25 < num_near / num_wrong < 0.75


def test_drafts_are_shifted(toy_tokenizer: CodeTokenizer) -> None:
    """Where every canvas is a draft, tokens stand one place off far more often than by wrong tokens alone."""

    def num_shifted(settings: NoiseSettings) -> int:
        canvases = [canvas for seed in SEEDS for canvas in drawn(toy_tokenizer, settings, seed)]
        return sum(int((c.ids[1:9] == HOLE[:8]).sum() + (c.ids[:8] == HOLE[1:]).sum()) for c in canvases)

    assert num_shifted(NoiseSettings(1.0, 0.0)) > 10 * num_shifted(PLAIN)


@pytest.mark.parametrize(
    ("num_tokens", "shortest"), [(0, 16), (15, 16), (16, 32), (31, 32), (32, 64), (100, 128), (127, 128), (128, 128)]
)
def test_a_canvas_holds_the_tokens_and_their_end(num_tokens: int, shortest: int) -> None:
    lengths = {canvas_length(num_tokens, np.random.default_rng(seed)) for seed in SEEDS}
    longer = CANVAS_LENGTHS[min(CANVAS_LENGTHS.index(shortest) + 1, len(CANVAS_LENGTHS) - 1)]
    assert lengths == {shortest, longer}


def test_the_same_seed_gives_the_same_noise(toy_tokenizer: CodeTokenizer) -> None:
    settings = replace(NoiseSettings(), draft_share=0.5)
    first, again, other = (drawn(toy_tokenizer, settings, seed) for seed in (7, 7, 8))
    assert [canvas.ids.tolist() for canvas in first] == [canvas.ids.tolist() for canvas in again]
    assert [canvas.ids.tolist() for canvas in first] != [canvas.ids.tolist() for canvas in other]
