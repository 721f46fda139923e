"""Open documents, and the only code that turns positions into offsets and back.

Offsets count code points of `text`. A position is (line, character), both from 0, `character` in code units of the
negotiated encoding. Lines end at `\\n`, `\\r\\n` and `\\r` only: form feed, NEL and U+2028 are characters as any other.
This module does not know LSP's types; the server adapts them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from midfill.lsp_server.text.finishing.finish import minimal_edit


class PositionEncoding(StrEnum):
    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


Position = tuple[int, int]
Change = tuple[Position | None, Position | None, str]
"""(start, end, text): replace what lies between two positions, or the whole document when `start` is None."""


class UnknownDocumentError(KeyError):
    """A message names a document that is not open."""

    def __str__(self) -> str:
        return f"{self.args[0]} is not open; send textDocument/didOpen first"


def path_of(uri: str) -> str | None:
    """The path of a `file:` URI, and of a notebook's cell that of the notebook; None for others."""
    parts = urlsplit(uri)
    if parts.scheme not in ("file", "vscode-notebook-cell"):
        return None
    path = unquote(parts.path)
    if parts.netloc and parts.netloc != "localhost":
        return f"//{unquote(parts.netloc)}{path}"
    return path[1:] if re.match(r"/[A-Za-z]:", path) else path


@dataclass(frozen=True)
class Edit:
    """[start, end) of the text `before` was replaced, which gave the text `after`."""

    before: str = field(repr=False)
    start: int
    end: int
    after: str = field(repr=False)


@dataclass(frozen=True)
class DocumentSnapshot:
    """One version of a document. Its line index is computed when first asked for, and then kept.

    version: the client's, None where the protocol sends none. Text never shows in `repr`, so it cannot reach a log.
    """

    uri: str
    version: int | None
    language_id: str
    text: str = field(repr=False)
    _line_starts: list[int] = field(default_factory=list, repr=False, compare=False)

    @property
    def path(self) -> str | None:
        """The file's path, None for a document that is no file."""
        return path_of(self.uri)

    @property
    def num_lines(self) -> int:
        """Number of lines; text that ends in a line end has an empty last line."""
        return len(self._starts())

    def line_start(self, line: int) -> int:
        """Offset of the line's first character; past the last line, the document's end."""
        starts = self._starts()
        return starts[line] if line < len(starts) else len(self.text)

    def line_end(self, line: int) -> int:
        """Offset of the line's end, before its terminator."""
        starts, text = self._starts(), self.text
        if line + 1 >= len(starts):
            return len(text)
        end = starts[line + 1] - 1
        return end - 1 if text[end] == "\n" and end > starts[line] and text[end - 1] == "\r" else end

    def offset_at(self, line: int, character: int, encoding: PositionEncoding) -> int:
        """Offset of a position. Past the line's end it is that end, past the document its end; a position inside a
        character (between surrogates, inside a UTF-8 sequence) is that character's start."""
        if line < 0:
            return 0
        if line >= self.num_lines:
            return len(self.text)
        start, end = self.line_start(line), self.line_end(line)
        wanted = max(character, 0)
        if encoding is PositionEncoding.UTF32 or self.text.isascii():
            return min(start + wanted, end)
        return _advance(self.text, start, end, wanted, encoding)

    def position_at(self, offset: int, encoding: PositionEncoding) -> Position:
        """Position of an offset, clamped to the document; between `\\r` and `\\n` it is the line's end."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts(), offset) - 1
        start = self.line_start(line)
        end = min(offset, self.line_end(line))
        if encoding is PositionEncoding.UTF32 or self.text.isascii():
            return line, end - start
        return line, num_units(self.text[start:end], encoding)

    def edited(self, version: int | None, changes: Sequence[Change], encoding: PositionEncoding) -> DocumentSnapshot:
        """The document after `changes`, each of which counts positions in the result of the one before."""
        document = self
        for start, end, text in changes:
            if start is None or end is None:
                document = DocumentSnapshot(self.uri, version, self.language_id, text)
            else:
                first, last = sorted((document.offset_at(*start, encoding), document.offset_at(*end, encoding)))
                document = document._replaced(first, last, text)
        return DocumentSnapshot(self.uri, version, self.language_id, document.text, document._line_starts)

    def edits(self, changes: Sequence[Change], after: str, encoding: PositionEncoding) -> Iterator[Edit]:
        """`changes` one by one, the last of which gave the text `after`."""
        document = self
        for number, change in enumerate(changes, start=1):
            is_last = number == len(changes)
            new = document if is_last else document.edited(self.version, [change], encoding)
            text, (start, end, _) = after if is_last else new.text, change
            if start is None or end is None:
                first, last, _ = minimal_edit(document.text, text)
            else:
                first, last = sorted((document.offset_at(*start, encoding), document.offset_at(*end, encoding)))
            yield Edit(document.text, first, last, text)
            document = new

    def _replaced(self, start: int, end: int, replacement: str) -> DocumentSnapshot:
        text = "".join((self.text[:start], replacement, self.text[end:]))
        delta = len(replacement) - (end - start)
        starts = _edited_line_starts(self._starts(), start, end, delta, text)
        return DocumentSnapshot(self.uri, self.version, self.language_id, text, starts)

    def _starts(self) -> list[int]:
        if not self._line_starts:
            self._line_starts.extend(_find_line_starts(self.text, 0, len(self.text), [0]))
        return self._line_starts


class DocumentStore:
    """The open documents by URI. Used on the server's loop only; what it hands out is immutable."""

    def __init__(self, encoding: PositionEncoding = PositionEncoding.UTF16) -> None:
        self.encoding = encoding
        self._documents: dict[str, DocumentSnapshot] = {}

    def open(self, uri: str, language_id: str, version: int | None, text: str) -> DocumentSnapshot:
        self._documents[uri] = DocumentSnapshot(uri, version, language_id, text)
        return self._documents[uri]

    def change(self, uri: str, version: int | None, changes: Sequence[Change]) -> DocumentSnapshot:
        """Apply a didChange. Raises UnknownDocumentError."""
        self._documents[uri] = self.get(uri).edited(version, changes, self.encoding)
        return self._documents[uri]

    def close(self, uri: str) -> None:
        self._documents.pop(uri, None)

    def get(self, uri: str) -> DocumentSnapshot:
        """The document as it is now. Raises UnknownDocumentError (a KeyError)."""
        try:
            return self._documents[uri]
        except KeyError:
            raise UnknownDocumentError(uri) from None

    def __contains__(self, uri: object) -> bool:
        return uri in self._documents

    def __iter__(self) -> Iterator[DocumentSnapshot]:
        return iter(tuple(self._documents.values()))

    def __len__(self) -> int:
        return len(self._documents)


