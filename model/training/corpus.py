"""The corpus: from a list of pinned, permissively licensed packages to one file of source for each split.

    list -> packages -> files that may be used -> without benchmarks, repeats and excess -> train, validation, test

The same list gives the same corpus. This module does not know of tokens or of the model.
"""

import gzip
import hashlib
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from midfill.model.measuring.languages import FAMILIES, LANGUAGES, language_of
from midfill.model.training.archives import default_cache_dir, download, members
from midfill.model.training.decontamination import NearDuplicates, shares_window
from midfill.model.training.filters import MAX_FILE_BYTES, drop_reason, is_test_path, parsed_drop_reason
from midfill.model.training.packages import SPLITS, Package, read_list

MAX_TEST_SHARE = 0.1


@dataclass(frozen=True)
class Limits:
    """How much is kept: the training bytes of each language, and the share that one project may have of them."""

    max_project_share: float = 0.03
    max_train_bytes: Mapping[str, int] = field(
        default_factory=lambda: {"python": 90_000_000, "javascript": 20_000_000, "typescript": 20_000_000}
    )
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.max_project_share <= 1:
            raise ValueError(f"max_project_share must lie in (0, 1], got {self.max_project_share}")
        for language in FAMILIES:
            if self.max_train_bytes.get(language, 0) <= 0:
                raise ValueError(f"max_train_bytes needs a positive number for {language}, got {self.max_train_bytes}")


@dataclass(frozen=True)
class SourceFile:
    """One file: its path inside the archive, its text with `\\n` line ends, and the name of its grammar."""

    package: str
    version: str
    path: str
    text: str
    num_bytes: int
    language: str

    @property
    def is_test(self) -> bool:
        return is_test_path(self.path)


