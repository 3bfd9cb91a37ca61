"""No run fails of telemetry, or waits for it, whatever collectors, exporters and tracers do."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from ports import free_port

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.telemetry import OpenTelemetry, instrument, uninstrument
from kern.telemetry.ending import Ending, ending
from kern.telemetry.guard import Guard
from kern.testing import Reply, ResponsesServer

Provider = Callable[[], TracerProvider]

_providers: list[TracerProvider] = []


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    """End the providers of a test with it: their threads would log in the test after."""
    yield
    uninstrument()
    assert ending.flush(20)
    while _providers:
        _providers.pop().shutdown()


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class RaisesAtBegin(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        raise RuntimeError("no")


class RaisesAtEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError("no")


class Blocks(SpanExporter):
    """Answers once it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.released.wait(30)
        return SpanExportResult.FAILURE


class Raises(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("no")


def _provider(processor: SpanProcessor) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    _providers.append(provider)
    return provider


def _unreachable() -> TracerProvider:
    exporter = OTLPSpanExporter(f"http://127.0.0.1:{free_port()}/v1/traces", timeout=1)
    return _provider(BatchSpanProcessor(exporter, schedule_delay_millis=10))


@pytest.mark.parametrize(
    "provider",
    [
        _unreachable,
        lambda: _provider(SimpleSpanProcessor(Raises())),
        lambda: _provider(RaisesAtBegin()),
        lambda: _provider(RaisesAtEnd()),
    ],
    ids=["unreachable collector", "exporter", "begin", "end"],
)
async def test_a_run_completes_whatever_fails_of_tracing(
    provider: Provider, model: OpenAIResponses, server: ResponsesServer
) -> None:
    instrument(tracer_provider=provider())
    server.script += [Reply.tool_calls(("add", {"a": 1, "b": 2})), Reply.text("Three.")]
    run = await Agent("Tester", model, tools=[add]).arun("Add.")
    assert (run.status, run.content) == (RunStatus.completed, "Three.")
    assert (await Agent("Tester", model).arun("Again.")).status is RunStatus.completed


class RaisingMeters(NoOpMeterProvider):
    def get_meter(self, *arguments: Any, **options: Any) -> Meter:
        meter = super().get_meter(*arguments, **options)

        class Raising:
            def record(self, *_: object) -> None:
                raise RuntimeError("no")

            add = record

        meter.create_histogram = meter.create_counter = lambda *_, **__: Raising()  # type: ignore[method-assign,assignment]
        return meter


async def test_a_run_completes_whatever_fails_of_metrics(model: OpenAIResponses) -> None:
    meters: MeterProvider = RaisingMeters()
    instrument(meter_provider=meters)
    run = await Agent("Tester", model).arun("Hello?")
    assert run.status is RunStatus.completed


async def test_an_exporter_that_blocks_keeps_no_event_loop(model: OpenAIResponses) -> None:
    exporter = Blocks()
    instrument(tracer_provider=_provider(SimpleSpanProcessor(exporter)))
    try:
        agent = Agent("Tester", model)
        async with asyncio.timeout(10):
            runs = await asyncio.gather(*(agent.arun("Hello?") for _ in range(5)))
        assert {run.status for run in runs} == {RunStatus.completed}
        assert not exporter.released.is_set()
    finally:
        exporter.released.set()


class SlowAtBegin(SpanProcessor):
    def __init__(self) -> None:
        self.begun = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.begun += 1
        time.sleep(0.55)


async def test_a_slow_tracer_is_left_alone_after_two_spans(
    model: OpenAIResponses, caplog: pytest.LogCaptureFixture
) -> None:
    slow = SlowAtBegin()
    instrument(tracer_provider=_provider(slow))
    agent = Agent("Tester", model)
    for _ in range(4):
        assert (await agent.arun("Hello?")).status is RunStatus.completed
    assert slow.begun == 2
    told = [each for each in caplog.records if "to begin a span took" in each.getMessage()]
    assert [each.levelname for each in told] == ["WARNING"]


def test_what_rests_is_tried_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, calls, now = Guard(rest=30), list[int](), 100.0
    monkeypatch.setattr("kern.telemetry.guard.time", SimpleNamespace(monotonic=lambda: now))

    def fail() -> None:
        calls.append(1)
        raise RuntimeError("no")

    guard.call("fail", fail)
    now += 29
    guard.call("fail", fail)
    assert len(calls) == 1
    now += 2
    guard.call("fail", fail)
    assert len(calls) == 2
    told = [each for each in caplog.records if "could not fail" in each.getMessage()]
    assert [each.levelname for each in told] == ["WARNING", "WARNING"]


def test_what_waits_for_its_end_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    own, released, done = Ending(most=3), threading.Event(), list[int]()
    began = threading.Event()

    def block() -> None:
        began.set()
        released.wait(10)

    own.do(block)
    assert began.wait(10)
    for number in range(10):
        own.do(partial(done.append, number))
    released.set()
    assert own.flush(20)
    assert done == [0, 1, 2]
    assert len([each for each in caplog.messages if "more are dropped" in each]) == 1


async def test_without_an_sdk_nothing_happens(model: OpenAIResponses) -> None:
    observer = instrument()
    run = await Agent("Tester", model).arun("Hello?")
    assert run.status is RunStatus.completed
    assert observer.trace() is None
    assert isinstance(observer, OpenTelemetry)


FORKED = """
import os
from kern.telemetry.ending import Ending

ending, done = Ending(), []
ending.do(lambda: done.append("parent"))
assert ending.flush(10)
if (child := os.fork()) == 0:
    ending.do(lambda: done.append("child"))
    os._exit(0 if ending.flush(10) and done[-1] == "child" else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert done == ["parent"]
"""


def test_a_forked_process_ends_its_spans_itself() -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKED]
    subprocess.run(command, timeout=50, check=True)
