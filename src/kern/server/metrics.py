"""What a service counts: runs, requests, streams; as Prometheus reads it.

Where ``PROMETHEUS_MULTIPROC_DIR`` names a directory, several processes count together, each of
which can say what all of them have counted; ``kern serve --workers`` sees to that.
"""

import os
import time

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kern.db.listing import Load
from kern.run.base import RunInfo, RunStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_registry = CollectorRegistry()

_RUNS = Counter(
    "kern_runs",
    "Attempts at runs that have come to their end in this service, by how.",
    ["agent", "status"],
    registry=_registry,
)
_RUN_SECONDS = Histogram(
    "kern_run_seconds",
    "How long these attempts took.",
    ["agent"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600),
    registry=_registry,
)
_UNFINISHED = Gauge(
    "kern_runs_unfinished",
    "Runs in the database that have not ended: they execute, could begin, wait, or are delayed.",
    ["state"],
    multiprocess_mode="mostrecent",
    registry=_registry,
)
_DATABASE_UP = Gauge(
    "kern_database_up",
    "Whether the database answers.",
    multiprocess_mode="mostrecent",
    registry=_registry,
)
_REQUESTS = Counter(
    "kern_requests",
    "Requests that were answered.",
    ["method", "route", "status"],
    registry=_registry,
)
_REQUEST_SECONDS = Histogram(
    "kern_request_seconds",
    "How long it took until a request's answer began.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=_registry,
)
_STREAMS = Counter(
    "kern_streams", "Event streams that have ended, by why.", ["end"], registry=_registry
)
_STREAMS_OPEN = Gauge(
    "kern_streams_open",
    "Event streams that are open.",
    multiprocess_mode="livesum",
    registry=_registry,
)


def count_attempt(run: RunInfo, status: RunStatus, seconds: float) -> None:
    """Count an attempt that has come to its end here.

    Args:
        run: the run.
        status: what it is since then; PENDING where a later attempt goes on.
        seconds: how long the attempt took.
    """
    how = "retried" if status is RunStatus.pending else status.lower()
    _RUNS.labels(run.agent_id, how).inc()
    _RUN_SECONDS.labels(run.agent_id).observe(seconds)


def count_stream(change: int, end: str | None = None) -> None:
    """Count a stream in, or with the reason of its end out."""
    _STREAMS_OPEN.inc(change)
    if end is not None:
        _STREAMS.labels(end).inc()


class Counting:
    """Middleware that counts requests by their route, which is one of few, whatever is asked."""

    def __init__(self, app: ASGIApp) -> None:
        """Count the requests of an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a request when its answer begins."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "")
                _REQUESTS.labels(scope["method"], route, message["status"]).inc()
                _REQUEST_SECONDS.labels(route).observe(time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, sending)


def as_text(load: Load | None) -> bytes:
    """Return everything that was counted.

    Args:
        load: how many runs there are in the database; None where it does not answer.
    """
    _DATABASE_UP.set(load is not None)
    if load is not None:
        for state in ("running", "due", "waiting", "delayed"):
            _UNFINISHED.labels(state).set(getattr(load, state))
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(_registry)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # it has no types
    return generate_latest(registry)


def forget_process() -> None:
    """Count what this process holds open no more, where several count together."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(os.getpid())  # type: ignore[no-untyped-call] # nor has it
