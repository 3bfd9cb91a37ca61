"""One trace holds a run, whatever processes have submitted it, executed it and died of it."""

import json
import os
import signal
import subprocess
from functools import partial
from operator import eq
from pathlib import Path

import pytest
from aiohttp import ClientSession
from collector import SERVER, Collector, Span
from elsewhere import environment_of
from fastapi import FastAPI
from opentelemetry.sdk.trace import TracerProvider
from uvicorn_here import uvicorn_here
from worker_command import KERN, WorkerCommand
from workers import NewWorker

from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.telemetry import instrument
from kern.testing import Reply, ResponsesServer

HEARTBEAT = 1.0

APP = """
import logging, os
from kern import Agent, PostgresDb
from kern.models.openai import OpenAIResponses

async def wait() -> str:
    logging.getLogger("app").warning("in the tool")
    return "went on"

db = PostgresDb(os.environ["TEST_DB"], os.environ["TEST_TABLE"])
agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), tools=[wait], db=db)
"""


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "is_command",
    [False, pytest.param(True, marks=pytest.mark.nightly)],
    ids=["forked", "kern worker --otel"],
)
async def test_a_request_s_trace_holds_the_tool_calls_of_workers_one_of_which_was_killed(
    postgres_db: PostgresDb,
    collector: Collector,
    tracers: TracerProvider,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_command: bool,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script += [Reply.tool_calls(("wait", {})), Reply.text("It went on.")]
    instrument(tracer_provider=tracers)
    agent = Agent("Tester", model, db=postgres_db)
    app = FastAPI(telemetry={"tracer_provider": tracers})

    @app.post("/runs")
    async def submit() -> str:
        return (await agent.arun("Go on.", background=True)).run_id

    async with (
        uvicorn_here(app) as port,
        ClientSession() as client,
        client.post(f"http://127.0.0.1:{port}/runs") as answer,
    ):
        run_id = await answer.json()
    [request] = [each for each in await collector.wait("POST /runs") if each.kind == SERVER]
    environment = environment_of(postgres_db, server.base_url) | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_METRIC_EXPORT_INTERVAL": "300",
        "OTEL_SERVICE_NAME": "workers",
    }
    more = {"KERN_HEARTBEAT": str(HEARTBEAT), "TEST_LEDGER": str(tmp_path / "ledger")}
    first = new_worker(postgres_db, tools=("wait",), **more, **environment)
    [earlier] = await collector.wait("chat")
    await collector.wait_for_metric("kern.worker.slots", partial(eq, 1))
    await collector.wait_for_metric("db.client.connection.max")
    about = {"kern_agent_id": "tester"}
    wait, count = await collector.wait_for_metric("kern.run.queue_wait", **about)
    assert (count, wait > 0) == (1, True)
    first.send(signal.SIGKILL)
    if is_command:
        attempt = await _goes_on_in_a_command(collector, run_id, tmp_path, environment)
    else:
        new_worker(postgres_db, tools=("wait",), **more, **environment)
        [attempt] = await collector.wait("invoke_agent", timeout=40)
    run = await agent.aget_run_output(run_id)
    assert run is not None
    assert run.status is RunStatus.completed
    [call] = await collector.wait("execute_tool wait")
    assert {each.trace_id for each in collector.spans} == {request.trace_id}
    assert attempt.attributes["kern.run.attempt"] == run.attempt > 1
    assert attempt.resource["service.name"] == "workers"
    # Both attempts are below the request, and the later one knows of the first, which was lost.
    assert _is_below(collector, attempt, request)
    assert (earlier.trace_id, earlier.parent_id) in attempt.links
    assert call.parent_id == attempt.span_id
    await collector.wait_for_metric("kern.run.lost_leases", partial(eq, 1), **about)
    await collector.wait_for_metric("kern.run.takeovers", partial(eq, 1), **about)
    await collector.wait_for_metric("kern.runs", kern_run_status="COMPLETED", **about)


async def _goes_on_in_a_command(
    collector: Collector, run_id: str, directory: Path, environment: dict[str, str]
) -> Span:
    """Have a run go on in ``kern worker``, and return the span of the attempt."""
    options = ("--otel", "--log", "json", "--heartbeat", str(HEARTBEAT))
    worker = WorkerCommand(directory, environment, *options, app=APP)
    try:
        [attempt] = await collector.wait("invoke_agent", timeout=40)
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0
    finally:
        worker.close()
    lines = [each for each in worker.lines if each.get("run_id") == run_id]
    said = {each.get("event") or each["message"]: each.get("trace_id") for each in lines}
    assert {said["started"], said["in the tool"], said["completed"]} == {attempt.trace_id}
    return attempt


@pytest.mark.nightly
@pytest.mark.timeout(240)
async def test_the_trace_of_a_client_goes_through_kern_serve_to_a_tool_call(
    collector: Collector, postgres_db: PostgresDb, server: ResponsesServer, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    server.script += [Reply.tool_calls(("wait", {})), Reply.text("It went on.")]
    environment = environment_of(postgres_db, server.base_url) | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    serving = subprocess.Popen(  # noqa: ASYNC220 # nothing else runs here
        [KERN, "serve", "app:agent", "--otel", "--log", "json", "--port", "0"],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with serving, serving.stdout as lines:
        try:
            url = next(json.loads(line)["url"] for line in lines if "listening" in line)
            headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
            body = {"model": "tester", "input": "Go on.", "background": True}
            async with (
                ClientSession() as client,
                client.post(f"{url}/v1/responses", json=body, headers=headers) as answer,
            ):
                assert answer.status == 200
            [call] = await collector.wait("execute_tool wait")
            await collector.wait("invoke_agent")
            serving.terminate()
            said = [json.loads(line) for line in lines]
            assert serving.wait(30) == 0
        finally:
            serving.kill()
    [request] = [each for each in collector.spans if each.kind == SERVER]
    assert (call.trace_id, request.parent_id) == (trace_id, "b7ad6b7169203331")
    assert _is_below(collector, call, request)
    assert {each["trace_id"] for each in said if each.get("event") == "completed"} == {trace_id}


def _is_below(collector: Collector, span: Span, above: Span) -> bool:
    """Say whether a span is below another one; FastAPI has some of its own between."""
    spans = {each.span_id: each for each in collector.spans}
    while span.span_id != above.span_id:
        span = spans[span.parent_id]
    return True
