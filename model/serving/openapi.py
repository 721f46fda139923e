"""The OpenAPI document: derived from the wire types of `midfill.model.wire.api`, which stay the only definition."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from midfill.model.wire.api import Health, Infill, InfillRequest, ModelInfo, Problem, Step

_TEMPLATE = "#/components/schemas/{model}"
_WIRE_TYPES = (InfillRequest, Infill, Step, ModelInfo, Health, Problem)

_EXAMPLE = {
    "parts": [
        {"text": "def mean(values):\n    return "},
        {"hole": {"id": "1", "max_tokens": 32}},
        {"text": "\n"},
    ],
    "language": "python",
}


def _reference(kind: type) -> dict[str, Any]:
    return {"schema": {"$ref": _TEMPLATE.format(model=kind.__name__)}}


def _answer(description: str, kind: type) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": _reference(kind)}}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/problem+json": _reference(Problem)}}


_NOT_READY = _problem("The model is loading (with Retry-After), could not be loaded, or is busy.")
_EVENTS = (
    "With `stream`: `event: step` with a Step after every denoising step, then `event: infill` with the Infill, "
    "or `event: error` with a Problem. Closing the connection cancels the request within one step."
)

INFILL: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {**_reference(InfillRequest), "example": _EXAMPLE}},
    },
    "responses": {
        "200": {
            "description": f"The answer. {_EVENTS}",
            "content": {
                "application/json": _reference(Infill),
                "text/event-stream": {
                    "schema": {"oneOf": [_reference(kind)["schema"] for kind in (Step, Infill, Problem)]}
                },
            },
        },
        "400": _problem("The body is not JSON, or incomplete."),
        "413": _problem("The body is too large."),
        "422": _problem("A field breaks a rule (the detail names it), or this model cannot serve the request."),
        "500": _problem("The model failed on this request."),
        "503": _NOT_READY,
    },
}
FIM: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    "responses": {
        "200": {
            "description": "The fill, in that server's shape; with `stream`, as events, the whole text in one.",
            "content": {"application/json": {}, "text/event-stream": {}},
        },
        **{status: INFILL["responses"][status] for status in ("400", "413", "422", "500", "503")},
    },
}
MODEL: dict[str, Any] = {"responses": {"200": _answer("The card.", ModelInfo), "503": _NOT_READY}}
HEALTH: dict[str, Any] = {"responses": {"200": _answer("How far the model is.", Health)}}
METRICS: dict[str, Any] = {"responses": {"200": {"description": "Counters.", "content": {"text/plain": {}}}}}


def document(app: FastAPI) -> dict[str, Any]:
    """The app's OpenAPI document with a schema for every wire type."""
    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    adapters = [(kind.__name__, "validation", TypeAdapter(kind)) for kind in _WIRE_TYPES]
    _, definitions = TypeAdapter.json_schemas(adapters, ref_template=_TEMPLATE)  # type: ignore[arg-type]
    schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    return schema
