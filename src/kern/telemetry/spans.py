"""Spans, begun where the work begins and ended in a thread of their own."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.metrics import Counter, Histogram
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from kern.aio.survived import survived
from kern.telemetry.ending import ending
from kern.telemetry.guard import Guard

logger = logging.getLogger("kern")

Value: TypeAlias = str | bool | int | float | Sequence[str]
Attributes: TypeAlias = Mapping[str, Value]

Records: TypeAlias = Sequence[tuple[Counter | Histogram, float, Attributes]]
"""What is recorded in which instrument, with which attributes."""

_FORMAT = TraceContextTextMapPropagator()


class Operation:
    """A span under way.

    Attributes:
        context: that of the code within it.
    """

    def __init__(self, span: trace.Span, guard: Guard, context: Context | None) -> None:
        """Have begun.

        Args:
            span: the span.
            guard: what is told of failures.
            context: that of the code around it; by default the running one.
        """
        self._span = span
        self._guard = guard
        self._began = time.perf_counter_ns()
        self.context: Context = trace.set_span_in_context(span, context)

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return (time.perf_counter_ns() - self._began) / 1e9

    @property
    def is_recorded(self) -> bool:
        """Whether what is said of it goes anywhere."""
        return self._span.is_recording()

    def end(
        self,
        attributes: Attributes,
        records: Records = (),
        *,
        failed: bool = False,
        description: str | None = None,
        content: Callable[[], Attributes] | None = None,
    ) -> None:
        """End the span in the thread for that, and record metrics with it.

        Args:
            attributes: what is known by now.
            records: the metrics.
            failed: whether it failed.
            description: of what, where that may be said.
            content: returns more attributes, which it takes time to make.
        """
        ended = time.time_ns()
        ending.do(partial(self._end, attributes, records, ended, failed, description, content))

    def _end(
        self,
        attributes: Attributes,
        records: Records,
        ended: int,
        failed: bool,
        description: str | None,
        content: Callable[[], Attributes] | None,
    ) -> None:
        try:
            self._span.set_attributes(attributes)
            if content is not None:
                self._span.set_attributes(_said(content))
            if failed:
                self._span.set_status(Status(StatusCode.ERROR, description))
            for instrument, value, about in records:
                record(instrument, value, about, self.context)
        except Exception as error:
            self._guard.failed("say what a span is about", error)
        try:
            self._span.end(ended)
        except Exception as error:
            self._guard.failed("end a span", error)


class Spans:
    """Begins spans."""

    def __init__(self, tracer: trace.Tracer, guard: Guard) -> None:
        """Begin none yet."""
        self._tracer = tracer
        self._guard = guard

    def begin(
        self,
        name: str,
        attributes: Attributes,
        kind: SpanKind = SpanKind.INTERNAL,
        context: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Operation | None:
        """Return a span that has begun; None where telemetry fails, or rests.

        Args:
            name: what it is called.
            attributes: what it is about.
            kind: whose side of a call it is.
            context: that of the span above it; by default the running one.
            links: other spans that it has to do with.
        """

        def begin() -> Operation:
            span = self._tracer.start_span(name, context, kind, attributes, links, time.time_ns())
            return Operation(span, self._guard, context)

        return self._guard.call("begin a span", begin)


def _said(content: Callable[[], Attributes]) -> Attributes:
    """Return what was said; where that cannot be written, the span is told without it."""
    try:
        return content()
    except Exception as error:
        survived(logger, error, "a span has no content")
        return {}


def record(
    instrument: Counter | Histogram,
    value: float,
    attributes: Attributes,
    context: Context | None = None,
) -> None:
    """Record a value in an instrument."""
    if isinstance(instrument, Counter):
        instrument.add(value, attributes, context)
    else:
        instrument.record(value, attributes, context)


@contextmanager
def within(operation: Operation | None) -> Iterator[None]:
    """Have the code in a ``with`` statement belong to a span, if there is one."""
    if operation is None:
        yield
        return
    token = attach(operation.context)
    try:
        yield
    finally:
        detach(token)


def current_traceparent() -> str | None:
    """Return the span of the running code as W3C Trace Context writes it, if there is one."""
    written: dict[str, str] = {}
    _FORMAT.inject(written)
    return written.get("traceparent")


def context_of(traceparent: str) -> Context:
    """Return a context in which a span of elsewhere is the current one."""
    return _FORMAT.extract({"traceparent": traceparent}, Context())


def span_of(traceparent: str) -> SpanContext:
    """Return a span of elsewhere."""
    return trace.get_current_span(context_of(traceparent)).get_span_context()
