"""The left-to-right reading of a hole: one more candidate, from the causal path of the same weights.

A canvas and the causal path err in different places: where both come to the same text it is likely to be right, and
where they do not, the surer one is. Knows no network; the greedy loop is all there is.
"""

from __future__ import annotations

from collections.abc import Generator

from torch import Tensor

from midfill.model.canvas import HoleReading
from midfill.model.families.denoiser import CausalPath, Plan
from midfill.model.memory import mix_one


def read_causally(
    path: CausalPath, plan: Plan, state: Tensor, *, with_memory: bool
) -> Generator[None, None, HoleReading]:
    """The likeliest token again and again, until it is the end of the hole or the canvas would be full; one forward
    pass between two yields. with_memory: the workspace memory is mixed in with the weights that the canvas uses."""
    limit, end_id = plan.canvas.regions[0].length - 1, plan.canvas.end_id
    memory = plan.memory[0] if with_memory and plan.memory else None
    ids, probabilities = list[int](), list[float]()
    while len(ids) < limit:
        logits, state = path.next_logits(plan, ids, state)
        if memory:
            logits = mix_one(logits, memory.before + path.decode(ids)[0], memory, plan.memory_weights, end_id)
        token = int(logits.argmax())
        probabilities.append(float(logits.softmax(dim=-1)[token]))
        yield None
        if token == end_id:
            break
        ids.append(token)
    return HoleReading(ids, [True] * len(ids), probabilities, len(probabilities) > len(ids), True)
