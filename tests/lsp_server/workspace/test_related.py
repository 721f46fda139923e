"""Which text of other open documents the model gets, in which order, and that it stays the same while one types."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.lsp.document import DocumentSnapshot
from midfill.lsp_server.workspace.related import REGION_CHARS, RelatedTexts, regions_of, related_texts

HERE = "from store import Store\n\n\ndef report(store):\n    total = count_rows(store)\n    return ‸\n"
STORE = "class Store:\n    pass\n"
END = {"line": 5, "character": 11}
COUNTING = "def count_rows(store):\n    return len(store.rows)\n"
SIMILAR = "total = sum(rows)\nprint(total, report)\n"
UNRELATED = "alpha = beta(gamma)\n"


def snapshot(name: str, text: str) -> DocumentSnapshot:
    return DocumentSnapshot(f"file:///w/{name}", 1, "python", text)


def names_and_texts(others: dict[str, str], num_chars: int = 10_000, text: str = HERE) -> list[tuple[str, str]]:
    regions = [region for name, other in others.items() for region in regions_of(snapshot(name, other))]
    found = related_texts(text.replace("‸", ""), text.index("‸"), regions, num_chars)
    assert sum(len(one.snippet.text) for one in found) <= num_chars
    return [(Path(one.snippet.path).name, one.snippet.text) for one in found]


def test_definitions_that_are_named_come_first_then_imported_modules_then_what_is_similar() -> None:
    others = {
        "similar.py": SIMILAR,
        "unrelated.py": UNRELATED,
        "store.py": STORE.replace("Store", "Other"),
        "c.py": COUNTING,
    }
    assert [name for name, _ in names_and_texts(others)] == ["c.py", "store.py", "similar.py"]


def test_what_does_not_fit_the_budget_is_left_out_whole() -> None:
    others = {"c.py": COUNTING, "similar.py": SIMILAR}
    assert names_and_texts(others, num_chars=len(COUNTING)) == [("c.py", COUNTING)]
    assert names_and_texts(others, num_chars=len(SIMILAR)) == [("similar.py", SIMILAR)]
    assert names_and_texts(others, num_chars=0) == []


def test_regions_are_whole_definitions_and_neighbours_are_one_snippet() -> None:
    text = "".join(f"def filler_{number}(x):\n{'    x += 1' * 20}\n\n\n" for number in range(20))
    text = text.replace("filler_7(", "count_rows(").replace("filler_8(", "report(")
    document = snapshot("long.py", text)
    regions = regions_of(document)
    assert "".join(text[region.start : region.end] for region in regions) == text
    assert all(text.startswith("def ", region.start) for region in regions)
    assert all(region.end - region.start <= 2 * REGION_CHARS for region in regions)
    ((_, snippet),) = names_and_texts({"long.py": text}, num_chars=2 * REGION_CHARS)
    assert "def count_rows(" in snippet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "x" * 500_000,
        "{" + "a: 1, " * 50_000 + "}",
        "y = [\n" + "    1,\n" * 50_000 + "]\n",
        "é = '\u2028'\r\ndef ü(): ...\r\n",
    ],
    ids=["empty", "blank", "one word", "one line", "one statement", "unusual characters"],
)
def test_any_text_has_regions(text: str) -> None:
    regions = regions_of(snapshot("any.py", text))
    related_texts(text, len(text) // 2, regions, 10_000)
    assert all(before.end <= after.start for before, after in pairwise(regions))


def test_names_are_looked_for_in_other_languages_too() -> None:
    other = DocumentSnapshot("file:///w/a.go", 1, "go", "package a\n\nfunc CountRows(x int) int {\n\treturn x\n}\n")
    assert any("CountRows" in region.defined for region in regions_of(other))


def test_texts_stay_while_one_types_in_a_definition() -> None:
    related, text, at = RelatedTexts(), HERE.replace("‸", ""), HERE.index("‸")
    here, others = snapshot("a.py", text), [snapshot("c.py", COUNTING)]
    assert related.found(here, at) is None
    found = related.find(here, at, others, 10_000)
    for number, key in enumerate("store_of_all", start=1):
        here = snapshot("a.py", text[:at] + "store_of_all"[:number] + text[at:])
        assert related.found(here, at + number) is found, key
    assert related.found(here, 5) is None, "another definition"
    related.forget(here.uri)
    assert related.found(here, at) is None


async def prepare(editor: Any, recorded: Any) -> int:
    """Some open documents, and one that is typed in; gives the cursor."""
    await editor.start({"endpoint": recorded.endpoint, "exclude": ["*private*"]})
    await editor.until_ready()
    for name, text, language in [
        ("store.py", STORE, "python"),
        ("counting.py", COUNTING, "python"),
        ("private.py", COUNTING, "python"),
        ("counting.js", COUNTING, "javascript"),
    ]:
        editor.open(text, name, language)
    editor.open(HERE.replace("‸", ""), "report.py")
    return HERE.index("‸")


async def test_open_documents_of_the_language_are_context_and_excluded_files_are_not(
    editor: Any, recorded: Any
) -> None:
    cursor = await prepare(editor, recorded)
    await editor.complete(cursor, invoked=True)
    assert recorded.contexts()[-1] == {"store.py": STORE, "counting.py": COUNTING}
    await editor.command("midfill.fillSelection", range={"start": END, "end": END})
    assert recorded.contexts()[-1] == {"store.py": STORE, "counting.py": COUNTING}


@pytest.mark.parametrize("editor", ["vscode"], indirect=True)
async def test_context_is_the_same_from_key_to_key_and_ranked_anew_when_the_cursor_rests(
    editor: Any, recorded: Any
) -> None:
    cursor = await prepare(editor, recorded)
    await editor.complete(cursor, invoked=True)
    before = len(recorded.contexts())
    here = editor.uri, editor.text, editor.version
    editor.open(SIMILAR, "similar.py")  # would help, but is looked for only when the cursor rests
    editor.uri, editor.text, editor.version = here
    for key in "abc":
        editor.replace(cursor, cursor, key)
        cursor += 1
        await editor.complete(cursor, invoked=True)
    assert {tuple(context) for context in recorded.contexts()[before:]} == {("store.py", "counting.py")}
    await editor.actions(cursor)  # the cursor rests: editors ask for actions then
    await editor.until(lambda: "similar.py" in recorded.contexts()[-1])
