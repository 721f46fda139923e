"""A region written again: seen settling, shown as a diff, accepted as one undo step or left byte for byte; quick
fixes and uncertain spots."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminal import wait

CLEVER = ("--verbs", "rename,docstring", "--instructions")
SLOW = ("--steps", "20", "--step-ms", "100")
TEXT = "def f(a):\n    b = a + 1  # 𝒳\n    return b\n\n\nx = f(1)\n"
BEFORE = TEXT.removesuffix("\n")
REGION = "b = a + 1  # 𝒳\n    return b"
SELECT = "2GVj"
CHOOSE = """
    local picked, said = ...
    _G.offered, _G.input_default = {}, nil
    vim.ui.select = function(items, options, choose)
      _G.offered = vim.tbl_map(options.format_item or tostring, items)
      for index, item in ipairs(items) do
        if _G.offered[index]:find(picked, 1, true) then
          return choose(item, index)
        end
      end
      choose(nil)
    end
    vim.ui.input = function(options, on_words)
      _G.input_default = options.default
      on_words(said)
    end"""
RECORD = """
    local view = require("midfill.rewrite_view")
    local draw = view.draw_draft
    _G.drafts = {}
    view.draw_draft = function(buf, place, pieces, hint)
      table.insert(_G.drafts, vim.list_slice(pieces))
      draw(buf, place, pieces, hint)
    end"""


def written(new: str) -> str:
    return BEFORE.replace(REGION, new)


def test_a_verb_is_picked_its_draft_settles_and_one_undo_takes_it_back(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=(*CLEVER, *SLOW))
    editor.lua(CHOOSE, "Give the names more meaning")
    editor.lua(RECORD)
    editor.type(f"{SELECT}<M-r>")
    editor.wait_for_screen("denoising … · <BS> reject")
    assert editor.lua("return _G.offered") == [
        "Say what to do …",
        "Give the names more meaning",
        "Write a docstring",
        "Write it again",
        "Write it again, nearly the same",
        "Write it again, from nothing",
    ]
    in_place = re.compile(r"^  2     did_\w*\?*\n  3\n +denoising", re.MULTILINE)
    wait(lambda: in_place.search(editor.screen()), lambda: f"the draft in place of the region\n{editor.screen()}")
    assert editor.text == BEFORE  # it is only on the screen
    editor.wait_for_screen("1/4 · 90 % · <CR> accept · <BS> reject · ]h next · gR retry")
    shown = editor.screen()
    assert shown.index("b = a + 1") < shown.index("return b") < shown.index("did_rename") < shown.index("1/4")
    assert editor.text == BEFORE
    drafts = editor.lua("return _G.drafts")
    assert drafts[0] == [{"text": f"    {REGION}", "settled": False}]
    assert [{"text": "did_r", "settled": True}, {"text": "?????", "settled": False}] in drafts
    editor.type("<CR>")
    editor.wait_for_text(written("did_rename"))
    editor.type("u")
    editor.wait_for_text(BEFORE)
    editor.type("<C-r>")
    editor.wait_for_text(written("did_rename"))


def test_what_settled_is_plain_and_what_did_not_is_dimmed(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, own=True)
    assert editor.lua("""
        local view = require("midfill.rewrite_view")
        return view.lines_of({ { text = "a\\nb", settled = true }, { text = "░", settled = false } })""") == [
        [["a", "MidfillSettled"]],
        [["b", "MidfillSettled"], ["░", "MidfillUnsettled"]],
    ]


def test_instructions_other_versions_and_a_retry(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=CLEVER)
    editor.type(f"{SELECT}:Midfill rewrite make it shorter<CR>")
    editor.wait_for_screen("1/4")
    for position in ("2/4", "3/4", "4/4"):
        editor.type("]h")
        editor.wait_for_screen(position)
    editor.wait_for_screen("did_make_it_shorter_4")
    editor.type("]h")  # past the last one: with another seed
    editor.wait_for_screen("5/8")
    editor.wait_for_screen("did_make_it_shorter_5")
    editor.type("[h")
    editor.wait_for_screen("did_make_it_shorter_4")
    editor.lua(CHOOSE, "Say what to do", "even shorter")
    editor.type("gR")
    editor.wait_for_screen("did_even_shorter")
    editor.wait_for_screen("1/4")
    assert editor.lua("return _G.input_default") == "make it shorter"
    assert editor.text == BEFORE
    editor.type("]h<CR>")
    editor.wait_for_text(written("did_even_shorter_2"))


def test_a_rejected_region_stays_byte_for_byte(neovim: Callable[..., Any]) -> None:
    before = TEXT.replace("\n", "\r\n").rstrip("\r\n").encode()
    editor = neovim(before)
    editor.run("setlocal nofixendofline")
    editor.run("nnoremap <buffer> <CR> iof one's own<Esc>")
    editor.type(f"{SELECT}:Midfill again<CR>")
    editor.wait_for_screen("1/4")
    editor.type("<BS>")
    editor.wait_for_message("nothing was changed")
    editor.wait_until_gone("accept")
    assert not editor.api.current.buffer.options["modified"]
    assert editor.lua("return vim.fn.maparg('<CR>', 'n')") == "iof one's own<Esc>"
    editor.run("write!")
    assert editor.file.read_bytes() == before


def test_again_at_a_strength_of_the_cursors_line(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT)
    editor.type("6G:Midfill again 0.3<CR>")
    editor.wait_for_screen("filled_1")
    editor.wait_for_screen("1/4")
    editor.type("ggOy = 1<Esc>")  # the region moves
    editor.run("Midfill accept")
    editor.wait_for_text("y = 1\n" + BEFORE.replace("x = f(1)", "filled_1"))
    editor.type("u")
    editor.wait_for_text("y = 1\n" + BEFORE)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("3Midfill rewrite make it shorter", "follows no free instructions"),
        ("3Midfill again 2", "strength of 2 is not possible"),
        ("3Midfill again much", "takes a strength, above 0 and up to 1, and not much"),
        ("4,5Midfill again", "The region is empty"),
        ("%Midfill again", "The region has 2000 lines"),
    ],
)
def test_what_is_refused_leaves_the_text_alone(neovim: Callable[..., Any], command: str, sentence: str) -> None:
    text = TEXT + "x = 1\n" * 1994 if "%" in command else TEXT
    editor = neovim(text)
    editor.run(command)
    editor.wait_for_message(sentence)
    editor.wait_until_gone("denoising")
    assert editor.text == text.removesuffix("\n")
    assert editor.lua("return vim.fn.maparg('<CR>', 'n')") == ""


def test_an_instruction_that_is_too_long(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=CLEVER)
    editor.lua(CHOOSE, "Say what to do", "shorter " * 1250)
    editor.type("<M-r>")
    editor.wait_for_message("instruction has 10000 characters and may have 2000; shorten it")
    assert editor.text == BEFORE


def test_edits_while_it_runs_and_under_review(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=SLOW)
    editor.type(f"{SELECT}:Midfill again<CR>")
    editor.wait_for_screen("denoising")
    editor.type("3G$r1")
    editor.wait_for_message("nothing was rewritten; ask again")
    editor.wait_until_gone("denoising")
    assert editor.text == BEFORE.replace("return b", "return 1")
    editor.type(f"u{SELECT}:Midfill again<CR>")
    editor.wait_for_screen("1/4")
    editor.type("3G$r1")
    editor.wait_for_message("the region was edited, so it is not rewritten")
    editor.wait_until_gone("accept")
    assert editor.text == BEFORE.replace("return b", "return 1")


def test_a_second_one_takes_the_place_of_the_first_and_is_given_up(neovim: Callable[..., Any]) -> None:
    editor = neovim(TEXT, resident=SLOW)
    editor.type("6G:Midfill again<CR>")
    editor.wait_for_screen("denoising")
    editor.type("gg:2,3Midfill again<CR>")
    editor.wait_for_message("the rewriting before this one was given up")
    editor.wait_until_gone("return b")
    assert "x = f(1)" in editor.screen()
    editor.type("<BS>")
    editor.wait_for_message("given up; nothing was changed")
    editor.wait_until_gone("denoising")
    assert editor.text == BEFORE


def test_a_server_that_dies_while_it_runs(neovim: Callable[..., Any], places: Path, server: list[str]) -> None:
    file = places / "server.pid"
    command = ["sh", "-c", f'echo $$ >"{file}"; exec "$@"', "sh", *server]
    editor = neovim(TEXT, resident=SLOW, options={"cmd": command})
    editor.type(f"{SELECT}:Midfill again<CR>")
    editor.wait_for_screen("denoising")
    os.kill(int(file.read_text()), signal.SIGKILL)
    editor.wait_for_message("the language server ended, so nothing was rewritten")
    editor.wait_until_gone("denoising")
    assert editor.text == BEFORE


def test_a_quick_fix_where_another_tool_shows_a_problem(neovim: Callable[..., Any]) -> None:
    editor = neovim("é = '𝒳'; print(nam)  # expect: print(name)\ny = 1\n", own=True)
    editor.lua(CHOOSE, "")
    editor.lua("""
        vim.diagnostic.set(vim.api.nvim_create_namespace("other"), 0, { {
          lnum = 0, col = 21, end_lnum = 0, end_col = 24, message = "undefined name 'nam'", source = "other",
        } })""")
    editor.type("gg:Midfill repair<CR>")
    wait(lambda: "print(nam)" not in editor.text, lambda: f"a repair; {editor.messages()}, {editor.text}")
    assert editor.text.endswith("\ny = 1")
    repaired = editor.text
    editor.type("u")
    wait(lambda: "print(nam)" in editor.text, lambda: editor.text)
    assert repaired != editor.text


def test_uncertain_spots_are_marked_and_filled_again(neovim: Callable[..., Any]) -> None:
    editor = neovim("a = <fill>\nb = <fill>\n", resident=("--unsure",))
    editor.run("Midfill holes")
    editor.wait_for_screen("1/2")
    editor.type("g<CR>")
    editor.wait_for_text("a = filled_1\nb = filled_2")
    wait(lambda: spots(editor) == [[0, 4, 12], [1, 4, 12]], lambda: f"two spots; there are {spots(editor)}")
    editor.type("ggO# above<Esc>")
    wait(lambda: spots(editor) == [[1, 4, 12], [2, 4, 12]], lambda: f"the spots a line lower; {spots(editor)}")
    editor.lua(CHOOSE, "uncertain")
    editor.type("2G$")
    editor.type("<Cmd>lua vim.lsp.buf.code_action()<CR>")  # one alone
    wait(lambda: "a = filled_1\n" not in editor.text, lambda: f"{editor.lua('return _G.offered')} {editor.messages()}")
    assert editor.text.endswith("b = filled_2")
    one = editor.text
    editor.run("Midfill spots")  # all that are left
    wait(lambda: not editor.text.endswith("b = filled_2"), lambda: f"another b; {editor.messages()}")
    editor.type("u")
    editor.wait_for_text(one)


def test_spots_end_where_the_text_is_edited(neovim: Callable[..., Any]) -> None:
    editor = neovim("a = <fill>\n", resident=("--unsure",))
    editor.run("Midfill fill")
    editor.wait_for_text("a = filled_1")
    wait(lambda: spots(editor) == [[0, 4, 12]], lambda: f"a spot; there are {spots(editor)}")
    editor.type("$x")
    wait(lambda: spots(editor) == [], lambda: f"no spot; there are {spots(editor)}")
    editor.run("Midfill spots")
    editor.wait_for_message("There is no uncertain spot here")


CALLS = "def area(width, height):\n    return width * height\n\n\nprint(area(2, 3), '𝒳', area(4, height=5))\n"
CALLED = "print(area(2, 3, filled_1), '𝒳', area(4, height=5, unit=filled_2))"


@pytest.mark.parametrize("way", ["calls", "action"])
def test_calls_follow_a_changed_header(neovim: Callable[..., Any], way: str) -> None:
    editor = neovim(CALLS)
    editor.type("gg$hi, unit<Esc>")
    header = CALLS.removesuffix("\n").replace("height):", "height, unit):")
    editor.wait_for_text(header)
    if way == "calls":
        editor.type(":Midfill calls<CR>")
    else:
        editor.lua(CHOOSE, "Update the 2 calls of area")
        editor.type("<Cmd>lua vim.lsp.buf.code_action()<CR>")
    editor.wait_for_text(header.replace(CALLS.split("\n")[4], CALLED))
    editor.type("u")
    editor.wait_for_text(header)


def test_calls_of_a_header_that_is_as_it_was(neovim: Callable[..., Any]) -> None:
    editor = neovim(CALLS)
    editor.run("Midfill calls")
    editor.wait_for_message("There are no calls to update for this place")
    assert editor.text == CALLS.removesuffix("\n")


def spots(editor: Any) -> list[list[int]]:
    """Row, beginning and end of what is marked as uncertain."""
    return editor.lua("""
        local namespace = vim.api.nvim_get_namespaces()["midfill.spots"]
        return vim.tbl_map(function(mark)
          return { mark[2], mark[3], mark[4].end_col }
        end, vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true }))""")
