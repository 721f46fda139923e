"""A resident on another machine, over TLS: a certificate the system trusts is enough, any other is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from midfill.lsp_server.resident.resident import Resident, ResidentError
from midfill.model.wire.api import Hole, HolePart, InfillRequest, TextPart

SERVE = """
import importlib.util, logging, sys
from pathlib import Path
from midfill.model.serving.listening import TcpBinding
from midfill.model.serving.serve import run
logging.basicConfig(level="INFO", format="%(message)s")
spec = importlib.util.spec_from_file_location("scripted", sys.argv[1])
scripted = importlib.util.module_from_spec(spec)
sys.modules["scripted"] = scripted
spec.loader.exec_module(scripted)
binding = TcpBinding("127.0.0.1", 0, Path(sys.argv[2]), (Path(sys.argv[3]), Path(sys.argv[4])))
run(lambda report: scripted.ScriptedModel(), model_name="embedded", idle_exit_s=0, tcp=binding)
"""
REQUEST = InfillRequest((TextPart("x = "), HolePart(Hole("1")), TextPart("\n")))


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def endpoint(launch: Callable[..., Any], authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """`https://…` of a resident whose certificate for 127.0.0.1 the authority has signed; its token is set."""
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("MIDFILL_TOKEN", "secret")
    script = str(Path(__file__).with_name("scripted_resident.py"))
    files = [str(tmp_path / name) for name in ("token", "cert.pem", "key.pem")]
    process = launch(script, *files, program=["-c", SERVE])
    url: str = process.wait_for_line(r"serving embedded at (https://127.0.0.1:\d+)")[1]
    process.wait_for_line("^ready")
    return url


async def filled_by(endpoint: str) -> str:
    resident = Resident(endpoint)
    try:
        return (await resident.infill(REQUEST)).candidates[0].fills[0].text
    finally:
        await resident.close()


async def test_a_certificate_that_is_trusted_here_is_used(
    endpoint: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert await filled_by(endpoint) == "filled_1"


async def test_a_certificate_that_nobody_vouches_for_is_refused(endpoint: str) -> None:
    with pytest.raises(ResidentError) as refusal:
        await filled_by(endpoint)
    sentence = str(refusal.value)
    assert "is not trusted (" in sentence
    assert "SSL_CERT_FILE" in sentence
    assert "secret" not in sentence


async def test_plain_http_to_a_tls_resident_says_no_usable_answer(endpoint: str) -> None:
    with pytest.raises(ResidentError, match="No usable answer came"):
        await filled_by(endpoint.replace("https://", "http://"))
