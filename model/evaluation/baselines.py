"""What a fill is measured against: the longest match copied from the same file, and the same weights left to right."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from midfill.model.api import InfillRequest
from midfill.model.families.embedded import EmbeddedDenoiser
from midfill.model.families.embedded_network import attend_causally

_LEXEMES = re.compile(r"\w+|[^\w\s]|\n[ \t]*|[ \t]+")


def copy_from_same_file(before: str, after: str, max_lexemes: int = 12) -> str:
    """What follows, elsewhere in the file, the longest run of lexemes that also stands right before the hole.

    The copy ends at the line's end, or where the rest of the hole's own line begins. Of several places with runs of
    one length the nearest before the hole wins. Returns "" where not even one lexeme recurs.
    """
    rest_of_line = after.partition("\n")[0].strip()
    pattern = [lexeme for lexeme in _LEXEMES.findall(before[-2000:]) if lexeme.strip(" \t")][-max_lexemes:]
    for length in range(len(pattern), 0, -1):
        run = r"[ \t]*".join(re.escape(lexeme) for lexeme in pattern[-length:])
        glued = before[-1:] not in (" ", "\t", "\n", "")
        expression = re.compile(run + (r"" if glued else r"[ \t]*"))
        for text in (before[: -1 if before else 0], after):
            matches = [match for match in expression.finditer(text) if match.end() < len(text)]
            for match in reversed(matches) if text is not after else matches:
                copied = text[match.end() :].partition("\n")[0]
                if rest_of_line and rest_of_line in copied:
                    copied = copied[: copied.index(rest_of_line)]
                if copied.strip():
                    return copied.rstrip()
    return ""


@torch.inference_mode()
def left_to_right(denoiser: EmbeddedDenoiser, request: InfillRequest) -> tuple[str, int]:
    """The first hole filled greedily by the causal path of the same weights; the fill and its forward passes."""
    plan = denoiser.plan(request, 1)
    state = denoiser.encode(plan.context_ids[:-1], 0, None)
    limit = plan.canvas.regions[0].length - 1
    position = int(plan.canvas_positions[0])
    token, ids = plan.context_ids[-1], list[int]()
    num_forwards = 0
    while len(ids) < limit:
        logits, state = _next(denoiser, token, position + len(ids), state)
        num_forwards += 1
        token = int(logits.argmax())
        if token == denoiser.tokenizer.end_id:
            break
        ids.append(token)
    return denoiser.decode(ids)[0], num_forwards


def _next(denoiser: EmbeddedDenoiser, token: int, position: int, state: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (V,) after one more token, and the state with it."""
    ids = torch.tensor([[token]], device=denoiser.device)
    positions = torch.tensor([[position]], device=denoiser.device)
    hidden, new = denoiser.network(ids, positions, torch.zeros_like(ids, dtype=torch.bool), attend_causally, state)
    logits = denoiser.network.logits(hidden[0, -1]).masked_fill(denoiser.forbidden, -torch.inf)
    return logits, torch.cat((state, new), dim=denoiser.state_dim)


def same(fill: str, truth: str) -> bool:
    """Exact match: white space at the end of a line and around the whole does not count."""
    return _lines(fill) == _lines(truth)


def _lines(text: str) -> Sequence[str]:
    return [line.rstrip() for line in text.strip().split("\n")]
