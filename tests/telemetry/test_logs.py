"""Log records have the ids of the run and the trace whose code has logged them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider

from kern.agent import Agent
from kern.models.openai import OpenAIResponses
from kern.telemetry import JsonFormatter, RunIds, instrument
from kern.testing import Reply, ResponsesServer

log = logging.getLogger("app")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What a program's handler writes of its own records and kern's."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RunIds())
    handler.setFormatter(JsonFormatter())
    root, runs = logging.getLogger(), logging.getLogger("kern.runs")
    root.addHandler(handler)
    runs.setLevel(logging.INFO)
    yield stream
    runs.setLevel(logging.NOTSET)
    root.removeHandler(handler)


async def slow_look() -> str:
    """Look something up."""
    log.warning("looking")
    return "found"


def look() -> str:
    """Look something up, in a thread."""
    log.warning("looking in a thread")
    return "found"


async def test_logs_of_tools_and_of_kern_have_the_ids(
    lines: io.StringIO, model: OpenAIResponses, server: ResponsesServer
) -> None:
    provider = TracerProvider()
    instrument(tracer_provider=provider)
    server.script += [Reply.tool_calls(("slow_look", {}), ("look", {})), Reply.text("There.")]
    with provider.get_tracer("test").start_as_current_span("request") as request:
        run = await Agent("Looker", model, tools=[slow_look, look]).arun("Look.")
    log.warning("outside")
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    ours = [each for each in found if each.get("run_id") == run.run_id]
    trace_id = f"{request.get_span_context().trace_id:032x}"
    assert {each.get("event") or each["message"] for each in ours} == {
        *("started", "looking", "looking in a thread", "completed"),
    }
    assert {each["trace_id"] for each in ours} == {trace_id}
    assert {each["session_id"] for each in ours} == {run.session_id}
    spans = {each.get("event") or each["message"]: each["span_id"] for each in ours}
    assert spans["started"] == spans["completed"] != spans["looking"]
    outside = next(each for each in found if each.get("message") == "outside")
    assert not {"run_id", "trace_id"} & outside.keys()


async def test_a_failure_is_logged_within_its_trace(
    lines: io.StringIO, model: OpenAIResponses, server: ResponsesServer
) -> None:
    instrument(tracer_provider=TracerProvider())
    server.script.append(Reply.http_error(401))
    agent = Agent("Failing", model, raise_on_error=False)
    run = await agent.arun("Fail.")
    found = [json.loads(line) for line in lines.getvalue().splitlines()]
    [failed] = [each for each in found if each.get("event") == "error"]
    assert failed["run_id"] == run.run_id
    assert len(failed["trace_id"]) == 32
