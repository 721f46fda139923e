"""Where the sources come from: pinned wheels, downloaded once and kept, and the standard library of this Python."""

import platform
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.parser import BytesParser
from functools import partial
from os import environ
from pathlib import Path

from midfill.model.training.licences import LicenceError, check_licence
from midfill.model.training.packages import Package, normalised


class DownloadError(RuntimeError):
    """pip could not bring a pinned wheel."""


def default_cache_dir() -> Path:
    """Where wheels are kept: `$XDG_CACHE_HOME/midfill/corpus`, or the same under `~/.cache`."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midfill" / "corpus"


def download(packages: Iterable[Package], cache_dir: Path) -> dict[str, Path]:
    """Bring each pinned wheel that the cache lacks, by pip; wheels by package name. Raises DownloadError."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    from_registry = [package for package in packages if not package.is_standard_library]
    with ThreadPoolExecutor(max_workers=3) as pool:
        wheels = pool.map(lambda package: _download_one(package, cache_dir), from_registry)
        return {package.name: wheel for package, wheel in zip(from_registry, wheels, strict=True)}


def _download_one(package: Package, cache_dir: Path) -> Path:
    if wheel := _cached_wheel(package, cache_dir):
        return wheel
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--dest",
        str(cache_dir),
    ]
    requirement = f"{package.name}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheel = _cached_wheel(package, cache_dir)
    if wheel is None:
        reason = result.stderr.strip().splitlines()[-1:] or ["pip gave no reason"]
        raise DownloadError(f"pip brought no wheel of {requirement}: {reason[0]}; check the network and the list")
    return wheel


def _cached_wheel(package: Package, cache_dir: Path) -> Path | None:
    wanted = (normalised(package.name), package.version)
    for wheel in sorted(cache_dir.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if (normalised(name), version) == wanted:
            return wheel
    return None


def read_metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA. Raises LicenceError when it has none."""
    for name in wheel.namelist():
        if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
            return BytesParser().parsebytes(wheel.read(name))
    raise LicenceError(f"{wheel.filename} has no METADATA, so its licence is unknown; take the package off the list")


def members(package: Package, archives: dict[str, Path]) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Path, size in bytes and reader of each Python file, in the order of the paths.

    Raises LicenceError for a wheel whose METADATA disagrees with the list, ValueError for another Python than listed.
    """
    if package.is_standard_library:
        yield from _standard_library_members(package)
        return
    with zipfile.ZipFile(archives[package.name]) as wheel:
        check_licence(f"{package.name} {package.version}", package.licence, read_metadata(wheel))
        for info in sorted(wheel.infolist(), key=lambda info: info.filename):
            if info.filename.endswith(".py"):
                yield info.filename, info.file_size, partial(wheel.read, info)


def _standard_library_members(package: Package) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    if not platform.python_version().startswith(f"{package.version}."):
        raise ValueError(
            f"the list takes the standard library of Python {package.version}, this is {platform.python_version()}; "
            f"build the corpus with {package.version}"
        )
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if not _OUTSIDE_STANDARD_LIBRARY & set(relative.parts):
            yield relative.as_posix(), path.stat().st_size, path.read_bytes


_OUTSIDE_STANDARD_LIBRARY = frozenset(
    {"test", "tests", "idlelib", "idle_test", "lib2to3", "turtledemo", "ensurepip", "site-packages", "dist-packages"}
)