def num_units(text: str, encoding: PositionEncoding) -> int:
    """Length of `text` in code units of `encoding`; a lone surrogate counts as the character it is."""
    if encoding is PositionEncoding.UTF32 or text.isascii():
        return len(text)
    if encoding is PositionEncoding.UTF16:
        return len(text.encode("utf-16-le", "surrogatepass")) // 2
    return len(text.encode("utf-8", "surrogatepass"))


_LINE_END = re.compile(r"\r\n|\r|\n")
_STRIDE = 4096


def _advance(text: str, start: int, end: int, wanted: int, encoding: PositionEncoding) -> int:
    """Offset of the character that holds code unit `wanted` of `text[start:end]`; in strides, so that a long line costs
    little."""
    while start < end:
        stride = text[start : min(start + _STRIDE, end)]
        units = num_units(stride, encoding)
        if units > wanted:
            break
        start += len(stride)
        wanted -= units
    while start < end:
        units = num_units(text[start], encoding)
        if units > wanted:
            break
        start += 1
        wanted -= units
    return start


def _find_line_starts(text: str, start: int, end: int, starts: list[int]) -> list[int]:
    """`starts` and the starts of the lines after each line end that lies in `text[start:end]`."""
    if text.find("\r", start, end) < 0:
        position = text.find("\n", start, end)
        while position >= 0:
            starts.append(position + 1)
            position = text.find("\n", position + 1, end)
        return starts
    starts.extend(match.end() for match in _LINE_END.finditer(text, start, end))
    return starts


def _edited_line_starts(starts: list[int], start: int, end: int, delta: int, text: str) -> list[int]:
    """The line index of `text`, which came from the indexed text by replacing [start, end) and is `delta` longer.

    Looked at anew are the lines from the one that holds the character before `start` (it may be a `\\r` that gains or
    loses its `\\n`) to the first line start after `end`, whose terminator no edit has touched."""
    first = max(bisect_right(starts, max(start - 1, 0)), 1)
    after = bisect_right(starts, end)
    if after == len(starts):
        return _find_line_starts(text, starts[first - 1], len(text), starts[:first])
    edited = _find_line_starts(text, starts[first - 1], starts[after] + delta, starts[:first])
    edited.pop()  # the first start after the edit, found again
    edited.extend(starts[after:] if delta == 0 else [line_start + delta for line_start in starts[after:]])
    return edited
