"""A collector, and kern's telemetry sent to it."""

from collections.abc import Iterator

import pytest
from collector import Collector
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from kern.telemetry import uninstrument
from kern.telemetry.ending import ending


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that takes OTLP over HTTP."""
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def tracers(collector: Collector) -> Iterator[TracerProvider]:
    """The SDK's tracers, which send to the collector at once; not the global ones."""
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{collector.url}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=20))
    yield provider
    provider.shutdown()


@pytest.fixture
def meters(collector: Collector) -> Iterator[MeterProvider]:
    """The SDK's meters, which send to the collector several times a second."""
    exporter = OTLPMetricExporter(f"{collector.url}/v1/metrics")
    provider = MeterProvider([PeriodicExportingMetricReader(exporter, 200)])
    yield provider
    provider.shutdown()


@pytest.fixture(autouse=True)
def _off() -> Iterator[None]:
    """Leave nothing to the thread in which spans end, which would log in the test after."""
    yield
    uninstrument()
    assert ending.flush(20)
