"""Notebooks: the order of their cells, and a cell as the model reads it.

A cell's text is an ordinary document, kept by `DocumentStore`. The model gets the cells before and after it as text
before and after the hole, as if the notebook were one file, and not as snippets of other files: a notebook's cells run
in one namespace, and what stands in front of a hole is what the network reads, while snippets are only searched for
passages. Knows no LSP type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from midfill.lsp_server.lsp.document import DocumentSnapshot, DocumentStore
from midfill.lsp_server.text.filling import FilledHole
from midfill.lsp_server.text.finishing.finish import line_ending_of, with_line_endings
from midfill.lsp_server.text.holes import Place, Span


class Notebooks:
    """The open notebooks by URI, each a list of the URIs of its cells. Changed on the server's loop only."""

    def __init__(self) -> None:
        self._cells: dict[str, list[str]] = {}

    def open(self, uri: str, cells: Sequence[str]) -> None:
        self._cells[uri] = list(cells)

    def splice(self, uri: str, start: int, num_deleted: int, inserted: Sequence[str]) -> None:
        """Replace cells, as a change of a notebook's structure does; nothing happens to a notebook that is not open."""
        if uri in self._cells:
            self._cells[uri][start : start + num_deleted] = inserted

    def close(self, uri: str) -> None:
        self._cells.pop(uri, None)

    def cells_beside(self, uri: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The URIs of the cells before a cell and after it; none for what is no cell."""
        for cells in self._cells.values():
            if uri in cells:
                place = cells.index(uri)
                return tuple(cells[:place]), tuple(cells[place + 1 :])
        return (), ()


@dataclass(frozen=True)
class Page:
    """A document as the model reads it: `text`, in which the document's own text begins at `start`."""

    text: str
    start: int = 0

    def placed(self, place: Place) -> Place:
        return replace(place, span=Span(place.span.start + self.start, place.span.end + self.start))

    def taken_back(self, hole: FilledHole) -> FilledHole:
        """A fill of the page as one of the document."""
        return replace(hole, span=self.span_taken_back(hole.span))

    def span_taken_back(self, span: Span) -> Span:
        return Span(span.start - self.start, span.end - self.start)


def page_of(snapshot: DocumentSnapshot, notebooks: Notebooks, documents: DocumentStore) -> Page:
    """The document alone, or a cell among the cells of its language that the notebook has, in their order."""
    before, after = (
        [documents.get(uri) for uri in uris if uri in documents] for uris in notebooks.cells_beside(snapshot.uri)
    )
    if not before and not after:
        return Page(snapshot.text)
    eol = line_ending_of(snapshot.text)
    shown_before, shown_after = (
        [with_line_endings(_as_code(cell.text), eol) for cell in cells if cell.language_id == snapshot.language_id]
        for cells in (before, after)
    )
    head = "".join(f"{cell}{eol}{eol}" for cell in shown_before if cell)
    tail = "".join(f"{eol}{eol}{cell}" for cell in shown_after if cell)
    return Page(f"{head}{snapshot.text}{tail}", len(head))


_MAGIC = re.compile(r"^(?=[ \t]*[%!?])", re.MULTILINE)


def _as_code(cell: str) -> str:
    """A cell as part of a file: lines for the notebook's shell are comments, a cell in another language is nothing."""
    cell = cell.strip()
    return "" if cell.startswith("%%") else _MAGIC.sub("# ", cell)
