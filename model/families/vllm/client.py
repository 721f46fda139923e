"""The HTTP connection to a `vllm serve`: its token, whose certificates are trusted, what is tried again, and one
sentence for each way in which it cannot be had.

Closing a request closes its connection, which ends it in vLLM too. Knows nothing of canvases.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from midfill.model.wire.address import VLLM_SCHEME
from midfill.model.wire.certificates import WHAT_TO_DO, trusted_by_the_system, why_untrusted
from midfill.model.wire.errors import MidfillModelError

TOKEN_VARIABLE = "MIDFILL_VLLM_TOKEN"
CONNECT_TIMEOUT_S = 5.0
SILENCE_S = 120.0
"""How long vLLM may send nothing: a canvas takes a second or two, a queue before it longer."""
KEPT_CONNECTION_S = 3.0
PAUSES_S = (0.2, 0.5, 1.0)
"""Between the tries of a request that vLLM has certainly not begun: refused connections, 429 and 503."""
LONGEST_RETRY_AFTER_S = 5.0

Body = dict[str, Any]


class VllmError(MidfillModelError):
    """vLLM cannot be used as it is; the message says why and what to do."""

    status = 502
    title = "vLLM cannot be used"


class VllmUnreachableError(VllmError):
    """Nobody answers, or not now: the same may work later."""

    status = 503
    title = "vLLM is not reachable"


class VllmRefusedError(VllmError):
    """vLLM read the request and does not serve it; `reason` is its own sentence."""

    status = 422
    title = "vLLM refused the request"

    def __init__(self, url: str, reason: str) -> None:
        self.reason = reason.partition(" (parameter=")[0].rstrip(".")
        super().__init__(f"vLLM at {url} refused the request: {self.reason}.")


@dataclass(frozen=True, slots=True)
class VllmAddress:
    """Where vLLM is. model: the name it serves the model under, None for the only one."""

    url: str
    model: str | None = None


def vllm_address(name: str) -> VllmAddress:
    """Of `vllm:http://host:8000`, with `#model` behind it where more than one is served. Raises VllmError."""
    place, _, model = name.removeprefix(VLLM_SCHEME).partition("#")
    split = urlsplit(place)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise VllmError(
            f"{name!r} is no address of a vLLM; write {VLLM_SCHEME}http://HOST:PORT or {VLLM_SCHEME}https://HOST."
        )
    return VllmAddress(place.rstrip("/").removesuffix("/v1"), model or None)


class VllmClient:
    """Use it on one event loop. token_file: read anew for every request, so that a new token needs no restart."""

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        self.url, self._token_file = url, token_file
        is_local = _is_loopback(url)
        if self._token() and url.startswith("http:") and not is_local:
            raise VllmError(f"The token would travel unencrypted to {url}; use https:// or an SSH tunnel.")
        self._http = httpx.AsyncClient(
            base_url=url,
            verify=trusted_by_the_system() if url.startswith("https:") else True,
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_CONNECTION_S),
            trust_env=not is_local,
        )

    async def get(self, path: str) -> Any:
        async with self._answer("GET", path) as answer:
            return await self._json(answer)

    async def post(self, path: str, body: Body) -> Any:
        async with self._answer("POST", path, body) as answer:
            return await self._json(answer)

    async def stream(self, path: str, body: Body) -> AsyncGenerator[Body, None]:
        """The chunks of a streamed answer."""
        async with self._answer("POST", path, body) as answer:
            try:
                async for line in answer.aiter_lines():
                    if line.startswith("data: ") and line != "data: [DONE]":
                        chunk = json.loads(line.removeprefix("data: "))
                        if "error" in chunk:
                            raise VllmError(f"vLLM at {self.url} failed: {_told(chunk)}; its log says more.")
                        yield chunk
            except httpx.TransportError as error:
                raise self._unreachable(error) from None
            except ValueError:
                raise self._not_vllm("its stream is not JSON") from None

    async def is_up(self) -> bool:
        """Whether vLLM says that it can answer."""
        try:
            answer = await self._http.get("/health", headers=self._headers(), timeout=CONNECT_TIMEOUT_S)
            return answer.status_code == 200
        except (httpx.TransportError, VllmError):
            return False

    @asynccontextmanager
    async def _answer(self, method: str, path: str, body: Body | None = None) -> AsyncIterator[httpx.Response]:
        answer = await self._sent(method, path, body)
        try:
            if answer.status_code != 200:
                raise await self._problem(answer)
            yield answer
        finally:
            await answer.aclose()

    async def _sent(self, method: str, path: str, body: Body | None) -> httpx.Response:
        for pause_s in (*PAUSES_S, None):
            request = self._http.build_request(method, path, json=body, headers=self._headers())
            try:
                answer = await self._http.send(request, stream=True)
            except httpx.ConnectError as error:
                if pause_s is None or why_untrusted(error):
                    raise self._unreachable(error) from None
                await asyncio.sleep(pause_s)
            except httpx.TransportError as error:
                raise self._unreachable(error) from None
            else:
                if answer.status_code not in (429, 503) or pause_s is None:
                    return answer
                await answer.aclose()
                await asyncio.sleep(_retry_after_s(answer, pause_s))
        raise AssertionError("the last try returns or raises")

    async def _json(self, answer: httpx.Response) -> Any:
        try:
            return json.loads(await answer.aread())
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        except ValueError:
            raise self._not_vllm(f"its {answer.request.url.path} is not JSON") from None

    async def _problem(self, answer: httpx.Response) -> VllmError:
        status, path = answer.status_code, answer.request.url.path
        try:
            told = _told(json.loads(await answer.aread()))
        except (ValueError, httpx.TransportError):
            told = ""
        if status in (401, 403):
            return VllmError(
                f"vLLM at {self.url} does not take the token; put the one of its --api-key into the file of "
                f"--vllm-token-file, or into {TOKEN_VARIABLE}."
            )
        if status in (429, 503):
            return VllmUnreachableError(f"vLLM at {self.url} is busy or still starting ({status}); try again later.")
        if status >= 500:
            return VllmError(f"vLLM at {self.url} failed ({status}: {told or 'no reason'}); its log says more.")
        if told and status in (400, 404, 422):
            return VllmRefusedError(self.url, told)
        return self._not_vllm(f"{path} gave {status}")

    def _unreachable(self, error: Exception) -> VllmError:
        if reason := why_untrusted(error):
            return VllmError(f"The certificate of {self.url} is not trusted ({reason}); {WHAT_TO_DO}.")
        if isinstance(error, httpx.ReadTimeout):
            return VllmUnreachableError(f"vLLM at {self.url} has sent nothing for {SILENCE_S:.0f} s; look at its log.")
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return VllmUnreachableError(f"Nobody answers at {self.url}; start vLLM there, or correct the address.")
        return VllmUnreachableError(f"The connection to vLLM at {self.url} broke off; look at its log, then try again.")

    def _not_vllm(self, what: str) -> VllmError:
        return VllmError(f"What answers at {self.url} is not vLLM ({what}); give the address of a `vllm serve`.")

    def _headers(self) -> dict[str, str]:
        token = self._token()
        return {"authorization": f"Bearer {token}"} if token else {}

    def _token(self) -> str | None:
        if self._token_file is None:
            return os.environ.get(TOKEN_VARIABLE) or None
        try:
            return self._token_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise VllmError(f"The token file {self._token_file} cannot be read ({error}); correct the path.") from None


def _told(answer: Any) -> str:
    """The sentence of an error of vLLM's, empty where there is none."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _retry_after_s(answer: httpx.Response, pause_s: float) -> float:
    """What the server asks for, in seconds, within reason; a date counts as nothing asked for."""
    asked = answer.headers.get("retry-after", "")
    return min(float(asked), LONGEST_RETRY_AFTER_S) if asked.isdecimal() else pause_s


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
