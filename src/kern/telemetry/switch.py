"""Telemetry for a whole process: on and off, and the SDK as the environment says."""

from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import ProxyTracerProvider, TracerProvider

from kern.errors import ConfigurationError
from kern.execution.observing import everywhere
from kern.telemetry.instruments import observe_process
from kern.telemetry.observer import OpenTelemetry


def instrument(
    *,
    content: bool | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> OpenTelemetry:
    """Observe all runs of this process from now on, and what it does for them.

    An agent with ``middleware=[OpenTelemetry(...)]`` is observed by that. Called again, it takes
    the place of the first call.

    Args:
        content: see :class:`OpenTelemetry`, as for the others.
        tracer_provider: where spans go; by default the program's.
        meter_provider: where metrics go; by default the program's.

    Returns:
        What observes.
    """
    observer = OpenTelemetry(
        content=content, tracer_provider=tracer_provider, meter_provider=meter_provider
    )
    everywhere[:] = [observer]
    observe_process(observer.meter)
    return observer


def uninstrument() -> None:
    """Observe nothing any more but agents that have middleware for it."""
    everywhere.clear()


def switch_on(*, content: bool | None = None) -> OpenTelemetry:
    """Set the SDK up as ``OTEL_*`` in the environment say, and observe all runs of this process.

    What ``kern worker --otel`` does. A program that has set the SDK up keeps what it has chosen.

    Args:
        content: see :class:`OpenTelemetry`.

    Raises:
        ConfigurationError: the SDK, or its exporter by OTLP over HTTP, is not installed.
    """
    if isinstance(trace.get_tracer_provider(), ProxyTracerProvider):
        _set_up()
    return instrument(content=content)


def _set_up() -> None:
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import metrics as sdk_metrics
        from opentelemetry.sdk import trace as sdk_trace
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "Nothing here sends telemetry anywhere. Run pip install opentelemetry-sdk "
            "opentelemetry-exporter-otlp-proto-http; or set up an SDK before."
        ) from error
    tracers = sdk_trace.TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(tracers)
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    metrics.set_meter_provider(sdk_metrics.MeterProvider([reader]))
