"""Metrics of runs and their calls, as a collector sees them."""

from datetime import UTC, datetime, timedelta
from functools import partial
from operator import eq

from collector import Collector
from opentelemetry.sdk.metrics import MeterProvider

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.models.prices import Price
from kern.run.base import RunInfo, RunStatus
from kern.run.steps import AttemptFailed, Continued, Paused
from kern.run.tool_steps import SleepBegun, ToolsBegun
from kern.telemetry import instrument, uninstrument
from kern.testing import Reply, ResponsesServer
from kern.testing.reply import Usage


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_runs_calls_tokens_and_cost_are_counted(
    collector: Collector, meters: MeterProvider, server: ResponsesServer
) -> None:
    instrument(meter_provider=meters)
    price = Price(input=1_000_000, output=2_000_000)  # A dollar a token, and two.
    model = OpenAIResponses("m", base_url=server.base_url, api_key="sk-test", price=price)
    usage = Usage(input_tokens=3, output_tokens=2, cached_tokens=1, reasoning_tokens=1)
    server.script += [
        Reply.tool_calls(("add", {"a": 1, "b": 2})).counting(usage),
        Reply.text("Three.").counting(usage),
    ]
    agent = Agent("Counter", model, tools=[add], db=InMemoryDb())
    pieces = [each async for each in agent.arun("Add.", stream=True)]
    assert pieces

    wait = collector.wait_for_metric
    about = {"gen_ai_request_model": "m", "gen_ai_provider_name": "openai"}
    client = "gen_ai.client.inference"
    seconds, calls = await wait(f"{client}.duration", lambda value: value[1] == 2, **about)
    assert seconds > 0
    assert await wait(f"{client}.time_to_first_chunk", lambda value: value[1] == calls, **about)
    assert await wait(f"{client}.usage.input_tokens", partial(eq, 6), **about)
    assert await wait(f"{client}.usage.output_tokens", partial(eq, 4), **about)
    assert await wait(f"{client}.usage.cache_read.input_tokens", partial(eq, 2), **about)
    assert await wait(f"{client}.usage.reasoning.output_tokens", partial(eq, 2), **about)
    assert await wait(f"{client}.operation.input_tokens", partial(eq, (6, 2)), **about)
    assert await wait("kern.usage.cost", **about) > 0
    named = {"gen_ai_agent_name": "Counter"}
    assert (await wait("gen_ai.execute_tool.duration", gen_ai_tool_name="add", **named))[1] == 1
    assert (await wait("gen_ai.invoke_agent.duration", **named))[1] == 1
    assert await wait("gen_ai.invoke_agent.inference_calls", **named) == (2, 1)
    assert await wait("gen_ai.invoke_agent.tool_calls", **named) == (1, 1)
    own = {"kern_agent_id": "counter", "kern_run_status": "COMPLETED"}
    assert await wait("kern.runs", **own) == 1
    assert (await wait("kern.run.duration", **own))[1] == 1


async def test_each_end_of_a_run_is_counted_once_by_its_status(
    collector: Collector, meters: MeterProvider, model: OpenAIResponses, server: ResponsesServer
) -> None:
    instrument(meter_provider=meters)
    agent = Agent("Ender", model, db=InMemoryDb())
    server.script += [Reply.http_error(401), Reply.hang(), Reply.text("Well.")]
    failed = await agent.arun("Fail.", background=True)
    await agent.await_run(failed.run_id, timeout=20)
    stopped = await agent.arun("Wait.", background=True)
    await server.wait_for_requests(2)
    await agent.acancel_run(stopped.run_id)
    await agent.await_run(stopped.run_id, timeout=20)
    later = await agent.arun("Later.", background=True, run_at=datetime.now(UTC) + timedelta(1))
    await agent.acancel_run(later.run_id)  # Nobody has executed it.
    await agent.arun("Hello?")

    wait = collector.wait_for_metric
    for status, count in (("ERROR", 1), ("CANCELLED", 2), ("COMPLETED", 1)):
        await wait("kern.runs", partial(eq, count), kern_run_status=status)


async def test_the_wait_for_a_slot_counts_from_the_moment_a_run_was_due(
    collector: Collector, meters: MeterProvider, model: OpenAIResponses
) -> None:
    instrument(meter_provider=meters)
    agent = Agent("Later", model, db=InMemoryDb())
    due = datetime.now(UTC) + timedelta(seconds=0.5)
    run = await agent.arun("Hello?", background=True, run_at=due)
    await agent.await_run(run.run_id, timeout=20)
    since_due = datetime.now(UTC) - due
    seconds, count = await collector.wait_for_metric("kern.run.queue_wait", kern_agent_id="later")
    assert count == 1
    assert 0 <= seconds <= since_due.total_seconds()


async def test_only_what_was_left_in_the_middle_is_taken_over(
    collector: Collector, meters: MeterProvider
) -> None:
    observer = instrument(meter_provider=meters)
    later = RunInfo("run", "session", "taker", None, 2, None)
    for last in (AttemptFailed(), Continued(), SleepBegun(0, 0, 1.0, True), Paused(())):
        observer.goes_on(later, None, last)
    observer.goes_on(later, None, ToolsBegun((0,)))
    observer.goes_on(later, None, None)  # Its process was lost before it had written anything.
    await collector.wait_for_metric("kern.run.takeovers", partial(eq, 2), kern_agent_id="taker")


async def test_slots_are_seen_while_telemetry_is_on(
    collector: Collector, meters: MeterProvider, model: OpenAIResponses, server: ResponsesServer
) -> None:
    observer = instrument(meter_provider=meters)
    server.script.append(held := Reply.text("Done.").held())
    db = InMemoryDb()
    agent = Agent("Busy", model, db=db)
    run = await agent.arun("Work.", background=True)
    await server.wait_for_requests(1)
    about = {"kern_database": str((await open_runtime(db)).store)}

    async def used(number: int) -> None:
        await collector.wait_for_metric("kern.worker.slots", partial(eq, number), **about)

    await used(1)
    held.release()
    await agent.await_run(run.run_id, timeout=20)
    await used(0)
    uninstrument()
    # What a sweep sees of runs that nobody executes any more.
    observer.lost(RunInfo("run", "session", "busy", None, 1, None), RunStatus.error)
    wait = collector.wait_for_metric
    await wait("kern.runs", kern_agent_id="busy", kern_run_status="ERROR")
