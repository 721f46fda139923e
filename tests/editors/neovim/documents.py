"""What the plugin's help and README repeat: its defaults, from config.lua, and the server's settings.

`python tests/editors/neovim/documents.py --write` writes them anew; a test compares.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

from midfill.lsp_server.workspace.settings import DEFINITIONS

PLUGIN = Path(__file__).parents[3] / "editors" / "nvim"
HELP, README = PLUGIN / "doc" / "midfill.txt", PLUGIN / "README.md"


def defaults() -> str:
    """The table of config.lua, as it stands there."""
    source = (PLUGIN / "lua" / "midfill" / "config.lua").read_text(encoding="utf-8")
    found = re.search(r"^M\.defaults = (\{\n.*?^\})$", source, re.DOTALL | re.MULTILINE)
    assert found, "config.lua has no table M.defaults"
    return found[1]


def settings() -> str:
    """The server's settings as paragraphs of a help file."""
    paragraphs = []
    for one in DEFINITIONS:
        default = one.default_sentence or json.dumps(one.default, ensure_ascii=False)
        text = textwrap.fill(f"{one.description} Default: {default}.".replace("`", ""), 62)
        paragraphs.append(f"{one.name}\n" + textwrap.indent(text, "                "))
    return "\n".join(paragraphs)


def fresh() -> dict[Path, str]:
    """The documents as they should be."""
    call = f'require("midfill").setup({defaults()})'
    help_text, readme = HELP.read_text(encoding="utf-8"), README.read_text(encoding="utf-8")
    help_text = _replace(help_text, "sentence.\n>lua\n", "\n<\n", textwrap.indent(call, "  "))
    help_text = _replace(help_text, "checks them and says what is wrong.\n\n", "\n\n=====", settings())
    readme = _replace(readme, "<!-- defaults -->\n", "\n<!-- /defaults -->", f"```lua\n{call}\n```")
    return {HELP: help_text, README: readme}


def _replace(text: str, before: str, after: str, new: str) -> str:
    """The text with what stands between two marks replaced."""
    start = text.index(before) + len(before)
    return text[:start] + new + text[text.index(after, start) :]


if __name__ == "__main__":
    for file, content in fresh().items():
        if "--write" in sys.argv:
            file.write_text(content, encoding="utf-8")
        elif file.read_text(encoding="utf-8") != content:
            sys.exit(f"{file} is out of date; run this with --write.")
