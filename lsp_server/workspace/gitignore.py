"""What git ignores, without running git: the `.gitignore` of every folder, and `.git/info/exclude`.

`pathspec` reads one list of patterns, and matches everything below what a pattern names; git asks folder by folder,
from the outside in, so that a rule can take a folder back and ignore what is in it. Hence a matcher of our own; a test
compares it with `git check-ignore`. Rules are read again when a file of rules changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class IgnoreRule:
    """One line of a file of rules. regex: the whole path from the rules' folder, or only its last part if not
    is_anchored."""

    line: str
    regex: re.Pattern[str]
    takes_back: bool
    only_folders: bool
    is_anchored: bool

    def matches(self, path: str, is_folder: bool) -> bool:
        if self.only_folders and not is_folder:
            return False
        return self.regex.fullmatch(path if self.is_anchored else path.rpartition("/")[2]) is not None


class GitIgnore:
    """Answers for files on this disk; keeps the rules that it has read."""

    def __init__(self) -> None:
        self._read: dict[Path, tuple[tuple[int, int], tuple[IgnoreRule, ...]]] = {}

    def ignoring_rule(self, path: Path) -> str | None:
        """The rule that makes git ignore a file, with the file it stands in (`*.log in /project/.gitignore`); None if
        git would take the file, or if it is in no repository."""
        repository = _repository_of(path)
        if repository is None:
            return None
        sources = list(self._sources(path, repository))
        for part in (*reversed(path.parents), path):
            if repository in part.parents and (found := _ruling(sources, part, part != path)):
                return found
        return None

    def _sources(self, path: Path, repository: Path) -> Iterator[tuple[Path, Path, tuple[IgnoreRule, ...]]]:
        """Files of rules with the folder that their patterns count from, the weightiest first."""
        for folder in path.parents:
            yield folder / ".gitignore", folder, self._rules(folder / ".gitignore")
            if folder == repository:
                break
        exclude = _git_folder(repository) / "info" / "exclude"
        yield exclude, repository, self._rules(exclude)

    def _rules(self, source: Path) -> tuple[IgnoreRule, ...]:
        """None for a file that is missing or cannot be read."""
        try:
            status = source.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if source not in self._read or self._read[source][0] != stamp:
                lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
                self._read[source] = (stamp, tuple(rule for rule in map(read_rule, lines) if rule))
        except OSError:
            self._read.pop(source, None)
            return ()
        return self._read[source][1]


def read_rule(line: str) -> IgnoreRule | None:
    """The rule of one line; None for blanks, comments, and what is no pattern."""
    pattern = line.rstrip(" ")
    if pattern.endswith("\\"):
        pattern += line[len(pattern) :][:1]  # a space behind a backslash is a part of the name
    if not pattern or pattern.startswith("#"):
        return None
    takes_back = pattern.startswith("!")
    pattern = pattern.removeprefix("!")
    only_folders = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    is_anchored = "/" in pattern
    try:
        regex = re.compile(_translated(pattern.removeprefix("/")), re.DOTALL)
    except re.error:
        return None
    return IgnoreRule(line, regex, takes_back, only_folders, is_anchored) if pattern else None


_TOKEN = re.compile(
    r"(?P<any_folders>(?:^|(?<=/))\*\*/)|(?P<all>(?<=/)\*\*$)|(?P<star>\*+)|(?P<one>\?)"
    r"|\[(?P<negated>[!^]?)(?P<set>\]?(?:\\.|\[:\w{1,9}:\]|[^\]\\]){0,200})\]|\\(?P<escaped>.)|(?P<plain>.)",
    re.DOTALL,
)


def _translated(pattern: str) -> str:
    """A star takes as little as it can, once and for all, where another star of the same folder follows: what is left
    over is that one's to take, so no name is tried in every way of sharing it out among them."""
    tokens = [(str(token.lastgroup), _translated_token(token)) for token in _TOKEN.finditer(pattern)]
    pieces: list[str] = []
    open_star: int | None = None  # the index of the last star of this folder
    for kind, piece in tokens:
        if kind == "star":
            if open_star is not None:
                pieces[open_star:] = [f"(?>[^/]*?{''.join(pieces[open_star + 1 :])})"]
            open_star = len(pieces)
        elif piece == "/" or kind in ("any_folders", "all"):
            open_star = None
        pieces.append(piece)
    return "".join(pieces)


def _translated_token(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "any_folders":
            return "(?:.*/)?"
        case "all":
            return ".+"
        case "star":
            return "[^/]*"
        case "one":
            return "[^/]"
        case "set":
            negation = "^/" if token["negated"] else ""
            return f"(?!/)[{negation}{_translated_set(token['set'])}]"
    return re.escape(token["escaped"] or token["plain"])


_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:space:]": r"\s",
    "[:xdigit:]": "0-9A-Fa-f",
}


def _translated_set(inside: str) -> str:
    parts = re.findall(r"\[:\w+:\]|\\.|.", inside, re.DOTALL)
    return "".join(
        _CLASSES.get(part) or (part if part == "-" else re.escape(part.removeprefix("\\") or "\\")) for part in parts
    )


def _ruling(sources: list[tuple[Path, Path, tuple[IgnoreRule, ...]]], part: Path, is_folder: bool) -> str | None:
    """What the rules say of one folder or file by itself: the last line of the weightiest source that names it."""
    for source, folder, rules in sources:
        if folder not in part.parents:
            continue
        name = part.relative_to(folder).as_posix()
        for rule in reversed(rules):
            if rule.matches(name, is_folder):
                return None if rule.takes_back else f"{rule.line.strip()} in {source}"
    return None


def _repository_of(path: Path) -> Path | None:
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


def _git_folder(repository: Path) -> Path:
    """Where the repository keeps `info/exclude`; a worktree and a submodule name it in a file `.git`."""
    git = repository / ".git"
    if git.is_dir():
        return git
    try:
        folder = repository / git.read_text(encoding="utf-8").strip().removeprefix("gitdir: ")
        common = folder / "commondir"
        return folder / common.read_text(encoding="utf-8").strip() if common.exists() else folder
    except OSError:
        return git
