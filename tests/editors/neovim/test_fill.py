"""Fills that go straight into the buffer, from every way in: the hole at the cursor, the selection; one undo each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOLES = "a = <fill>  # expect: first\nb = <fill>\n"
SELECTION = "é = '𝒳'; x = old + thing  # expect: new_thing\ny = 1\n"
SELECTED_FILLED = "é = '𝒳'; x = new_thing  # expect: new_thing\ny = 1"


@pytest.mark.parametrize("way", [":Midfill fill<CR>", "<M-f>"])
def test_the_hole_at_the_cursor(neovim: Callable[..., Any], way: str) -> None:
    editor = neovim(HOLES)
    editor.type(way)
    editor.wait_for_text("a = first  # expect: first\nb = <fill>")
    editor.type("u")
    editor.wait_for_text(HOLES.removesuffix("\n"))


@pytest.mark.parametrize("way", ["<M-f>", ":Midfill fill<CR>"])
def test_the_selection(neovim: Callable[..., Any], way: str) -> None:
    editor = neovim(SELECTION)
    editor.type(f"0fovt#2h{way}")
    editor.wait_for_text(SELECTED_FILLED)
    editor.type("u")
    editor.wait_for_text(SELECTION.removesuffix("\n"))


def test_the_selection_by_code_action(neovim: Callable[..., Any]) -> None:
    editor = neovim(SELECTION, own=True)
    editor.lua("vim.ui.select = function(items, _, choose) choose(items[1], 1) end")
    editor.type("0fovt#2h")
    editor.type("<Cmd>lua vim.lsp.buf.code_action()<CR>")
    editor.wait_for_text(SELECTED_FILLED)
    editor.type("<Esc>u")
    editor.wait_for_text(SELECTION.removesuffix("\n"))


@pytest.mark.parametrize("way", ["Vj<M-f>", "Vj:Midfill fill<CR>", ":1,2Midfill fill<CR>"])
def test_lines(neovim: Callable[..., Any], way: str) -> None:
    editor = neovim("x = 1\ny = 2\nz = 3\n")
    editor.type(way)
    editor.wait_for_text("filled_1\nz = 3")


def test_what_must_not_be_changed(neovim: Callable[..., Any]) -> None:
    editor = neovim(HOLES)
    for option, sentence in [("readonly", ":set noreadonly allows"), ("nomodifiable", ":set modifiable allows")]:
        editor.run(f"setlocal {option}")
        for command in ("Midfill fill", "Midfill holes"):
            editor.run(command)
            assert sentence in editor.messages()[-1]
    assert editor.text == HOLES.removesuffix("\n")


@pytest.mark.parametrize(
    ("change", "sentence", "text"),
    [
        (
            "vim.api.nvim_buf_set_lines(0, 0, 0, true, { '# a line more' })",
            "the text changed meanwhile",
            "# a line more\n",
        ),
        ("vim.bo.modifiable = false", ":set modifiable allows it", ""),
        ("vim.cmd('bwipeout!')", "its buffer was closed", None),
    ],
    ids=["typed", "nomodifiable", "closed"],
)
def test_what_changes_after_the_server_answered(
    neovim: Callable[..., Any], change: str, sentence: str, text: str | None
) -> None:
    """The server hears of a change up to 150 ms late: an edit that it computed for the text before is not put in."""
    editor = neovim(HOLES, own=True)
    editor.lua(f"""
        local handlers = require("midfill.client").get(0).handlers
        local apply = handlers["workspace/applyEdit"] or vim.lsp.handlers["workspace/applyEdit"]
        handlers["workspace/applyEdit"] = function(...)
          {change}
          return apply(...)
        end""")
    editor.run("Midfill fill")
    editor.wait_for_message(sentence)
    if text is not None:
        assert editor.text == text + HOLES.removesuffix("\n")


def test_a_buffer_that_gets_a_name(neovim: Callable[..., Any], places: Path) -> None:
    editor = neovim("", own=True)
    editor.run("enew")
    editor.run("setfiletype python")
    editor.lua("vim.api.nvim_buf_set_lines(0, 0, -1, true, { 'a = <fill>', 'b = <fill>' })")
    editor.run("Midfill fill")
    assert "has no name yet; :write it to a file first" in editor.messages()[-1]
    editor.run(f"write {places / 'project' / 'named.py'}")
    editor.wait_until_attached()
    editor.run("Midfill fill")
    editor.wait_for_text("a = filled_1\nb = <fill>")
    editor.run(f"file {places / 'project' / 'renamed.py'}")
    editor.wait_until_attached()
    editor.type("2G:Midfill fill<CR>")
    editor.wait_for_text("a = filled_1\nb = filled_1")


def test_where_there_is_no_hole(neovim: Callable[..., Any]) -> None:
    editor = neovim("x = 1\n")
    editor.run("Midfill fill")
    editor.wait_for_message("<fill>")
    assert editor.text == "x = 1"
