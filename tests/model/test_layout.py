"""The order of a context, and the position ids that its canvases have for themselves."""

from __future__ import annotations

import pytest

from midfill.model.layout import HOLE_POSITIONS, ContextTokens, canvas_starts, lay_out, position_ids
from midfill.model.tokenizer import CodeTokenizer


def ids_of(words: str, tokenizer: CodeTokenizer) -> list[int]:
    """`h2` is the sentinel of hole 2, a number is a text token."""
    return [tokenizer.hole_ids[int(word[1:]) - 1] if word[0] == "h" else int(word) for word in words.split()]


@pytest.mark.parametrize(
    ("words", "positions", "starts"),
    [
        ("", [], ()),
        ("5 6 7 h1", [0, 1, 2, 3], (4,)),
        ("h1", [0], (1,)),
        ("5 h2 6 h1", [0, 1, 2 + HOLE_POSITIONS, 3 + HOLE_POSITIONS], (4 + HOLE_POSITIONS, 2)),
        (
            "5 h2 h3 h1",
            [0, 1, 2 + HOLE_POSITIONS, 3 + 2 * HOLE_POSITIONS],
            (4 + 2 * HOLE_POSITIONS, 2, 3 + HOLE_POSITIONS),
        ),
    ],
)
def test_positions_keep_room_behind_later_holes(
    toy_tokenizer: CodeTokenizer, words: str, positions: list[int], starts: tuple[int, ...]
) -> None:
    ids = ids_of(words, toy_tokenizer)
    assert position_ids(ids, toy_tokenizer).tolist() == positions
    assert canvas_starts(ids, toy_tokenizer) == starts


def test_no_position_of_a_canvas_is_taken_by_the_context_or_another_canvas(toy_tokenizer: CodeTokenizer) -> None:
    ids = ids_of("9 h2 5 6 h3 h4 7 h5 8 h6 h7 1 h8 2 3 h1", toy_tokenizer)
    taken = position_ids(ids, toy_tokenizer).tolist()
    for start in canvas_starts(ids, toy_tokenizer):
        taken += range(start, start + HOLE_POSITIONS)
    assert len(set(taken)) == len(taken) == len(ids) + 8 * HOLE_POSITIONS


def test_the_context_is_laid_out_suffix_before_prefix(toy_tokenizer: CodeTokenizer) -> None:
    second = toy_tokenizer.hole_ids[1]
    tokens = ContextTokens(snippets=[10, 11], after=[20, second, 21], before=[30, 31], rest=[40])
    context = lay_out(tokens, toy_tokenizer)
    special = toy_tokenizer.special_ids
    assert context.ids == (
        *(10, 11),
        *(special["<suffix>"], 20, second, 21),
        *(special["<prefix>"], 30, 31),
        *(special["<rest>"], 40),
        special["<hole_1>"],
    )
    assert context.canvas_positions == (len(context.ids) + HOLE_POSITIONS, 5)


def test_an_empty_file_has_a_context(toy_tokenizer: CodeTokenizer) -> None:
    context = lay_out(ContextTokens([], [], [], []), toy_tokenizer)
    names = ["<suffix>", "<prefix>", "<rest>", "<hole_1>"]
    assert context.ids == tuple(toy_tokenizer.special_ids[name] for name in names)
    assert context.canvas_positions == (4,)


def test_text_before_a_hole_changes_only_what_comes_after_it(toy_tokenizer: CodeTokenizer) -> None:
    shorter, longer = ([30, 31], [30, 31, 32])
    after = [20, toy_tokenizer.hole_ids[1]]
    first, second = (lay_out(ContextTokens([10], after, before, []), toy_tokenizer) for before in (shorter, longer))
    shared = len([10]) + 1 + len(after) + 1 + len(shorter)
    assert first.ids[:shared] == second.ids[:shared]
    assert first.canvas_positions[1] == second.canvas_positions[1]
    assert second.canvas_positions[0] == first.canvas_positions[0] + 1
