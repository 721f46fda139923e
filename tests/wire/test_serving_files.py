"""The files of docs/SERVING.md: systemd accepts the unit, and the commands in it and in the Containerfile serve."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

ROOT = Path(__file__).parents[2]
UNIT = (ROOT / "docs/serving/midfill.service").read_text(encoding="utf-8")
CONTAINERFILE = (ROOT / "docs/serving/Containerfile").read_text(encoding="utf-8")
INSTALLED = "/opt/midfill/bin/midfill"
MIDFILL = Path(sys.executable).with_name("midfill")
PORT = "8765"
MAX_EXPOSURE = 20
"""In tenths, as `systemd-analyze security` counts: 100 is a service that may do everything."""


@dataclass(frozen=True)
class Secrets:
    """folder: the token, and a certificate for 127.0.0.1 with its key, by the given names; trust: of the authority."""

    folder: Path
    trust: ssl.SSLContext


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    for prefix in ("", "midfill-"):
        certificate.cert_chain_pems[0].write_to_path(tmp_path / f"{prefix}cert.pem")
        certificate.private_key_pem.write_to_path(tmp_path / f"{prefix}key.pem")
        (tmp_path / f"{prefix}token").write_text("secret\n")
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return Secrets(tmp_path, trust)


def values(key: str) -> list[str]:
    """What the unit sets a key to."""
    return re.findall(rf"^{key}=(.*)$", UNIT, re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's, with what follows each."""
    lines = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in lines.splitlines() if line.strip()]  # type: ignore[misc]


def instruction(name: str) -> str:
    (found,) = [rest for given, rest in instructions() if given == name]
    return found


def started(launch: Callable[..., Any], command: list[str], replaced: dict[str, str]) -> tuple[Any, str]:
    """The command, on a free port and with its paths replaced, and the URL on this machine at which it serves."""
    for old, new in replaced.items():
        command = [argument.replace(old, new) for argument in command]
    assert command[0] == INSTALLED
    command[command.index(PORT)] = "0"
    process = launch(*command[1:], program=[str(MIDFILL)])
    port = process.wait_for_line(r"serving embedded at https://0\.0\.0\.0:(\d+)")[1]
    return process, f"https://127.0.0.1:{port}"


def systemd_analyze(tmp_path: Path, *arguments: str) -> str:
    """What it says of the unit, whose program is the one that is installed here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine (Debian's package systemd has it)")
    unit = tmp_path / "midfill.service"
    unit.write_text(UNIT.replace(INSTALLED, str(MIDFILL)), encoding="utf-8")
    ran = subprocess.run(["systemd-analyze", *arguments, unit], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def test_systemd_understands_every_line_of_the_unit(tmp_path: Path) -> None:
    assert systemd_analyze(tmp_path, "verify", "--man=no") == ""


def test_the_unit_opens_little(tmp_path: Path) -> None:
    systemd_analyze(tmp_path, "security", "--offline=true", "--no-pager", f"--threshold={MAX_EXPOSURE}")


def test_the_units_command_serves_with_the_token_over_tls_and_stops_in_time(
    launch: Callable[..., Any], secrets: Secrets
) -> None:
    process, url = started(launch, shlex.split(values("ExecStart")[0]), {"%d": str(secrets.folder)})
    with httpx.Client(base_url=url, verify=secrets.trust, trust_env=False) as client:
        assert client.get("/healthz").status_code == 401
        answer = client.get("/healthz", headers={"Authorization": "Bearer secret"})
    assert answer.json()["status"] in ("loading", "ready")
    asked_s = time.monotonic()
    assert process.end() == 0
    assert time.monotonic() - asked_s < int(values("TimeoutStopSec")[0])


def test_the_units_credentials_are_those_its_command_reads() -> None:
    named = {value.partition(":")[0] for value in values("LoadCredential")}
    assert named == set(re.findall(r"%d/(\S+)", values("ExecStart")[0]))


def test_the_containers_command_serves_and_its_health_check_sees_when_it_is_ready(
    launch: Callable[..., Any], secrets: Secrets
) -> None:
    mounted = {"/run/secrets": str(secrets.folder)}
    _, url = started(launch, json.loads(instruction("ENTRYPOINT")), mounted)
    check = json.loads(instruction("HEALTHCHECK").partition(" CMD ")[2])
    here = {
        "/opt/midfill/bin/python": sys.executable,
        "/opt/midfill": str(ROOT / "docs/serving"),
        f"https://127.0.0.1:{PORT}": url,
        **mounted,
    }
    for old, new in here.items():
        check = [argument.replace(old, new) for argument in check]
    give_up_at_s = time.monotonic() + 60
    while (ran := subprocess.run(check, capture_output=True, text=True, check=False)).returncode:
        assert ran.stdout.startswith("loading: "), ran.stdout + ran.stderr
        assert time.monotonic() < give_up_at_s
        time.sleep(0.2)
    assert ran.stdout.startswith("ready: ")
    (secrets.folder / "midfill-token").write_text("another")
    refused = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (refused.returncode, "401" in refused.stdout) == (1, True)


def test_what_the_container_is_built_from_can_be_built(tmp_path: Path) -> None:
    """The copied files make a wheel, with what is installed beside it."""
    copied = [rest.split() for name, rest in instructions() if name == "COPY" and "--from" not in rest]
    for *sources, target in copied:
        for source in sources:
            place = tmp_path / (target if len(sources) == 1 and not target.endswith("/") else source)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            elif not target.startswith("/"):
                shutil.copy2(ROOT / source, place)
            else:
                assert (ROOT / source).is_file()
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", "."]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-2000:] + built.stderr[-2000:]
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (
        dict(rest.split("=") for name, rest in instructions() if name == "ARG")["EXTRAS"]
        in (project["optional-dependencies"])
    )


def test_the_container_is_not_root() -> None:
    assert instruction("USER") == re.search(r"useradd --uid (\d+)", CONTAINERFILE)[1]  # type: ignore[index]
