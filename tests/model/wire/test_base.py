"""The base model's file is used only if it is the right one; what is wrong is said in one sentence with a command."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from midfill.lsp_server.terminal import doctor_checks
from midfill.model.wire.base import BASE_NAME, BASE_NUM_BYTES, BASE_SHA256, base_file
from midfill.model.wire.errors import CheckpointError

Damage = Callable[[Path], object]


@pytest.fixture
def installed() -> Path:
    """The real file. `make test` installs it; an environment without it is no gate."""
    spec = importlib.util.find_spec("midfill_base")
    if spec is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("midfill-base is not installed")
    return Path(spec.submodule_search_locations[0]) / BASE_NAME  # type: ignore[index]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package `midfill_base` that is found before any other."""
    folder = tmp_path / "midfill_base"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_the_installed_file_is_the_right_one(installed: Path) -> None:
    assert base_file() == installed
    finding = doctor_checks.base_model()
    assert (finding.is_well, finding.remedy) == (True, "")
    assert str(installed) in finding.detail


def flip_one_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(BASE_NUM_BYTES // 2)
        byte = file.read(1)[0]
        file.seek(BASE_NUM_BYTES // 2)
        file.write(bytes([byte ^ 1]))


def test_a_flipped_bit_is_refused(installed: Path, package: Path) -> None:
    shutil.copy(installed, package / BASE_NAME)
    flip_one_bit(package / BASE_NAME)
    check_refused(f"is damaged: {package / BASE_NAME} has the sha256 ", f"instead of {BASE_SHA256}; run: ")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: None, "is missing: the package midfill_base has no SmolLM2-135M-Instruct.Q4_1.gguf; run: "),
        (lambda path: path.mkdir(), "is missing: the package midfill_base has no SmolLM2"),
        (lambda path: path.touch(), "has 0 bytes instead of 98,362,432 ("),
        (lambda path: resize(path, BASE_NUM_BYTES - 1), "has 98,362,431 bytes instead of 98,362,432 ("),
        (lambda path: resize(path, BASE_NUM_BYTES), "is damaged: "),
        (lambda path: path.symlink_to(path), "is missing: the package midfill_base has no SmolLM2"),
    ],
)
def test_another_file_is_refused(package: Path, damage: Damage, says: str) -> None:
    damage(package / BASE_NAME)
    check_refused(says)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(package: Path) -> None:
    resize(package / BASE_NAME, BASE_NUM_BYTES)
    (package / BASE_NAME).chmod(0)
    check_refused("cannot be read ([Errno 13]")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "midfill_base" else find_spec(name, *rest)
    )
    with pytest.raises(CheckpointError) as refused:
        base_file()
    assert re.fullmatch(
        r"midfill's base model is not installed; run: \S+ -m pip install .*\[local\]'", str(refused.value)
    )


def resize(path: Path, num_bytes: int) -> None:
    with path.open("wb") as file:
        file.truncate(num_bytes)


def check_refused(*says: str) -> None:
    """By the model, and by doctor with the same words and the command that replaces the file."""
    with pytest.raises(CheckpointError) as refused:
        base_file()
    sentence = str(refused.value)
    assert sentence.startswith("midfill's base model ")
    assert all(part in sentence for part in says), sentence
    assert "\n" not in sentence
    command = sentence.partition("; run: ")[2]
    assert re.fullmatch(r"\S+ -m pip install --force-reinstall --no-deps .*(base_wheel|midfill-base==\S+)", command)
    finding = doctor_checks.base_model()
    assert (finding.is_well, finding.remedy) == (False, f"Run: {command}")
    assert sentence == f"midfill's base model {finding.detail}; run: {command}"
