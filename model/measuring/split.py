"""The files of a corpus split, and how a measure takes them by language. Knows text and names, no model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midfill.model.measuring.front import Source
from midfill.model.measuring.languages import FAMILIES, LANGUAGES


@dataclass(frozen=True, slots=True)
class SplitFile:
    """A source file. language: a grammar of `languages.LANGUAGES`; path: in its package, None for text without a
    file."""

    text: str = field(repr=False)
    language: str = "python"
    path: str | None = None
    package: str = ""

    def __post_init__(self) -> None:
        if self.language not in LANGUAGES:
            raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {self.language!r}")

    @property
    def family(self) -> str:
        return family_of(self.language)

    def source(self, text: str) -> Source:
        """What the front gets: this file with another text."""
        return Source(text, self.language, self.path)


def family_of(language: str) -> str:
    """What people call the language of a grammar: tsx is typescript."""
    return LANGUAGES[language].family


def read_files(path: Path) -> Iterator[SplitFile]:
    """The files of a split (`.jsonl.gz`, one a line). Raises OSError, EOFError, ValueError, LookupError or TypeError
    where it is damaged."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            file = json.loads(line)
            yield SplitFile(file["text"], file["language"], file["path"], file["package"])


def by_family(files: Sequence[SplitFile]) -> dict[str, list[SplitFile]]:
    """The files of each language that there is, by what people call it."""
    found = {family: [file for file in files if file.family == family] for family in FAMILIES}
    return {family: group for family, group in found.items() if group}


def in_equal_shares(num: int, files: Sequence[SplitFile]) -> dict[str, tuple[list[SplitFile], int]]:
    """The files of each language, and how many of `num` things to draw from them: equally many, to within one."""
    groups = by_family(files)
    return {
        family: (group, num // len(groups) + (place < num % len(groups)))
        for place, (family, group) in enumerate(groups.items())
    }
