"""Requests and answers of the resident as bytes: JSON, server-sent events, problem details. Knows no connection."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from midfill.model.wire.api import Infill, InfillRequest, InvalidValueError, Problem, Step, from_json, to_json

T = TypeVar("T")


class ResidentError(Exception):
    """The resident model cannot be reached, started, or did not serve the request; the message is one sentence."""


class ResidentLostError(ResidentError):
    """The resident died while it was answering."""


class GatewayError(ResidentError):
    """What stands in front of a model (a proxy, Ray Serve) had nobody to ask, or lost whom it had asked."""


def encode_request(request: InfillRequest, stream: bool) -> bytes:
    """The request as JSON. Half a surrogate pair, which an editor can send, is no UTF-8: the model sees a `?`."""
    return json.dumps({**to_json(request), "stream": stream}, ensure_ascii=False).encode("utf-8", "replace")


EVENT_TYPES: dict[str, type[Step | Infill]] = {"step": Step, "infill": Infill}


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, bytes], None]:
    """Server-sent events as (name, data). Lines end at a line feed only: code may hold U+2028 and its like."""
    event, data, pending = "", b"", b""
    async for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in (line.removesuffix(b"\r") for line in lines):
            if not line and data:
                yield event, data
                event, data = "", b""
            elif line.startswith(b"event:"):
                event = line.removeprefix(b"event:").strip().decode("ascii", "replace")
            elif line.startswith(b"data:"):
                data += line.removeprefix(b"data:").strip()


def decode(kind: type[T], body: bytes, url: str) -> T:
    try:
        return from_json(kind, json.loads(body), "answer")
    except (InvalidValueError, ValueError):
        raise ResidentError(
            f"What answers at {url} is not a midfill model of this version; stop it or change the endpoint."
        ) from None


def problem_of(body: bytes, status: int, url: str) -> ResidentError:
    try:
        return ResidentError(from_json(Problem, json.loads(body), "problem").detail)
    except (InvalidValueError, ValueError):
        if status >= 500:
            return GatewayError(f"No model answers behind {url} (status {status}); ask again, or look after it there.")
        return ResidentError(f"What answers at {url} is not a midfill model (status {status}); check the endpoint.")
