"""The corpus: from a list of pinned, permissively licensed packages to one file of source for each split.

    list -> wheels -> files that may be used -> without benchmarks, repeats and excess -> train, validation, test

The same list gives the same corpus. This module does not know of tokens or of the model.
"""

import ast
import gzip
import hashlib
import json
import platform
import re
import subprocess
import sys
import sysconfig
import time
import tomllib
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from email.message import Message
from email.parser import BytesParser
from functools import partial
from os import environ
from pathlib import Path

from midfill.model.training.decontamination import NearDuplicates, shares_window

LIST_PATH = Path(__file__).with_name("corpus.toml")
SPLITS = ("test", "validation", "train")  # the order in which they claim a text that two of them hold
ALLOWED_LICENCES = frozenset(
    {"MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0", "ISC", "0BSD", "Unlicense"}
)

MAX_FILE_BYTES = 100_000
MIN_FILE_BYTES = 100
MAX_LINE_CHARACTERS = 200
MAX_TABLE_SHARE = 0.4
MAX_TEST_SHARE = 0.1


@dataclass(frozen=True)
class Limits:
    """How much is kept: a share of the training bytes for each project, and the training bytes in all."""

    max_project_share: float = 0.03
    max_train_bytes: int = 90_000_000
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.max_project_share <= 1:
            raise ValueError(f"max_project_share must lie in (0, 1], got {self.max_project_share}")
        if self.max_train_bytes <= 0:
            raise ValueError(f"max_train_bytes must be positive, got {self.max_train_bytes}")


@dataclass(frozen=True)
class Package:
    """One entry of the list: a project at one version, its SPDX licence and the split that it belongs to."""

    name: str
    version: str
    licence: str
    split: str
    is_standard_library: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise ValueError(f"{self.name}: split must be one of {', '.join(SPLITS)}, got {self.split!r}")
        if not is_allowed(self.licence):
            raise ValueError(f"{self.name}: licence {self.licence!r} is not permissive; take the package off the list")


@dataclass(frozen=True)
class SourceFile:
    """One Python file: its path inside the archive and its text, with `\\n` line ends."""

    package: str
    version: str
    path: str
    text: str
    num_bytes: int

    @property
    def is_test(self) -> bool:
        return is_test_path(self.path)


@dataclass
class PackageReport:
    """What became of one package's files; `dropped` counts files by reason."""

    split: str
    version: str
    files_in: int = 0
    bytes_in: int = 0
    files_out: int = 0
    bytes_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


class LicenceError(ValueError):
    """A package's own metadata does not say what the list says."""


class DownloadError(RuntimeError):
    """pip could not bring a pinned wheel."""


