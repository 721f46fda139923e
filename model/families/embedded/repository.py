"""The files of one repository, kept beside a model that was tuned to it: what in them looks most like the surroundings
of a hole is read as if the request had brought it.

What a line copies often stands in a file that is not open. Retrieval before generation, as in RepoCoder (Zhang et al.
2023), by rare words and runs of lexemes instead of a second model. Knows text only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from pathlib import Path

from midfill.model.families.embedded.passages import LineIndex, Query, query_of
from midfill.model.wire.errors import CheckpointError

FILE_NAME = "repository.json"
MAX_REPOSITORY_CHARS = 2_000_000
"""Files beyond this are left out; the index of so much takes about 60 MB and is made in a second."""
FOUND_CHARS = 24_000
"""Text that is found for one request, its holes together."""
PIECE_LINES = 24
"""Lines around a place that are taken with it, half of them before it."""
_NUM_PLACES = 400


class Repository:
    """files: texts by their path below the repository's root, as many as `fitting` lets through."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files
        self._index = LineIndex("\n".join(self.files.values()))
        self._path_of = [path for path, text in self.files.items() for _ in range(text.count("\n") + 1)]

    def find(self, surroundings: Sequence[tuple[str, str]], own_path: str | None = None) -> list[str]:
        """Pieces of other files for holes between (text before, text behind), each hole's best first.

        own_path: of the file with the holes, from anywhere: what was kept of that file is older than what is in it."""
        own = "/" + (own_path or "").replace("\\", "/")
        own_files = {path for path in self.files if own.endswith(f"/{path}")}
        taken = set[int]()
        room = FOUND_CHARS // max(len(surroundings), 1)
        return [
            piece
            for before, behind in surroundings
            for piece in self._pieces(query_of(before, behind), room, taken, own_files)
        ]

    def _pieces(self, query: Query, room: int, taken: set[int], own_files: set[str]) -> Iterator[str]:
        scored = ((s, -line) for line, s in self._index.scores(query) if self._path_of[line] not in own_files)
        for line in (-negative for _, negative in nlargest(_NUM_PLACES, scored)):
            if line in taken:
                continue
            first = max(line - PIECE_LINES // 2, 0)
            around = range(first, min(line + PIECE_LINES // 2, len(self._path_of)))
            lines = [near for near in around if near not in taken and self._path_of[near] == self._path_of[line]]
            piece = "\n".join(self._index.lines[near] for near in lines)
            if len(piece) > room:
                return
            taken.update(lines)
            room -= len(piece)
            yield piece


def fitting(files: Mapping[str, str]) -> dict[str, str]:
    """The first of the files, as many as may be kept."""
    kept, room = dict[str, str](), MAX_REPOSITORY_CHARS
    for path, text in files.items():
        room -= len(text)
        if room < 0:
            break
        kept[path] = text
    return kept


def save_repository(folder: Path, files: Mapping[str, str]) -> None:
    """Write the texts into a checkpoint's folder, for their owner alone. Raises OSError."""
    path = folder / FILE_NAME
    path.touch(0o600)
    path.write_text(json.dumps(dict(files)), encoding="utf-8")


def load_repository(folder: Path) -> Repository | None:
    """What `save_repository` wrote, None where nothing was. Raises CheckpointError."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        files = json.loads(path.read_text(encoding="utf-8"))
        return Repository({str(name): str(text) for name, text in files.items()})
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); delete it, or tune again.") from error
