"""The network's attention and its cache: each is held equal to one plain masked attention, or to reading it whole.

Tolerance, float32: kernels add in another order for another shape.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from midfill.model.families.embedded.adapter import adapter_of, network_for_training
from midfill.model.families.embedded.network import EmbeddedNetwork, NetworkConfig, attend_beside, repeated
from midfill.model.families.embedded.parent import Parent

TOLERANCE = 1e-5
HEAD_DIM = 16


def plainly(query: Tensor, key: Tensor, value: Tensor, past: Tensor | None, is_causal: bool) -> Tensor:
    """softmax(q k^T / sqrt(D) + mask) v, written down."""
    if past is not None:
        num_rows = len(query) // past.shape[1]
        shared = past.repeat_interleave(num_rows, dim=1)
        key, value = (torch.cat(pair, dim=2) for pair in zip(shared, (key, value), strict=True))
    key, value = repeated(key, query.shape[1]), repeated(value, query.shape[1])
    scores = query @ key.transpose(2, 3) / HEAD_DIM**0.5
    length, total = scores.shape[2:]
    if is_causal:
        seen = torch.ones(length, total, dtype=torch.bool).tril(total - length)
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores.softmax(dim=-1) @ value


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(
    ("num_pasts", "num_rows", "length", "num_past"),
    [
        (1, 1, 5, 7),
        (1, 4, 5, 7),  # several rows over one context
        (2, 1, 5, 7),
        (2, 3, 1, 40),  # several rows over each of several contexts
        (1, 1, 1, 1),
        (1, 3, 70, 600),
        (1, 2, 6, None),  # nothing is encoded yet
    ],
)
@pytest.mark.parametrize(("num_heads", "num_kv_heads"), [(4, 4), (6, 2), (3, 1)])
def test_attention_beside_a_past_is_attention(
    num_pasts: int,
    num_rows: int,
    length: int,
    num_past: int | None,
    num_heads: int,
    num_kv_heads: int,
    is_causal: bool,
) -> None:
    torch.manual_seed(0)
    batch = num_pasts * num_rows
    query = 2 * torch.randn(batch, num_heads, length, HEAD_DIM)
    key, value = (torch.randn(batch, num_kv_heads, length, HEAD_DIM) for _ in range(2))
    past = None if num_past is None else torch.randn(2, num_pasts, num_kv_heads, num_past, HEAD_DIM)
    got = attend_beside(query, key, value, past, is_causal=is_causal)
    torch.testing.assert_close(got, plainly(query, key, value, past, is_causal), atol=TOLERANCE, rtol=1e-5)


def test_a_certain_key_takes_all_wherever_it_is() -> None:
    """Log-sum-exps far apart: what one side knows is not washed out by the other."""
    query = torch.full((1, 1, 1, HEAD_DIM), 30.0)
    strong, weak = (torch.full((1, 1, 1, HEAD_DIM), size) for size in (1.0, -1.0))
    ones, zeros = torch.ones(1, 1, 1, HEAD_DIM), torch.zeros(1, 1, 1, HEAD_DIM)
    for own, past in ((strong, weak), (weak, strong)):
        got = attend_beside(query, own, ones, torch.stack((past, zeros)), is_causal=False)
        expected = F.softmax(torch.tensor([own.sum(), past.sum()]) * 30.0 / 4, dim=0)[0]
        torch.testing.assert_close(got, expected.expand_as(got), atol=1e-6, rtol=0)


# --- the cache


@pytest.fixture(scope="module")
def network(toy_parent: Parent) -> EmbeddedNetwork:
    """With an adapter that says something."""
    torch.manual_seed(0)
    network = network_for_training(toy_parent, 4, torch.float32)
    for value in adapter_of(network).values():
        value += 0.1 * torch.randn(value.shape)
    return network.requires_grad_(False)


def drawn_ids(*shape: int) -> Tensor:
    return torch.randint(0, 320 + 20, shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("size", [1, 7, 32])
def test_encoding_in_chunks_equals_encoding_at_once(network: EmbeddedNetwork, size: int) -> None:
    ids, positions = drawn_ids(1, 70), torch.arange(70).unsqueeze(0)
    hidden, state = network.encode(ids, positions)
    pieces, past = [], None
    for start in range(0, 70, size):
        part = slice(start, start + size)
        piece, new = network.encode(ids[:, part], positions[:, part], past)
        pieces.append(piece)
        past = new if past is None else torch.cat((past, new), dim=4)
    assert past is not None
    torch.testing.assert_close(past, state, atol=TOLERANCE, rtol=1e-5)
    torch.testing.assert_close(torch.cat(pieces, dim=1), hidden, atol=TOLERANCE, rtol=1e-5)


def test_a_batch_encodes_each_row_as_it_is_alone(network: EmbeddedNetwork) -> None:
    ids, positions = drawn_ids(3, 40), torch.arange(40).unsqueeze(0)
    together, states = network.encode(ids, positions)
    for row in range(3):
        alone, state = network.encode(ids[row : row + 1], positions)
        torch.testing.assert_close(together[row], alone[0], atol=TOLERANCE, rtol=1e-5)
        torch.testing.assert_close(states[:, :, row], state[:, :, 0], atol=TOLERANCE, rtol=1e-5)


def test_canvases_do_not_see_each_other(network: EmbeddedNetwork) -> None:
    _, past = network.encode(drawn_ids(1, 40), torch.arange(40).unsqueeze(0))
    canvases, positions = drawn_ids(4, 12), (40 + torch.arange(12)).unsqueeze(0)
    together = network.fill(canvases, positions.expand(4, -1), past)
    for row in range(4):
        alone = network.fill(canvases[row : row + 1], positions, past)
        torch.testing.assert_close(together[row], alone[0], atol=TOLERANCE, rtol=1e-5)
    changed = canvases.clone()
    changed[0, 11] = 3
    again = network.fill(changed, positions.expand(4, -1), past)
    torch.testing.assert_close(again[1:], together[1:], atol=TOLERANCE, rtol=1e-5)
    assert not torch.allclose(again[0, 0], together[0, 0], atol=1e-3), "a canvas sees itself whole"


def test_rows_that_are_read_on_equal_each_row_alone_and_whole(network: EmbeddedNetwork) -> None:
    """Several rows over one shared context, one token each time, against the row read alone in one go."""
    _, past = network.encode(drawn_ids(1, 40), torch.arange(40).unsqueeze(0))
    rows, positions = drawn_ids(3, 9), 40 + torch.arange(9)
    own, pieces = None, []
    for column in range(9):
        part = rows[:, column : column + 1]
        hidden, own = network.read_on(part, positions[column].expand(3, 1), past, own)
        pieces.append(hidden)
    step_by_step = torch.cat(pieces, dim=1)
    assert own is not None
    for row in range(3):
        alone, state = network.read_on(rows[row : row + 1], positions.unsqueeze(0), past, None)
        torch.testing.assert_close(step_by_step[row], alone[0], atol=TOLERANCE, rtol=1e-5)
        torch.testing.assert_close(own[:, :, row], state[:, :, 0], atol=TOLERANCE, rtol=1e-5)


def test_a_row_that_goes_on_twice_is_two_rows(network: EmbeddedNetwork) -> None:
    """Readings that part ways take the keys and values of their common beginning along."""
    _, past = network.encode(drawn_ids(1, 20), torch.arange(20).unsqueeze(0))
    first, second = drawn_ids(1, 4), torch.tensor([[5], [6], [7]])
    _, own = network.read_on(first, (20 + torch.arange(4)).unsqueeze(0), past, None)
    parted, _ = network.read_on(second, torch.full((3, 1), 24), past, own[:, :, torch.tensor([0, 0, 0])])
    for row in range(3):
        whole = torch.cat((first, second[row : row + 1]), dim=1)
        alone, _ = network.read_on(whole, (20 + torch.arange(5)).unsqueeze(0), past, None)
        torch.testing.assert_close(parted[row, 0], alone[0, -1], atol=TOLERANCE, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"num_layers": 0}, "num_layers must be at least 1, got 0"),
        ({"num_kv_heads": 3}, r"num_heads \(4\) must be a multiple of num_kv_heads \(3\)"),
        ({"head_dim": 15}, "head_dim must be even for RoPE, got 15"),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, int], sentence: str) -> None:
    sizes = {"vocab_size": 9, "num_layers": 1, "width": 8, "num_heads": 4, "num_kv_heads": 2, "head_dim": 2}
    with pytest.raises(ValueError, match=sentence):
        NetworkConfig(**(sizes | {"ff_width": 8, "max_positions": 9} | changes), rope_base=1e4, norm_epsilon=1e-6)