def build_corpus(
    list_path: Path,
    out_dir: Path,
    limits: Limits = Limits(),
    cache_dir: Path | None = None,
    print_line: Callable[[str], None] = print,
) -> dict[str, object]:
    """Write `train.jsonl.gz`, `validation.jsonl.gz`, `test.jsonl.gz` and `report.json` under `out_dir`.

    Each line is `{"package", "version", "path", "text"}`; lines stand in a seeded order. Returns the report.
    Raises DownloadError, LicenceError, or ValueError for a list that cannot be used.
    """
    started_s = time.monotonic()
    packages = sorted(read_list(list_path), key=lambda package: SPLITS.index(package.split))
    archives = download(packages, cache_dir or default_cache_dir())

    reports: dict[str, PackageReport] = {}
    candidates: dict[str, list[SourceFile]] = {}
    for package in packages:
        reports[package.name] = report = PackageReport(package.split, package.version)
        candidates[package.name] = sorted(
            _read_files(package, archives, report), key=lambda file: _shuffle_key(limits.seed, file)
        )

    in_training = [package.name for package in packages if package.split == "train"]
    # Nothing below adds a file, so the cap over all candidates bounds the final one: past it no file need be looked at.
    bound = project_cap([_num_bytes(candidates[name]) for name in in_training], limits)
    seen = NearDuplicates()
    kept: dict[str, list[SourceFile]] = {}
    for package in packages:
        report = reports[package.name]
        cap = bound if package.split == "train" else sys.maxsize
        judge = partial(_drop_reason_among, seen=seen, is_held_out=package.split != "train")
        kept[package.name] = _fill(candidates.pop(package.name), cap, report.dropped, judge)
        print_line(f"{package.name} {package.version}: {len(kept[package.name])} of {report.files_in} files")
    _cap_projects(kept, in_training, limits, reports)

    out_dir.mkdir(parents=True, exist_ok=True)
    totals: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        files = [file for package in packages if package.split == split for file in kept[package.name]]
        files.sort(key=lambda file: _shuffle_key(limits.seed, file))
        _write_lines(out_dir / f"{split}.jsonl.gz", files)
        totals[split] = {"files": len(files), "bytes": _num_bytes(files)}
    for name, files in kept.items():
        reports[name].files_out, reports[name].bytes_out = len(files), _num_bytes(files)
    summary = _summary(limits, totals, reports, time.monotonic() - started_s)
    (out_dir / "report.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def read_list(path: Path) -> list[Package]:
    """Read the list, the standard library first. Raises ValueError for a bad licence, split or repeated name."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    packages = [Package(**entry) for entry in content["package"]]
    if standard_library := content.get("standard_library"):
        packages.insert(0, Package(name="python", is_standard_library=True, **standard_library))
    repeated = [name for name, count in Counter(_normalised(package.name) for package in packages).items() if count > 1]
    if repeated:
        raise ValueError(f"{path} names {', '.join(repeated)} more than once; keep one entry each")
    return packages


def write_notice(list_path: Path, out: Path) -> None:
    """Write the NOTICE that ships with the weights."""
    out.write_text(notice(read_list(list_path)), encoding="utf-8")


def notice(packages: Iterable[Package]) -> str:
    """The NOTICE: what the weights were trained on, and under which licences."""
    trained_on = sorted(
        (package for package in packages if package.split == "train"), key=lambda p: _normalised(p.name)
    )
    lines = [f"{package.name} {package.version} ({package.licence})" for package in trained_on]
    return "\n".join(["midfill", "Licensed under the Apache License, Version 2.0.", "", *_NOTICE_LINES, "", *lines, ""])


_NOTICE_LINES = (
    "The weights in model/weights were trained on source code of the following projects.",
    "None of that source is distributed here. Each project belongs to its authors and stands",
    "under its own licence; `python` is the standard library of CPython. This file is generated",
    "from model/training/corpus.toml by `write_notice` in model/training/corpus.py.",
)


# --- licences


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression without parentheses leaves a choice of only allowed licences."""
    return any(ALLOWED_LICENCES.issuperset(choice.split(" AND ")) for choice in expression.split(" OR "))


def check_licence(package: Package, metadata: Message) -> None:
    """Raise LicenceError unless the wheel's own METADATA names the licence that the list gives."""
    found = metadata_licence(metadata)
    is_same_family = found == "BSD" and package.licence in {"BSD-2-Clause", "BSD-3-Clause"}
    if found != package.licence and not is_same_family:
        raise LicenceError(
            f"{package.name} {package.version}: the list says {package.licence}, its METADATA says {found}; "
            "correct the list, or take the package off it"
        )


def metadata_licence(metadata: Message) -> str:
    """The SPDX expression that METADATA states, "BSD" where it does not say which, "unknown" where it says nothing."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = " ".join(text for text in metadata.get_all("Classifier", []) if text.startswith("License"))
    stated = f"{metadata.get('License', '')} {classifiers}"
    if _COPYLEFT.search(stated):
        return "copyleft"
    return next((licence for pattern, licence in _STATED_LICENCES if re.search(pattern, stated)), "unknown")


_STATED_LICENCES = (
    (r"Apache", "Apache-2.0"),
    (r"BSD-3-Clause|BSD 3-Clause", "BSD-3-Clause"),
    (r"BSD-2-Clause", "BSD-2-Clause"),
    (r"BSD|Redistribution and use in source", "BSD"),
    (r"\bMIT\b|Permission is hereby granted, free of charge", "MIT"),
    (r"\bISC\b", "ISC"),
    (r"Python Software Foundation|PSF-2\.0", "PSF-2.0"),
)
_COPYLEFT = re.compile(
    r"\b[AL]?GPL|GNU (?:Lesser|Library|Affero|General)|\bMPL\b|Mozilla Public|\bEUPL\b|\bCDDL\b|\bEPL-|Eclipse Public"
    r"|CeCILL|Creative Commons|\bCC[- ]BY|\bSSPL\b|Business Source Licen[sc]e"
)


# --- archives


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
    wanted = (_normalised(package.name), package.version)
    for wheel in sorted(cache_dir.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        if (_normalised(name), version) == wanted:
            return wheel
    return None


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def read_metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA. Raises LicenceError when it has none."""
    for name in wheel.namelist():
        if re.fullmatch(r"[^/]+\.dist-info/METADATA", name):
            return BytesParser().parsebytes(wheel.read(name))
    raise LicenceError(f"{wheel.filename} has no METADATA, so its licence is unknown; take the package off the list")


def _read_files(package: Package, archives: dict[str, Path], report: PackageReport) -> Iterator[SourceFile]:
    """Yield the package's files that pass every filter which needs no other file and no parse."""
    for path, num_bytes, read in _members(package, archives):
        report.files_in += 1
        report.bytes_in += num_bytes
        content = b"" if num_bytes > MAX_FILE_BYTES else read()
        reason = "too large" if num_bytes > MAX_FILE_BYTES else drop_reason(path, content)
        if reason:
            report.dropped[reason] += 1
            continue
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        yield SourceFile(package.name, package.version, path, text, len(text.encode()))


def _members(package: Package, archives: dict[str, Path]) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Path, size in bytes and reader of each Python file, in the order of the paths."""
    if package.is_standard_library:
        yield from _standard_library_members(package)
        return
    with zipfile.ZipFile(archives[package.name]) as wheel:
        check_licence(package, read_metadata(wheel))
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


# --- filters


def drop_reason(path: str, content: bytes) -> str | None:
    """Why a file is dropped, judged from its path and bytes alone; None when it may stay."""
    if _VENDORED.search(path):
        return "vendored"
    if len(content) > MAX_FILE_BYTES:
        return "too large"
    if len(content) < MIN_FILE_BYTES:
        return "too small"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "not UTF-8"
    lines = text.splitlines()
    if path.endswith(("_pb2.py", "_pb2_grpc.py")) or _GENERATED.search("\n".join(lines[:10])):
        return "generated"
    if _FOREIGN.search("\n".join(lines[:40])) or not all(map(is_allowed, _SPDX_LINE.findall(text))):
        return "licence header"
    if any(len(line) > MAX_LINE_CHARACTERS for line in lines):
        return "long line"
    return None


_VENDORED = re.compile(
    r"(?:^|/)(?:_?vendor(?:ed)?|externs?|externals?|_?third_party|\w+_third_party|_click|_distutils)/"
)
_GENERATED = re.compile(
    r"generated by|do not edit|auto-?generated|automatically (?:generated|created)|generated file", re.I
)
_FOREIGN = re.compile(rf"{_COPYLEFT.pattern}|[Ss]tack ?[Oo]verflow\.com")
_SPDX_LINE = re.compile(r"^#\s*SPDX-License-Identifier:\s*(.+?)\s*$", re.M)
_TEST_NAME = re.compile(r"test_.*\.py$|.*_tests?\.py$|tests?\.py$|conftest\.py$")


def is_test_path(path: str) -> bool:
    """Whether a file belongs to the project's tests, from its path alone."""
    *folders, name = path.split("/")
    return bool({"test", "tests", "testing"} & set(folders)) or bool(_TEST_NAME.match(name))


def parsed_drop_reason(text: str) -> str | None:
    """Why a file is dropped, judged from its syntax tree; None when it may stay."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return "does not parse"
    return "data table" if _is_data_table(tree, text) else None


def _is_data_table(tree: ast.Module, text: str) -> bool:
    """Whether the constants of one container make up more than MAX_TABLE_SHARE of the characters."""
    line_starts = [0]
    for line in text.split("\n"):
        line_starts.append(line_starts[-1] + len(line) + 1)

    def span(node: ast.expr) -> int:
        end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
        return line_starts[end_line - 1] + end_column - line_starts[node.lineno - 1] - node.col_offset

    threshold = MAX_TABLE_SHARE * len(text)
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    for statement in (statement for body in bodies for statement in body if isinstance(statement, _WITH_VALUE)):
        if statement.value is None or isinstance(statement.value, ast.Constant) or span(statement.value) <= threshold:
            continue
        if sum(span(node) for node in ast.walk(statement.value) if isinstance(node, ast.Constant)) > threshold:
            return True
    return False


_WITH_VALUE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)


def _drop_reason_among(file: SourceFile, seen: NearDuplicates, is_held_out: bool) -> str | None:
    """Why a file is dropped, from its syntax and from benchmarks and files in `seen`, which it joins when it stays."""
    if reason := parsed_drop_reason(file.text):
        return reason
    return "benchmark" if shares_window(file.text) else seen.add(file.text, is_held_out)


# --- how much of each project


def project_cap(sizes: list[int], limits: Limits) -> int:
    """The most bytes that one project may give: the largest cap at which neither limit is passed.

    Raises ValueError when there are too few projects for any cap to satisfy the share.
    """
    if len(sizes) * limits.max_project_share < 1:
        raise ValueError(
            f"{len(sizes)} training packages cannot each stay under {limits.max_project_share:.0%}; list more of them"
        )
    low, high = 0, max(sizes)
    while low < high:
        cap = (low + high + 1) // 2
        total = sum(min(size, cap) for size in sizes)
        if total <= limits.max_train_bytes and cap <= limits.max_project_share * total:
            low = cap
        else:
            high = cap - 1
    return low


def _cap_projects(
    kept: dict[str, list[SourceFile]], in_training: list[str], limits: Limits, reports: dict[str, PackageReport]
) -> None:
    """Cut training projects down to the cap; whole files leave a little less than it, so look again until it holds."""
    while True:
        sizes = [_num_bytes(kept[name]) for name in in_training]
        total = sum(sizes)
        if total <= limits.max_train_bytes and max(sizes) <= limits.max_project_share * total:
            return
        cap = project_cap(sizes, limits)
        for name in in_training:
            kept[name] = _fill(kept[name], cap, reports[name].dropped, lambda file: None)


def _fill(
    files: list[SourceFile], cap: int, dropped: Counter[str], judge: Callable[[SourceFile], str | None]
) -> list[SourceFile]:
    """Take files in their order up to `cap` bytes, of which tests are at most MAX_TEST_SHARE.

    `judge` says why a file is dropped; only files that there is room for are judged.
    """
    code = [file for file in files if not file.is_test]
    tests = [file for file in files if file.is_test]
    code_cap = int(cap * (1 - MAX_TEST_SHARE)) if tests else cap
    taken = _take(code, code_cap, dropped, judge, "project cap")
    test_cap = int(_num_bytes(taken) * MAX_TEST_SHARE / (1 - MAX_TEST_SHARE))
    return taken + _take(tests, test_cap, dropped, judge, "tests cap")


def _take(
    files: list[SourceFile],
    cap: int,
    dropped: Counter[str],
    judge: Callable[[SourceFile], str | None],
    over_cap: str,
) -> list[SourceFile]:
    taken: list[SourceFile] = []
    num_bytes = 0
    for place, file in enumerate(files):
        if num_bytes + file.num_bytes > cap:
            dropped[over_cap] += len(files) - place
            break
        if reason := judge(file):
            dropped[reason] += 1
        else:
            taken.append(file)
            num_bytes += file.num_bytes
    return taken


def _num_bytes(files: Iterable[SourceFile]) -> int:
    return sum(file.num_bytes for file in files)


def _shuffle_key(seed: int, file: SourceFile) -> bytes:
    return hashlib.sha256(f"{seed}:{file.package}:{file.path}".encode()).digest()


# --- output


def _write_lines(path: Path, files: Iterable[SourceFile]) -> None:
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as out:
        for file in files:
            line = {"package": file.package, "version": file.version, "path": file.path, "text": file.text}
            out.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def _summary(
    limits: Limits, totals: dict[str, dict[str, int]], reports: dict[str, PackageReport], taken_s: float
) -> dict[str, object]:
    dropped: Counter[str] = sum((report.dropped for report in reports.values()), Counter())
    return {
        "python": platform.python_version(),
        "limits": asdict(limits),
        "seconds": round(taken_s, 1),
        "totals": totals,
        "dropped": dict(dropped.most_common()),
        "packages": {name: vars(report) for name, report in reports.items()},
    }
