"""Notebook cells: their order, what the model sees around a cell, and edits that land in the cell."""

from __future__ import annotations

from typing import Any

import pytest
from lsprotocol import types

from midfill.lsp_server.lsp.document import DocumentStore
from midfill.lsp_server.workspace.notebooks import Notebooks, page_of

NOTEBOOK = "file:///n.ipynb"
CELLS = ("import os\n", "%matplotlib inline\nx = 1", "y = x + 1", "%%bash\nls", "print(y)")


def page(number: int, cells: tuple[str, ...] = CELLS) -> tuple[str, str, str]:
    """What the model sees of a notebook from one of its cells: (before, the cell, after)."""
    documents, notebooks = DocumentStore(), Notebooks()
    uris = [f"vscode-notebook-cell:/n.ipynb#{index}" for index in range(len(cells))]
    notebooks.open(NOTEBOOK, uris)
    for uri, text in zip(uris, cells, strict=True):
        documents.open(uri, "python", 1, text)
    found = page_of(documents.get(uris[number]), notebooks, documents)
    end = found.start + len(cells[number])
    return found.text[: found.start], found.text[found.start : end], found.text[end:]


def test_a_cell_stands_among_the_cells_before_and_after_it() -> None:
    before, cell, after = page(2)
    assert before == "import os\n\n# %matplotlib inline\nx = 1\n\n"
    assert cell == "y = x + 1"
    assert after == "\n\nprint(y)"


def test_a_cell_itself_stays_as_it_is() -> None:
    assert page(1)[1] == CELLS[1]
    assert page(3)[1] == CELLS[3]
    assert page(0, ("x = 1\r\n", "y = 2\nz = 3"))[2] == "\r\n\r\ny = 2\r\nz = 3"


def test_a_document_that_is_no_cell_stands_alone() -> None:
    documents = DocumentStore()
    snapshot = documents.open("file:///a.py", "python", 1, "x = 1\n")
    found = page_of(snapshot, Notebooks(), documents)
    assert (found.text, found.start) == ("x = 1\n", 0)


def test_cells_come_and_go() -> None:
    notebooks = Notebooks()
    notebooks.open(NOTEBOOK, ["a", "b", "c"])
    notebooks.splice(NOTEBOOK, 1, 1, ["d", "e"])
    assert notebooks.cells_beside("d") == (("a",), ("e", "c"))
    assert notebooks.cells_beside("b") == ((), ())
    notebooks.splice("file:///other.ipynb", 0, 0, ["f"])
    assert notebooks.cells_beside("f") == ((), ())
    notebooks.close(NOTEBOOK)
    assert notebooks.cells_beside("a") == ((), ())


class NotebookEditor:
    """VS Code's side of one notebook: it sends what VS Code sends."""

    def __init__(self, editor: Any) -> None:
        self.editor = editor
        self.version = 1
        self.uri = (editor.workspace / "n.ipynb").as_uri()

    def cell_uri(self, name: str) -> str:
        return self.uri.replace("file:", "vscode-notebook-cell:") + f"#{name}"

    def open(self, cells: dict[str, str]) -> None:
        notebook = types.NotebookDocument(self.uri, "jupyter-notebook", 1, [self._cell(name) for name in cells])
        documents = [self._document(name, text) for name, text in cells.items()]
        self.editor.client.notebook_document_did_open(types.DidOpenNotebookDocumentParams(notebook, documents))

    def change(self, cells: types.NotebookDocumentCellChanges) -> None:
        self.version += 1
        notebook = types.VersionedNotebookDocumentIdentifier(version=self.version, uri=self.uri)
        change = types.NotebookDocumentChangeEvent(cells=cells)
        self.editor.client.notebook_document_did_change(types.DidChangeNotebookDocumentParams(notebook, change))

    def insert(self, place: int, name: str, text: str, num_deleted: int = 0, closed: tuple[str, ...] = ()) -> None:
        array = types.NotebookCellArrayChange(start=place, delete_count=num_deleted, cells=[self._cell(name)])
        structure = types.NotebookDocumentCellChangeStructure(
            array=array,
            did_open=[self._document(name, text)],
            did_close=[types.TextDocumentIdentifier(self.cell_uri(one)) for one in closed],
        )
        self.change(types.NotebookDocumentCellChanges(structure=structure))

    def type_at_start(self, name: str, version: int, text: str) -> None:
        start = types.Range(types.Position(0, 0), types.Position(0, 0))
        content = types.NotebookDocumentCellContentChanges(
            document=types.VersionedTextDocumentIdentifier(version=version, uri=self.cell_uri(name)),
            changes=[types.TextDocumentContentChangePartial(range=start, text=text)],
        )
        self.change(types.NotebookDocumentCellChanges(text_content=[content]))

    def _cell(self, name: str) -> types.NotebookCell:
        return types.NotebookCell(kind=types.NotebookCellKind.Code, document=self.cell_uri(name))

    def _document(self, name: str, text: str) -> types.TextDocumentItem:
        return types.TextDocumentItem(self.cell_uri(name), "python", 1, text)


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_the_model_sees_the_notebook_and_the_edit_lands_in_the_cell(editor: Any, recorded: Any) -> None:
    result = await editor.start({"endpoint": recorded.endpoint})
    assert result.capabilities.notebook_document_sync is not None
    await editor.until_ready()
    notebook = NotebookEditor(editor)
    notebook.open({"a": "import os", "b": "x = <fill>", "c": "print(x)"})
    notebook.insert(1, "d", "import re")
    notebook.type_at_start("a", 2, "import io\n")
    editor.uri, editor.text, editor.version = notebook.cell_uri("b"), "x = <fill>", 1
    items = await editor.complete(4, invoked=True)
    assert items[0].range == editor.range_of(4, 4)
    await editor.command("midfill.fillAllHoles", version=1)
    assert editor.text == "x = filled_1"
    assert recorded.texts()[-1] == "import io\nimport os\n\nimport re\n\nx = ◊\n\nprint(x)"
    assert recorded.contexts()[-1] == {}
    notebook.insert(0, "e", "import io", num_deleted=2, closed=("a", "d"))
    editor.text = "x = <fill>"
    await editor.command("midfill.fillHole", version=1, position={"line": 0, "character": 0})
    assert recorded.texts()[-1] == "import io\n\nx = ◊\n\nprint(x)"
