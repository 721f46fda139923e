"""Whose TLS certificates are trusted, and what was wrong with one that is not.

Standard library and truststore only: the front and the resident check certificates in the same way."""

from __future__ import annotations

import ssl

WHAT_TO_DO = (
    "add the authority that signed it to this machine's trusted certificates, or name its file in SSL_CERT_FILE"
)


def trusted_by_the_system() -> ssl.SSLContext:
    """What the operating system trusts (on Linux SSL_CERT_FILE and SSL_CERT_DIR too)."""
    import truststore

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def why_untrusted(error: BaseException | None) -> str | None:
    """What the TLS library said of a certificate, from under what httpcore and httpx made of it; None if the error is
    another one."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return None if error is None else error.verify_message.rstrip(".")
