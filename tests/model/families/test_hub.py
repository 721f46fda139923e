"""A model by its hub name: huggingface_hub's own client against a small server that answers as a hub does."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import uvicorn
from fastapi import FastAPI, Request, Response

from midfill.model.families.hub import is_hub_id

COMMIT = "c" * 40
HIDDEN_HOST = "hub.invalid"
"""No name server knows it: who gets there was taken by a proxy."""
FILES = {
    "config.json": b'{"architectures": ["Some"]}',
    "model.safetensors": bytes(300_000),
    "chat_template.jinja": b"{{ messages }}",
    "modeling_own.py": b"print('never fetched')",
    "pytorch_model.bin": b"never fetched",
    "gguf/model.safetensors": b"never fetched",
}
PROGRAM = """
import json, sys
from midfill.model.wire.errors import CheckpointError
from midfill.model.families.hub import download
told = []
try:
    folder = download(sys.argv[1], lambda share, sentence: told.append([share, sentence]))
    print(json.dumps({"folder": str(folder), "told": told}))
except CheckpointError as error:
    print(json.dumps({"refused": str(error)}))
"""


def hub() -> FastAPI:
    app = FastAPI()

    @app.get("/api/models/{owner}/{name}/revision/{revision}")
    @app.get("/api/models/{owner}/{name}")
    def info(owner: str, name: str, revision: str = "main") -> Response:
        if name != "tiny":
            return Response(status_code=404, headers={"X-Error-Code": "RepoNotFound"})
        if revision not in ("main", COMMIT):
            return Response(status_code=404, headers={"X-Error-Code": "RevisionNotFound"})
        siblings = [{"rfilename": file} for file in FILES]
        told = {"_id": "1", "id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings}
        return Response(json.dumps(told), media_type="application/json")

    @app.get("/api/models/{owner}/{name}/tree/{revision}")
    def tree(owner: str, name: str, revision: str) -> Any:
        sizes = {file: len(content) for file, content in FILES.items()}
        return [{"type": "file", "oid": "0" * 40, "path": file, "size": size} for file, size in sizes.items()]

    @app.api_route("/{owner}/{name}/resolve/{revision}/{file:path}", methods=["GET", "HEAD"])
    def resolve(owner: str, name: str, revision: str, file: str, request: Request) -> Response:
        content = FILES[file]
        headers = {
            "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Content-Length": str(len(content)),
        }
        return Response(b"" if request.method == "HEAD" else content, headers=headers)

    return app


@contextlib.contextmanager
def served(**tls: Any) -> Iterator[int]:
    """The hub's port on this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(hub(), log_level="warning", **tls))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with served() as port:
        yield f"http://127.0.0.1:{port}"


@dataclass
class Company:
    """A network whose own authority signs: authority: its file; port: of a hub that is HIDDEN_HOST to it."""

    authority: Path
    port: int


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    certificate = authority.issue_cert("127.0.0.1", HIDDEN_HOST)
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "hub.pem")
    with served(ssl_certfile=folder / "hub.pem") as port:
        yield Company(folder / "authority.pem", port)


@contextlib.contextmanager
def proxy(target: int | None) -> Iterator[tuple[str, list[str]]]:
    """A proxy's URL, and what it is asked for: every tunnel ends at the port `target`; None: it refuses."""
    asked: list[str] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())
            while self.rfile.readline().strip():
                pass
            if target is None:
                self.wfile.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", target)) as behind:
                back = threading.Thread(target=_copy, args=(behind, self.connection))
                back.start()
                _copy(self.connection, behind)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def fetched(name: str, endpoint: str, cache: Path, **environment: str) -> dict[str, Any]:
    """In a process of its own: the client reads its environment when it is imported."""
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_TELEMETRY": "1", **environment}
    inherited = {name: value for name, value in os.environ.items() if not name.upper().endswith("_PROXY")}
    command = [sys.executable, "-P", "-c", PROGRAM, name]
    ran = subprocess.run(command, env={**inherited, **settings}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer: dict[str, Any] = json.loads(ran.stdout)
    return answer


def test_weights_are_downloaded_with_progress_and_later_found_offline(endpoint: str, tmp_path: Path) -> None:
    answer = fetched("some/tiny", endpoint, tmp_path)
    folder = Path(answer["folder"])
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        "config.json",
        "model.safetensors",
        "chat_template.jinja",
    }
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    shares = [share for share, sentence in answer["told"] if sentence.startswith("downloading some/tiny")]
    assert shares[-1] == 1.0
    offline = fetched("some/tiny", "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert offline["folder"] == answer["folder"]


@pytest.mark.parametrize(
    ("name", "place", "sentence"),
    [
        ("some/unknown", "", "There is no model some/unknown: no folder of that name, and the hub does not have it"),
        ("some/tiny@nightly", "", "The hub has some/tiny, but no revision nightly; leave `@nightly` out"),
        ("some/tiny", "http://127.0.0.1:9", "is not in the cache of this machine and the hub cannot be reached"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    endpoint: str, tmp_path: Path, name: str, place: str, sentence: str
) -> None:
    refused = fetched(name, place or endpoint, tmp_path)["refused"]
    assert sentence in refused
    assert "\n" not in refused


def test_behind_a_proxy_and_an_authority_of_its_own(company: Company, tmp_path: Path) -> None:
    """As in a company: its certificates are trusted by this machine, and the hub is reached through its proxy only."""
    with proxy(company.port) as (url, asked):
        place = f"https://{HIDDEN_HOST}"
        answer = fetched("some/tiny", place, tmp_path, HTTPS_PROXY=url, SSL_CERT_FILE=str(company.authority))
    assert (Path(answer["folder"]) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert set(asked) == {f"CONNECT {HIDDEN_HOST}:443 HTTP/1.1"}


def test_an_untrusted_hub_is_named_with_what_to_do(company: Company, tmp_path: Path) -> None:
    place = f"https://127.0.0.1:{company.port}"
    refused = fetched("some/tiny", place, tmp_path)["refused"]
    assert f"the certificate of {place} is not trusted (" in refused
    assert "SSL_CERT_FILE" in refused


def test_a_proxy_that_refuses_is_named(tmp_path: Path) -> None:
    with proxy(None) as (url, _):
        refused = fetched("some/tiny", f"https://{HIDDEN_HOST}", tmp_path, HTTPS_PROXY=url)["refused"]
    assert "the proxy on the way to https://hub.invalid refused (407 Proxy Authentication Required)" in refused


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("google/diffusiongemma-26B-A4B-it", True),
        ("owner/model@v1.0", True),
        ("embedded", False),
        ("./owner/model", False),
        ("/owner/model", False),
        ("a/b/c", False),
    ],
)
def test_what_is_a_hub_id(name: str, is_one: bool) -> None:
    assert is_hub_id(name) == is_one
