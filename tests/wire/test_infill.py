"""What a front sees of `/v1/infill`: answers, events, errors, cancellation, priorities."""

import json
import socket
from typing import Any

import httpx
import pytest

from midfill.model.wire import api
from midfill.model.wire.api import Infill, InfillRequest, Problem, Step


def events_of(answer: httpx.Response) -> list[tuple[str, Any]]:
    events = []
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            events.append((value, None))
        elif name == "data":
            events[-1] = (events[-1][0], json.loads(value))
    return events


def test_a_plain_answer(resident, ask) -> None:
    resident.model.allow()
    with resident.client() as client:
        answer = client.post("/v1/infill", json=ask())
    infill = api.from_json(Infill, answer.json())
    assert answer.status_code == 200
    assert infill.candidates[0].fills[0].text == "\u2028é\x0b\n😀"
    assert infill.usage.forward_passes == 5
    assert 0 <= infill.usage.queue_ms <= infill.usage.total_ms


def test_a_streamed_answer_tells_every_step(resident, ask) -> None:
    resident.model.allow()
    with resident.client() as client, client.stream("POST", "/v1/infill", json=ask(stream=True)) as answer:
        events = events_of(answer)
    assert [name for name, _ in events] == ["step"] * 5 + ["infill"]
    assert [api.from_json(Step, data).step for _, data in events[:-1]] == [1, 2, 3, 4, 5]
    assert api.from_json(Infill, events[-1][1]).candidates[0].fills[0].text == "\u2028é\x0b\n😀"


def test_a_step_arrives_before_the_next_is_run(resident, ask) -> None:
    with resident.client() as client:
        resident.model.allow(1)
        with client.stream("POST", "/v1/infill", json=ask(stream=True)) as answer:
            assert next(answer.iter_lines()) == "event: step"
            resident.model.allow()


@pytest.mark.parametrize("stream", [False, True])
def test_a_closed_connection_stops_the_engine_within_one_step(resident, ask, stream: bool) -> None:
    resident.model.allow(2)
    connection = resident.send(json.dumps(ask(stream=stream)).encode())
    resident.model.wait_for_step(3)
    connection.close()
    resident.wait_for_metric('midfill_requests_total{outcome="cancelled",priority="edit"} 1.0')
    resident.model.allow()
    assert resident.model.closed.wait(10)
    assert resident.model.units == ["a1", "a2", "a3"]
    resident.wait_for_metric("midfill_running_requests 0.0")


def test_an_inline_request_overtakes_edits(resident, ask) -> None:
    connections = [resident.send(json.dumps(ask("a")).encode())]
    resident.model.wait_for_step()
    for num_running, (path, priority) in enumerate([("b", "edit"), ("x", "inline")], start=2):
        connections.append(resident.send(json.dumps(ask(path, priority)).encode()))
        resident.wait_for_metric(f"midfill_running_requests {num_running}.0")
    resident.model.allow()
    for connection in connections:
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
        connection.close()
    assert " ".join(resident.model.units) == "a1 x1 x2 x3 x4 x5 b1 a2 b2 a3 b3 a4 b4 a5 b5"


HOLE = {"hole": {"id": "1"}}


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"{", 400, "line 1, column 2"),
        (b"", 400, "JSON"),
        (b"\xff\xfe\x00", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (json.dumps({"parts": [{"text": "\ud800"}, HOLE]}).encode(), 400, "UTF-8"),
        (b"[]", 422, "request must be an object"),
        (b"{}", 422, "request.parts is missing"),
        (json.dumps({"parts": []}).encode(), 422, "at least one hole"),
        (json.dumps({"parts": [{"tex": "a"}]}).encode(), 422, "request.parts[0] must be {text: ...} or {hole: ...}"),
        (json.dumps({"parts": [HOLE], "candidates": "3"}).encode(), 422, "request.candidates must be a whole number"),
        (json.dumps({"parts": [HOLE], "candidates": 99}).encode(), 422, "candidates must be from 0 to"),
        (
            json.dumps({"parts": [HOLE], "priority": "now"}).encode(),
            422,
            "priority must be one of inline, edit",
        ),
        (json.dumps({"parts": [HOLE, HOLE]}).encode(), 422, "different for every hole"),
        (json.dumps({"parts": [HOLE, {"hole": {"id": "2"}}]}).encode(), 422, "one hole at a time"),
        (json.dumps({"parts": [HOLE, {"hole": {"id": "2"}}], "stream": True}).encode(), 422, "one hole at a time"),
        (b" " * (8 * api.MAX_REQUEST_CHARS + 1), 413, "Send less text"),
    ],
)
def test_a_request_that_cannot_be_served_is_answered_with_a_sentence(
    resident, body: bytes, status: int, sentence: str
) -> None:
    with resident.client() as client:
        answer = client.post("/v1/infill", content=body)
    problem = api.from_json(Problem, answer.json())
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem.status) == (status, status)
    assert sentence in problem.detail
    assert resident.model.units == []


