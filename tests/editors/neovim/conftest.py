"""Neovims that run the plugin with the real language server; behind it a resident with a scripted model, whose fills
are known beforehand, or the embedded model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
PLUGIN = REPOSITORY / "editors" / "nvim"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midfill-editors"
VERSIONS = ("0.12", "0.10")

sys.path.insert(0, str(HERE))
from terminal import Neovim  # noqa: E402  (importlib mode leaves the tests' own folder out)

SCRIPTED_SERVER = [sys.executable, str(REPOSITORY / "tests" / "lsp_server" / "scripted_server.py"), "--stdio"]
REAL_SERVER = [sys.executable, "-P", "-m", "midfill.lsp_server", "lsp"]


def require(path: Path) -> Path:
    """What `make test-neovim` fetches. CI must have it; elsewhere its tests are skipped, by its name."""
    if path.exists():
        return path
    sentence = f"{path} is missing; `make test-neovim` fetches it"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(name="require")
def require_fixture() -> Callable[[Path], Path]:
    return require


@pytest.fixture(name="cache")
def cache_fixture() -> Path:
    return CACHE


@pytest.fixture(name="plugin")
def plugin_fixture() -> Path:
    return PLUGIN


@pytest.fixture
def server() -> list[str]:
    """The command of the language server whose resident is scripted."""
    return SCRIPTED_SERVER


@pytest.fixture(params=VERSIONS)
def program(request: pytest.FixtureRequest) -> Path:
    """A Neovim, in each version that is supported."""
    return require(CACHE / f"neovim-{request.param}" / "bin" / "nvim")


def end_residents(runtime: Path) -> None:
    for lock in (runtime / "midfill").glob("*.lock"):
        try:
            os.kill(int(lock.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            continue


@pytest.fixture(scope="session")
def shared_runtime() -> Iterator[Path]:
    """Where the resident lives that most tests share: the scripted one, as it is by default."""
    folder = Path(tempfile.mkdtemp(prefix="mf"))
    yield folder
    end_residents(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folders of this test alone, at a short path. A resident that is left there is ended."""
    folder = Path(tempfile.mkdtemp(prefix="mf"))
    for variable in ("RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME", "DATA_HOME"):
        (folder / variable).mkdir(mode=0o700)
        monkeypatch.setenv(f"XDG_{variable}", str(folder / variable))
    (folder / "project").mkdir()
    (folder / "project" / "pyproject.toml").touch()
    yield folder
    end_residents(folder / "RUNTIME_DIR")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def resident_pid(places: Path) -> Callable[[], int]:
    return lambda: int((places / "RUNTIME_DIR" / "midfill" / "embedded.lock").read_text())


@pytest.fixture
def neovim(
    program: Path, places: Path, shared_runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Neovim]]:
    """`neovim(text)`: a Neovim with that file open, and the language server attached unless `attach=False`.

    resident: options of a scripted resident of the test's own; "shared": the one that tests share; None: the embedded
    model. options: for setup()."""
    running: list[Neovim] = []

    def start(
        text: str | bytes = "",
        *,
        resident: tuple[str, ...] | Literal["shared"] | None = "shared",
        options: dict[str, Any] | None = None,
        attach: bool = True,
        name: str = "example.py",
    ) -> Neovim:
        file = places / "project" / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        own_options = resident if isinstance(resident, tuple) else ()
        script = [sys.executable, str(REPOSITORY / "tests" / "wire" / "scripted_resident.py")]
        monkeypatch.setenv("SCRIPTED_RESIDENT", json.dumps([*script, *own_options]))
        if resident == "shared":
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared_runtime))
        setup = {"cmd": REAL_SERVER if resident is None else SCRIPTED_SERVER, **(options or {})}
        monkeypatch.setenv("MIDFILL_TEST", json.dumps({"plugin": str(PLUGIN), "setup": setup}))
        socket = places / f"nvim{len(running)}.sock"
        editor = Neovim(program, ["--clean", "-u", str(HERE / "init.lua"), str(file)], os.environ, socket)
        running.append(editor)
        if attach:
            editor.wait_until_attached()
        return editor

    yield start
    for editor in running:
        editor.close()
