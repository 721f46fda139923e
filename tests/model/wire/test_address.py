import os
from pathlib import Path

import pytest

from midfill.model.wire import address
from midfill.model.wire.address import Address, AddressError


@pytest.fixture
def runtime(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own, short XDG_RUNTIME_DIR."""
    directory = tmp_path_factory.mktemp("r")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    monkeypatch.delenv("MIDFILL_TOKEN", raising=False)
    return directory


def test_the_directory_is_private_and_found_again(runtime: Path) -> None:
    directory = address.resident_directory()
    assert directory == runtime / "midfill"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert address.resident_directory() == directory


def test_without_a_runtime_directory_each_user_has_one_of_their_own(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime / "missing"))
    monkeypatch.setattr("tempfile.tempdir", str(runtime))
    assert address.resident_directory() == runtime / f"midfill-{os.getuid()}"


def test_a_directory_that_others_may_enter_is_refused(runtime: Path) -> None:
    address.resident_directory().chmod(0o755)
    with pytest.raises(AddressError, match="chmod 700"):
        address.resident_socket("embedded")


@pytest.mark.parametrize("kind", ["file", "link", "foreign"])
def test_what_is_not_an_own_directory_is_refused(runtime: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = runtime / "midfill"
    if kind == "file":
        place.write_text("mine")
    elif kind == "link":
        (runtime / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(runtime / "elsewhere")
    else:
        place.mkdir(mode=0o700)
        monkeypatch.setattr("tempfile.tempdir", str(runtime))
        other = os.getuid() + 1
        (runtime / f"midfill-{other}").mkdir(mode=0o700)
        monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(AddressError):
        address.resident_directory()


def test_models_have_places_of_their_own(runtime: Path) -> None:
    names = [
        "embedded",
        "google/diffusiongemma-26B-A4B-it",
        "Google/diffusiongemma-26B-A4B-it",
        "./a/m",
        "./b/m",
    ]
    assert len({address.resident_socket(name) for name in names}) == len(names)
    assert address.resident_socket("embedded").name == "embedded.sock"
    assert address.lock_path("embedded") == address.resident_socket("embedded").with_suffix(".lock")


def test_a_checkpoint_path_means_the_same_from_every_directory(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runtime)
    assert address.resident_socket("./weights") == address.resident_socket(str(runtime / "weights"))


def test_a_socket_path_that_is_too_long_is_refused(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = runtime / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    with pytest.raises(AddressError, match="103"):
        address.resident_socket("embedded")


def test_the_log_is_in_the_state_directory(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(runtime / "state"))
    assert address.log_path("embedded") == runtime / "state" / "midfill" / "embedded.log"
    assert (runtime / "state" / "midfill").is_dir()


def test_endpoints(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(endpoint: str | None, expected: Address) -> None:
        assert address.address_of(endpoint, "embedded") == expected

    check(None, Address("http://midfill", str(runtime / "midfill" / "embedded.sock")))
    check("unix:/run/m.sock", Address("http://midfill", "/run/m.sock"))
    check("http://127.0.0.1:80/", Address("http://127.0.0.1:80"))
    address.token_path("embedded").write_text("generated\n")
    check("http://127.0.0.1:80", Address("http://127.0.0.1:80", token="generated"))
    check("https://box:8443", Address("https://box:8443"))
    monkeypatch.setenv("MIDFILL_TOKEN", "given")
    check("https://box:8443", Address("https://box:8443", token="given"))
    check("http://localhost:80", Address("http://localhost:80", token="given"))


@pytest.mark.parametrize("endpoint", ["", "box:80", "ftp://box", "http://", "unix:/" + "d" * 103])
def test_what_is_no_endpoint_is_said(runtime: Path, endpoint: str) -> None:
    with pytest.raises(AddressError):
        address.address_of(endpoint, "embedded")
