"""What `midfill serve` can be told, and what it means."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from midfill.model.serving.choice import ModelChoice
from midfill.model.serving.listening import ListenError, TcpBinding
from midfill.model.wire.address import VLLM_SCHEME

RAY_PORT = 8000
_FOR_RAY = ("cluster", "replicas", "max_replicas", "cpus_per_replica", "gpus_per_replica")


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(prog="midfill serve", description="Serve a model on this machine.")
    served = arguments.add_mutually_exclusive_group()
    model_help = "a model's name, a checkpoint's folder, OWNER/MODEL, or vllm:URL"
    served.add_argument("--model", default="embedded", help=model_help)
    served.add_argument("--vllm", metavar="URL", help="what a `vllm serve` serves there; the same as --model vllm:URL")
    token_help = "the token of vLLM's --api-key (default: $MIDFILL_VLLM_TOKEN)"
    arguments.add_argument("--vllm-token-file", type=Path, metavar="PATH", help=token_help)
    arguments.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16", "int8"))
    idle_help = "exit after this long without a request; 0 never (default: 900 on a socket, 0 on TCP)"
    infilling_help = "how DiffusionGemma fills holes; clamped where they fit one canvas (default: chat)"
    arguments.add_argument("--infilling", default="chat", choices=("chat", "clamped"), help=infilling_help)
    offload_help = "load what does not fit: the rest stays in RAM or on disk, and every step fetches it (slow)"
    arguments.add_argument("--offload", action="store_true", help=offload_help)
    arguments.add_argument("--idle-exit-s", type=float, metavar="SECONDS", help=idle_help)
    cluster = arguments.add_argument_group("on Ray Serve (docs/CLUSTER.md)")
    cluster.add_argument("--ray", action="store_true", help="serve replicas of the model with Ray Serve")
    join_help = "a Ray cluster to join; `auto` is the one on this machine (default: start one for this machine alone)"
    cluster.add_argument("--cluster", metavar="HOST:PORT", help=join_help)
    cluster.add_argument("--replicas", type=int, default=1, metavar="N", help="how many (default: 1)")
    scaling_help = "start up to so many under load (default: as many as --replicas)"
    cluster.add_argument("--max-replicas", type=int, metavar="N", help=scaling_help)
    cpus_help = "CPUs that Ray sets aside for each replica (default: 1)"
    cluster.add_argument("--cpus-per-replica", type=float, default=1.0, metavar="X", help=cpus_help)
    gpus_help = "GPUs for each replica; 0.25 puts four on one (default: 0)"
    cluster.add_argument("--gpus-per-replica", type=float, default=0.0, metavar="X", help=gpus_help)
    place = arguments.add_mutually_exclusive_group()
    place.add_argument("--socket", type=Path, metavar="PATH", help="a Unix socket other than the model's own")
    place.add_argument("--port", type=int, help="listen on TCP; 0 takes a free port (with --ray: 8000)")
    host_help = "the address to listen on with --port (default: loopback)"
    arguments.add_argument("--host", default="127.0.0.1", help=host_help)
    arguments.add_argument("--token-file", type=Path, metavar="PATH", help="the bearer token; generated on loopback")
    arguments.add_argument("--tls-cert", type=Path, metavar="PATH")
    arguments.add_argument("--tls-key", type=Path, metavar="PATH")
    arguments.add_argument("--allow-plain-http", action="store_true", help="serve other machines without TLS")
    return arguments


def choice_of(options: argparse.Namespace) -> ModelChoice:
    name = f"{VLLM_SCHEME}{options.vllm.rstrip('/')}" if options.vllm else options.model
    token_file = None if options.vllm_token_file is None else str(options.vllm_token_file.resolve())
    return ModelChoice(name, options.precision, options.infilling, options.offload, token_file)


def binding_of(options: argparse.Namespace) -> TcpBinding | None:
    """None for a Unix socket, which `--ray` has not. Raises ListenError."""
    given = [name for name in _FOR_RAY if getattr(options, name) != parser().get_default(name)]
    if given and not options.ray:
        raise ListenError(f"--{given[0].replace('_', '-')} means something with --ray only: add it.")
    port = RAY_PORT if options.ray and options.port is None else options.port
    if options.ray and (options.socket is not None or options.idle_exit_s is not None or port == 0):
        raise ListenError("--ray listens on one TCP port of every node until stopped: no --socket, --idle-exit-s, 0.")
    if (options.tls_cert is None) != (options.tls_key is None):
        raise ListenError("TLS needs both --tls-cert and --tls-key.")
    if port is None:
        return None
    tls = (options.tls_cert, options.tls_key) if options.tls_cert else None
    return TcpBinding(options.host, port, options.token_file, tls, options.allow_plain_http)


def cluster_of(options: argparse.Namespace, choice: ModelChoice) -> dict[str, Any]:
    """The `ClusterOptions` as plain data."""
    token_file = None if options.token_file is None else str(options.token_file.resolve())
    sizes = {name: getattr(options, name) for name in _FOR_RAY if name != "cluster"}
    return {"model": dataclasses.asdict(choice), **sizes, "token_file": token_file}
