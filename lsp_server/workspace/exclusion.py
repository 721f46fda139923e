"""Which files the globs of `midfill.exclude` keep from being sent. Knows paths, neither documents nor LSP."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePath
from typing import Any


def excluding_glob(path: str, roots: tuple[str, ...], globs: tuple[str, ...]) -> str | None:
    """The glob that keeps a file from being sent, None if it may be. Case does not matter.

    The path counts from the innermost workspace folder that holds it; outside of all of them, its last part does."""
    match = _spec(globs).check_file(_path_in_roots(path, roots))
    return globs[match.index] if match.include and match.index is not None else None


def _path_in_roots(path: str, roots: tuple[str, ...]) -> str:
    for root in sorted(roots, key=len, reverse=True):
        if PurePath(path).is_relative_to(root):
            return PurePath(path).relative_to(root).as_posix().lower()
    return PurePath(path).name.lower()


@lru_cache(maxsize=64)
def _spec(globs: tuple[str, ...]) -> Any:
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(glob.lower() for glob in globs)
