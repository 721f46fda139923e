"""Fill All Holes, reviewed hole by hole: what is accepted is one undo step, what is rejected stays byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

TEXT = """def area(radius):
    return <fill>  # expect: 3.14 * radius


def total(items):
    <fill>  # expect: result = 0\\n    for item in items:\\n        result += item
    return result


print(<fill>)  # expect: total([])
"""
FILLS = ("3.14 * radius", "result = 0\n    for item in items:\n        result += item", "total([])")
PENDING = "<CR> accept"


def filled(*accepted: int, text: str = TEXT) -> str:
    """The text with the holes of these numbers filled."""
    parts = text.split("<fill>")
    holes = [FILLS[number] if number in accepted else "<fill>" for number in range(len(FILLS))]
    return "".join(part + hole for part, hole in zip(parts, [*holes, ""], strict=True)).removesuffix("\n")


def begin(neovim: Callable[..., Any], text: str | bytes = TEXT) -> Any:
    editor = neovim(text)
    editor.run("Midfill holes")
    editor.wait_for_screen(PENDING)
    return editor


def test_each_hole_is_decided_and_one_undo_takes_all_back(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim)
    editor.wait_for_screen("1/3 · 90 %")
    editor.wait_for_screen("    for item in items:")
    editor.type("<CR>")
    editor.wait_for_screen("2/3")
    assert editor.text == filled()  # until the end nothing changes
    editor.type("<BS>")
    editor.wait_for_screen("3/3")
    editor.type("<CR>")
    editor.wait_for_text(filled(0, 2))
    assert "2 of 3 holes filled" in editor.wait_for_message("holes filled")
    editor.type("u")
    editor.wait_for_text(filled())
    editor.type("<C-r>")
    editor.wait_for_text(filled(0, 2))
    editor.wait_until_gone("accept")


@pytest.mark.parametrize(("key", "accepted"), [("g<CR>", (0, 1, 2)), ("g<BS>", ())])
def test_all_at_once(neovim: Callable[..., Any], key: str, accepted: tuple[int, ...]) -> None:
    editor = begin(neovim)
    editor.type(key)
    editor.wait_for_message("filled" if accepted else "nothing was changed")
    assert editor.text == filled(*accepted)


def test_next_and_previous_pass_over_what_is_decided(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim)
    editor.type("]h")
    editor.wait_for_screen("2/3")
    editor.type("<CR>")
    editor.wait_for_screen("3/3")
    editor.type("]h")
    editor.wait_for_screen("1/3")
    editor.type("[h")
    editor.wait_for_screen("3/3")
    editor.run("Midfill reject all")
    editor.wait_for_message("1 of 3 holes filled")
    assert editor.text == filled(1)


def test_rejected_bytes_stay(neovim: Callable[..., Any]) -> None:
    before = TEXT.replace("\n", "\r\n").replace("area", "área𝒳").rstrip("\r\n").encode()
    editor = begin(neovim, before)
    editor.run("setlocal nofixendofline")
    editor.type("g<BS>")
    editor.wait_for_message("nothing was changed")
    assert not editor.api.current.buffer.options["modified"]
    editor.run("write!")
    assert editor.file.read_bytes() == before


def test_accepted_bytes_keep_the_line_ends(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim, TEXT.replace("\n", "\r\n").encode())
    editor.type("g<CR>")
    editor.wait_for_message("3 of 3")
    editor.run("write!")
    written = editor.file.read_bytes().decode()
    assert written == (filled(0, 1, 2) + "\n").replace("\n", "\r\n")


def test_edits_during_the_review(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim)
    editor.type("ggO# é a new line<Esc>")
    editor.type("3G0f<lt>i1 + <Esc>f>a + 2<Esc>")  # beside a hole
    editor.type("11G0f<lt>lrX")  # in a hole
    editor.type("gg")
    editor.wait_for_screen("1/3")
    editor.type("<CR>")
    editor.wait_for_screen("2/3")
    editor.type("<CR>")
    editor.wait_for_message("2 of 3 holes filled; the text of 1 changed")
    expected = filled(0, 1).replace("return 3.14 * radius", "return 1 + 3.14 * radius + 2")
    assert editor.text == "# é a new line\n" + expected.replace("print(<fill>)", "print(<Xill>)")


def test_reading_the_file_anew_ends_the_review(neovim: Callable[..., Any]) -> None:
    editor = begin(neovim)
    editor.run("edit!")
    editor.wait_for_message("the review ended; nothing was filled")
    assert editor.text == filled()
    assert editor.lua("return vim.fn.maparg('<CR>', 'n')") == ""


def test_the_keys_are_given_back(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT)
    editor.run("nnoremap <buffer> <CR> iof one's own<Esc>")
    editor.run("Midfill holes")
    editor.wait_for_screen(PENDING)
    editor.type("g<BS>")
    editor.wait_for_message("nothing was changed")
    assert editor.lua("return vim.fn.maparg('<CR>', 'n')") == "iof one's own<Esc>"
    assert editor.lua("return vim.fn.maparg('<BS>', 'n')") == ""


def test_folds_hide_nothing(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT)
    editor.run("setlocal foldmethod=indent foldlevel=0")
    editor.run("Midfill holes")
    editor.wait_for_screen("1/3")
    editor.type("<BS>")
    editor.wait_for_screen("2/3")


def test_the_holes_of_a_function(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT)
    editor.type("6G")
    editor.run("Midfill holes function")
    editor.wait_for_screen("1/1")
    editor.type("<CR>")
    editor.wait_for_text(filled(1))


def test_text_that_changed_while_it_was_filled(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=("--step-ms", "300"))
    editor.run("Midfill holes")
    editor.type("Goa = 1<Esc>")
    editor.wait_for_message("ask again")
    assert editor.text == filled() + "\na = 1"
    editor.wait_until_gone("accept")


def test_a_fill_is_given_up(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=("--step-ms", "2000"))
    editor.run("Midfill holes")
    editor.run("Midfill reject")
    editor.wait_for_message("given up")
    assert editor.text == filled()
