"""Fills that go straight into the buffer, from every way in: the hole at the cursor, the selection; one undo each."""

from __future__ import annotations

from collections.abc import Callable
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


def test_where_there_is_no_hole(neovim: Callable[..., Any]) -> None:
    editor = neovim("x = 1\n")
    editor.run("Midfill fill")
    editor.wait_for_message("<fill>")
    assert editor.text == "x = 1"
