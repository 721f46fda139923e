"""The layout: the order of its pieces, and the position ids that keep a place free for every canvas.

`a` to `z` are text; `1` to `8` are the holes' sentinels, `S`, `P`, `R` the marks of suffix, prefix and rest.
"""

from __future__ import annotations

import pytest

from midfill.model.families.embedded.layout import (
    HOLE_POSITIONS,
    ContextTokens,
    canvas_starts,
    lay_out,
    position_ids,
)
from midfill.model.families.embedded.tokenizer import CodeTokenizer

MARKS = {"S": "<suffix>", "P": "<prefix>", "R": "<rest>"} | {str(number): f"<hole_{number}>" for number in range(1, 9)}


def ids_of(letters: str, tokenizer: CodeTokenizer) -> tuple[int, ...]:
    return tuple(tokenizer.special_ids[MARKS[letter]] if letter in MARKS else ord(letter) for letter in letters)


def test_one_hole_reserves_as_many_positions_as_the_longest_canvas() -> None:
    assert HOLE_POSITIONS == 128


@pytest.mark.parametrize(
    ("after", "before", "rest", "expected"),
    [
        ("", "", "", "SPR1"),
        ("def", "abc", "", "SdefPabcR1"),
        ("def", "abc", "r", "SdefPabcRr1"),
        ("d2e3f", "abc", "r", "Sd2e3fPabcRr1"),  # later holes below
        ("d3", "abc", "r2s", "Sd3PabcRr2s1"),  # the second hole in the rest of the first one's line
    ],
)
def test_the_order_of_the_pieces(
    toy_tokenizer: CodeTokenizer, after: str, before: str, rest: str, expected: str
) -> None:
    pieces = ContextTokens(*(ids_of(letters, toy_tokenizer) for letters in (after, before, rest)))
    context = lay_out(pieces, toy_tokenizer)
    assert context.ids == ids_of(expected, toy_tokenizer)
    assert context.canvas_positions == canvas_starts(context.ids, toy_tokenizer)


@pytest.mark.parametrize(
    ("letters", "positions", "starts"),
    [
        ("", [], ()),
        ("SabP1", [0, 1, 2, 3, 4], (5,)),
        ("1ab", [0, 1, 2], (1,)),  # the first hole's canvas goes on behind the context: no reserve
        ("S2P1", [0, 1, 130, 131], (132, 2)),
        ("Sa2b3cPR1", [0, 1, 2, 131, 132, 261, 262, 263, 264], (265, 3, 133)),
        ("S3P2R1", [0, 1, 130, 131, 260, 261], (262, 132, 2)),  # whatever their order
        ("S23PR1", [0, 1, 130, 259, 260, 261], (262, 2, 131)),  # next to each other
    ],
)
def test_position_ids_and_where_canvases_begin(
    toy_tokenizer: CodeTokenizer, letters: str, positions: list[int], starts: tuple[int, ...]
) -> None:
    ids = ids_of(letters, toy_tokenizer)
    assert position_ids(ids, toy_tokenizer).tolist() == positions
    assert canvas_starts(ids, toy_tokenizer) == starts


def test_no_two_tokens_share_a_position_however_long_the_canvases(toy_tokenizer: CodeTokenizer) -> None:
    ids = ids_of("Sa2b34c5d67e8fPabcRr1", toy_tokenizer)
    taken = position_ids(ids, toy_tokenizer).tolist()
    for start in canvas_starts(ids, toy_tokenizer):
        taken += range(start, start + HOLE_POSITIONS)
    assert len(set(taken)) == len(taken) == len(ids) + 8 * HOLE_POSITIONS


def test_typing_moves_no_position_of_what_stood_there(toy_tokenizer: CodeTokenizer) -> None:
    before, after = ids_of("Sa2bPabc", toy_tokenizer), ids_of("Sa2bPabcdef", toy_tokenizer)
    assert position_ids(after, toy_tokenizer)[: len(before)].tolist() == position_ids(before, toy_tokenizer).tolist()
