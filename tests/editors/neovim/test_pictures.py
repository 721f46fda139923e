"""The embedded model in a real Neovim: it fills, and what that looks like is kept in build/pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from terminal import wait

PICTURES = Path(__file__).parents[3] / "build" / "pictures"
INVENTORY = '''"""What a shop has in stock."""


class Inventory:
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        self.counts.setdefault(name, 0)
        self.counts[name] += count

    def remove(self, name: str, count: int = 1) -> None:
        self.counts[<fill>] -= count

    def total(self) -> int:
        return sum(self.counts.<fill>)

    def has(self, name: str) -> bool:
        return <fill> in self.counts
'''


def test_ghost_text(neovim: Callable[..., Any]) -> None:
    text = INVENTORY.split("    def total")[0].replace("self.counts[<fill>] -= count", "self.counts.")
    editor = neovim(text, resident=None, options={"settings": {"showThreshold": 0}}, name="inventory.py")
    editor.type("13GA")
    wait(editor.ghost_text, lambda: "ghost text of the embedded model")
    editor.picture(picture_of(editor, "ghost-text"))
    suggested = editor.ghost_text()
    editor.type("<M-l>")
    wait(lambda: f"self.counts.{suggested}" in editor.text, lambda: editor.text)


def test_review(neovim: Callable[..., Any]) -> None:
    editor = neovim(INVENTORY, resident=None, name="inventory.py")
    editor.run("Midfill holes")
    editor.wait_for_screen("1/3")
    editor.type("<CR>")
    editor.wait_for_screen("2/3")
    editor.picture(picture_of(editor, "review"))
    editor.type("g<CR>")
    wait(lambda: "<fill>" not in editor.text, lambda: editor.text)
    editor.type("u")
    editor.wait_for_text(INVENTORY.removesuffix("\n"))


def test_selection(neovim: Callable[..., Any]) -> None:
    text = INVENTORY.replace("self.counts[<fill>] -= count", "raise NotImplementedError").split("    def total")[0]
    editor = neovim(text, resident=None, name="inventory.py")
    editor.type("13GV")
    editor.picture(picture_of(editor, "selection"))
    editor.type("<M-f>")
    wait(lambda: editor.text != text.removesuffix("\n"), lambda: f"a fill; there were {editor.messages()}")
    editor.picture(picture_of(editor, "selection-filled"))
    editor.type("u")
    editor.wait_for_text(text.removesuffix("\n"))


FUNCTION = '''"""Prices of a shop."""


def net_prices(prices: list[float], rate: float) -> list[float]:
    result = []
    for price in prices:
        if price > 0:
            result.append(price / (1 + rate))
    return result
'''


def test_rewrite(neovim: Callable[..., Any]) -> None:
    """The embedded model's draft settles in place of the region; given up, it leaves the text as it was."""
    editor = neovim(FUNCTION, resident=None, name="prices.py")
    editor.lua("""
        local draw = require("midfill.rewrite_view").draw_draft
        _G.num_drafts = 0
        require("midfill.rewrite_view").draw_draft = function(...)
          draw(...)
          _G.num_drafts = _G.num_drafts + 1
          vim.cmd.redraw()
        end""")
    editor.type("5GV3j:Midfill again<CR>")
    wait(lambda: editor.lua("return _G.num_drafts") > 3, lambda: f"drafts; there were {editor.messages()}")
    editor.picture(picture_of(editor, "rewrite-draft"))
    editor.type("<BS>")
    editor.wait_for_message("nothing was changed")
    editor.wait_until_gone("denoising")
    assert editor.text == FUNCTION.removesuffix("\n")


NUMBER = '''"""What is known of numbers."""


def sign(number):
    if number < 0:
        return -1
    else:
        return 1
'''


def test_a_rewritten_region_under_review(neovim: Callable[..., Any]) -> None:
    editor = neovim(NUMBER, resident=None, name="number.py")
    editor.run("5,8Midfill rewrite early_return")
    editor.wait_for_screen("<CR> accept")
    editor.picture(picture_of(editor, "rewrite-diff"))
    editor.type("<CR>")
    wait(lambda: editor.text != NUMBER.removesuffix("\n"), lambda: editor.text)
    editor.type("u")
    editor.wait_for_text(NUMBER.removesuffix("\n"))


CALLS = '''"""The sizes of things, in metres."""


def area(width, height):
    return width * height


room = area(4, 5)  # expect: "m"
garden = area(width=12, height=9)  # expect: "m"
'''


def test_calls(neovim: Callable[..., Any]) -> None:
    editor = neovim(CALLS, name="sizes.py")
    editor.type("4G$hi, unit<Esc>")
    editor.run("Midfill calls")
    wait(lambda: 'unit="m")' in editor.text, lambda: editor.text)
    editor.picture(picture_of(editor, "calls"))


@pytest.mark.parametrize("program", ["newest"], indirect=True)  # 0.10's question blocks who drives it
def test_quick_fixes(neovim: Callable[..., Any]) -> None:
    editor = neovim("name = 'world'\nprint(nam)  # expect: (name)\n", own=True, name="greeting.py")
    editor.lua("""
        vim.diagnostic.config({ virtual_text = true })
        vim.diagnostic.set(vim.api.nvim_create_namespace("other"), 0, { {
          lnum = 1, col = 6, end_lnum = 1, end_col = 9, message = "undefined name 'nam'", source = "other",
        } })""")
    editor.type("2G:Midfill repair<CR>")
    editor.wait_for_screen("Type number")
    editor.picture(picture_of(editor, "repair"))
    editor.type("1<CR>")
    wait(lambda: "(nam)" not in editor.text, lambda: editor.text)


def test_spots(neovim: Callable[..., Any]) -> None:
    editor = neovim(INVENTORY, resident=("--unsure",), name="inventory.py")
    editor.run("Midfill holes")
    editor.wait_for_screen("1/3")
    editor.type("g<CR>")
    wait(
        lambda: (
            editor.lua("""
            local namespace = vim.api.nvim_get_namespaces()["midfill.spots"]
            return #vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, {})""")
            == 3
        ),
        lambda: "three spots",
    )
    editor.picture(picture_of(editor, "spots"))


def picture_of(editor: Any, name: str) -> Path:
    version = editor.lua("local v = vim.version(); return v.major .. '.' .. v.minor")
    return PICTURES / f"neovim-{version}-{name}.png"
