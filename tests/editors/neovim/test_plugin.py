"""The plugin as a piece of software: its help, its commands, and parts that need no model."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from terminal import wait


def test_every_help_link_leads_somewhere(neovim: Callable[..., Any], places: Path, plugin: Path) -> None:
    editor = neovim("", own=True, attach=False)
    (places / "doc").mkdir()
    (places / "doc" / "midfill.txt").write_bytes((plugin / "doc" / "midfill.txt").read_bytes())
    editor.run(f"helptags {places / 'doc'}")
    editor.run(f"set runtimepath^={places}")
    help_text = (plugin / "doc" / "midfill.txt").read_text(encoding="utf-8")
    links = set(re.findall(r"\|([^|\s]+)\|", help_text))
    assert "midfill-options" in links
    unknown = {link for link in links if not editor.api.call("getcompletion", link, "help")}
    assert unknown <= {"hl-ComplHint"}  # Neovim 0.10 has no such group
    listed = {name for name in re.findall(r"^:(?:\{range\})?Midfill (\w+)", help_text, re.MULTILINE)}
    assert listed == set(editor.lua("return vim.tbl_keys(require('midfill.command').subcommands)"))


def test_parts_of_a_suggestion(neovim: Callable[..., Any]) -> None:
    editor = neovim("", attach=False)
    for text, word, line in [
        ("foo bar", "foo", "foo bar"),
        ("  foo(x)\ny", "  foo", "  foo(x)"),
        ("(x, y)", "(", "(x, y)"),
        ("é_1+", "é_1", "é_1+"),
        ("\n    y = 1\nz", "\n    y", "\n    y = 1"),
        ("+= 1", "+=", "+= 1"),
        ("  ", "  ", "  "),
    ]:
        take = "return require('midfill.ghost.parts').take(...)"
        assert editor.lua(take, text, "word") == word
        assert editor.lua(take, text, "line") == line
        assert editor.lua(take, text, "all") == text


def test_positions_in_every_encoding(neovim: Callable[..., Any]) -> None:
    editor = neovim("", attach=False)
    line = "aé𝒳b"
    for encoding, characters in {
        "utf-8": {0: 0, 1: 1, 3: 3, 7: 7, 8: 8},
        "utf-16": {0: 0, 1: 1, 2: 3, 4: 7, 5: 8, 9: 8},
        "utf-32": {0: 0, 1: 1, 2: 3, 3: 7, 4: 8, 9: 8},
    }.items():
        for character, column in characters.items():
            if encoding == "utf-32" and "0.10" in editor.lua("return tostring(vim.version())"):
                continue  # never agreed on by that version
            there = "return require('midfill.positions').byte_column(...)"
            assert editor.lua(there, line, character, encoding) == column
            if character < 9:
                back = "return require('midfill.positions').character(...)"
                assert editor.lua(back, line, column, encoding) == character


def test_several_lines_of_ghost_text_are_taken_line_by_line(neovim: Callable[..., Any]) -> None:
    editor = neovim("def f():\n    pass\n", attach=False, options={"ghost_text": False})
    editor.type("G$a<BS><BS><BS><BS>")
    editor.wait_for_text("def f():\n    ")
    accept = """
        local suggestion = { buf = 0, client_id = 0, row = 1, column = 4, stop = 4, text = "a = 1\\nb = é\\nc" }
        suggestion.buf = vim.api.nvim_get_current_buf()
        return require("midfill.ghost.accept").insert(suggestion, ...)"""
    assert editor.lua(accept, "line")
    assert editor.text == "def f():\n    a = 1"
    assert editor.api.current.window.cursor == (2, 9)
    editor.type("<BS>")
    editor.wait_for_text("def f():\n    a = ")
    assert editor.lua(accept, "all")
    assert editor.text == "def f():\n    a = 1\nb = é\nc"
    assert not editor.lua(accept, "all")  # the cursor is elsewhere


def test_pause_status_and_the_status_line(neovim: Callable[..., Any]) -> None:
    editor = neovim("a = <fill>\n", own=True)
    statusline = "return require('midfill').statusline()"
    assert editor.lua(statusline) == "midfill"
    editor.run("Midfill pause")
    editor.wait_for_message("paused (global)")
    wait(lambda: editor.lua(statusline) == "midfill paused", lambda: editor.lua(statusline))
    editor.run("Midfill fill")
    editor.run("Midfill status")
    wait(lambda: sum("Paused" in one for one in editor.messages()) >= 1, lambda: str(editor.messages()))
    assert editor.text == "a = <fill>"
    editor.run("Midfill resume")
    wait(lambda: editor.lua(statusline) == "midfill", lambda: editor.lua(statusline))
    editor.run("Midfill pause language")
    editor.wait_for_message("paused (language)")
    editor.run("Midfill resume workspace")
    editor.wait_for_message("resumed (workspace)")


def test_what_completes_the_command(neovim: Callable[..., Any]) -> None:
    editor = neovim("", attach=False)
    for line, expected in {
        "Midfill re": ["reject", "repair", "restart", "resume", "rewrite"],
        "Midfill holes ": ["file", "function"],
        "'<,'>Midfill f": ["fill"],
        "Midfill fill ": [],
        "Midf ho": ["holes"],
        "silent Mid holes f": ["file", "function"],
    }.items():
        assert editor.api.call("getcompletion", line, "cmdline") == expected


def test_health(neovim: Callable[..., Any]) -> None:
    midfill = str(Path(sys.executable).with_name("midfill"))
    editor = neovim("x = 1\n", resident=None, options={"cmd": [midfill, "lsp"]})
    editor.run("checkhealth midfill")
    wait(lambda: "midfill doctor" in editor.text, lambda: editor.text)
    assert "ghost text is drawn by" in editor.text
    assert "Running for" in editor.text
    assert "ERROR" not in editor.text, editor.text
    assert "WARNING" not in editor.text, editor.text


def test_what_health_advises(neovim: Callable[..., Any]) -> None:
    editor = neovim("", attach=False)
    advice = "return table.concat(require('midfill.health').advice(...), '\\n')"
    assert "install Python 3.11 or newer first" in editor.lua(advice)
    assert "python3 is 3.9" in editor.lua(advice, [3, 9])
    assert "python3" not in editor.lua(advice, [3, 12])


def test_the_log_is_shown(neovim: Callable[..., Any], places: Path) -> None:
    editor = neovim("x = 1\n", own=True)
    log = places / "STATE_HOME" / "midfill" / "embedded.log"
    log.unlink(missing_ok=True)  # of the resident, if this is the first editor
    editor.run("Midfill log model")
    editor.wait_for_message("there is no log yet at")
    log.parent.mkdir(exist_ok=True)
    log.write_text("first\nlast\n")
    editor.run("Midfill log model")
    assert editor.text == "first\nlast"
    assert editor.api.current.window.cursor == (2, 0)
