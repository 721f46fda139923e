"""Positions of the protocol and offsets of the text."""

from __future__ import annotations

import time

import pytest

from midfill.lsp_server.lsp.document import DocumentSnapshot, DocumentStore, PositionEncoding, UnknownDocumentError

UTF8, UTF16, UTF32 = PositionEncoding.UTF8, PositionEncoding.UTF16, PositionEncoding.UTF32


def document(text: str, uri: str = "file:///a.py") -> DocumentSnapshot:
    return DocumentSnapshot(uri, 1, "python", text)


@pytest.mark.parametrize(
    ("encoding", "character", "offset"),
    [
        (UTF8, 1, 1),
        (UTF8, 3, 2),
        (UTF8, 7, 3),
        (UTF16, 1, 1),
        (UTF16, 2, 2),
        (UTF16, 4, 3),
        (UTF32, 1, 1),
        (UTF32, 3, 3),
    ],
)
def test_a_character_is_counted_in_units_of_the_encoding(
    encoding: PositionEncoding, character: int, offset: int
) -> None:
    text = document("aé😀b")
    assert text.offset_at(0, character, encoding) == offset
    assert text.position_at(offset, encoding) == (0, character)


@pytest.mark.parametrize(("encoding", "character"), [(UTF8, 4), (UTF8, 5), (UTF8, 6), (UTF16, 3)])
def test_a_position_inside_a_character_is_its_start(encoding: PositionEncoding, character: int) -> None:
    assert document("aé😀b").offset_at(0, character, encoding) == 2


@pytest.mark.parametrize("encoding", list(PositionEncoding))
@pytest.mark.parametrize("eol", ["\n", "\r\n", "\r"])
def test_past_the_end_is_the_end(encoding: PositionEncoding, eol: str) -> None:
    text = document(f"ab{eol}c😀{eol}")
    assert text.offset_at(0, 99, encoding) == 2
    assert text.offset_at(1, 99, encoding) == 4 + len(eol)
    assert text.offset_at(2, 0, encoding) == text.offset_at(99, 7, encoding) == len(text.text)
    assert text.position_at(10**9, encoding) == (2, 0)
    assert text.position_at(-1, encoding) == (0, 0)


def test_between_carriage_return_and_newline_is_the_lines_end() -> None:
    assert document("ab\r\nc").position_at(3, UTF16) == (0, 2)


def test_only_three_things_end_a_line() -> None:
    assert document("a\fb\vc\x1cd\x85e\u2028f\u2029g\nh\r\ni\rj").num_lines == 4
    assert document("").num_lines == 1


def test_a_position_in_a_very_long_line_of_wide_characters() -> None:
    text = document("é😀" * 50_000)
    for encoding, character in ((UTF16, 3 * 40_000), (UTF8, 6 * 40_000), (UTF32, 2 * 40_000)):
        assert text.offset_at(0, character, encoding) == 80_000
        assert text.position_at(80_000, encoding) == (0, character)


def test_lone_surrogates_are_characters_like_others() -> None:
    store = DocumentStore(UTF16)
    store.open("u", "python", 1, "\ud83da")
    assert store.change("u", 2, [((0, 1), (0, 2), "b")]).text == "\ud83db"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/a%20b/c.py", "/home/a b/c.py"),
        ("file:///c%3A/a.py", "c:/a.py"),
        ("file://server/share/a.py", "//server/share/a.py"),
        ("untitled:Untitled-1", None),
        ("vscode-notebook-cell:/a.ipynb#X1", "/a.ipynb"),
    ],
)
def test_the_path_of_a_uri(uri: str, path: str | None) -> None:
    assert document("", uri).path == path


def test_a_store_follows_a_document_from_open_to_close() -> None:
    store = DocumentStore(UTF16)
    before = store.open("u", "python", 1, "a\nb\n")
    after = store.change("u", 2, [((0, 1), (0, 1), "x\n"), ((2, 0), (2, 1), "c"), ((9, 0), (9, 0), "end")])
    assert (after.text, after.version) == ("ax\n\nc\nend", 2)
    assert (before.text, before.version) == ("a\nb\n", 1), "a snapshot never changes"
    assert store.change("u", 3, [(None, None, "all"), ((0, 3), (0, 3), " new")]).text == "all new"
    assert "u" in store
    assert [document.uri for document in store] == ["u"]
    store.close("u")
    assert len(store) == 0
    with pytest.raises(UnknownDocumentError, match="u is not open; send textDocument/didOpen first"):
        store.change("u", 4, [])


def test_text_never_shows_in_a_log() -> None:
    assert "secret" not in repr(document("secret"))


def test_a_keystroke_in_a_long_file_does_not_read_the_whole_file_again() -> None:
    text = "    value = compute(alpha, beta)  # 40 c\n" * 50_000
    store = DocumentStore(UTF16)
    store.open("u", "python", 1, text)

    def best_of(num: int, characters: str) -> float:
        times = []
        for number in range(num):
            start = time.perf_counter()
            store.change("u", number, [((25_000, 3), (25_000, 3), characters)]).position_at(1_000_000, UTF16)
            times.append(time.perf_counter() - start)
        return min(times)

    start = time.perf_counter()
    assert document(text).num_lines == 50_001
    reading_s = time.perf_counter() - start
    assert best_of(10, "x") < reading_s
