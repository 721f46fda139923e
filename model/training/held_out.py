"""Twenty fixed holes in held-out Python packages: what a judge of the shipped model fills, and can fetch alone.

The list holds hashes and places, never source. It was drawn once by `choose_holes(1)` and is kept: whoever trains on
the list still has not trained on the files. Offsets are code points of the file decoded as UTF-8, the end exclusive.
"""

import ast
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from midfill.model.training.archives import default_cache_dir, download
from midfill.model.training.decontamination import shares_window
from midfill.model.training.filters import drop_reason, is_test_path, parsed_drop_reason
from midfill.model.training.packages import LIST_PATH, Package, read_list

Kind = Literal["line", "rest_of_line", "statement", "block", "arguments", "condition", "return_expression"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MIN_CHARACTERS = 4
MAX_CHARACTERS = 120
MAX_LINES = 4


class HoleMismatchError(ValueError):
    """A file, or the text at a hole, is not the one that the hole was cut from."""


@dataclass(frozen=True)
class Hole:
    """A stretch removed from one file: `start` and `end` in code points, hashes of the file's bytes and of the text."""

    id: str
    package: str
    version: str
    path: str
    sha256: str
    kind: Kind
    start: int
    end: int
    sha256_of_original: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.id}: kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 <= self.start < self.end:
            raise ValueError(f"{self.id}: needs 0 <= start < end, got {self.start} and {self.end}")


