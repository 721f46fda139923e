"""Where the sources come from: pinned wheels and npm packages, downloaded once and kept, and the standard library of
this Python."""

import io
import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from email.parser import BytesParser
from functools import partial
from os import environ
from pathlib import Path
from typing import Any

from midfill.model.measuring.languages import language_of
from midfill.model.training.filters import MAX_FILE_BYTES
from midfill.model.training.licences import LicenceError, check_licence, metadata_licence, package_json_licence
from midfill.model.training.packages import Package, normalised


class DownloadError(RuntimeError):
    """pip or npm could not bring a pinned package."""


def default_cache_dir() -> Path:
    """Where downloads are kept: `$XDG_CACHE_HOME/midfill/corpus`, or the same under `~/.cache`."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midfill" / "corpus"


def download(packages: Iterable[Package], cache_dir: Path) -> dict[str, Path]:
    """Bring each pinned package that the cache lacks, by pip or npm; archives by identifier. Raises DownloadError."""
    cache_dir.mkdir(parents=True, exist_ok=True)
    from_registry = [package for package in packages if not package.is_standard_library]
    with ThreadPoolExecutor(max_workers=3) as pool:
        archives = pool.map(lambda package: _FETCHERS[package.registry](package, cache_dir), from_registry)
        return {package.identifier: archive for package, archive in zip(from_registry, archives, strict=True)}


def _fetch_wheel(package: Package, cache_dir: Path) -> Path:
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


def _fetch_tarball(package: Package, cache_dir: Path) -> Path:
    """The tarball of an npm package, in a folder of its own: `@a/b` and `a-b` share a file name. npm checks hashes."""
    folder = cache_dir / "npm" / package.name
    if tarball := _cached_tarball(package, folder):
        return tarball
    folder.mkdir(parents=True, exist_ok=True)
    specification = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise DownloadError(f"{specification} comes from npm, which is not installed; install Node.js")
    command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), specification]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    tarball = _cached_tarball(package, folder)
    if tarball is None:
        reason = result.stderr.strip().splitlines()[-1:] or ["npm gave no reason"]
        raise DownloadError(f"npm brought no package {specification}: {reason[0]}; check the network and the list")
    return tarball


def _cached_tarball(package: Package, folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob(f"*-{package.version}.tgz"))), None)


_FETCHERS: dict[str, Callable[[Package, Path], Path]] = {"pypi": _fetch_wheel, "npm": _fetch_tarball}


def read_metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA. Raises LicenceError when it has none."""
    for name in wheel.namelist():
        if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
            return BytesParser().parsebytes(wheel.read(name))
    raise LicenceError(f"{wheel.filename} has no METADATA, so its licence is unknown; take the package off the list")


def members(package: Package, archives: dict[str, Path]) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Path, size in bytes and reader of each file in the package's language, in the order of the paths.

    Raises LicenceError for a package that states another licence than the list, ValueError for another Python than
    listed.
    """
    if package.is_standard_library:
        yield from _standard_library_members(package)
    elif package.registry == "npm":
        yield from _tarball_members(package, archives[package.identifier])
    else:
        yield from _wheel_members(package, archives[package.identifier])


def is_source(package: Package, path: str) -> bool:
    """Whether a file is in the language in which the package is written."""
    language = language_of(path)
    return language is not None and language.family == package.language


def _wheel_members(package: Package, archive: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        check_licence(f"{package.name} {package.version}", package.licence, metadata_licence(read_metadata(wheel)))
        for info in sorted(wheel.infolist(), key=lambda info: info.filename):
            if is_source(package, info.filename):
                yield info.filename, info.file_size, partial(wheel.read, info)


def _tarball_members(package: Package, archive: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Paths are those inside the package; what is larger than a file may be is not unpacked."""
    sizes: dict[str, int] = {}
    contents: dict[str, bytes] = {}
    description: dict[str, Any] = {}
    with tarfile.open(archive) as tarball:
        for member in tarball:
            path = member.name.partition("/")[2]
            content = tarball.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if path == "package.json":
                description = json.load(io.TextIOWrapper(content, encoding="utf-8"))
            elif is_source(package, path):
                sizes[path] = member.size
                contents[path] = content.read() if member.size <= MAX_FILE_BYTES else b""
    check_licence(f"{package.name} {package.version}", package.licence, package_json_licence(description))
    for path in sorted(contents):
        yield path, sizes[path], partial(contents.__getitem__, path)


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
