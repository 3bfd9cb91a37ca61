"""Whatever a provider does, a run whose process is killed within it goes on and pays nothing twice.

A process begins a run of each kind in the background, and is killed by SIGKILL while the model's
answer, or a tool, is still to come. The test's own process takes them over.
"""

import asyncio
import json
import os
import re
import signal
from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from elsewhere import environment_of, joined, processes
from leases import expire
from provider_runs import SIGNATURE, Scenario, Stage, calls_in, execute, make_agent, scenarios
from providers import Provider

from kern import errors
from kern.agent import Agent
from kern.db.postgres import PostgresDb
from kern.dispatch.opening import open_runtime
from kern.models.anthropic import Claude
from kern.models.google import Gemini
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.content import ReasoningPart
from kern.testing import ProtocolServer

ANSWERS = {
    "text": "Hello.",
    "streamed": "Once upon a time.",
    "early": "Once upon a time.",
    "parallel": "Done.",
    "failing": "Sorry.",
    "thinking": "Noted.",
    "image": "A pixel.",
    "counted": "9.",
    "heard": "9.",
    "refused": "I will not.",
}
FAILURES = {
    "cut": r"test-model broke off its answer: .*Raise max_",
    "filtered": r"test-model broke off its answer: ",
    "too long": r"test-model answered 400: .*, or take a model that reads more",
}


async def until(agent: Agent, run_id: str, kind: RunEvent) -> None:
    """Read a run until this happens in it."""
    async with aclosing(agent.astream_run(run_id)) as events:
        async for event in events:
            if event.event is kind:
                return


async def killed(
    provider: Provider, server: ProtocolServer, db: PostgresDb, stage: Stage, ledger: Path
) -> Agent:
    """Have a process begin the runs and die within each of them; return the agent here."""
    where = environment_of(db, server.url)["TEST_DB"]
    arguments = (where, db.session_table, server.url, provider.name, str(ledger))
    process = processes.Process(target=execute, args=arguments)
    process.start()
    try:
        turns = [each.dies_in for each in scenarios(provider).values()]
        await server.wait_for_requests(sum(turn or 1 for turn in turns), timeout=40)
        assert len(stage.held) == sum(map(bool, turns))
        agent = make_agent(provider, server.url, db, ledger)
        async with asyncio.timeout(20):
            await until(agent, "streamed", RunEvent.run_content)
            await until(agent, "parallel", RunEvent.tool_call_completed)
    finally:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await joined(process, 20)
        process.close()
    await server.wait_for_disconnects(len(stage.held))
    return agent


@pytest.mark.timeout(240)
async def test_a_run_that_is_killed_within_anything_goes_on(
    provider: Provider, server: ProtocolServer, postgres_db: PostgresDb, tmp_path: Path
) -> None:
    stage, ledger = Stage(provider), tmp_path / "ledger"
    server.default = stage.reply
    agent = await killed(provider, server, postgres_db, stage, ledger)
    await agent.acancel_run("cancelled")
    runtime = await open_runtime(postgres_db)
    for run_id in scenarios(provider):
        await expire(postgres_db, run_id)
    runtime.serve(agent)
    runs: dict[str, RunOutput] = {}
    for run_id in scenarios(provider):
        run = await agent.await_run(run_id, timeout=20)
        assert run is not None
        runs[run_id] = run
    check_ends(provider, runs)
    for scenario in scenarios(provider).values():
        check_requests(stage, scenario)
    check_calls(runs, calls_in(ledger))
    check_what_is_handed_back(provider, stage, runs)
    check_usage(provider, runs)
    await check_stream(agent)
    assert isinstance(agent.model, provider.kind)
    await agent.model.aclose()


