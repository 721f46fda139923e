"""Other files of a project: those that a file imports come first, then those beside it."""

from __future__ import annotations

import random

import pytest

from midfill.model.training.projects import MAX_OTHERS, Project


class MostFiles(random.Random):
    """Draws the most files; shuffles and samples as any other."""

    def randint(self, a: int, b: int) -> int:
        return b


@pytest.mark.parametrize(
    ("path", "text", "imported"),
    [
        ("pack/deep/here.py", "from pack.tools import cut\n", ["pack/tools.py"]),
        ("pack/deep/here.py", "from ..tools import cut\n", ["pack/tools.py"]),
        (
            "pack/deep/here.py",
            "from . import near, other\n",
            ["pack/deep/__init__.py", "pack/deep/near.py", "pack/deep/other.py"],
        ),
        ("pack/deep/here.py", "    import pack.tools as t, os\n", ["pack/tools.py"]),
        ("pack/deep/here.py", "from pack import deep\n", ["pack/__init__.py", "pack/deep/__init__.py"]),
        ("src/deep/here.ts", 'import { a } from "../tools";\n', ["src/tools.ts"]),
        ("src/deep/here.ts", "import { a } from '../tools.js'\n", ["src/tools.ts"]),
        ("src/deep/here.js", "const a = require('./lib');\n", ["src/deep/lib/index.js"]),
        ("src/deep/here.js", 'export * from "./lib/index.js";\n', ["src/deep/lib/index.js"]),
        ("src/deep/here.js", 'import "react";\n', []),
    ],
)
def test_imported_files_come_first(path: str, text: str, imported: list[str]) -> None:
    paths = ["pack/tools.py", "pack/__init__.py", "pack/deep/__init__.py", "pack/deep/near.py", "pack/deep/other.py"]
    paths += ["src/tools.ts", "src/deep/lib/index.js", "far/a.py", "far/b.py", "far/c.py", "far/d.py", "far/e.py"]
    project = Project({other: other for other in paths} | {path: text})
    found = project.others(path, MostFiles(0))
    assert sorted(found[: len(imported)]) == sorted(imported)
    assert len(found) == len(set(found)) == MAX_OTHERS
    assert text not in found
    beside = {other for other in paths if other.rpartition("/")[0] == path.rpartition("/")[0]} - set(imported)
    assert beside <= set(found[len(imported) : len(imported) + len(beside)])


def test_a_file_alone_has_no_others_and_how_many_are_open_varies() -> None:
    assert Project({"a.py": "import a\n"}).others("a.py", MostFiles(0)) == []
    project, rng = Project({f"{n}.py": f"{n}" for n in range(20)}), random.Random(0)
    assert {len(project.others("3.py", rng)) for _ in range(100)} == set(range(MAX_OTHERS + 1))
