"""The directions of the house, read from the imports themselves: one row a folder, what it may know of."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def imports_of(path: Path) -> set[str]:
    """Everything a module imports, at its top or inside functions; for `from a import b` both `a` and `a.b`."""
    package = ["midfill", *path.relative_to(ROOT).parent.parts]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])
            origin = base if node.level else node.module or ""
            names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return names


def is_within(name: str, *roots: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in roots)


FRONT = ("lsp_server.text", "lsp_server.lsp", "lsp_server.resident", "lsp_server.workspace")
SHARED = ("model.families.limits", "model.families.request_text")
LOADED = ("model.families.device", "model.families.hole_lengths", "model.families.on_transformers")
MODELS = ("model.wire", "model.engine", "model.families")

ROWS: dict[str, tuple[str, ...]] = {
    "lsp_server": (*FRONT, "lsp_server.features", "lsp_server.terminal.commands", "model.wire"),
    "lsp_server/terminal": (
        *("lsp_server.text", "lsp_server.resident", "lsp_server.lsp.document", "model.wire"),
        *(f"lsp_server.workspace.{name}" for name in ("exclusion", "gitignore", "settings", "stats")),
    ),
    "lsp_server/features": (*FRONT, "lsp_server.calls", "model.wire"),
    "lsp_server/calls": ("lsp_server.text", "lsp_server.workspace.header_edits"),
    "lsp_server/workspace": ("lsp_server.text", "lsp_server.lsp", "lsp_server.resident", "model.wire"),
    "lsp_server/lsp": ("lsp_server.text", "lsp_server.resident", "model.wire"),
    "lsp_server/resident": ("model.wire",),
    "lsp_server/text": ("lsp_server.text.finishing", "model.wire"),
    "lsp_server/text/finishing": ("lsp_server.text.brackets", "model.wire"),
    "model": (),
    "model/weights": (),
    "model/wire": (),
    "model/engine": ("model.wire",),
    "model/families": MODELS,
    "model/families/embedded": ("model.wire", "model.engine", *SHARED),
    "model/families/diffusion_gemma": ("model.wire", "model.engine", *SHARED, *LOADED, "model.families.hub"),
    "model/families/masked": ("model.wire", "model.engine", *SHARED, *LOADED),
    "model/families/vllm": (
        *("model.wire", "model.engine", "model.families.limits", "model.families.hole_lengths"),
        *("model.families.diffusion_gemma.prompt", "model.families.diffusion_gemma.tokenizer"),
    ),
    "model/families/on_transformers": ("model.wire",),
    "model/serving": MODELS,
    "model/bench": MODELS,
    "model/measuring": MODELS,
    "model/training": (*MODELS, "model.measuring", "model.training.verbs"),
    "model/training/verbs": ("model.families.embedded", "model.measuring", "model.training"),
    "model/evaluation": (*MODELS, "model.measuring", "model.training"),
}
"""What the modules of a folder may import of midfill, beside their own folder's modules."""

CIRCLES: dict[str, tuple[str, ...]] = {
    # `cli` imports `terminal.commands`, which imports `cli`.
    "lsp_server/terminal": ("lsp_server.cli",),
    # Types only: `server` registers the commands, and they take a `Server`.
    "lsp_server/features": ("lsp_server.server",),
    # What draws the tasks of a split and asks for them is in the modules of the commands that print figures.
    "model/training": ("model.evaluation.in_domain", "model.evaluation.options"),
}
"""Imports against the arrows, each to be cut. Nothing is added here."""

PACKAGES = tuple("midfill." + folder.replace("/", ".") for folder in ROWS)


def may_import(name: str, folder: str) -> bool:
    """Whether a module in `folder` may import `name`, of midfill. What only leads to a module, as `midfill.model` in
    `from midfill.model import wire`, is judged by the module."""
    own, allowed = (
        "midfill." + folder.replace("/", "."),
        tuple(f"midfill.{one}" for one in (*ROWS[folder], *CIRCLES.get(folder, ()))),
    )
    if is_within(name, *allowed) or any(is_within(root, name) for root in (own, *allowed)):
        return True
    return is_within(name, own) and not is_within(
        name, *(one for one in PACKAGES if is_within(one, own) and one != own)
    )


