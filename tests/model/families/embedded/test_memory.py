"""The workspace memory: what it recalls of a text, where it is mixed in, and how much it counts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from midfill.model.engine.canvas import Canvas, new_canvas
from midfill.model.families.embedded.denoiser import hole_memories
from midfill.model.families.embedded.memory import HoleMemory, Recall, WorkspaceMemory, mix
from midfill.model.families.embedded.tokenizer import CodeTokenizer
from midfill.model.families.request_text import texts_around
from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

LETTERS = "abcdefgh= .()\n"
END, MASK = len(LETTERS), len(LETTERS) + 1
VOCABULARY = len(LETTERS) + 2


class LetterCodec:
    """One token a character."""

    def encode(self, text: str) -> list[int]:
        return [LETTERS.index(char) for char in text]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(LETTERS[index] for index in ids)


RECALLS = [
    # texts, what stands to the left, what comes next by the longest match, its length in lexemes
    (["x = read(path)\n"], "y = read(", {"path)": 1.0}, 3),
    (["self.counter = 1\n"], "self.cou", {"nter = 1": 1.0}, 3),  # inside a word
    (["ab.x\ncd.x\nx.y\n"], "q.x", {"\n": 1.0}, 2),  # a longer run beats a shorter one; a word is a whole word
    (["f(a)\nf(b)\nf(a)\n"], "f(", {"a)": pytest.approx(8 / 11), "b)": pytest.approx(3 / 11)}, 2),  # nearest first
    (
        ["f(a)\nf(b)\n", "f(c)"],
        "f(",
        {"b)": pytest.approx(6 / 11), "a)": pytest.approx(3 / 11), "c)": pytest.approx(2 / 11)},
        2,
    ),
    (["if x:\n        return 1\n"], "if x:", {"\n        ": 1.0}, 3),
    (["abc", "def"], "abc", None, 0),  # texts do not run into each other
    (["abc"], "xyz", None, 0),
    ([""], "", None, 0),
    (["a b c d e f g h i j\n"], "a b c d e f g h i", {" j": 1.0}, 8),
]


@pytest.mark.parametrize(("texts", "left", "continuations", "length"), RECALLS)
def test_recall(texts: list[str], left: str, continuations: dict[str, float] | None, length: int) -> None:
    recalled = WorkspaceMemory(texts, LetterCodec()).recall(left)
    assert recalled == (None if continuations is None else Recall(continuations, length))


def canvas_with(settled: dict[int, str], length: int = 4) -> Canvas:
    canvas = new_canvas((length,), (0,), MASK, END, torch.device("cpu"))
    ids, where = canvas.ids.clone(), canvas.settled.clone()
    for column, letter in settled.items():
        ids[0, column], where[0, column] = LETTERS.index(letter), True
    return canvas.commit(ids, where, where.float())


HOLE = HoleMemory(WorkspaceMemory(["a=b.c)"], LetterCodec()), before="a", behind=")")
WEIGHTS = (0.0, 0.5, 0.5, 0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("settled", "changed"),
    [
        ({}, {0}),  # only the first position has a settled left neighbour: the text before the hole
        ({0: "="}, {1}),
        ({2: "b"}, {0, 3}),  # a settled token in the middle is a left neighbour too
        ({0: "h"}, set()),  # nothing is known of what follows h
    ],
)
def test_where_it_is_mixed_in(settled: dict[int, str], changed: set[int]) -> None:
    canvas, logits = canvas_with(settled), torch.zeros(1, 4, VOCABULARY)
    mixed, plain = mix(logits, canvas, [HOLE], WEIGHTS).softmax(dim=-1), logits.softmax(dim=-1)
    assert {column for column in range(4) if not torch.allclose(mixed[0, column], plain[0, column])} == changed
    assert torch.allclose(mixed.sum(dim=-1), torch.ones(1, 4))


def test_how_much_it_counts() -> None:
    mixed = mix(torch.zeros(1, 4, VOCABULARY), canvas_with({}), [HOLE], WEIGHTS).exp()
    assert float(mixed[0, 0, LETTERS.index("=")]) == pytest.approx(0.5 / VOCABULARY + 0.5)


def test_to_recall_the_text_behind_is_half_to_recall_the_end() -> None:
    canvas = canvas_with({0: "=", 1: "b", 2: "."}, length=6)
    canvas = canvas.commit(
        canvas.ids.index_fill(1, torch.tensor([3]), LETTERS.index("c")), canvas.settled, canvas.confidence
    )
    settled = canvas.settled.clone()
    settled[0, 3] = True
    canvas = canvas.commit(canvas.ids, settled, canvas.confidence)
    mixed = mix(torch.zeros(1, 6, VOCABULARY), canvas, [HOLE], WEIGHTS).exp()
    closing = float(mixed[0, 4, LETTERS.index(")")])
    assert closing == float(mixed[0, 4, END]) == pytest.approx(0.5 / VOCABULARY + 0.25)


def test_each_hole_recalls_from_all_text_and_ends_where_its_own_text_goes_on(toy_tokenizer: CodeTokenizer) -> None:
    parts = (TextPart("a = f("), HolePart(Hole("1")), TextPart(", b)\nx = "), HolePart(Hole("2")), TextPart(")\ny"))
    request = InfillRequest(parts=parts)
    first, second = hole_memories(request, texts_around(request), ["g(b, c)\n"], toy_tokenizer)
    assert (first.before, first.behind) == ("a = f(", ", b)")
    assert (second.before, second.behind) == (", b)\nx = ", ")")
    assert first.memory is second.memory
    recalled = first.memory.recall("g(")
    assert recalled is not None
    assert recalled.continuations == {"b, c)": 1.0}
