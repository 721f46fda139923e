"""The HTTP connection to a resident: socket or network, whose certificates are trusted, and why it cannot be had.

`httpx` is imported at the first connection, never with this module: a language server answers `initialize` without it.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import typing
from typing import Any

from midfill.lsp_server.resident.loopback import is_loopback_url
from midfill.model.wire.address import Address
from midfill.model.wire.certificates import WHAT_TO_DO, trusted_by_the_system, why_untrusted

if typing.TYPE_CHECKING:
    import httpx

# Below uvicorn's own five seconds: a kept connection is never used at the moment in which the server closes it.
KEPT_CONNECTION_S = 3.0
CONNECT_TIMEOUT_S = 5.0


async def import_httpx() -> Any:
    """`httpx`, imported in a thread at its first use: it takes a quarter of a second."""
    if "httpx" in sys.modules:
        return sys.modules["httpx"]
    return await asyncio.to_thread(importlib.import_module, "httpx")


async def open_client(address: Address) -> httpx.AsyncClient:
    """A client for one resident. Nothing is sent yet.

    This machine is reached directly. Another one is reached through the proxy that the environment names, and its
    certificate is checked against what the operating system trusts (on Linux SSL_CERT_FILE and SSL_CERT_DIR too)."""
    library = await import_httpx()
    limits = library.Limits(max_connections=None, keepalive_expiry=KEPT_CONNECTION_S)
    is_local = address.socket_path is not None or is_loopback_url(address.url)
    verify = trusted_by_the_system() if address.url.startswith("https:") else True
    transport = library.AsyncHTTPTransport(uds=address.socket_path, limits=limits, verify=verify) if is_local else None
    client: httpx.AsyncClient = library.AsyncClient(
        transport=transport,
        base_url=address.url,
        headers={"authorization": f"Bearer {address.token}"} if address.token else {},
        limits=limits,
        timeout=library.Timeout(None, connect=CONNECT_TIMEOUT_S),
        trust_env=not is_local,
        verify=verify,
    )
    return client


def why_unreachable(error: Exception, place: str, advice: str) -> str:
    """One sentence for a transport error of `httpx`; advice: what to do where the certificate is not at fault."""
    if reason := why_untrusted(error):
        return f"The certificate of {place} is not trusted ({reason}); {WHAT_TO_DO}."
    is_refused = type(error).__name__ in {"ConnectError", "ConnectTimeout"}
    return f"{'Nobody answers' if is_refused else 'No usable answer came'} at {place}; {advice}"
