"""What git ignores, found without running git; git itself is the judge."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from midfill.lsp_server.workspace.gitignore import GitIgnore

PATTERNS = (
    *("*.log", "build/", "/top.py", "!keep.log", "a/**", "**/deep", "a/**/c", "doc/*.txt", "*", "!*/", "!a", "b*"),
    *("?.py", "[a-c].py", "[!a]og.log", "foo", "!foo/", "\\!bang", "# no rule", "x.py   ", "a/b", "**", "!**/keep.log"),
    *(
        "[]a].py",
        "c\\*",
        "*.[ch]",
        "**/a/**",
        "/a/*",
        "!/a/b",
        "[[:digit:]].py",
        "a**b",
        "/",
        "*o*.t*t",
        "*/*e*p.*g",
        "**/*o*/*",
    ),
)
PATHS = (
    *("top.py", "a/top.py", "x.py", "a.py", "b.py", "d.py", "1.py", "].py", "c*", "!bang", "keep.log", "a/keep.log"),
    *("log.log", "dog.log", "aog.log", "build/x.py", "a/build/x.py", "a/b/c", "a/c", "a/b/deep/x", "deep", "doc/a.txt"),
    *("doc/x/a.txt", "foo", "a/foo/y.py", "foo.d/y.py", "main.c", "src/main.h", "a/b", "axb/y", "b/x.log"),
)


def make(root: Path, rules: dict[str, list[str]]) -> None:
    (root / ".git" / "info").mkdir(parents=True, exist_ok=True)
    for name, lines in rules.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("".join(f"{line}\n" for line in lines))


def check(root: Path, path: str, rule: str | None) -> None:
    assert GitIgnore().ignoring_rule(root / path) == rule


def test_nested_files_negations_and_the_repositorys_own_excludes(tmp_path: Path) -> None:
    make(
        tmp_path, {".gitignore": ["*.log", "/out/"], "src/.gitignore": ["!keep.log"], ".git/info/exclude": ["mine.py"]}
    )
    check(tmp_path, "src/a.log", f"*.log in {tmp_path}/.gitignore")
    check(tmp_path, "src/keep.log", None)
    check(tmp_path, "keep.log", f"*.log in {tmp_path}/.gitignore")
    check(tmp_path, "out/deep/a.py", f"/out/ in {tmp_path}/.gitignore")
    check(tmp_path, "src/mine.py", f"mine.py in {tmp_path}/.git/info/exclude")
    check(tmp_path, "src/main.py", None)


def test_outside_of_a_repository_nothing_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*\n")
    check(tmp_path, "a.py", None)


def test_rules_are_read_again_when_they_change(tmp_path: Path) -> None:
    make(tmp_path, {".gitignore": ["a.py"]})
    git = GitIgnore()
    assert git.ignoring_rule(tmp_path / "a.py") is not None
    (tmp_path / ".gitignore").write_text("b.py\n")
    os.utime(tmp_path / ".gitignore", ns=(1, 1))
    assert git.ignoring_rule(tmp_path / "a.py") is None
    (tmp_path / ".gitignore").unlink()
    assert git.ignoring_rule(tmp_path / "b.py") is None


def test_a_worktree_takes_the_excludes_of_its_repository(tmp_path: Path) -> None:
    make(tmp_path / "main", {".git/info/exclude": ["mine.py"], ".git/worktrees/w/commondir": ["../.."]})
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / ".git").write_text(f"gitdir: {tmp_path}/main/.git/worktrees/w\n")
    assert GitIgnore().ignoring_rule(tmp_path / "w" / "mine.py") is not None


@pytest.mark.parametrize("seed", range(60))
def test_as_git_itself_decides(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    rules = {
        name: choice.sample(PATTERNS, choice.randint(1, 5))
        for name in (".gitignore", "a/.gitignore", ".git/info/exclude")
    }
    try:
        subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("git is not installed, and it is the judge here")
    make(tmp_path, rules)
    command = ["git", "-C", str(tmp_path), "-c", "core.excludesFile=", "-c", "core.ignoreCase=false", "check-ignore"]
    done = subprocess.run(
        [*command, "--stdin", "-z", "--no-index"],
        input="\0".join(PATHS).encode(),
        capture_output=True,
    )
    assert done.returncode in (0, 1), done.stderr
    ignored = set(done.stdout.decode().split("\0")) - {""}
    git = GitIgnore()
    found = {path for path in PATHS if git.ignoring_rule(tmp_path / path)}
    assert found == ignored, rules
