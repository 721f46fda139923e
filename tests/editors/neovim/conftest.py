"""Neovims that run the plugin with the real language server; behind it a resident with a scripted model, whose fills
are known beforehand, or the embedded model. Most tests share one Neovim of each version, with its server and resident;
what a test changes beyond its own buffer needs an editor of its own."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
PLUGIN = REPOSITORY / "editors" / "nvim"

sys.path.insert(0, str(HERE))
from terminal import Neovim  # noqa: E402  (importlib mode leaves the tests' own folder out)

SCRIPTED_SERVER = [sys.executable, str(REPOSITORY / "tests" / "lsp_server" / "scripted_server.py"), "--stdio"]
REAL_SERVER = [sys.executable, "-P", "-m", "midfill.lsp_server", "lsp"]


@pytest.fixture(name="plugin")
def plugin_fixture() -> Path:
    return PLUGIN


@pytest.fixture
def server() -> list[str]:
    """The command of the language server whose resident is scripted."""
    return SCRIPTED_SERVER


@pytest.fixture(params=["newest", "oldest"])
def program(request: pytest.FixtureRequest, require: Callable[[str], Path]) -> Path:
    """A Neovim: the newest version, with ghost text of its own, and the oldest that is supported."""
    return require(f"neovim-{request.param}/bin/nvim")


@pytest.fixture
def places(folders: tuple[Path, dict[str, str]]) -> Path:
    """The folder of this test alone, in which an editor of its own has its project and its XDG folders."""
    return folders[0]


@pytest.fixture
def resident_pid(places: Path) -> Callable[[], int]:
    return lambda: int((places / "RUNTIME_DIR" / "midfill" / "embedded.lock").read_text())


def start(
    program: Path, folders: tuple[Path, dict[str, str]], resident: tuple[str, ...], setup: dict[str, Any]
) -> Neovim:
    """A Neovim with nothing open. resident: options of the scripted resident. setup: options of the plugin."""
    folder, environment = folders
    script = [sys.executable, str(REPOSITORY / "tests" / "wire" / "scripted_resident.py"), *resident]
    environment = {
        **environment,
        "SCRIPTED_RESIDENT": json.dumps(script),
        "MIDFILL_TEST": json.dumps({"plugin": str(PLUGIN), "setup": setup}),
    }
    return Neovim(program, ["--clean", "-u", str(HERE / "init.lua")], environment, folder / f"{program.parts[-3]}.sock")


@pytest.fixture(scope="session")
def shared_editor(shared_folders: tuple[Path, dict[str, str]]) -> Iterator[Callable[[Path], Neovim]]:
    """The Neovim of a program that tests share, started when it is first wanted."""
    running: dict[Path, Neovim] = {}

    def shared(program: Path) -> Neovim:
        if program not in running:
            running[program] = start(program, shared_folders, (), {"cmd": SCRIPTED_SERVER})
        return running[program]

    yield shared
    for editor in running.values():
        editor.close()


@pytest.fixture
def neovim(
    program: Path,
    folders: tuple[Path, dict[str, str]],
    shared_folders: tuple[Path, dict[str, str]],
    shared_editor: Callable[[Path], Neovim],
) -> Iterator[Callable[..., Neovim]]:
    """`neovim(text)`: a Neovim with that file open, and the language server attached unless `attach=False`.

    It is the shared one unless `own=True` or one of these is given. resident: options of a scripted resident of the
    test's own; None: the embedded model. options: for setup()."""
    running: list[Neovim] = []

    def open_file(
        text: str | bytes = "",
        *,
        own: bool = False,
        resident: tuple[str, ...] | Literal["shared"] | None = "shared",
        options: dict[str, Any] | None = None,
        attach: bool = True,
        name: str = "example.py",
    ) -> Neovim:
        if own or resident != "shared" or options is not None:
            folder, environment = folders
            if resident == "shared":
                environment = {**environment, "XDG_RUNTIME_DIR": shared_folders[1]["XDG_RUNTIME_DIR"]}
            own_options = resident if isinstance(resident, tuple) else ()
            setup = {"cmd": REAL_SERVER if resident is None else SCRIPTED_SERVER, **(options or {})}
            editor, project = start(program, (folder, environment), own_options, setup), folder / "project"
            running.append(editor)
        else:
            editor = shared_editor(program)
            editor.forget()
            project = Path(tempfile.mkdtemp(dir=shared_folders[0] / "project"))  # never the same path twice
        editor.open(project / name, text if isinstance(text, bytes) else text.encode())
        if attach:
            editor.wait_until_attached()
        return editor

    yield open_file
    for editor in running:
        editor.close()
