"""`midfill serve --ray` on one machine: what it serves, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from ray.serve.schema import ServeDeploySchema

from midfill.lsp_server.resident.resident import Resident
from midfill.model.serving import serve
from midfill.model.serving.cluster import application
from midfill.model.wire.api import Hole, HolePart, InfillRequest, InvalidValueError, TextPart

HERE = Path(__file__).parent
CONFIGURATION = HERE.parents[1] / "docs" / "serving" / "cluster.yaml"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--socket", "/tmp/m.sock"], "no --socket"),
        (["--idle-exit-s", "9"], "no --socket, --idle-exit-s"),
        (["--port", "0"], "one TCP port of every node"),
        (["--host", "0.0.0.0"], "--token-file"),
        (["--cluster", "auto"], "--token-file"),
        (["--token-file", "missing"], "token file missing cannot be read"),
        (["--replicas", "0"], "replicas must be at least 1, got 0"),
        (["--replicas", "3", "--max-replicas", "2"], "max_replicas must be at least replicas, got 2"),
        (["--gpus-per-replica", "-1"], "gpus_per_replica must be at least 0"),
    ],
)
def test_what_cannot_be_is_said_before_ray_starts(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(variable, "")  # and put back: they are set for Ray
    assert serve.main(["--ray", *arguments]) == 1
    assert sentence in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve.main(["--ray", "--port", str(taken.getsockname()[1])]) == 1
    assert "Cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_without_ray_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    assert serve.main(["--ray"]) == 3
    assert re.search(r"pip install .*\[scale\]'", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"replica": 2}, "args has no replica"),
        ({"replicas": "two"}, r"args\.replicas must be a whole number"),
        ({"model": {"precision": "float16"}}, r"args\.model\.precision must be one of"),
    ],
)
def test_a_configuration_with_a_mistake_is_refused(args: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValueError, match=sentence):
        application(args)


def test_the_configuration_in_the_documents_is_one() -> None:
    given = yaml.safe_load(CONFIGURATION.read_text())
    for certificate in ("ssl_certfile", "ssl_keyfile"):  # Ray looks for the files
        given["http_options"].pop(certificate)
    (deployed,) = ServeDeploySchema.model_validate(given).applications
    assert deployed.import_path == f"{application.__module__}:{application.__name__}"
    application(deployed.args)


async def test_it_serves_over_tls_and_ends(
    start_midfill: Any, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    tls = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    program, url = start_midfill(*tls)
    monkeypatch.setenv("MIDFILL_TOKEN", token)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    resident = Resident(url)
    try:
        request = InfillRequest((TextPart("x = "), HolePart(Hole("1", single_line=True)), TextPart("\n")))
        assert (await resident.infill(request)).candidates
    finally:
        await resident.close()
    assert program.end() == 0


def test_a_model_that_cannot_be_loaded_is_said(start_midfill: Any) -> None:
    program, _ = start_midfill("--model", "/nowhere/model", wait=False)
    program.wait_for("The model could not be loaded: There is no model '/nowhere/model'")
    assert program.process.wait(60) == 1


def test_more_than_there_is_is_said(start_midfill: Any) -> None:
    program, _ = start_midfill("--gpus-per-replica", "64", wait=False)
    program.wait_for("1 replicas with 64 GPU each do not fit")
    assert program.process.wait(60) == 1