def test_a_body_too_large_is_refused_even_when_its_length_is_not_announced(resident) -> None:
    with resident.client() as client:
        chunks = (b" " * 1_000_000 for _ in range(40))
        assert client.post("/v1/infill", content=chunks).status_code == 413


def test_a_truncated_body_runs_nothing(resident, ask) -> None:
    body = json.dumps(ask()).encode()
    connection = resident.send(body[:-10], content_length=len(body))
    connection.shutdown(socket.SHUT_WR)
    assert b"200" not in connection.recv(1000)
    connection.close()
    resident.model.allow()
    with resident.client() as client:
        assert client.post("/v1/infill", json=ask("next")).status_code == 200
    assert resident.model.units == [f"next{step}" for step in range(1, 6)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_in_the_middle_is_told_and_the_next_request_served(resident, ask, stream: bool) -> None:
    resident.model.allow()
    with resident.client() as client:
        answer = client.post("/v1/infill", json=ask("break", stream=stream))
        if stream:
            names, datas = zip(*events_of(answer), strict=True)
            assert names == ("step", "error")
        else:
            assert answer.status_code == 500
            datas = (answer.json(),)
        assert "RuntimeError" in api.from_json(Problem, datas[-1]).detail
        assert client.post("/v1/infill", json=ask()).status_code == 200


def test_the_card_the_metrics_and_unknown_places(resident, ask) -> None:
    resident.model.allow()
    with resident.client() as client:
        assert api.from_json(api.ModelInfo, client.get("/v1/model").json()) == resident.model.info
        assert client.post("/v1/infill", json=ask("a", "inline")).status_code == 200
        metrics = client.get("/metrics").text.splitlines()
        for method, path, status in [("GET", "/v2", 404), ("GET", "/v1/infill", 405)]:
            answer = client.request(method, path)
            assert (answer.status_code, api.from_json(Problem, answer.json()).status) == (status, status)
    for line in [
        'midfill_requests_total{outcome="closed",priority="inline"} 1.0',
        "midfill_forward_passes_total 5.0",
        "midfill_canvas_tokens_total 64.0",
        "midfill_context_tokens_total 10.0",
        "midfill_cached_tokens_total 5.0",
        "midfill_fill_tokens_total 4.0",
        'midfill_request_seconds_count{priority="inline"} 1.0',
        "midfill_running_requests 0.0",
    ]:
        assert line in metrics


def test_the_openapi_document_describes_every_field_of_the_wire(resident) -> None:
    with resident.client() as client:
        document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    of_other_tools = {"/v1/completions", "/infill"}
    assert set(document["paths"]) == {"/v1/infill", "/v1/model", "/healthz", "/metrics"} | of_other_tools
    for kind in (InfillRequest, Infill, Step, api.ModelInfo, api.Health, Problem, api.Hole, api.Fill, api.Usage):
        assert set(schemas[kind.__name__]["properties"]) == set(kind.__dataclass_fields__)
    referred = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {reference.partition('"')[0] for reference in referred} <= set(schemas)
    body = document["paths"]["/v1/infill"]["post"]["requestBody"]["content"]["application/json"]
    assert api.from_json(InfillRequest, body["example"]).holes[0].max_tokens == 32