@pytest.mark.parametrize("folder", ROWS)
def test_a_folder_imports_only_what_its_row_names(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / folder).glob("*.py"))
        for name in sorted(imports_of(path))
        if is_within(name, "midfill") and not may_import(name, folder)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", ROWS)
def test_a_row_names_nothing_that_its_folder_does_not_import(folder: str) -> None:
    """A permission that nobody uses is an arrow that nobody decided on."""
    names = {name for path in (ROOT / folder).glob("*.py") for name in imports_of(path)}
    assert [root for root in ROWS[folder] if not any(is_within(name, f"midfill.{root}") for name in names)] == []


def test_every_folder_has_a_row() -> None:
    paths = [path for top in ("lsp_server", "model") for path in (ROOT / top).rglob("*.py")]
    folders = {path.parent.relative_to(ROOT).as_posix() for path in paths if "base_wheel" not in path.parts}
    assert folders == set(ROWS)


TENSORS = ("torch", "numpy", "safetensors", "tokenizers", "transformers", "fastapi", "uvicorn", "prometheus_client")
PROTOCOL = ("pygls", "lsprotocol")


@pytest.mark.parametrize(
    ("files", "forbidden"),
    [
        ("lsp_server/**/*.py", TENSORS),
        ("lsp_server/text/**/*.py", PROTOCOL),
        ("lsp_server/calls/*.py", PROTOCOL),
        ("lsp_server/resident/*.py", PROTOCOL),
        ("lsp_server/workspace/*.py", PROTOCOL),
        ("lsp_server/lsp/document.py", PROTOCOL),
        ("lsp_server/lsp/transports.py", PROTOCOL),
        ("lsp_server/server.py", ("typer", "rich", "httpx")),
        ("model/**/*.py", PROTOCOL),
        ("model/wire/*.py", TENSORS),
        ("model/wire/api.py", ("midfill",)),
        ("model/engine/confidence.py", ("midfill", *TENSORS)),
        ("model/families/hole_lengths.py", ("midfill", *TENSORS)),
        ("model/families/embedded/passages.py", ("midfill", *TENSORS)),
    ],
)
def test_files_know_nothing_of(files: str, forbidden: tuple[str, ...]) -> None:
    paths = sorted(ROOT.glob(files))
    assert paths, f"{files} matches no file: the rule would guard nothing"
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in sorted(imports_of(path))
        if is_within(name, *forbidden)
    ]
    assert not found, "\n".join(found)


def test_from_model_means_its_modules() -> None:
    """`from midfill.model import training` would slip past a rule that only looks at the part before `import`."""
    names = imports_of(ROOT / "lsp_server" / "resident" / "resident.py")
    assert {"midfill.model.wire.api", "midfill.model.wire.api.ModelInfo"} <= names
    assert not may_import("midfill.model.training", "lsp_server/resident")
    assert not may_import("midfill.lsp_server.features.spots", "lsp_server/text")
    assert not may_import("midfill.model.families.loading", "model/engine")


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import midfill.lsp_server.server", ("torch", "httpx", "typer", "rich", "fastapi")),
        ("import midfill.lsp_server.cli", ("torch", "httpx", "typer", "rich", "pygls")),
        ("import midfill.lsp_server.resident.resident", ("torch", "httpx", "pygls")),
        ("import midfill.lsp_server.terminal.commands", ("torch", "httpx", "pygls")),
        ("import midfill.lsp_server.terminal.fill", ("torch", "pygls")),
        ("import midfill.lsp_server.terminal.rewrite", ("torch", "pygls")),
        ("import midfill.lsp_server.terminal.doctor", ("torch",)),
        ("import midfill.lsp_server.terminal.models", ("torch", "httpx", "pygls")),
        ("import midfill.model.families.vllm.loading", ("torch", "transformers")),
    ],
)
def test_the_front_starts_without(statement: str, absent: tuple[str, ...]) -> None:
    """In a fresh interpreter: what an editor start must not pay for is not loaded."""
    program = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
