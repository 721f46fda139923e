"""What a person is told when vLLM cannot be used, and what is tried again before that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from fastapi import FastAPI
from marked import request_of, wait_for
from stand_in import Serving, StandIn, create_app

from midfill.model.engine.engine import Engine
from midfill.model.families.vllm import client as vllm_client
from midfill.model.families.vllm import loading as vllm_loading
from midfill.model.families.vllm.client import vllm_address
from midfill.model.families.vllm.loading import load_vllm
from midfill.model.families.vllm.model import VllmModel
from midfill.model.wire.errors import MidfillModelError

REQUEST = request_of("x = ‹1›\n", max_tokens=4)
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_loading, "STARTING_S", 0.0)
    monkeypatch.setattr(vllm_client, "PAUSES_S", (0.01, 0.01, 0.01))


def check(load: Callable[[], VllmModel], *words: str) -> None:
    """It cannot be used, and the one sentence says these words and what to do."""
    with pytest.raises(MidfillModelError) as raised:
        load()
    sentence = str(raised.value)
    assert all(word in sentence for word in words), sentence
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")


def test_what_is_no_address(load) -> None:
    check(lambda: load("gpu-box:8000"), "'vllm:gpu-box:8000' is no address", "write vllm:http://HOST:PORT")
    assert vllm_address("vllm:https://gpu/v1/#a/b") == vllm_client.VllmAddress("https://gpu", "a/b")
    assert vllm_address("vllm:http://gpu:8000/v1").url == "http://gpu:8000"


def test_nobody_answers(load) -> None:
    check(lambda: load(NOBODY), f"Nobody answers at {NOBODY}", "start vLLM there")


def test_a_vllm_without_canvases_is_not_used(stand_in, load) -> None:
    model, url = stand_in
    model.has_canvases = False
    check(lambda: load(url), "vLLM 0.33.0", "without canvases", "serve a DiffusionGemma")


def test_another_server_is_not_used(served, load) -> None:
    check(lambda: load(served(FastAPI()).url), "is not vLLM", "give the address of a `vllm serve`")


@pytest.mark.parametrize(("wanted", "words"), [("", "name one of them behind the address"), ("#c", "not c; correct")])
def test_the_model_is_never_guessed(stand_in, load, wanted: str, words: str) -> None:
    model, url = stand_in
    model.names = ("a", "b")
    check(lambda: load(f"{url}{wanted}"), "serves a, b", words)
    assert load(f"{url}#b").info.name == "b"


def test_the_token_is_needed_and_a_new_one_needs_no_restart(stand_in, load, ask, tmp_path: Path) -> None:
    model, url = stand_in
    model.token = "new"
    model.files.append("x = 1\n")
    file = tmp_path / "token"
    check(lambda: load(url), "does not take the token", "--vllm-token-file")
    check(lambda: load(url, token_file=file), "cannot be read")
    file.write_text("old\n")
    check(lambda: load(url, token_file=file), "does not take the token")
    file.write_text("new\n")
    loaded = load(url, token_file=file)
    model.token = "newest"
    check(lambda: ask(loaded, REQUEST), "does not take the token")
    file.write_text("newest\n")
    assert ask(loaded, REQUEST)[0].candidates[0].fills[0].text == "1"


def test_a_token_does_not_travel_unencrypted(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vllm_client.TOKEN_VARIABLE, "secret")
    check(lambda: load("http://gpu-box:8000"), "unencrypted", "https://")


def test_a_certificate_of_ones_own_needs_its_authority(
    served, load, ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key, root = (tmp_path / name for name in ("chain.pem", "key.pem", "root.pem"))
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    authority.cert_pem.write_to_path(root)
    url = served(create_app(StandIn(files=["x = 1\n"])), tls=(str(chain), str(key))).url
    check(lambda: load(url), "certificate", "is not trusted", "SSL_CERT_FILE")
    monkeypatch.setenv("SSL_CERT_FILE", str(root))
    assert ask(load(url), REQUEST)[0].candidates[0].fills[0].text == "1"


def test_a_busy_vllm_is_asked_again_for_a_while(stand_in, load, ask) -> None:
    model, url = stand_in
    model.files.append("x = 1\n")
    loaded = load(url)
    model.num_busy, model.retry_after = 2, "0"
    assert ask(loaded, REQUEST)[0].candidates[0].fills[0].text == "1"
    model.num_busy = 1000
    check(lambda: ask(loaded, REQUEST), "busy or still starting (503)", "try again later")


def test_what_vllm_refuses_is_told_in_its_words(stand_in, load, ask) -> None:
    model, url = stand_in
    loaded = load(url)
    model.canvas_length = 8
    check(lambda: ask(loaded, REQUEST), "refused the request", "no larger than the served canvas")


def test_what_the_model_does_not_do_is_refused(stand_in, load, ask) -> None:
    loaded = load(stand_in[1])
    check(lambda: ask(loaded, request_of("‹a›\n" * 9, max_tokens=4)), "at most 8 together")
    check(lambda: ask(loaded, request_of(f"‹a›{'x' * 70}‹b›", max_tokens=4)), "no room", "smaller groups")
    check(lambda: ask(loaded, request_of("‹a›", instruction="sort")), "where it rewrites", "`draft`")


def test_health_tells_that_vllm_is_gone_and_back(served: Callable[..., Serving], monkeypatch: Any) -> None:
    monkeypatch.setattr("midfill.model.families.vllm.model.WATCH_S", 0.02)
    monkeypatch.setattr(vllm_loading, "STARTING_S", 60.0)
    monkeypatch.setattr(vllm_loading, "WAIT_S", 0.02)
    app = create_app(StandIn())
    first = served(app)
    first.stop()
    engine = Engine(lambda report: load_vllm(f"vllm:{first.url}", report))
    wait_for(lambda: f"Nobody answers at {first.url}; start vLLM there" in engine.health.detail)
    second = served(app, port=first.port)
    wait_for(lambda: engine.health.status == "ready")
    second.stop()
    wait_for(lambda: engine.health.status == "loading")
    assert "does not answer any more" in engine.health.detail
    served(app, port=first.port)
    wait_for(lambda: engine.health.status == "ready")
    assert engine.stop(10)
