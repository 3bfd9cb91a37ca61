"""A collector of OpenTelemetry: takes OTLP over HTTP, as protobuf, and keeps what it is sent."""

import asyncio
import gzip
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

ERROR = 2
"""The status of a span that has failed."""

SERVER, CLIENT, INTERNAL = 2, 3, 1
"""Kinds of spans."""


@dataclass(frozen=True)
class Span:
    """A span as it was exported; ids are in hexadecimal digits, ``parent_id`` may be empty."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    status: int
    description: str
    attributes: dict[str, Any]
    links: list[tuple[str, str]]
    seconds: float
    scope: str
    resource: dict[str, Any]


@dataclass
class Collector:
    """Listens on loopback.

    Attributes:
        spans: what came, in order.
        metrics: the last value of each metric by its name: its points, each attributes and a
            value, or the sum and the count of a histogram.
    """

    spans: list[Span] = field(default_factory=list)
    metrics: dict[str, list[tuple[dict[str, Any], Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector._take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens: what OTEL_EXPORTER_OTLP_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Take nothing more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    async def wait(
        self, name: str, count: int = 1, timeout: float = 20.0, **has: object
    ) -> list[Span]:
        """Return the spans whose name begins so, once there are so many.

        Args:
            name: the beginning.
            count: how many.
            timeout: seconds to wait.
            has: attributes that they have, with underscores in place of dots.
        """

        def found() -> list[Span]:
            named = [each for each in self.spans if each.name.startswith(name)]
            return [each for each in named if has.items() <= _plain(each.attributes).items()]

        if not await self._until(lambda: len(found()) >= count, timeout):
            known = [(each.name, each.attributes) for each in self.spans]
            raise AssertionError(f"{count} {name!r} {has} are not in {known}")
        return found()

    async def wait_for_metric(
        self,
        name: str,
        is_there: Callable[[Any], bool] = bool,
        /,
        **has: object,
    ) -> Any:
        """Return the value of a metric with these attributes, once it is as wanted."""

        found: list[Any] = []

        def look() -> bool:
            points = self.metrics.get(name, [])
            values = [v for about, v in points if has.items() <= _plain(about).items()]
            found[:] = filter(is_there, values)
            return bool(found)

        if not await self._until(look):
            raise AssertionError(f"{name} {has}: {self.metrics.get(name)}")
        return found[0]

    async def _until(self, condition: Callable[[], bool], timeout: float = 20.0) -> bool:
        """Wait until something is so, and say whether it is; the event loop goes on meanwhile."""

        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(condition, timeout)

        return await asyncio.to_thread(wait)

    def _take(self, path: str, body: bytes) -> None:
        with self._changed:
            if path == "/v1/traces":
                self._take_spans(ExportTraceServiceRequest.FromString(body))
            elif path == "/v1/metrics":
                self._take_metrics(ExportMetricsServiceRequest.FromString(body))
            self._changed.notify_all()

    def _take_spans(self, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            about = _values(resource.resource.attributes)
            for scope in resource.scope_spans:
                for each in scope.spans:
                    self.spans.append(
                        Span(
                            each.name,
                            each.trace_id.hex(),
                            each.span_id.hex(),
                            each.parent_span_id.hex(),
                            each.kind,
                            each.status.code,
                            each.status.message,
                            _values(each.attributes),
                            [(link.trace_id.hex(), link.span_id.hex()) for link in each.links],
                            (each.end_time_unix_nano - each.start_time_unix_nano) / 1e9,
                            scope.scope.name,
                            about,
                        )
                    )

    def _take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points: list[tuple[dict[str, Any], Any]] = [
                        (_values(point.attributes), (point.sum, point.count))
                        for point in metric.histogram.data_points
                    ]
                    for point in [*metric.sum.data_points, *metric.gauge.data_points]:
                        value = getattr(point, point.WhichOneof("value") or "as_int")
                        points.append((_values(point.attributes), value))
                    self.metrics[metric.name] = points


def _values(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "_"): _hashable(value) for name, value in attributes.items()}


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
