"""What the resident listens on: one private Unix socket guarded by a lock, or TCP with a token.

A lock that a process holds cannot be stale: it goes with the process. So a socket found under the lock is either a dead
resident's, and is removed, or it is not ours, and is left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import secrets
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCK_WAIT_S = 10.0
"""How long a new resident waits for one that is just starting or stopping."""


class ListenError(Exception):
    """The resident cannot listen; the message says where, why, and what to do."""


class AlreadyServed(Exception):  # noqa: N818 - not a failure: the model is there
    """A living resident answers on the socket; the message names its pid."""


@dataclass(frozen=True)
class TcpBinding:
    """Where and how to listen on TCP. token_file: where the token is (None: `token_path`, generated when missing)."""

    host: str
    port: int
    token_file: Path | None = None
    tls: tuple[Path, Path] | None = None
    """The certificate's file and the key's."""
    allow_plain_http: bool = False


@contextlib.contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket at `path` (mode 0600), with `path`.lock held; the socket's file is removed at the end.

    Raises AlreadyServed, or ListenError if the place is taken by something else.
    """
    with _instance_lock(path):
        _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(path))
        except OSError as error:
            listener.close()
            raise ListenError(f"The socket {path} cannot be made: {error}.") from error
        try:
            path.chmod(0o600)  # nobody can connect before listen()
            listener.listen()
            yield listener
        finally:
            listener.close()
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _instance_lock(path: Path) -> Iterator[None]:
    lock = path.with_suffix(".lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ListenError(
            f"The lock {lock} cannot be opened: {error.strerror}. Mend that or choose another socket path."
        ) from error
    try:
        _acquire(handle, path)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)  # lets the lock go; the file stays, since removing a lock file is a race


def _acquire(handle: int, path: Path) -> None:
    give_up_at_s = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pid = os.pread(handle, 32, 0).decode("ascii", "replace").strip()
        if _answers(path):
            raise AlreadyServed(f"already served by pid {pid}")
        if time.monotonic() > give_up_at_s:
            raise ListenError(f"Process {pid} holds the lock of {path} and does not listen. End it and try again.")
        time.sleep(0.05)


def _remove_stale(path: Path) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ListenError(f"The socket path {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISSOCK(status.st_mode):
        raise ListenError(f"{path} is not a socket, so it is left alone. Remove it or choose another socket path.")
    if status.st_uid != os.getuid():
        raise ListenError(f"{path} belongs to another user, so it is left alone. Choose another socket path.")
    if _answers(path):
        raise ListenError(f"Another program listens on {path}, so it is left alone. Choose another socket path.")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
        return True


def check_binding(binding: TcpBinding) -> None:
    """Raises ListenError if the binding would be open to others without a token or without TLS."""
    if _is_loopback(binding.host):
        return
    if binding.token_file is None:
        raise ListenError(f"{binding.host} can be reached by others: give --token-file with the token they must send.")
    if binding.tls is None and not binding.allow_plain_http:
        raise ListenError(
            f"{binding.host} can be reached by others: give --tls-cert and --tls-key, "
            "or --allow-plain-http where something in front of it encrypts."
        )


def tcp_listener(binding: TcpBinding) -> socket.socket:
    """A bound TCP socket. Raises ListenError if the address cannot be had."""
    try:
        family, kind, protocol, _, address = _resolve(binding.host, binding.port)
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
        return listener
    except OSError as error:
        raise ListenError(f"Cannot listen on {binding.host} port {binding.port}: {error.strerror}.") from error


def token_of(token_file: Path | None, generated: Path) -> str:
    """The bearer token: the one in `token_file`, else the one in `generated` (made there, mode 0600, when missing)."""
    if token_file is None:
        with contextlib.suppress(FileExistsError):
            handle = os.open(generated, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(handle, secrets.token_urlsafe(32).encode())
            os.close(handle)
        token_file = generated
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ListenError(f"The token file {token_file} cannot be read: {error}.") from error
    if not token or any(character.isspace() for character in token):
        raise ListenError(f"The token file {token_file} must hold one token without spaces.")
    return token


def check_tls(tls: tuple[Path, Path]) -> None:
    """Raises ListenError if the certificate and the key cannot be used together."""
    certificate, key = tls
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise ListenError(f"The certificate {certificate} and key {key} cannot be used: {error.strerror}.") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(_resolve(host, 0)[4][0]).is_loopback
    except OSError as error:
        raise ListenError(f"The host {host} is not known: {error.strerror}.") from error


def _resolve(host: str, port: int) -> tuple[int, int, int, str, tuple[str, int]]:
    family, kind, protocol, name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, kind, protocol, name, (str(address[0]), int(address[1]))
