"""Which tokens may stand where, whatever the network says: text only, whole characters, lines that end where they must,
and holes that begin with what is healed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from midfill.model.engine.canvas import Canvas, Region
from midfill.model.families.embedded.tokenizer import CodeTokenizer, is_inside_character


class TokenRules:
    """Each rule takes log probabilities (..., V) and gives them with -inf where a token may not stand."""

    def __init__(self, tokenizer: CodeTokenizer, device: torch.device) -> None:
        self.tokenizer = tokenizer
        self._device = device
        self._forbidden = ~torch.from_numpy(tokenizer.is_text).to(device)
        self._forbidden[tokenizer.end_id] = False
        self._continues = torch.from_numpy(tokenizer.continues_character).to(device)
        self._opens = torch.from_numpy(tokenizer.opens_character).to(device)
        self._line_breaks = torch.tensor(tokenizer.line_break_ids, device=device)

    def allowed(self, log_probabilities: Tensor) -> Tensor:
        """Text and the end of the hole."""
        return log_probabilities.masked_fill(self._forbidden, -torch.inf)

    def ending_lines(self, log_probabilities: Tensor) -> Tensor:
        """For a hole that ends where its line does: what a line break had goes to the end of the hole."""
        ended = log_probabilities.clone()
        breaks = log_probabilities[..., self._line_breaks].logsumexp(dim=-1)
        ended[..., self.tokenizer.end_id] = torch.logaddexp(log_probabilities[..., self.tokenizer.end_id], breaks)
        ended[..., self._line_breaks] = -torch.inf
        return ended

    def with_beginnings(self, log_probabilities: Tensor, canvas: Canvas, healed: Sequence[str]) -> Tensor:
        """log_probabilities (B, L, V) of a canvas whose holes begin with what is healed, and whose tokens make whole
        characters."""
        ruled = self._between_neighbours(log_probabilities, canvas)
        for row in range(canvas.ids.shape[0]):
            for region, text in zip(canvas.regions, healed, strict=True):
                for column, ids in _settled_beginnings(canvas, row, region, len(text.encode())):
                    # What is healed stands there in any case: no neighbour may leave it without a token.
                    is_healed = len(self.tokenizer.bytes_of(ids)) < len(text.encode())
                    ruled[row, column] = self.at((log_probabilities if is_healed else ruled)[row, column], ids, text)
        return ruled

    def at(self, log_probabilities: Tensor, ids: Sequence[int], healed: str, beginning: str = "") -> Tensor:
        """log_probabilities (V,) of what follows `ids` in a hole that begins with what is healed and with `beginning`.

        What is healed is known, so it costs no confidence; a beginning is supposed, and keeps its probability."""
        content, known, supposed = self.tokenizer.bytes_of(ids), healed.encode(), (healed + beginning).encode()
        if len(content) < len(supposed):
            limited = self._limited(log_probabilities, self.tokenizer.beginning_with(supposed[len(content) :]))
            return limited.log_softmax(dim=-1) if len(content) < len(known) else limited
        if not is_inside_character(content):
            return log_probabilities.masked_fill(self._continues, -torch.inf)
        return log_probabilities.masked_fill(~self._continues, -torch.inf)

    def _between_neighbours(self, log_probabilities: Tensor, canvas: Canvas) -> Tensor:
        """Characters that take several tokens are written at the first open position of a hole, one token after the
        other. Elsewhere a token completes what the settled one to its left has begun, and begins what the settled one
        to its right completes; a settled token is replaced only by one that does the same."""
        settled, ids = canvas.settled, canvas.ids
        first_open, left_settled, right_settled = (torch.zeros_like(settled) for _ in range(3))
        for region in canvas.regions:
            columns = region.columns
            is_open = ~settled[:, columns]
            first_open[:, columns] = is_open & (is_open.cumsum(dim=1) == 1)
            left_settled[:, columns][:, 1:] = settled[:, columns][:, :-1]
            right_settled[:, columns][:, :-1] = settled[:, columns][:, 1:]
        completes = torch.where(settled, self._continues[ids], left_settled & self._opens[ids].roll(1, dims=1))
        begins = right_settled & self._continues[ids].roll(-1, dims=1) & ~completes
        begins = torch.where(settled, self._opens[ids], begins)
        wrong_beginning = ~first_open.unsqueeze(-1) & (self._continues != completes.unsqueeze(-1))
        is_free = (first_open & ~right_settled) | (~settled & completes)
        wrong_end = ~is_free.unsqueeze(-1) & (self._opens != begins.unsqueeze(-1))
        return log_probabilities.masked_fill(wrong_beginning | wrong_end, -torch.inf)

    def _limited(self, log_probabilities: Tensor, tokens: Sequence[int]) -> Tensor:
        """Only `tokens`."""
        chosen = torch.tensor(tokens, device=self._device)
        limited = torch.full_like(log_probabilities, -torch.inf)
        limited[chosen] = log_probabilities[chosen]
        return limited


def _settled_beginnings(canvas: Canvas, row: int, region: Region, num_healed: int) -> Iterator[tuple[int, list[int]]]:
    """The columns that a rule applies to, with the ids to their left: those of what is healed, and the first that is
    open. Of later ones nobody knows what will stand to their left."""
    ids = canvas.ids[row, region.columns].tolist()
    settled = canvas.settled[row, region.columns].tolist()
    for index in range(region.length):
        if index < num_healed or not settled[index]:
            yield region.start + index, ids[:index]
        if not settled[index]:
            return
