"""The resident's HTTP face: `/v1/infill` (plain and server-sent events), `/v1/model`, `/healthz`, `/metrics`; and what
other tools know of elsewhere, `/v1/completions` and `/infill` (`midfill.model.serving.fim`).

It reads and writes the wire types of `midfill.model.wire.api` and knows no tensor. A closed connection cancels its
request, streaming or plain. Every error is a problem document (RFC 9457) whose `detail` is a sentence for a person.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from midfill.model.engine.engine import Engine, ProblemError, Ticket
from midfill.model.serving import fim, openapi
from midfill.model.serving.metrics import Metrics
from midfill.model.wire import api
from midfill.model.wire.api import Infill, InfillRequest, ModelInfo, Step

MAX_BODY_BYTES = 8 * api.MAX_REQUEST_CHARS

log = logging.getLogger("midfill.model")


def create_app(engine: Engine, token: str | None = None) -> FastAPI:
    """The app in front of `engine`. With a token every request must carry it (`Authorization: Bearer ...`)."""
    app = FastAPI(title="midfill resident model", version=str(api.WIRE_VERSION), docs_url=None, redoc_url=None)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)
    if token is not None:
        app.add_middleware(_RequireToken, token=token)
    metrics = Metrics(lambda: engine.num_unfinished)

    @app.post("/v1/infill", summary="Fill the holes of a text", openapi_extra=openapi.INFILL)
    async def infill(request: Request) -> Response:
        asked = _parse_request(_parse_json(await _read_body(request)))
        answers = _answers(request, engine.submit(asked), metrics)
        if asked.stream:
            return await _as_events(answers)
        async with aclosing(answers):
            async for item in answers:
                return JSONResponse(api.to_json(item))
        return Response(status_code=499)  # the caller has closed the connection

    @app.post(fim.COMPLETIONS, summary="Fill in the middle, in OpenAI's shape", openapi_extra=openapi.FIM)
    async def completions(request: Request) -> Response:
        return await fill_in_the_middle(request, fim.completions_request)

    @app.post(fim.INFILL, summary="Fill in the middle, in llama.cpp's shape", openapi_extra=openapi.FIM)
    async def llama_infill(request: Request) -> Response:
        return await fill_in_the_middle(request, fim.infill_request)

    async def fill_in_the_middle(request: Request, parse: Callable[[object, ModelInfo], fim.FimRequest]) -> Response:
        body = _parse_json(await _read_body(request))
        with _invalid_request():
            asked = parse(body, engine.info)
        async with aclosing(_answers(request, engine.submit(asked.infill), metrics)) as answers:
            async for item in answers:
                assert isinstance(item, Infill)  # it asked for no steps
                return _as_chunks(fim.chunks(asked, item)) if asked.stream else JSONResponse(fim.answer(asked, item))
        return Response(status_code=499)

    @app.get("/v1/model", summary="The served model's card", openapi_extra=openapi.MODEL)
    async def model() -> Response:
        return JSONResponse(api.to_json(engine.info))

    @app.get("/healthz", summary="Loading, ready or failed", openapi_extra=openapi.HEALTH)
    async def healthz() -> Response:
        return JSONResponse(api.to_json(engine.health))

    @app.get("/metrics", summary="Counters in Prometheus' text format", openapi_extra=openapi.METRICS)
    async def prometheus() -> Response:
        return Response(metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return app


async def _answers(request: Request, ticket: Ticket, metrics: Metrics) -> AsyncGenerator[Step | Infill, None]:
    """The ticket's items; cancels it when the caller closes the connection, and counts how it ended."""
    watcher = asyncio.create_task(_cancel_when_closed(request, ticket))
    outcome = "cancelled"
    try:
        async for item in ticket:
            if isinstance(item, Infill):
                outcome = item.stop_reason
                metrics.count_answer(ticket.request, item.usage)
            yield item
    except ProblemError as error:
        outcome = "refused" if error.problem.status < 500 else "failed"
        raise
    finally:
        watcher.cancel()
        ticket.cancel()
        metrics.count_outcome(ticket.request, outcome)
        asked = ticket.request
        log.info("%s request: %d holes, %d candidates: %s", asked.priority, len(asked.holes), asked.candidates, outcome)


