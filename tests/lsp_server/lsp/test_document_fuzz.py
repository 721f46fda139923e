"""20,000 random edits in each encoding leave the server's text equal to the client's."""

from __future__ import annotations

import random

import pytest

from midfill.lsp_server.lsp.document import DocumentStore, PositionEncoding

NUM_EDITS = 20_000
PIECES = [
    *("a", "b", "x = 1", " ", "\t", "(", ")", "é", "ß", "中", "\f", "\v", "\x1c", "\x85", "\u2028", "\u2029", "\ufeff"),
    *("\U0001f600", "\U00010348", "e\u0301", "\n", "\n", "\r", "\r\n", "\r\n", "\n\r", "a\nb\r\nc\rd", ""),
]


class Client:
    """An editor's buffer, written without looking at the server's: characters, walked one by one for each position."""

    def __init__(self, encoding: PositionEncoding) -> None:
        self.text = ""
        self.codec = {"utf-8": "utf-8", "utf-16": "utf-16-be", "utf-32": "utf-32-be"}[encoding]
        self.unit_bytes = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[encoding]

    def positions(self) -> list[tuple[int, int, int]]:
        """(offset, line, character) of every place a cursor can stand: nowhere inside a `\\r\\n`."""
        places, line, character = [], 0, 0
        for offset, char in enumerate(self.text):
            inside_line_end = char == "\n" and offset > 0 and self.text[offset - 1] == "\r"
            if not inside_line_end:
                places.append((offset, line, character))
            followed_by_newline = self.text[offset + 1 : offset + 2] == "\n"
            if char == "\n" or (char == "\r" and not followed_by_newline):
                line, character = line + 1, 0
            else:
                character += len(char.encode(self.codec)) // self.unit_bytes
        return [*places, (len(self.text), line, character)]

    def replace(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]


@pytest.mark.parametrize("encoding", list(PositionEncoding))
def test_random_edits_keep_the_servers_text_equal_to_the_clients(encoding: PositionEncoding) -> None:
    rng = random.Random(f"document {encoding}")
    client, store = Client(encoding), DocumentStore(encoding)
    store.open("file:///a.py", "python", 0, "")
    for version in range(1, NUM_EDITS + 1):
        changes = []
        for _ in range(rng.choice((1, 1, 1, 1, 1, 1, 3))):
            places = client.positions()
            first = rng.randrange(len(places))
            last = min(first + rng.choice((0, 0, 0, 1, 2, 5, 20 if len(places) > 30 else 1)), len(places) - 1)
            text = "".join(rng.choices(PIECES, k=rng.choice((0, 1, 1, 2, 4))))
            changes.append((places[first][1:], places[last][1:], text))
            client.replace(places[first][0], places[last][0], text)
        document = store.change("file:///a.py", version, changes)
        assert document.text == client.text
        offset, line, character = rng.choice(client.positions())
        assert document.position_at(offset, encoding) == (line, character)
        assert document.offset_at(line, character, encoding) == offset


@pytest.mark.parametrize("encoding", list(PositionEncoding))
def test_a_pair_of_carriage_return_and_newline_can_be_split_and_joined(encoding: PositionEncoding) -> None:
    store = DocumentStore(encoding)
    store.open("u", "python", 0, "a\r\nb")
    assert store.change("u", 1, [((1, 0), (1, 0), "\n")]).text == "a\r\n\nb"
    store.open("u", "python", 0, "a\rb\nc")
    joined = store.change("u", 1, [((1, 0), (1, 1), "")])
    assert (joined.text, joined.num_lines) == ("a\r\nc", 2)
    split = store.change("u", 2, [((0, 1), (1, 0), "\r"), ((1, 0), (1, 0), "x\n")])
    assert (split.text, split.num_lines) == ("a\rx\nc", 3)
