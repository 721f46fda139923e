"""The wheel holds what the tree holds, under the one name `midfill`. What pyproject forgets is dropped silently."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("lsp_server", "model")
BASE_WHEEL = ROOT / "model/base_wheel"
"""A distribution of its own: tests/test_base_wheel.py."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA_ENDINGS = (".safetensors", ".json", ".md", ".toml", ".bin", ".html", ".py.txt", "py.typed")


def tree_files() -> set[str]:
    """Every file of the two folders that a person who installs the wheel needs, as its path in the wheel."""
    return {
        f"midfill/{path.relative_to(ROOT).as_posix()}"
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and BASE_WHEEL not in path.parents
        and (path.suffix == ".py" or path.name.endswith(DATA_ENDINGS))
    }


@pytest.fixture(scope="module")
def wheel_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in a wheel, built from a copy: an old `build/` must not slip into it, nor a new one be left behind."""
    source = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", *PROJECT["project"]["license-files"]):
        shutil.copy2(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (wheel,) = (source / "dist").glob("midfill-*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_wheel_holds_the_tree(wheel_files: list[str]) -> None:
    assert {name for name in wheel_files if name.startswith("midfill/")} == tree_files()


def test_the_wheel_occupies_only_its_own_name(wheel_files: list[str]) -> None:
    version = PROJECT["project"]["version"]
    assert {name.split("/")[0] for name in wheel_files} == {"midfill", f"midfill-{version}.dist-info"}


def test_the_wheel_has_the_command_and_the_licence(wheel_files: list[str]) -> None:
    endings = {name.partition(".dist-info/")[2] for name in wheel_files}
    assert {"entry_points.txt", "licenses/LICENSE", "licenses/NOTICE"} <= endings


def test_every_package_is_listed() -> None:
    packages = {
        "midfill." + ".".join(path.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
        if BASE_WHEEL not in path.parents
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == packages


def test_every_python_file_is_in_a_package() -> None:
    """A folder without `__init__.py` would be left out of the wheel with everything in it."""
    folders = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")} - {BASE_WHEEL}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []
