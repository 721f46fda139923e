"""What the resident counts for `/metrics`, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from midfill.model.wire.api import InfillRequest, Usage

_LATENCY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counters of one resident, in a registry of their own."""

    def __init__(self, num_unfinished: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "midfill_requests",
            "Requests by outcome: closed, length, deadline, primed, cancelled, refused, failed.",
            ["priority", "outcome"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "midfill_request_seconds",
            "From the request read to its answer, for answered requests.",
            ["priority"],
            registry=self._registry,
            buckets=_LATENCY_BUCKETS_S,
        )
        running = Gauge("midfill_running_requests", "Requests that wait or run now.", registry=self._registry)
        running.set_function(num_unfinished)
        self._forward_passes = self._counter("midfill_forward_passes", "Denoising passes of the model.")
        self._canvas_tokens = self._counter("midfill_canvas_tokens", "Positions of all canvases.")
        self._context_tokens = self._counter("midfill_context_tokens", "Context tokens of all requests.")
        self._cached_tokens = self._counter("midfill_cached_tokens", "Context tokens that came from the cache.")
        self._fill_tokens = self._counter("midfill_fill_tokens", "Tokens of code in the answers.")

    def count_outcome(self, request: InfillRequest, outcome: str) -> None:
        self._requests.labels(request.priority, outcome).inc()

    def count_answer(self, request: InfillRequest, usage: Usage) -> None:
        self._seconds.labels(request.priority).observe(usage.total_ms / 1000)
        self._forward_passes.inc(usage.forward_passes)
        self._canvas_tokens.inc(usage.canvas_tokens)
        self._context_tokens.inc(usage.context_tokens)
        self._cached_tokens.inc(usage.cached_tokens)
        self._fill_tokens.inc(usage.fill_tokens)

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(name, help_text, registry=self._registry)
