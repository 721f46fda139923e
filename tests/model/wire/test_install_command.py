"""A command that midfill recommends installs from where this midfill came from, and can be pasted."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest

from midfill.model.wire.install_command import Origin, install_command, installed_from, reinstall_base_command

CHECKOUT, EDITABLE = Origin(Path("/a b/midfill")), Origin(Path("/a b/midfill"), is_editable=True)
WHEELS, INDEX = Origin(wheels=Path("/wheels")), Origin()
BASE = "/a b/midfill/model/base_wheel"


@pytest.mark.parametrize(
    ("origin", "extra", "expected"),
    [
        (CHECKOUT, "local", [BASE, "/a b/midfill[local]"]),
        (CHECKOUT, "adapters", [BASE, "/a b/midfill[adapters]"]),
        (CHECKOUT, "vllm", ["/a b/midfill[vllm]"]),
        (CHECKOUT, "", ["/a b/midfill"]),
        (EDITABLE, "local", [BASE, "--editable", "/a b/midfill[local]"]),
        (EDITABLE, "ws", ["--editable", "/a b/midfill[ws]"]),
        (WHEELS, "local", ["--find-links", "/wheels", "midfill[local]"]),
        (INDEX, "local", ["midfill[local]"]),
        (INDEX, "", ["midfill"]),
    ],
)
def test_install(origin: Origin, extra: str, expected: list[str]) -> None:
    assert shlex.split(origin.install(extra)) == [sys.executable, "-m", "pip", "install", *expected]
    assert shlex.split(origin.install(extra, "--upgrade"))[4:] == ["--upgrade", *expected]


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (EDITABLE, [BASE]),
        (WHEELS, ["--find-links", "/wheels", "midfill-base==0.1.2"]),
        (INDEX, ["midfill-base==0.1.2"]),
    ],
)
def test_the_base_alone_is_replaced(origin: Origin, expected: list[str]) -> None:
    assert shlex.split(origin.reinstall_base())[4:] == ["--force-reinstall", "--no-deps", *expected]


def test_an_environment_without_pip_was_made_by_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
    assert shlex.split(INDEX.install("local")) == ["uv", "pip", "install", "--python", sys.executable, "midfill[local]"]


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A checkout with the base model's folder, a folder that has none, and a wheel."""
    (tmp_path / "my checkout/model/base_wheel").mkdir(parents=True)
    (tmp_path / "old checkout").mkdir()
    (tmp_path / "midfill-0.1.0-py3-none-any.whl").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("noted", "checkout", "wheels", "is_editable"),
    [
        ({"url": "file:///HERE/my%20checkout", "dir_info": {"editable": True}}, "my checkout", None, True),
        ({"url": "file:///HERE/my%20checkout", "dir_info": {}}, "my checkout", None, False),
        ({"url": "file:///HERE/midfill-0.1.0-py3-none-any.whl", "archive_info": {}}, None, ".", False),
        ({"url": "file:///HERE/old%20checkout", "dir_info": {}}, None, None, False),
        ({"url": "file:///HERE/gone", "dir_info": {"editable": True}}, None, None, False),
        ({"url": "https://example.com/HERE/midfill.git", "vcs_info": {}}, None, None, False),
        ({"url": None}, None, None, False),
        (["no object"], None, None, False),
    ],
)
def test_where_it_came_from(
    places: Path,
    monkeypatch: pytest.MonkeyPatch,
    noted: object,
    checkout: str | None,
    wheels: str | None,
    is_editable: bool,
) -> None:
    note(places, json.dumps(noted).replace("HERE", str(places).lstrip("/")))
    monkeypatch.setattr(sys, "path", [str(places / "site")])
    expected = Origin(
        None if checkout is None else places / checkout, None if wheels is None else places / wheels, is_editable
    )
    assert installed_from() == expected
    assert install_command("local") == expected.install("local")
    assert reinstall_base_command() == expected.reinstall_base()


def test_a_note_that_is_no_json_and_none_at_all(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(places / "site")])
    assert installed_from() == INDEX
    note(places, "{")
    assert installed_from() == INDEX


def test_a_distribution_without_a_note_hides_none(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started in a checkout, Python finds its `midfill.egg-info` before the environment's own distribution."""
    (places / "midfill.egg-info").mkdir()
    (places / "midfill.egg-info/PKG-INFO").write_text("Metadata-Version: 2.1\nName: midfill\nVersion: 9\n")
    note(places, json.dumps({"url": f"file://{places}/my%20checkout", "dir_info": {}}))
    monkeypatch.setattr(sys, "path", [str(places), str(places / "site")])
    assert installed_from() == Origin(places / "my checkout")


def note(places: Path, text: str) -> None:
    """An installed midfill for which pip noted the text."""
    folder = places / "site/midfill-9.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: midfill\nVersion: 9\n")
    (folder / "direct_url.json").write_text(text)
