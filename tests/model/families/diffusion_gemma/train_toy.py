"""Train a tiny DiffusionGemma on the toy language and save it where the tests find it:

    python tests/model/families/diffusion_gemma/train_toy.py

The checkpoint in `tests/data` comes of four runs, 10,000 steps together, each after the first with `--first` and
another seed: the mix of tasks was changed between them, and a task was replaced that was not learnt.

Every task is asked as the family asks it, and noised as DiffusionGemma is: a share of the canvas, from none to all, is
random tokens, and half of the time the network sees what it made of the same canvas before. A rewriting begins from
the old text half of the time, a clamped canvas has noise in its holes only more often than not.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import torch
import torch.nn.functional as F
import toy
from muon import Muon, set_rate
from torch import Tensor
from toy_language import HOLE, Task, joint_holes, one_hole, random_source, rewriting, two_rewritten
from transformers import AutoTokenizer, DiffusionGemmaForBlockDiffusion

from midfill.model.families.diffusion_gemma.chat import remaining_draft
from midfill.model.families.diffusion_gemma.prompt import FENCE, chat_prompt, clamped_prompt, document_of
from midfill.model.families.diffusion_gemma.tokenizer import END_OF_TURN, GemmaTokenizer
from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

CHECKPOINT = Path(__file__).parents[3] / "data" / "toy-gemma"
BATCH_SIZE = 16
CERTAIN = 40.0
"""As a logit: the softmax of it is one."""


@dataclass(frozen=True)
class Example:
    """context: ids before the canvas; target: what should stand on it, padding behind it; begun: the ids that it is
    noised from, the target or another text; open: where noise may stand."""

    context: tuple[int, ...]
    target: tuple[int, ...]
    begun: tuple[int, ...]
    open: tuple[bool, ...]


def request_of(task: Task, path: str | None = None) -> InfillRequest:
    before, *rest = task.text.split(HOLE)
    parts: list[TextPart | HolePart] = [TextPart(before)]
    for number, behind in enumerate(rest, start=1):
        parts += [HolePart(Hole(str(number), 31, draft=task.old)), TextPart(behind)]
    return InfillRequest(tuple(parts), instruction=task.instruction, path=path)


def clamped_example(task: Task, path: str | None, tokenizer: GemmaTokenizer, rng: random.Random) -> Example:
    """One time in three a hole of another length, so that what is pinned behind it stands where other text belongs."""
    document = document_of(request_of(task, path))
    target, begun, is_open = list[int](), list[int](), list[bool]()
    everywhere, misjudged = rng.random() < 0.4, rng.randrange(3 * len(task.answers))
    for number, (answer, behind) in enumerate(zip(task.answers, document.behind, strict=True)):
        ids, pinned = tokenizer.encode(answer), tokenizer.encode(behind)
        length = rng.randint(1, 7) if number == misjudged else len(ids)
        begun += ids if length == len(ids) else rng.choices(range(tokenizer.vocab_size), k=length)
        target += [*ids, *pinned]
        begun += pinned
        is_open += [True] * length + [everywhere] * len(pinned)
    ending = tokenizer.encode(f"\n{FENCE}{END_OF_TURN}")
    is_open += [everywhere] * len(ending)
    context = (*tokenizer.prompt(*clamped_prompt(document)), *tokenizer.encode(document.before))
    return Example(context, (*target, *ending), (*begun, *ending), tuple(is_open))


def chat_example(
    task: Task, path: str | None, tokenizer: GemmaTokenizer, canvas_length: int, rng: random.Random
) -> Example:
    """One of the canvases of an answer."""
    request = request_of(task, path)
    user, answer = chat_prompt(document_of(request), request.holes, task.instruction)
    ids = tokenizer.encode(answer.written(list(task.answers)) + END_OF_TURN)
    start = canvas_length * rng.randrange(math.ceil(len(ids) / canvas_length))
    target = ids[start : start + canvas_length]
    begun = target
    if task.old is not None and rng.random() < 0.5:
        left = remaining_draft(tokenizer.encode(task.old), ids[:start])
        begun = [*left, *tokenizer.encode(answer.closing + END_OF_TURN)][:canvas_length]
    context = (*tokenizer.prompt(user, answer.opening), *ids[:start])
    return Example(context, tuple(target), tuple(begun), (True,) * canvas_length)


def random_path(rng: random.Random) -> str | None:
    letters = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz_0123456789", k=rng.randint(3, 9)))
    return rng.choice((None, f"{letters}/toy.py", "toy.py"))


def examples(tokenizer: GemmaTokenizer, canvas_length: int, rng: random.Random) -> Iterator[Example]:
    makers = (one_hole, one_hole, joint_holes, joint_holes, joint_holes, rewriting, rewriting, two_rewritten)
    while True:
        task, path = rng.choice(makers)(rng), random_path(rng)
        if task.old is None and rng.random() < 0.5:
            yield clamped_example(task, path, tokenizer, rng)
        else:
            yield chat_example(task, path, tokenizer, canvas_length, rng)


def batches(stream: Iterator[Example], num_rows: int) -> Iterator[list[Example]]:
    """Examples whose contexts are equally long, so that nothing is padded before a canvas."""
    by_length = defaultdict[int, list[Example]](list)
    for example in stream:
        waiting = by_length[len(example.context)]
        waiting.append(example)
        if len(waiting) == num_rows:
            yield waiting
            del by_length[len(example.context)]


def noised(batch: list[Example], width: int, vocab_size: int, pad_id: int) -> tuple[Tensor, Tensor, Tensor]:
    """Canvases (B, W), what they should be, and where noise may stand."""
    target, begun, may_open = (
        torch.tensor([[*ids, *[fill] * width][:width] for ids in rows])
        for rows, fill in (
            ([example.target for example in batch], pad_id),
            ([example.begun for example in batch], pad_id),
            ([example.open for example in batch], False),
        )
    )
    share = torch.rand(len(batch), 1)
    share[torch.rand(len(batch)) < 0.5] = 1.0
    is_noise = may_open & (torch.rand(target.shape) < share)
    return torch.where(is_noise, torch.randint(vocab_size, target.shape), begun), target, may_open


def loss_of(network: DiffusionGemmaForBlockDiffusion, batch: list[Example], tokenizer: GemmaTokenizer) -> Tensor:
    """Of the canvases, and of the same examples read from left to right: what they say about each other is learnt
    there first, as DiffusionGemma was an autoregressive model before."""
    cache, reading = read(network, batch, tokenizer.pad_id)
    longest = max(max(len(example.target), len(example.begun)) for example in batch)
    width = min(longest + random.choice((0, 2, 8, 48)), network.config.canvas_length)
    ids, target, may_open = noised(batch, width, tokenizer.vocab_size, tokenizer.pad_id)
    carried = None
    if random.random() < 0.5:
        with torch.no_grad():
            predicted = network(decoder_input_ids=ids, cache=cache).logits
        carried = torch.where(may_open.unsqueeze(-1), predicted, CERTAIN * F.one_hot(ids, tokenizer.vocab_size))
    logits = network(decoder_input_ids=ids, cache=cache, self_conditioning_logits=carried).logits
    losses = F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)
    weights = torch.where(target == tokenizer.pad_id, 0.05, torch.where(may_open | (ids != target), 1.0, 0.1))
    return (losses * weights).sum() / weights.sum() + reading


def read(network: DiffusionGemmaForBlockDiffusion, batch: list[Example], pad_id: int) -> tuple[Any, Tensor]:
    """The cache of the contexts, and the loss of contexts and targets read from left to right."""
    num_context, longest = len(batch[0].context), max(len(example.target) for example in batch)
    rows = [[*example.context, *example.target, *[pad_id] * longest][: num_context + longest] for example in batch]
    ids = torch.tensor(rows)
    encoded = network.model.encoder(input_ids=ids)
    logits = network.lm_head(encoded.last_hidden_state[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=pad_id)
    for layer in encoded.cache.layers:  # nothing was dropped: the window is longer than any example
        layer.keys, layer.values = layer.keys[:, :, :num_context], layer.values[:, :, :num_context]
        if layer.is_sliding:
            layer.cumulative_length = num_context
    return encoded.cache, loss


def begin(network: DiffusionGemmaForBlockDiffusion) -> None:
    """Embeddings of one unit and blocks that at first add little to them: with transformers' own beginning, in which
    each block adds one unit of noise, copying was not learnt in 1,700 steps."""
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if name.endswith("embed_tokens.weight"):
                weights.normal_(0.0, weights.shape[1] ** -0.5)
            elif ".post_" in name:
                weights.fill_(0.2)


def train(folder: Path, num_steps: int, seed: int, first: Path | None) -> None:
    """first: a checkpoint whose training goes on, with the rates beginning anew."""
    torch.manual_seed(seed)
    random.seed(seed)
    rng = random.Random(seed)
    if first is None:
        words = toy.toy_tokenizer(_texts(rng))
        network = toy.tiny_network(len(words), sliding_window=256)
        begin(network)
    else:
        words = AutoTokenizer.from_pretrained(first)
        network = DiffusionGemmaForBlockDiffusion.from_pretrained(first)
    toy.save_toy(folder, network, words)
    tokenizer = GemmaTokenizer(folder, len(words))
    matrices = [
        p for name, p in network.named_parameters() if p.ndim == 2 and "layers." in name and "vision" not in name
    ]
    chosen = {id(p) for p in matrices}
    others = [p for p in network.parameters() if id(p) not in chosen]
    optimisers = [Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0)]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    stream = batches(examples(tokenizer, network.config.canvas_length, rng), BATCH_SIZE)
    started, mean = time.monotonic(), 0.0
    for step in range(1, num_steps + 1):
        set_rate(optimisers, min(1.0, step / 100) * (0.02 + 0.98 * (1 - step / num_steps)))
        loss = loss_of(network, next(stream), tokenizer)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        mean += 0.02 * (loss.item() - mean) if step > 1 else loss.item()
        if step % 100 == 0:
            print(f"step {step}, loss {mean:.3f}, {time.monotonic() - started:.0f} s", flush=True)
            toy.save_toy(folder, network, words)


def _texts(rng: random.Random) -> Iterator[str]:
    """What the tokenizer is to know by words: files, and how tasks are put."""
    for _ in range(200):
        task = rng.choice((one_hole, joint_holes, rewriting))(rng)
        request = request_of(task, "toy.py")
        yield chat_prompt(document_of(request), request.holes, task.instruction)[0]
        yield f"user\nmodel\nthought\n{clamped_prompt(document_of(request))[0]}\n{random_source(rng, 2)}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=Path, help="a checkpoint to go on from")
    parser.add_argument("--output", type=Path, default=CHECKPOINT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train(options.output, options.steps, options.seed, options.first)
