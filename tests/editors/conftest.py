"""Where the editors and the checks of their plugins' code were fetched to, and folders for an editor under test."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "midfill-editors"


def require(name: str) -> Path:
    """A program in the cache. CI must have it; elsewhere its tests are skipped, by its name."""
    path = CACHE / name
    if path.exists():
        return path
    sentence = f"{path} is missing; `make test-editors` fetches it"
    if os.environ.get("CI") == "true":
        pytest.fail(sentence)
    pytest.skip(sentence)


@pytest.fixture(name="require")
def require_fixture() -> Callable[[str], Path]:
    return require


def end_residents(runtime: Path) -> None:
    for lock in (runtime / "midfill").glob("*.lock"):
        try:
            os.kill(int(lock.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            continue


@contextmanager
def private_folders() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder at a short path with a project in it, and the environment in which everything else is there too. A
    resident that is left there is ended."""
    folder = Path(tempfile.mkdtemp(prefix="mf"))
    environment = dict(os.environ)
    for variable in ("RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME", "DATA_HOME"):
        (folder / variable).mkdir(mode=0o700)
        environment[f"XDG_{variable}"] = str(folder / variable)
    (folder / "project").mkdir()
    (folder / "project" / "pyproject.toml").touch()
    yield folder, environment
    end_residents(folder / "RUNTIME_DIR")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folders() -> Iterator[tuple[Path, dict[str, str]]]:
    with private_folders() as found:
        yield found


@pytest.fixture(scope="session")
def shared_folders() -> Iterator[tuple[Path, dict[str, str]]]:
    """Those of the shared editors and of the resident that nearly all editors share."""
    with private_folders() as found:
        yield found