def check_ends(provider: Provider, runs: Mapping[str, RunOutput]) -> None:
    answers, failures = dict(ANSWERS), dict(FAILURES)
    if provider.kind is Gemini:  # It has no refusals but those of its filters.
        failures["refused"] = r"broke off its answer: PROHIBITED_CONTENT \(I will not\)"
        answers.pop("refused")
    if provider.kind is Claude:  # It has no filters but its refusals.
        answers["filtered"] = "Once"
        failures.pop("filtered")
    for run_id, answer in answers.items():
        assert (runs[run_id].status, runs[run_id].content) == (RunStatus.completed, answer)
        assert runs[run_id].attempt == 2
    for run_id, said in failures.items():
        run = runs[run_id]
        assert run.status is RunStatus.error, run
        assert issubclass(getattr(errors, str(run.error_kind)), errors.ModelError)
        assert run.error is not None
        assert re.search(said, run.error), run.error
    assert runs["cut"].content == "Once upon"
    assert runs["cancelled"].status is RunStatus.cancelled


def check_requests(stage: Stage, scenario: Scenario) -> None:
    """Only the answer that nobody has received is asked for again, and with the same words."""
    asked = stage.asked(scenario.name)
    again = 0 if scenario.name == "cancelled" else scenario.dies_in
    assert asked == {
        turn: 2 if turn == again else 1 for turn in range(1, len(scenario.script) + 1)
    }, scenario.name
    if again:
        first, second = map(spoken, stage.bodies[scenario.name, again])
        assert first == second, scenario.name


def spoken(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request without the wish to have it streamed, which is the readers'."""
    return {name: body[name] for name in body if name not in ("stream", "stream_options")}


def check_calls(runs: Mapping[str, RunOutput], calls: Counter[str]) -> None:
    """Only the call that was under way is made again."""
    stalled = calls.pop("parallel: stall b")
    assert stalled == 2
    assert {*calls.values()} == {1}
    assert [tool.result for tool in runs["parallel"].tools] == ["a is noted", "b took long"]
    [failed] = runs["failing"].tools
    assert failed.tool_call_error
    assert "There is no a." in str(failed.result)


def check_what_is_handed_back(
    provider: Provider, stage: Stage, runs: Mapping[str, RunOutput]
) -> None:
    for body in stage.bodies["thinking", 2]:
        assert provider.signature(SIGNATURE) in json.dumps(body)
    thoughts = [
        part.text
        for message in runs["thinking"].messages
        if isinstance(message.content, tuple)
        for part in message.content
        if isinstance(part, ReasoningPart)
    ]
    assert thoughts == ["I note it."]
    for body in stage.bodies["image", 1]:
        assert any(role == "media" for role, _ in provider.protocol.messages_of(body))
    [body, _] = stage.bodies["failing", 2]
    results = [text for role, text in provider.protocol.messages_of(body) if role == "tool"]
    assert len(results) == 1
    assert "There is no a." in results[0]


def check_usage(provider: Provider, runs: Mapping[str, RunOutput]) -> None:
    """Both answers are counted, each once."""
    counted, heard = runs["counted"].metrics, runs["heard"].metrics
    assert (counted.model_calls, counted.tool_calls) == (2, 1)
    assert (counted.input_tokens, counted.output_tokens) == (40, 18)
    assert (counted.cached_tokens, counted.reasoning_tokens) == (8, 6)
    assert heard.audio_tokens == (16 if provider.takes_sound else 0)


async def check_stream(agent: Agent) -> None:
    """A reader that comes late is told which pieces are void, and all that hold."""
    for run_id, void in (("streamed", "Once "), ("early", "")):
        events = [event async for event in agent.astream_run(run_id)]
        assert [event.seq for event in events] == [*range(1, len(events) + 1)]
        text = voided = ""
        for event in events:
            match event.event:
                case RunEvent.run_content:
                    text += event.content or ""
                case RunEvent.run_content_voided:
                    text, voided = "", event.content or ""
        assert (text, voided) == ("Once upon a time.", void)
        assert RunEvent.run_resumed in [event.event for event in events]