@dataclass
class PackageReport:
    """What became of one package's files; `dropped` counts files by reason."""

    split: str
    version: str
    licence: str
    language: str
    files_in: int = 0
    bytes_in: int = 0
    files_out: int = 0
    bytes_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def build_corpus(
    list_path: Path,
    out_dir: Path,
    limits: Limits = Limits(),
    cache_dir: Path | None = None,
    print_line: Callable[[str], None] = print,
) -> dict[str, object]:
    """Write `train.jsonl.gz`, `validation.jsonl.gz`, `test.jsonl.gz` and `report.json` under `out_dir`.

    Each line is `{"package", "version", "language", "path", "text"}`; lines stand in a seeded order.
    Returns the report, and prints one line for each package and one for each split.
    Raises DownloadError, LicenceError, or ValueError for a list that cannot be used.
    """
    started_s = time.monotonic()
    packages = sorted(read_list(list_path), key=lambda package: SPLITS.index(package.split))
    archives = download(packages, cache_dir or default_cache_dir())

    reports: dict[str, PackageReport] = {}
    candidates: dict[str, list[SourceFile]] = {}
    for package in packages:
        reports[package.identifier] = report = PackageReport(
            package.split, package.version, package.licence, package.language
        )
        candidates[package.identifier] = sorted(
            _read_files(package, archives, report), key=lambda file: _shuffle_key(limits.seed, file)
        )

    in_training = {
        language: names
        for language in FAMILIES
        if (
            names := [
                package.identifier for package in packages if (package.split, package.language) == ("train", language)
            ]
        )
    }
    # Nothing below adds a file, so the cap over all candidates bounds the final one: past it no file need be looked at.
    bounds = {
        language: project_cap([_num_bytes(candidates[name]) for name in names], limits, language)
        for language, names in in_training.items()
    }
    seen = NearDuplicates()
    kept: dict[str, list[SourceFile]] = {}
    for package in packages:
        report = reports[package.identifier]
        cap = bounds[package.language] if package.split == "train" else sys.maxsize
        judge = partial(_drop_reason_among, seen=seen, is_held_out=package.split != "train")
        kept[package.identifier] = _fill(candidates.pop(package.identifier), cap, report.dropped, judge)
        print_line(
            f"{package.identifier} {package.version}: {len(kept[package.identifier])} of {report.files_in} files"
        )
    for language, names in in_training.items():
        _cap_projects(kept, names, limits, language, reports)

    out_dir.mkdir(parents=True, exist_ok=True)
    totals: dict[str, dict[str, int]] = {}
    for split in SPLITS:
        files = [file for package in packages if package.split == split for file in kept[package.identifier]]
        files.sort(key=lambda file: _shuffle_key(limits.seed, file))
        _write_lines(out_dir / f"{split}.jsonl.gz", files)
        totals[split] = {"files": len(files), "bytes": _num_bytes(files)}
        for language in FAMILIES:
            in_language = [file for file in files if LANGUAGES[file.language].family == language]
            if in_language:
                print_line(f"{split}, {language}: {len(in_language):,} files, {_num_bytes(in_language):,} bytes")
        print_line(f"{out_dir / f'{split}.jsonl.gz'}: {len(files):,} files, {_num_bytes(files):,} bytes")
    for name, files in kept.items():
        reports[name].files_out, reports[name].bytes_out = len(files), _num_bytes(files)
    summary = _summary(limits, totals, reports, time.monotonic() - started_s)
    (out_dir / "report.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def _read_files(package: Package, archives: dict[str, Path], report: PackageReport) -> Iterator[SourceFile]:
    """Yield the package's files that pass every filter which needs no other file and no parse."""
    for path, num_bytes, read in members(package, archives):
        report.files_in += 1
        report.bytes_in += num_bytes
        content = b"" if num_bytes > MAX_FILE_BYTES else read()
        reason = "too large" if num_bytes > MAX_FILE_BYTES else drop_reason(path, content)
        if reason:
            report.dropped[reason] += 1
            continue
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        language = language_of(path)
        assert language is not None
        yield SourceFile(package.identifier, package.version, path, text, len(text.encode()), language.name)


def _drop_reason_among(file: SourceFile, seen: NearDuplicates, is_held_out: bool) -> str | None:
    """Why a file is dropped, from its syntax and from benchmarks and files in `seen`, which it joins when it stays."""
    if reason := parsed_drop_reason(file.text, file.language):
        return reason
    return "benchmark" if shares_window(file.text) else seen.add(file.text, is_held_out)


# --- how much of each project


def project_cap(sizes: list[int], limits: Limits, language: str) -> int:
    """The most bytes that one project in a language may give: the largest cap at which neither limit is passed.

    Raises ValueError when there are too few projects for any cap to satisfy the share.
    """
    if len(sizes) * limits.max_project_share < 1:
        raise ValueError(
            f"{len(sizes)} training packages in {language} cannot each stay under {limits.max_project_share:.0%}; "
            "list more of them"
        )
    max_bytes = limits.max_train_bytes[language]
    low, high = 0, max(sizes)
    while low < high:
        cap = (low + high + 1) // 2
        total = sum(min(size, cap) for size in sizes)
        if total <= max_bytes and cap <= limits.max_project_share * total:
            low = cap
        else:
            high = cap - 1
    return low


def _cap_projects(
    kept: dict[str, list[SourceFile]],
    in_training: list[str],
    limits: Limits,
    language: str,
    reports: dict[str, PackageReport],
) -> None:
    """Cut the training projects in one language down to the cap.

    Whole files leave a little less than the cap, so look again until it holds.
    """
    while True:
        sizes = [_num_bytes(kept[name]) for name in in_training]
        total = sum(sizes)
        if total <= limits.max_train_bytes[language] and max(sizes) <= limits.max_project_share * total:
            return
        cap = project_cap(sizes, limits, language)
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
            line = {
                "package": file.package,
                "version": file.version,
                "language": file.language,
                "path": file.path,
                "text": file.text,
            }
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
