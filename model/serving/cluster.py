"""The resident on Ray Serve: the same app in replicas, on the GPUs and machines of a Ray cluster, behind one address.

Ray Serve's proxies listen on every node, spread requests, watch over the replicas, scale and update them. A replica is
an engine with its model and `midfill.model.serving.app` in front. Requests with one `x-session-id` (the front sends one
a document) go to one replica, which holds their context in its cache, or to the next one while that is full.
`midfill serve --ray` runs it; `serve deploy` takes `midfill.model.serving.cluster:application` (docs/CLUSTER.md).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve

from midfill.model.engine.engine import Engine
from midfill.model.serving.app import create_app
from midfill.model.serving.choice import ModelChoice
from midfill.model.serving.listening import token_of
from midfill.model.wire import api

DEPLOYMENT = "model"
CONSISTENT_HASHING = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
MAX_ONGOING_REQUESTS = 16
"""What a replica takes at a time: with more, a request goes to a replica that must encode its context anew."""
ONGOING_BEFORE_SCALING = 4
LOAD_FAILED = "The model could not be loaded: "
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What runs on the cluster; `args` in a Serve config file.

    replicas: how many, or the fewest if `max_replicas` says up to how many Ray may start under load. cpus_per_replica,
    gpus_per_replica: what Ray sets aside for each, fractions allowed. token_file: holds the bearer token, at this path
    on every node.
    """

    model: ModelChoice = field(default_factory=ModelChoice)
    replicas: int = 1
    max_replicas: int | None = None
    cpus_per_replica: float = 1.0
    gpus_per_replica: float = 0.0
    token_file: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("replicas", 1), ("cpus_per_replica", 0), ("gpus_per_replica", 0)):
            if getattr(self, name) < least:
                raise api.InvalidValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            raise api.InvalidValueError(f"max_replicas must be at least replicas, got {self.max_replicas}")


class Replica:
    """One model, its engine and its app, in a process of Ray's."""

    def __init__(self, model: ModelChoice, token_file: str | None) -> None:
        """Returns when the model has loaded, so that no request and no rolling update meets one that has not."""
        self._token = None if token_file is None else token_of(Path(token_file), Path(token_file))
        self._engine = Engine(model.load)
        while self._engine.health.status == "loading":
            time.sleep(_POLL_S)
        self.check_health()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._engine, self._token)

    def check_health(self) -> None:
        """Raises if Ray should replace this replica."""
        if self._engine.health.status == "failed":
            raise RuntimeError(f"{LOAD_FAILED}{self._engine.health.detail}")


def application(args: dict[str, Any]) -> serve.Application:
    """What Ray Serve runs; `args` are ClusterOptions as plain data. Raises InvalidValueError."""
    if unknown := args.keys() - {option.name for option in fields(ClusterOptions)}:
        raise api.InvalidValueError(f"args has no {', '.join(sorted(unknown))}; see docs/CLUSTER.md")
    options = api.from_json(ClusterOptions, args, "args")
    deployment = serve.deployment(
        name=DEPLOYMENT,
        **_size(options),
        ray_actor_options={"num_cpus": options.cpus_per_replica, "num_gpus": options.gpus_per_replica},
        max_ongoing_requests=MAX_ONGOING_REQUESTS,
        request_router_config={"request_router_class": CONSISTENT_HASHING},
        logging_config={"enable_access_log": False},
    )(serve.ingress()(Replica))
    return deployment.bind(options.model, options.token_file)


def _size(options: ClusterOptions) -> dict[str, Any]:
    if options.max_replicas is None:
        return {"num_replicas": options.replicas}
    bounds = {"min_replicas": options.replicas, "max_replicas": options.max_replicas}
    return {"autoscaling_config": bounds | {"target_ongoing_requests": ONGOING_BEFORE_SCALING}}
