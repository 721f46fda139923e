"""The resident as a process: starting, its one instance, its places, idling, stopping, TCP."""

import contextlib
import importlib.util
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from midfill.model.serving import serve
from midfill.model.serving.listening import ListenError, TcpBinding, check_binding, check_tls, token_of, unix_listener
from midfill.model.wire import api
from midfill.model.wire.api import Health, Problem


def post(client: httpx.Client, text: str = "x = ") -> httpx.Response:
    return client.post("/v1/infill", json={"parts": [{"text": text}, {"hole": {"id": "1"}}, {"text": " # expect: 42"}]})


def test_it_serves_privately_and_leaves_no_socket(launch) -> None:
    process = launch("--model", "embedded")
    process.wait_for_line("INFO ready")
    directory = process.socket_path.parent
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(process.socket_path.stat().st_mode) == 0o600
    assert (directory / "embedded.lock").read_text() == f"{process.popen.pid}\n"
    with process.client() as client:
        assert post(client).json()["candidates"][0]["fills"][0]["text"] == "42"
    assert process.end() == 0
    assert not process.socket_path.exists()


def test_stopping_in_the_middle_of_a_request_is_clean(launch) -> None:
    process = launch("--steps", "1000000")
    process.wait_for_line("INFO ready")
    body = {"parts": [{"hole": {"id": "1"}}], "stream": True}
    with process.client() as client, client.stream("POST", "/v1/infill", json=body) as answer:
        next(answer.iter_lines())
        assert process.end(signal.SIGINT) == 0
    assert not process.socket_path.exists()


def test_stopping_while_the_model_loads_is_clean(launch) -> None:
    process = launch("--load-s", "60")
    process.wait_for_line("INFO loading")
    assert process.end() == 0
    assert not process.socket_path.exists()


def test_a_second_one_says_who_serves_already(launch) -> None:
    first = launch("--load-s", "0.5")
    first.wait_for_line("INFO serving")
    second = launch()
    assert second.popen.wait(15) == 0
    assert second.popen.stderr.read() == f"embedded is already served by pid {first.popen.pid}.\n"
    other = launch("--socket", str(first.socket_path.with_name("other.sock")))
    other.wait_for_line("INFO ready")


def test_after_a_kill_the_next_one_takes_over_the_socket(launch) -> None:
    first = launch()
    first.wait_for_line("INFO ready")
    first.end(signal.SIGKILL)
    assert first.socket_path.exists()
    second = launch()
    second.wait_for_line("INFO ready")
    with second.client() as client:
        assert client.get("/healthz").json()["pid"] == second.popen.pid


def test_it_ends_when_idle_and_health_checks_do_not_keep_it(launch) -> None:
    process = launch("--idle-exit-s", "0.5")
    process.wait_for_line("INFO ready")
    with process.client() as client, contextlib.suppress(httpx.TransportError):
        while process.popen.poll() is None:
            client.get("/healthz")
    assert process.popen.wait(15) == 0
    assert not process.socket_path.exists()


def test_a_running_request_keeps_it_from_idling(launch) -> None:
    process = launch("--idle-exit-s", "1.5", "--steps", "20", "--step-ms", "100")
    process.wait_for_line("INFO ready")
    with process.client() as client:
        assert post(client).status_code == 200
    process.wait_for_line("nothing was asked for 1.5 s")
    assert process.popen.wait(15) == 0


def test_a_model_that_cannot_be_loaded_is_told_and_then_it_ends(launch) -> None:
    process = launch("--fail", "model.safetensors is truncated. Install it again.")
    process.wait_for_line("loading failed: model.safetensors is truncated")
    with process.client() as client:
        health = api.from_json(Health, client.get("/healthz").json())
        assert (health.status, health.detail) == ("failed", "model.safetensors is truncated. Install it again.")
        for answer in (post(client), client.get("/v1/model")):
            assert (answer.status_code, api.from_json(Problem, answer.json()).detail) == (503, health.detail)
    assert process.popen.wait(15) == 1
    assert not process.socket_path.exists()


def test_while_the_model_loads_the_progress_is_told(serve, model, ask) -> None:
    go_on = threading.Event()
    reported = threading.Event()

    def load(report):
        report(0.4, "Reading the weights.")
        reported.set()
        assert go_on.wait(10)
        return model

    resident = serve(load)
    assert reported.wait(10)
    with resident.client() as client:
        health = api.from_json(Health, client.get("/healthz").json())
        assert health == Health("loading", 0.4, "Reading the weights.", os.getpid())
        for answer in (client.post("/v1/infill", json=ask()), client.get("/v1/model")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert "40%" in api.from_json(Problem, answer.json()).detail
    go_on.set()


def test_what_stands_at_the_sockets_place_is_not_touched(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(path: Path, sentence: str) -> None:
        before = path.lstat()
        with pytest.raises(ListenError, match=sentence), unix_listener(path):
            pass
        assert path.lstat() == before

    (short_path / "file.sock").write_text("mine")
    check(short_path / "file.sock", "not a socket")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(short_path / "other.sock"))
        other.listen()
        check(short_path / "other.sock", "Another program listens")
    other_user = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other_user)
    check(short_path / "other.sock", "another user")


