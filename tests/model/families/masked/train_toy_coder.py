"""Train the toy checkpoints and save them where the tests find them:

    python tests/model/families/masked/train_toy_coder.py dream      # or dreamon, llada; minutes on one core

Most examples are masked at the holes of a task, as the family asks; one in four somewhere else, so that the text behind
a hole can be judged. Dream and DreamOn read the token at a position from the position before it; DreamOn is taught to
take two tokens for one mask, and to take masks away behind the right fill.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import torch
import torch.nn.functional as F
import toy_coder
from muon import Muon, set_rate
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from toy_coder_language import HOLE, one_hole, two_holes

DATA = Path(__file__).parents[3] / "data"
BATCH_SIZE = 32
END, BEGIN, MASK, EXPAND = range(4)


@dataclass(frozen=True)
class Example:
    """ids: what the network sees; labels: what it is to say, -100 where it is not asked."""

    ids: list[int]
    labels: list[int]


def example(rng: random.Random, tokenizer: Tokenizer, *, with_lengths: bool) -> Example:
    task = rng.choice((one_hole, one_hole, two_holes))(rng)
    before, *behind = (tokenizer.encode(text).ids for text in task.text.split(HOLE))
    answers = [tokenizer.encode(answer).ids for answer in task.answers]
    if rng.random() < 0.25:
        pairs = zip(answers, behind, strict=True)
        ids = before + [token for answer, text in pairs for token in (*answer, *text)]
        start, length = rng.randrange(len(ids)), rng.randint(1, 8)
        before, behind, answers = ids[:start], [ids[start + length :]], [ids[start : start + length]]
        with_lengths = False
    share = rng.choice((1.0, rng.random()))
    pieces = [seen([BEGIN, *before])]
    for answer, text in zip(answers, behind, strict=True):
        hidden = [rng.random() < share for _ in answer]
        hole = Example(
            [MASK if hide else token for hide, token in zip(hidden, answer, strict=True)],
            [token if hide else -100 for hide, token in zip(hidden, answer, strict=True)],
        )
        pieces += [resized(hole, rng) if with_lengths else hole, seen(text)]
    pieces.append(seen([END]))
    ids = [token for piece in pieces for token in piece.ids]
    return Example(ids, [label for piece in pieces for label in piece.labels])


def seen(ids: list[int]) -> Example:
    return Example(ids, [-100] * len(ids))


def resized(hole: Example, rng: random.Random) -> Example:
    """With masks that stand for two tokens, and masks behind that stand for none."""
    ids, labels, merging = list[int](), list[int](), rng.random() * 0.8
    index = 0
    while index < len(hole.ids):
        pair = hole.ids[index : index + 2] == [MASK, MASK] and rng.random() < merging
        ids.append(hole.ids[index])
        labels.append(EXPAND if pair else hole.labels[index])
        index += 2 if pair else 1
    num_deleted = rng.choice((0, rng.randrange(12)))
    return Example(ids + [MASK] * num_deleted, labels + [END] * num_deleted)


def batch(rng: random.Random, tokenizer: Tokenizer, kind: toy_coder.Kind) -> tuple[Tensor, Tensor, Tensor]:
    """ids (B, T), labels (B, T), mask (B, 1, 1, T) of what is no padding."""
    rows = [example(rng, tokenizer, with_lengths=kind == "dreamon") for _ in range(BATCH_SIZE)]
    width = max(len(row.ids) for row in rows)
    ids = torch.tensor([row.ids + [END] * (width - len(row.ids)) for row in rows])
    labels = torch.tensor([row.labels + [-100] * (width - len(row.ids)) for row in rows])
    lengths = torch.tensor([len(row.ids) for row in rows])
    return ids, labels, (torch.arange(width) < lengths[:, None])[:, None, None]


def loss_of(network: Any, kind: toy_coder.Kind, ids: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    logits = network(ids, attention_mask=mask.expand(-1, 1, ids.shape[1], -1), use_cache=False).logits
    if kind != "llada":
        logits, labels = logits[:, :-1], labels[:, 1:]
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def train(kind: toy_coder.Kind, folder: Path, num_steps: int, seed: int, first: Path | None) -> None:
    torch.manual_seed(seed)
    rng = random.Random(seed)
    network: Any = toy_coder.toy_network(kind)
    if first is not None:
        network.load_state_dict(load_file(first / "model.safetensors"))
    tokenizer = toy_coder.byte_pairs(toy_coder.SPECIAL_TOKENS[kind])
    matrices = [p for name, p in network.named_parameters() if p.ndim == 2 and "layers." in name]
    others = [p for name, p in network.named_parameters() if not (p.ndim == 2 and "layers." in name)]
    optimisers = [Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0)]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    started, mean = time.monotonic(), 0.0
    for step in range(1, num_steps + 1):
        set_rate(optimisers, min(1.0, step / 100) * (0.02 + 0.98 * (1 - step / num_steps)))
        loss = loss_of(network, kind, *batch(rng, tokenizer, kind))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        mean += 0.02 * (loss.item() - mean) if step > 1 else loss.item()
        if step % 100 == 0 or step == num_steps:
            print(f"step {step}, loss {mean:.3f}, {time.monotonic() - started:.0f} s", flush=True)
            toy_coder.save_toy(folder, kind, network.state_dict())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("dream", "dreamon", "llada"))
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--first", type=Path, help="a toy Dream or DreamOn to begin from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(options.kind, options.output or DATA / f"toy-{options.kind}", options.steps, options.seed, options.first)
