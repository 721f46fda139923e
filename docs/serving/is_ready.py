"""Whether a resident is ready: `is_ready.py URL TOKEN_FILE` prints what it says of itself and exits with 0 or 1.

For a health check on the same machine: it goes to a loopback address, which the resident's certificate does not name,
so the certificate is not checked."""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from pathlib import Path


def main(url: str, token_file: str) -> int:
    token = Path(token_file).read_text(encoding="ascii").strip()
    request = urllib.request.Request(f"{url}/healthz", headers={"Authorization": f"Bearer {token}"})
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    no_proxy = urllib.request.ProxyHandler({})
    try:
        opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=unchecked))
        with opener.open(request, timeout=5) as answer:
            health = json.load(answer)
    except OSError as error:
        print(f"No answer came from {url}: {error}.")
        return 1
    print(f"{health['status']}: {health['detail']}")
    return 0 if health["status"] == "ready" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