def load_holes(path: Path) -> list[Hole]:
    """Read the list of holes. Raises ValueError for an entry that cannot be a hole."""
    return [Hole(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]


def save_holes(holes: list[Hole], path: Path) -> None:
    """Write the list of holes, one entry each, so that the file's hash names the whole list."""
    path.write_text(json.dumps([asdict(hole) for hole in holes], indent=1) + "\n", encoding="utf-8")


def read_file(hole: Hole, list_path: Path = LIST_PATH, cache_dir: Path | None = None) -> str:
    """The whole text of the hole's file, fetched from the registry where the cache lacks it.

    Raises HoleMismatchError when the file or the removed text is another one, DownloadError when it cannot be had.
    """
    package = next((package for package in read_list(list_path) if package.identifier == hole.package), None)
    if package is None or package.version != hole.version or package.split != "test":
        raise HoleMismatchError(f"{hole.id}: {list_path} does not hold out {hole.package} {hole.version}; draw anew")
    archive = download([package], cache_dir or default_cache_dir())[package.name]
    with zipfile.ZipFile(archive) as wheel:
        content = wheel.read(hole.path)
    return check_file(hole, content)


def check_file(hole: Hole, content: bytes) -> str:
    """Decode the file's bytes and check that they are what the hole was cut from. Raises HoleMismatchError."""
    found = hashlib.sha256(content).hexdigest()
    if found != hole.sha256:
        raise HoleMismatchError(
            f"{hole.id}: {hole.path} of {hole.package} {hole.version} has SHA-256 {found}, expected {hole.sha256}; "
            "delete the cached wheel and fetch it again"
        )
    text = content.decode()
    if _sha256(text[hole.start : hole.end]) != hole.sha256_of_original:
        raise HoleMismatchError(f"{hole.id}: the text at {hole.start}..{hole.end} is not the one removed; draw anew")
    return text


# --- how the list was drawn

SLOTS: tuple[Kind, ...] = (
    *("line", "line", "line", "line", "rest_of_line", "rest_of_line", "arguments", "condition", "return_expression"),
    *("block", "line", "line", "line", "line", "rest_of_line", "arguments", "condition", "return_expression"),
    *("statement", "block"),
)


@dataclass(frozen=True)
class _Span:
    kind: Kind
    start: int
    end: int


def choose_holes(seed: int, list_path: Path = LIST_PATH, cache_dir: Path | None = None) -> list[Hole]:
    """Draw one hole for each of SLOTS, the test packages in turn, no file twice while another one will do.

    Raises ValueError when no test package has a place of some kind left.
    """
    in_test = [p for p in read_list(list_path) if p.split == "test" and p.language == "python"]
    packages = sorted(in_test, key=lambda p: p.name)
    archives = download(packages, cache_dir or default_cache_dir())
    files = {package: list(_usable_files(archives[package.name])) for package in packages}
    holes: list[Hole] = []
    for slot, kind in enumerate(SLOTS):
        # The package whose turn it is, and the following ones only where it has no place of the kind.
        in_turn = [packages[(slot + later) % len(packages)] for later in range(len(packages))]
        drawn = (_draw(package, kind, files[package], holes, seed) for package in in_turn)
        hole = next((hole for hole in drawn if hole is not None), None)
        if hole is None:
            raise ValueError(f"no test package has a place left for a hole of kind {kind}; hold out more packages")
        holes.append(hole)
    return holes


def _draw(package: Package, kind: Kind, files: list[tuple[str, bytes]], taken: list[Hole], seed: int) -> Hole | None:
    def order(*parts: object) -> str:
        return _sha256(":".join(map(str, (seed, package.name, kind, *parts))))

    used = {(hole.package, hole.path) for hole in taken}
    for path, content in sorted(files, key=lambda file: order(file[0])):
        text = content.decode()
        spans = [] if (package.name, path) in used else [span for span in _spans(text) if span.kind == kind]
        if spans:
            span = min(spans, key=lambda span: order(path, span.start))
            return Hole(
                id=f"{len(taken) + 1:02d}-{package.name}-{kind}",
                package=package.name,
                version=package.version,
                path=path,
                sha256=hashlib.sha256(content).hexdigest(),
                kind=kind,
                start=span.start,
                end=span.end,
                sha256_of_original=_sha256(text[span.start : span.end]),
            )
    return None


def _usable_files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """The files that the corpus would keep, apart from tests and those whose line ends are not `\\n`."""
    with zipfile.ZipFile(archive) as wheel:
        for path in sorted(name for name in wheel.namelist() if name.endswith(".py") and not is_test_path(name)):
            content = wheel.read(path)
            if b"\r" in content or content.startswith(b"\xef\xbb\xbf") or drop_reason(path, content):
                continue
            text = content.decode()
            if not parsed_drop_reason(text) and not shares_window(text):
                yield path, content


def _spans(text: str) -> Iterator[_Span]:
    """Every place in the function bodies of `text` that may become a hole."""
    lines = text.split("\n")
    line_starts = [0]
    for line in lines:
        line_starts.append(line_starts[-1] + len(line) + 1)

    def offset(line: int, column_bytes: int) -> int:
        return line_starts[line - 1] + len(lines[line - 1].encode()[:column_bytes].decode())

    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for kind, first, last in _places(function):
                start = offset(first.lineno, first.col_offset)
                end = offset(last.end_lineno or last.lineno, last.end_col_offset or 0)
                if _is_fair(kind, text, start, end):
                    yield _Span(kind, start, end)


def _places(
    function: ast.FunctionDef | ast.AsyncFunctionDef,
) -> Iterator[tuple[Kind, ast.stmt | ast.expr, ast.stmt | ast.expr]]:
    """Kind, first and last node of each place in one function, nested functions left to themselves."""
    pending: list[ast.stmt] = list(function.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        is_followed = (node.end_lineno or node.lineno) < (function.end_lineno or 0)
        num_lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if isinstance(node, _SIMPLE) and not _is_docstring(node) and is_followed:
            yield ("line" if num_lines == 1 else "statement"), node, node
        if isinstance(node, ast.Assign) and is_followed:
            yield "rest_of_line", node.value, node.value
        if isinstance(node, ast.Return) and node.value is not None:
            yield "return_expression", node.value, node.value
        if isinstance(node, ast.If | ast.While):
            yield "condition", node.test, node.test
        if isinstance(node, _SIMPLE) and is_followed:
            yield from (
                ("arguments", call.args[0], call.args[-1])
                for call in ast.walk(node)
                if isinstance(call, ast.Call) and len(call.args) >= 2 and not call.keywords
            )
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if body:
                pending.extend(body)
                if len(body) >= 2 and not isinstance(body[0], ast.If | ast.For | ast.With | ast.Try):
                    yield "block", body[0], body[-1]


_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return, ast.Expr, ast.Raise, ast.Assert)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_fair(kind: Kind, text: str, start: int, end: int) -> bool:
    """Whether the place has a size that can be filled, no comment or word of chance, and its lines to itself."""
    original = text[start:end]
    num_lines = original.count("\n") + 1
    if len(original) < MIN_CHARACTERS or _UNFAIR.search(original):
        return False
    if kind in ("block", "statement"):
        is_right_size = 2 <= num_lines <= MAX_LINES and len(original) <= 2 * MAX_CHARACTERS
    else:
        is_right_size = num_lines == 1 and len(original) <= MAX_CHARACTERS
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after = text[end : text.find("\n", end)]
    if kind in ("line", "statement", "block"):
        return is_right_size and not before.strip() and not after
    return is_right_size and (kind != "rest_of_line" or not after)


_UNFAIR = re.compile(r'#|"""|\w{25,}')


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
