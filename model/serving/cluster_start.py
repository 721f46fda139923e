"""`midfill serve --ray`: start Ray on this machine or join a cluster, serve there, and take it down at the end.

Ray itself is imported only after its environment is set, which it reads once.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import secrets
import signal
import threading
from typing import Any

from midfill.model.serving.choice import MissingPackagesError
from midfill.model.serving.listening import ListenError, TcpBinding, check_binding, check_tls, tcp_listener, token_of
from midfill.model.wire.address import token_path
from midfill.model.wire.api import InvalidValueError
from midfill.model.wire.install_command import install_command

APPLICATION = "midfill"

log = logging.getLogger("midfill.model")


def serve_on_ray(args: dict[str, Any], binding: TcpBinding, cluster: str | None) -> int:
    """Serve until a signal comes; the process's exit code.

    args: ClusterOptions as plain data. cluster: the address of a Ray cluster to join (`auto`: the one on this machine);
    None starts one here, which nobody else can use and which ends with this process. Raises MissingPackagesError, and
    ListenError if the address, the token, the resources or the model cannot be had.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingPackagesError(f"--ray needs the package ray; run: {install_command('scale')}")
    check_binding(binding)
    if binding.tls is not None:
        check_tls(binding.tls)
    if cluster is not None and binding.token_file is None:
        raise ListenError("The nodes of a cluster need a token that each of them can read: give --token-file.")
    generated = token_path(args["model"]["name"])
    token_of(binding.token_file, generated)
    tcp_listener(binding).close()
    # Ray's ports take orders from whoever reaches them, and it reports on itself, unless it is told otherwise.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if cluster is None:
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    return _serve({**args, "token_file": args["token_file"] or str(generated)}, binding, cluster)


def _serve(args: dict[str, Any], binding: TcpBinding, cluster: str | None) -> int:
    import ray
    from ray import serve
    from ray.serve.config import HTTPOptions

    from midfill.model.serving.cluster import application

    try:
        deployed = application(args)
    except InvalidValueError as error:
        raise ListenError(f"{error}.") from None
    try:
        ray.init(cluster or "local", include_dashboard=None if cluster else False, log_to_driver=False)
    except ConnectionError as error:
        raise ListenError(f"No Ray cluster can be joined at {cluster}: {error}") from None
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    certificate, key = map(os.fspath, binding.tls) if binding.tls else (None, None)
    try:
        _check_serve_is_new(cluster)
        _check_resources(args, ray.cluster_resources())
        http = HTTPOptions(host=binding.host, port=binding.port, ssl_certfile=certificate, ssl_keyfile=key)
        serve.start(proxy_location="EveryNode", http_options=http)
        try:
            _deploy(deployed)
            scheme = "http" if binding.tls is None else "https"
            log.info("serving %s at %s://%s:%d", args["model"]["name"], scheme, binding.host, binding.port)
            stopped.wait()
        finally:
            serve.shutdown()
    finally:
        ray.shutdown()
    return 0


def _check_serve_is_new(cluster: str | None) -> None:
    """What runs there already has an address of its own, and is not ours to end."""
    import ray

    try:
        ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve")
    except ValueError:
        return
    raise ListenError(f"Ray Serve runs at {cluster} already: use `serve deploy` there, as docs/CLUSTER.md says.")


def _deploy(deployed: Any) -> None:
    from ray import serve

    from midfill.model.serving.cluster import DEPLOYMENT, LOAD_FAILED

    try:
        serve.run(deployed, name=APPLICATION)
    except RuntimeError as error:
        told = serve.status().applications[APPLICATION].deployments[DEPLOYMENT].message
        if LOAD_FAILED not in told:
            raise
        raise ListenError(LOAD_FAILED + told.rpartition(LOAD_FAILED)[2].strip()) from error


def _check_resources(args: dict[str, Any], there: dict[str, float]) -> None:
    for resource, each in (("CPU", args["cpus_per_replica"]), ("GPU", args["gpus_per_replica"])):
        if args["replicas"] * each > there.get(resource, 0):
            raise ListenError(
                f"{args['replicas']} replicas with {each:g} {resource} each do not fit: the cluster has "
                f"{there.get(resource, 0):g}. Ask for fewer, or for less of it each."
            )
