"""Everything that lists the settings, made from their definitions: the README's table, the JSON schema, and VS Code's
`contributes.configuration`.

`python -m midfill.lsp_server.workspace.settings_table --write` writes them into the checkout that is the current
folder; a test compares them. Without `--write`, it says what is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from midfill.lsp_server.workspace.settings import DEFINITIONS, SECTION, SettingDefinition

SCHEMA = Path("docs/settings.schema.json")
README = Path("README.md")
VSCODE = Path("editors/vscode/package.json")
BEGIN, END = "<!-- settings: made by midfill.lsp_server.workspace.settings_table -->", "<!-- /settings -->"


def readme_table() -> str:
    """The table in Markdown, between its two marks."""
    rows = [f"| `{one.name}` | {_default_cell(one)} | {one.description} |" for one in DEFINITIONS]
    return "\n".join(
        [BEGIN, f"| setting (section `{SECTION}`) | default | what it does |", "|---|---|---|", *rows, END]
    )


def json_schema() -> dict[str, Any]:
    """A schema of the section's content, as it travels in `initializationOptions`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "midfill's settings",
        "type": "object",
        "properties": {one.name: _schema(one) for one in DEFINITIONS},
    }


def vscode_configuration() -> dict[str, Any]:
    """`contributes.configuration` of the VS Code extension."""
    properties = {f"{SECTION}.{one.name}": {**_vscode_schema(one), "scope": one.scope} for one in DEFINITIONS}
    return {"title": SECTION, "properties": properties}


def fresh_files(root: Path) -> dict[Path, str]:
    """The files of a checkout that hold the settings, as they should be. VS Code's is left out where there is none."""
    readme = (root / README).read_text(encoding="utf-8")
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if len(re.findall(pattern, readme, re.DOTALL)) != 1:
        raise SystemExit(f"{README} must hold `{BEGIN}` and `{END}` once; put them around the settings' table.")
    files = {
        root / README: re.sub(pattern, lambda _: readme_table(), readme, flags=re.DOTALL),
        root / SCHEMA: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }
    if (root / VSCODE).exists():
        package = json.loads((root / VSCODE).read_text(encoding="utf-8"))
        contributes = package.setdefault("contributes", {})
        sections = contributes.get("configuration", [])
        own = [one for one in sections if one["title"] != SECTION]  # the extension's, of which the server knows nothing
        contributes["configuration"] = [vscode_configuration(), *own]
        files[root / VSCODE] = json.dumps(package, indent=2, ensure_ascii=False) + "\n"
    return files


def stale_files(root: Path) -> list[Path]:
    """Those that are not as they should be."""
    return [
        path
        for path, text in fresh_files(root).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def _default_cell(one: SettingDefinition) -> str:
    if one.default is None:
        return one.default_sentence
    if isinstance(one.default, list):
        return ", ".join(f"`{item}`" for item in one.default) or "none"
    if isinstance(one.default, float):
        return f"`{one.default:g}`"
    return f"`{one.default if isinstance(one.default, str) else json.dumps(one.default)}`"


def _schema(one: SettingDefinition) -> dict[str, Any]:
    schema = {"description": _description(one), **one.rule.schema}
    return schema if one.default is None else {**schema, "default": one.default}


def _vscode_schema(one: SettingDefinition) -> dict[str, Any]:
    """As the schema; but VS Code writes some default into every setting, so one that need not be set may be null."""
    schema = {"markdownDescription": _description(one), **one.rule.schema}
    if one.default is None:
        schema["type"] = [one.rule.schema["type"], "null"]
    return {**schema, "default": one.default}


def _description(one: SettingDefinition) -> str:
    return f"{one.description} Default: {one.default_sentence}." if one.default is None else one.description


def main(argv: list[str]) -> int:
    """0: all is (now) as it should be; 1: something is out of date."""
    root = Path.cwd()
    stale = stale_files(root)
    if argv == ["--write"]:
        for path in stale:
            path.write_text(fresh_files(root)[path], encoding="utf-8")
            print(f"wrote {path.relative_to(root)}")
        return 0
    for path in stale:
        command = "python -m midfill.lsp_server.workspace.settings_table --write"
        print(f"{path.relative_to(root)} is out of date; run: {command}")
    return 1 if stale or argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