async def _cancel_when_closed(request: Request, ticket: Ticket) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ticket.cancel()


async def _as_events(answers: AsyncGenerator[Step | Infill, None]) -> Response:
    """Server-sent events. A request that fails before its first item is answered with the problem's own status."""
    first = await anext(answers, None)
    if first is None:
        return Response(status_code=499)

    async def events() -> AsyncIterator[bytes]:
        async with aclosing(answers):
            try:
                yield _event(first)
                async for item in answers:
                    yield _event(item)
            except ProblemError as error:
                yield _event(error.problem)

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


def _as_chunks(chunks: list[dict[str, Any] | str]) -> Response:
    texts = [chunk if isinstance(chunk, str) else json.dumps(chunk, separators=(",", ":")) for chunk in chunks]
    content = "".join(f"data: {text}\n\n" for text in texts)
    return Response(content, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _event(item: Step | Infill | api.Problem) -> bytes:
    name = {Step: "step", Infill: "infill", api.Problem: "error"}[type(item)]
    # ASCII only: some readers of event streams break lines at U+2028, NEL or a form feed.
    return f"event: {name}\ndata: {json.dumps(api.to_json(item), separators=(',', ':'))}\n\n".encode("ascii")


async def _read_body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "0")
    too_large = ProblemError(
        "body-too-large",
        413,
        "The request is too large",
        f"The body may have {MAX_BODY_BYTES} bytes. Send less text around the holes.",
    )
    if announced.isdecimal() and int(announced) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise too_large
    except ClientDisconnect:
        detail = "The connection was closed before the whole body had come. Send it again."
        raise ProblemError("body-truncated", 400, "The request is incomplete", detail) from None
    return bytes(body)


def _parse_json(body: bytes) -> Any:
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # a lone surrogate is JSON but not text
    except (ValueError, RecursionError) as error:
        place = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "its text"
        detail = f"The body is not JSON in UTF-8 (at {place}). Send one JSON object; /openapi.json describes it."
        raise ProblemError("not-json", 400, "The body is not JSON", detail) from None
    return data


def _parse_request(data: Any) -> InfillRequest:
    with _invalid_request():
        return api.from_json(InfillRequest, data)


@contextmanager
def _invalid_request() -> Iterator[None]:
    try:
        yield
    except api.InvalidValueError as error:
        raise ProblemError("invalid-request", 422, "The request is not valid", f"{error}.") from None


class _RequireToken:
    """Answers 401 to every request without the bearer token. A plain ASGI layer, so that disconnects pass through."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_lifespan = scope["type"] == "lifespan"  # the server's own, not a request: it has no headers
        given = b"" if is_lifespan else dict(scope["headers"]).get(b"authorization", b"")
        if is_lifespan or hmac.compare_digest(given, self._expected):
            await self._app(scope, receive, send)
            return
        detail = "This server needs its token. Send the header `Authorization: Bearer TOKEN`."
        problem = ProblemError("unauthorized", 401, "The token is missing or wrong", detail)
        await _problem_response(problem)(scope, receive, send)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return _problem_response(error)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    title = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.url.path} is not served here; /openapi.json lists what is."
    return _problem_response(ProblemError("not-served", error.status_code, title, detail))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    detail = "The server failed on this request; its log says where. Please report it."
    return _problem_response(ProblemError("server-failed", 500, "The server failed", detail))


def _problem_response(error: ProblemError) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.problem.status == 401 else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    problem = error.problem
    # `error` is where the tools that send `/v1/completions` and `/infill` look for the sentence
    kind = "invalid_request_error" if problem.status < 500 else "server_error"
    body = {
        **api.to_json(problem),
        "error": {"message": problem.detail, "type": kind, "param": None, "code": problem.status},
    }
    return JSONResponse(body, error.problem.status, headers, media_type="application/problem+json")
