"""The other files of a project: which of them somebody who edits one file likely has open. Knows paths and text."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath

from midfill.model.measuring.languages import LANGUAGES

MAX_OTHERS = 6

_SUFFIXES = tuple(suffix for language in LANGUAGES.values() for suffix in language.suffixes)
_PYTHON_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+\(?([\w, \t]*)|import[ \t]+([\w., \t]+))", re.M
)
_SCRIPT_IMPORT = re.compile(
    r"""(?:\bfrom|\bimport|\brequire\s*\(|\bimport\s*\()\s*['"](\.{1,2}/[^'"\n]*|\.{1,2})['"]"""
)


class Project:
    """Files by their path, of one package."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = dict(texts)

    def others(self, path: str, rng: random.Random) -> list[str]:
        """The texts of at most MAX_OTHERS other files, and of how many is drawn: first those that the file imports,
        then those of its folder, then any."""
        num_wanted = rng.randint(0, MAX_OTHERS)
        folder = _folder(path)
        groups = (
            list(dict.fromkeys(self._imported(path))),
            list(self._by_folder.get(folder, ())),
            rng.sample(self._paths, min(2 * MAX_OTHERS, len(self._paths))) if num_wanted else [],
        )
        for group in groups:
            rng.shuffle(group)
        ordered = dict.fromkeys(other for group in groups for other in group if other != path)
        return [self._texts[other] for other in islice(ordered, num_wanted)]

    def _imported(self, path: str) -> Iterator[str]:
        """The files of the project that a file imports."""
        text, folder = self._texts[path], _folder(path)
        if path.endswith(LANGUAGES["python"].suffixes):
            candidates = _python_modules(text, folder)
        else:
            candidates = (_joined(folder, match.group(1)) for match in _SCRIPT_IMPORT.finditer(text))
        for candidate in candidates:
            if other := self._by_module.get(candidate):
                yield other

    @cached_property
    def _paths(self) -> list[str]:
        return sorted(self._texts)

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for path in self._paths:
            folders.setdefault(_folder(path), []).append(path)
        return folders

    @cached_property
    def _by_module(self) -> dict[str, str]:
        """Paths by all that an import may call them: with and without suffix, and the folder of an index file."""
        modules: dict[str, str] = {}
        for path in self._paths:
            stem = path.removesuffix(PurePosixPath(path).suffix)
            for name in (path, stem, *(f"{stem}{suffix}" for suffix in _SUFFIXES)):
                modules.setdefault(name, path)
            if PurePosixPath(stem).name in ("__init__", "index"):
                modules.setdefault(_folder(path), path)
        return modules


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _python_modules(text: str, folder: str) -> Iterator[str]:
    """Where the modules would stand that a Python file in `folder` imports."""
    for match in _PYTHON_IMPORT.finditer(text):
        dots, module, names, absolute = match.groups()
        if absolute:
            for name in absolute.split(","):
                if words := name.split():
                    yield words[0].replace(".", "/")
            continue
        parts = folder.split("/") if folder else []
        base = "/".join(parts[: len(parts) - len(dots) + 1]) if dots else ""
        origin = _joined(base, module.replace(".", "/"))
        yield from (_joined(origin, words[0]) for name in (names or "").split(",") if (words := name.split()))
        yield origin


def _joined(folder: str, path: str) -> str:
    """`path` from `folder`, without `.` and `..`."""
    parts: list[str] = []
    for part in f"{folder}/{path}".split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
