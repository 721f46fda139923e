"""The directions of DESIGN, read from the imports themselves: what may know of what."""

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


def check(files: str, forbidden: tuple[str, ...], allowed: tuple[str, ...] = ()) -> None:
    paths = sorted(ROOT.glob(files))
    assert paths, f"{files} matches no file: the rule would guard nothing"
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in sorted(imports_of(path))
        if is_within(name, *forbidden) and not is_within(name, *allowed) and name != "midfill.model"
    ]
    assert not found, "\n".join(found)


TENSORS = ("torch", "numpy", "safetensors", "tokenizers", "transformers", "fastapi", "uvicorn", "prometheus_client")
PROTOCOL = ("pygls", "lsprotocol")
SHARED = ("api", "address", "base", "catalogue", "certificates", "install_command", "machine")
"""What the front may import of the model's side."""


@pytest.mark.parametrize(
    ("files", "forbidden", "allowed"),
    [
        ("lsp_server/**/*.py", ("midfill.model",), tuple(f"midfill.model.{name}" for name in SHARED)),
        ("lsp_server/**/*.py", TENSORS, ()),
        ("model/**/*.py", ("midfill.lsp_server", *PROTOCOL), ()),
        ("model/api.py", ("midfill", *TENSORS), ()),
        ("model/address.py", ("midfill", *TENSORS), ()),
        ("model/catalogue.py", ("midfill", *TENSORS), ()),
        ("model/machine.py", ("midfill", *TENSORS), ()),
        ("model/certificates.py", ("midfill", *TENSORS), ()),
        ("model/install_command.py", ("midfill", *TENSORS), ()),
        ("model/base.py", ("midfill", *TENSORS), ("midfill.model.errors", "midfill.model.install_command")),
        ("model/errors.py", ("midfill", *TENSORS), ()),
        ("model/families/hole_lengths.py", ("midfill", *TENSORS), ()),
        ("model/sampler.py", ("midfill.model.families",), ()),
        ("model/passages.py", ("midfill", *TENSORS), ()),
        ("model/confidence.py", ("midfill", *TENSORS), ()),
        ("lsp_server/excerpt.py", PROTOCOL, ()),
        ("lsp_server/syntax.py", PROTOCOL, ()),
        ("lsp_server/holes.py", PROTOCOL, ()),
        ("lsp_server/bodies.py", PROTOCOL, ()),
        ("lsp_server/scopes.py", PROTOCOL, ()),
        ("lsp_server/joint.py", PROTOCOL, ()),
        ("lsp_server/signatures.py", PROTOCOL, ()),
        ("lsp_server/header_edits.py", PROTOCOL, ()),
        ("lsp_server/name_scopes.py", PROTOCOL, ()),
        ("lsp_server/call_sites.py", PROTOCOL, ()),
        ("lsp_server/rebinding.py", PROTOCOL, ()),
        ("lsp_server/argument_text.py", PROTOCOL, ()),
        ("lsp_server/call_updates.py", PROTOCOL, ()),
        ("lsp_server/related.py", PROTOCOL, ()),
        ("lsp_server/notebooks.py", PROTOCOL, ()),
        ("lsp_server/recall.py", PROTOCOL, ()),
        ("lsp_server/suggestions.py", PROTOCOL, ()),
        ("lsp_server/gitignore.py", PROTOCOL, ()),
        ("lsp_server/transports.py", PROTOCOL, ()),
        ("lsp_server/edits.py", PROTOCOL, ()),
        ("lsp_server/document.py", PROTOCOL, ()),
        ("lsp_server/filling.py", PROTOCOL, ()),
        ("lsp_server/*.py", ("midfill.lsp_server.terminal",), ("midfill.lsp_server.terminal.commands",)),
        ("lsp_server/server.py", ("typer", "rich", "httpx"), ()),
    ],
)
def test_directions(files: str, forbidden: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    check(files, forbidden, allowed)


def test_from_model_means_its_modules() -> None:
    """`from midfill.model import training` would slip past a rule that only looks at the part before `import`."""
    names = imports_of(ROOT / "lsp_server" / "resident.py")
    assert {"midfill.model.api", "midfill.model.api.ModelInfo"} <= names


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import midfill.lsp_server.server", ("torch", "httpx", "typer", "rich", "fastapi")),
        ("import midfill.lsp_server.cli", ("torch", "httpx", "typer", "rich", "pygls")),
        ("import midfill.lsp_server.resident", ("torch", "httpx", "pygls")),
        ("import midfill.lsp_server.terminal.commands", ("torch", "httpx", "pygls")),
        ("import midfill.lsp_server.terminal.fill", ("torch", "pygls")),
        ("import midfill.lsp_server.terminal.rewrite", ("torch", "pygls")),
        ("import midfill.lsp_server.terminal.doctor", ("torch",)),
        ("import midfill.lsp_server.terminal.models", ("torch", "httpx", "pygls")),
        ("import midfill.model.families.vllm_loading", ("torch", "transformers")),
    ],
)
def test_the_front_starts_without(statement: str, absent: tuple[str, ...]) -> None:
    """In a fresh interpreter: what an editor start must not pay for is not loaded."""
    program = f"import sys; {statement}; print([name for name in {absent!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
