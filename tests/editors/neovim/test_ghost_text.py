"""Ghost text as a person gets it: it appears, is typed through, cycled, taken by word, by line and whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def begin(neovim: Callable[..., Any], text: str, **which: bool) -> Any:
    """A Neovim in insert mode at the `^` of the text."""
    before, after = text.split("^")
    editor = neovim(before + after, **which)
    editor.api.current.window.cursor = (before.count("\n") + 1, len(before.rpartition("\n")[2]))
    at_the_end = not after or after.startswith("\n")
    editor.type("A" if at_the_end else "i")
    return editor


def test_it_appears_and_is_taken_whole(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim, "total = ^\n")
    editor.wait_for_screen("total = filled_1")
    assert editor.text == "total = "  # nothing is in the buffer yet
    editor.type("<M-l>")
    editor.wait_for_text("total = filled_1")
    editor.type("<Esc>u")
    editor.wait_for_text("total = ")


def test_it_is_typed_through(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim, "total = ^  # expect: first + second\n")
    editor.wait_for_ghost_text("first + second")
    editor.type("firs")
    editor.wait_for_ghost_text("t + second")
    editor.type("<M-l>")  # at once, before anything was asked for anew
    editor.wait_for_text("total = first + second  # expect: first + second")


def test_it_is_taken_by_word_and_by_line(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim, "x = ^# expect: é * (b + 1)\n")
    tail = "# expect: é * (b + 1)"
    editor.wait_for_ghost_text("é * (b + 1)")
    for taken, left in (("é", " * (b + 1)"), ("é *", " (b + 1)"), ("é * (", "b + 1)"), ("é * (b", " + 1)")):
        editor.type("<M-w>")
        editor.wait_for_text(f"x = {taken}{tail}")
        editor.wait_for_ghost_text(left)
    editor.type("<M-j>")
    editor.wait_for_text(f"x = é * (b + 1){tail}")


def test_it_is_cycled_and_hidden(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim, "total = ^\n")
    editor.wait_for_ghost_text("filled_1")
    editor.type("<M-n>")
    editor.wait_for_ghost_text("filled_1_2")
    editor.type("<M-p>")
    editor.wait_for_ghost_text("filled_1")
    editor.wait_for_screen("(1/3)")
    editor.type("<M-e>")
    editor.wait_for_ghost_text("")
    assert editor.text == "total = "


def test_a_key_without_ghost_text_is_itself(neovim: Callable[..., Any]) -> None:
    editor = neovim("", options={"keys": {"accept": "<Tab>"}, "ghost_text": False})
    editor.type("i<Tab>x")
    editor.wait_for_text("    x")


def test_a_key_without_ghost_text_is_what_it_was_mapped_to(neovim: Callable[..., Any]) -> None:
    editor = neovim("", own=True)
    editor.run("inoremap <expr> <Tab> 'mapped'")
    setup = "require('midfill').setup({ cmd = require('midfill.config').options.cmd, keys = { accept = ... } })"
    editor.lua(setup, "<Tab>")
    editor.type("i<Tab>")
    editor.wait_for_text("mapped")
    editor.type("<Esc>ccx = ")
    editor.wait_for_ghost_text("filled_1")
    editor.type("<Tab>")
    editor.wait_for_text("x = filled_1")
    editor.lua(setup, "<M-l>")
    assert editor.lua("return vim.fn.maparg('<Tab>', 'i')") == "'mapped'"


def test_what_is_taken_is_counted(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim, "total = ^\n", own=True)
    editor.wait_for_ghost_text("filled_1")
    editor.type("<M-l>")
    editor.wait_for_text("total = filled_1")
    editor.type("<Esc>")
    editor.run("Midfill stats")
    assert ", 1 accepted" in editor.wait_for_message("suggestions shown")
