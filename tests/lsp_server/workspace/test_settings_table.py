"""8. The README's table, the schema and VS Code's section are made from the settings, and are as they are made."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.workspace.settings import DEFINITIONS
from midfill.lsp_server.workspace.settings_table import (
    fresh_files,
    main,
    readme_table,
    stale_files,
    vscode_configuration,
)

ROOT = Path(__file__).parents[3]
SAMPLES: tuple[Any, ...] = (
    *("", " ", "x", "a\nb", "<fill>", "unix:/a.sock", "unix:/", "http://h:1", "https://h", "http:///x", "gpu:80"),
    *(True, False, 0, 1, -1, 0.5, 1.5, 12, 1024, 1025, 10_001, 10**8, [], ["*.py"], ["go", "rust"], [1], "*.py", {}),
)


def fits(schema: dict[str, Any], value: Any) -> bool:
    """The part of JSON schema that the settings use."""
    kinds: dict[str, Any] = {"string": str, "boolean": bool, "number": (int, float), "integer": int, "array": list}
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return (
        isinstance(value, kinds[schema["type"]])
        and (schema["type"] == "boolean" or not isinstance(value, bool))
        and (not is_number or schema["minimum"] <= value <= schema["maximum"])
        and ("pattern" not in schema or re.search(schema["pattern"], value) is not None)
        and ("items" not in schema or all(fits(schema["items"], item) for item in value))
    )


def test_8_what_is_made_from_the_settings_is_fresh() -> None:
    assert stale_files(ROOT) == [], "run: python -m midfill.lsp_server.workspace.settings_table --write"


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_8_the_schema_and_the_rule_agree(definition: Any) -> None:
    for value in SAMPLES:
        assert fits(definition.rule.schema, value) == definition.rule.is_valid(value), value


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_8_a_setting_is_described_in_one_sentence(definition: Any) -> None:
    assert re.fullmatch(r"[A-Z].*[^.]\.", definition.description)
    assert f"| `{definition.name}` |" in readme_table()


OF_THE_EXTENSION = {"title": "Starting the server", "properties": {"midfill.server.command": {"type": "array"}}}


def checkout(root: Path) -> Path:
    (root / "docs").mkdir()
    (root / "editors" / "vscode").mkdir(parents=True)
    shutil.copy(ROOT / "README.md", root)
    shutil.copy(ROOT / "docs" / "settings.schema.json", root / "docs")
    package = {"name": "x", "contributes": {"commands": [], "configuration": [{"title": "midfill"}, OF_THE_EXTENSION]}}
    (root / "editors" / "vscode" / "package.json").write_text(json.dumps(package))
    return root


def test_8_writing_mends_what_is_stale_and_keeps_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(checkout(tmp_path))
    readme = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text(readme.replace("| `marker` |", "| `mark` |"))
    assert main([]) == 1
    assert "README.md is out of date" in capsys.readouterr().out
    assert main(["--write"]) == 0
    assert main([]) == 0
    assert (tmp_path / "README.md").read_text() == readme
    package = json.loads((tmp_path / "editors" / "vscode" / "package.json").read_text())
    sections = [vscode_configuration(), OF_THE_EXTENSION]
    assert package == {"name": "x", "contributes": {"commands": [], "configuration": sections}}
    assert set(sections[0]["properties"]) == {f"midfill.{one.name}" for one in DEFINITIONS}


def test_8_a_readme_without_its_marks_is_named(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no table")
    with pytest.raises(SystemExit, match="must hold"):
        fresh_files(tmp_path)
