"""A sampler for models without a mask token, whose noise is random tokens. Like `midfill.model.engine.sampler` it knows
no model, no text and no positions.

After DiffusionGemma's own sampling (transformers, `generation_diffusion_gemma.py`): every step predicts every position
anew; those within an entropy budget keep a token drawn from the prediction, all others become random tokens again. What
is read at the end is the likeliest token of each position.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas
from midfill.model.engine.sampler import entropy_of, within_budget


@dataclass(frozen=True, slots=True)
class RenoisingSampler:
    """bound: nats, of the entropies of the surer positions before one that is accepted; temperature falls from
    `hottest` to `coolest` over `num_steps`; a row is closed once its likeliest tokens are those of the step before and
    its open positions' mean entropy is below `sure_entropy` nats, or at the last step.

    Positions at which only one token is allowed (-inf everywhere else) take no part in budget and mean, nor do those
    behind the end of a hole."""

    bound: float = 0.1
    hottest: float = 0.8
    coolest: float = 0.4
    num_steps: int = 48
    sure_entropy: float = 0.005

    def commit(self, logits: Tensor, canvas: Canvas, steps_left: int) -> Canvas:
        processed = logits / (self.coolest + (self.hottest - self.coolest) * steps_left / self.num_steps)
        log_probability = processed.log_softmax(dim=-1)
        entropy = entropy_of(log_probability)
        best = logits.argmax(dim=-1)
        accepted = within_budget(entropy, self.bound)
        closing = self._closing(best, entropy, logits, canvas, steps_left).unsqueeze(-1)  # (B, 1)
        closed = canvas.settled.all(dim=-1, keepdim=True)
        drawn, noise = self._draw(log_probability, canvas, steps_left)
        ids = torch.where(closing, best, torch.where(accepted, drawn, noise))
        settled = accepted & ~_least_sure(entropy, accepted, ids, canvas) | closing
        confidence = logits.softmax(dim=-1).gather(-1, best.unsqueeze(-1)).squeeze(-1)
        following = canvas.commit(
            torch.where(closed, canvas.ids, ids), closed | settled, torch.where(closed, canvas.confidence, confidence)
        )
        return replace(following, processed=processed)

    def _closing(self, best: Tensor, entropy: Tensor, logits: Tensor, canvas: Canvas, steps_left: int) -> Tensor:
        """(B,) True for rows that end with this step."""
        if steps_left <= 1:
            return torch.ones(best.shape[0], dtype=torch.bool, device=best.device)
        if canvas.processed is None:
            return torch.zeros(best.shape[0], dtype=torch.bool, device=best.device)
        matters = ((logits > -torch.inf).sum(dim=-1) > 1) & ~_behind_end(best == canvas.end_id, canvas)
        stable = ((best == canvas.processed.argmax(dim=-1)) | ~matters).all(dim=-1)
        mean = (entropy * matters).sum(dim=-1) / matters.sum(dim=-1).clamp_min(1)
        return stable & (mean < self.sure_entropy)

    def _draw(self, log_probability: Tensor, canvas: Canvas, steps_left: int) -> tuple[Tensor, Tensor]:
        """Tokens (B, L) drawn from the prediction, and random ones. A row's draws depend on its seed and the step, not
        on the rows beside it."""
        num_columns, vocab_size = log_probability.shape[1:]
        drawn, noise = [], []
        for row, seed in enumerate(canvas.seeds):
            generator = torch.Generator(log_probability.device).manual_seed(seed * 1_000_003 + steps_left)
            drawn.append(torch.multinomial(log_probability[row].exp(), 1, generator=generator).squeeze(-1))
            noise.append(torch.randint(vocab_size, (num_columns,), generator=generator, device=log_probability.device))
        return torch.stack(drawn), torch.stack(noise)


def _behind_end(ends: Tensor, canvas: Canvas) -> Tensor:
    """(B, L) True behind the first of `ends` (B, L) in each hole."""
    behind = torch.zeros_like(ends)
    for region in canvas.regions:
        here = ends[:, region.columns].int()
        behind[:, region.columns] = here.cumsum(dim=-1) - here > 0
    return behind


def _least_sure(entropy: Tensor, accepted: Tensor, ids: Tensor, canvas: Canvas) -> Tensor:
    """(B, L) True at one position of a row in which all are accepted: it stays open, so that only the stop rule closes
    a row."""
    before_end = ~_behind_end(ids == canvas.end_id, canvas)
    position = entropy.masked_fill(~before_end, -1.0).argmax(dim=-1, keepdim=True)
    opened = torch.zeros_like(accepted).scatter(-1, position, True)
    return opened & accepted.all(dim=-1, keepdim=True)