def test_a_place_that_cannot_be_used_is_said(short_path: Path) -> None:
    for path in (short_path / "missing" / "m.sock", short_path / ("d" * 120 + ".sock")):
        with pytest.raises(ListenError, match="cannot be"), unix_listener(path):
            pass


@pytest.mark.parametrize(
    ("binding", "refused"),
    [
        (TcpBinding("127.0.0.1", 0), None),
        (TcpBinding("localhost", 0), None),
        (TcpBinding("0.0.0.0", 0), "--token-file"),
        (TcpBinding("0.0.0.0", 0, allow_plain_http=True), "--token-file"),
        (TcpBinding("0.0.0.0", 0, Path("token")), "--tls-cert"),
        (TcpBinding("0.0.0.0", 0, Path("token"), allow_plain_http=True), None),
        (TcpBinding("0.0.0.0", 0, Path("token"), (Path("cert"), Path("key"))), None),
        (TcpBinding("256.0.0.1", 0), "not known"),
    ],
)
def test_others_are_only_served_with_a_token_and_encrypted(binding: TcpBinding, refused: str | None) -> None:
    if refused is None:
        check_binding(binding)
    else:
        with pytest.raises(ListenError, match=refused):
            check_binding(binding)


def test_loopback_tcp_needs_the_generated_token(launch, short_path: Path) -> None:
    run_on_tcp = (
        "import logging, sys; from pathlib import Path; from midfill.model.serving.listening import TcpBinding;"
        "from midfill.model.serving.serve import run; logging.basicConfig(level='INFO', format='%(message)s');"
        "import importlib.util as u;"
        f"s = u.spec_from_file_location('scripted', {str(Path(__file__).with_name('scripted_resident.py'))!r});"
        "m = u.module_from_spec(s); sys.modules['scripted'] = m; s.loader.exec_module(m);"
        "run(lambda report: m.ScriptedModel(), model_name='embedded', idle_exit_s=0, tcp=TcpBinding('127.0.0.1', 0))"
    )
    process = launch(program=["-c", run_on_tcp])
    url = process.wait_for_line(r"serving embedded at (http://127.0.0.1:\d+)")[1]
    process.wait_for_line("^ready")
    token_file = short_path / "midfill" / "embedded.token"
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    with httpx.Client(base_url=url) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            for path in ("/healthz", "/v1/model", "/metrics", "/openapi.json"):
                answer = client.get(path, headers=headers)
                assert (answer.status_code, api.from_json(Problem, answer.json()).status) == (401, 401)
        client.headers["Authorization"] = f"Bearer {token_file.read_text()}"
        assert post(client).status_code == 200


@pytest.mark.parametrize("content", [b"", b" \n", b"two words", b"\xff"])
def test_a_token_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ListenError, match="token file"):
        token_of(tmp_path / "token", tmp_path / "generated")
    assert not (tmp_path / "generated").exists()


def test_a_certificate_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")
    for certificate in ("missing.pem", "key.pem"):
        with pytest.raises(ListenError, match="certificate"):
            check_tls((tmp_path / certificate, tmp_path / "key.pem"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--port", "0", "--host", "0.0.0.0"], "--token-file"),
        (["--port", "0", "--tls-cert", "a.pem"], "both --tls-cert and --tls-key"),
        (["--port", "0", "--token-file", "missing"], "token file missing cannot be read"),
        (["--socket", "/nowhere/m.sock"], "/nowhere/m.lock cannot be opened"),
        (["--replicas", "2"], "--replicas means something with --ray only"),
        (["--port", "0", "--gpus-per-replica", "0.5"], "--gpus-per-replica means something with --ray only"),
    ],
)
def test_the_command_says_why_it_cannot_listen(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve.main(arguments) == 1
    assert sentence in capsys.readouterr().err


def test_without_the_local_packages_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else True)
    assert serve.main([]) == 3
    assert re.search(r"pip install .*\[local\]'", capsys.readouterr().err)


def test_starting_does_not_load_torch_before_it_listens() -> None:
    code = "import sys, midfill.model.serving.serve; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
