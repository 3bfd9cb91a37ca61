"""Two processes answer what one run waits for: one counts, and the other is told whose."""

import asyncio
from pathlib import Path

import pytest
from elsewhere import Elsewhere, Process

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import tool

ANSWERING = """
from kern.errors import RunStateError
from kern.run.base import RunContext
from kern.tools import tool

@tool(requires_confirmation=True)
def refund(context: RunContext) -> str:
    with open(os.environ["TEST_LEDGER"], "a") as ledger:
        ledger.write(context.run_id + chr(10))
    return "refunded"

agent = Agent("Tester", OpenAIResponses("test-model", max_retries=0), db=db, tools=[refund])
while line := await hear():
    who, run_id = line.split()
    run = await agent.aget_run_output(run_id)
    for each in run.active_requirements:
        each.confirm() if who == "ada" else each.reject("No.")
    say("ready")
    await hear()
    try:
        await agent.acontinue_run(run_id, requirements=run.requirements, by=who)
        say("first")
    except RunStateError as error:
        say(error)
"""


async def answer_at_once(agent: Agent, run_id: str, people: dict[str, Process]) -> str:
    """Have a run pause and all people answer it; return whose answer counts."""
    await agent.arun("Refund", background=True, run_id=run_id)
    paused = await agent.await_run(run_id, timeout=20)
    assert paused is not None
    assert paused.is_paused
    for who, process in people.items():
        process.tell(f"{who} {run_id}")
    for process in people.values():
        assert await process.said() == "ready"
    for process in people.values():
        process.tell("now")
    said = {who: await process.said() for who, process in people.items()}
    [first] = [who for who, words in said.items() if words == "first"]
    [refused] = [words for words in said.values() if words != "first"]
    assert first in refused, f"who comes second is told: {refused}"
    return first


async def play(
    times: int,
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "ledger"
    ledger.touch()

    @tool(requires_confirmation=True)
    def refund(context: RunContext) -> str:
        """Refund it."""
        with ledger.open("a") as file:
            file.write(f"{context.run_id}\n")
        return "refunded"

    def reply(body: dict[str, list[dict[str, object]]]) -> Reply:
        done = any(each.get("type") == "function_call_output" for each in body["input"])
        return Reply.text("Well.") if done else Reply.tool_calls(("refund", {}))

    server.default = reply
    agent = Agent("Tester", model, db=db, tools=[refund])
    where = {"TEST_LEDGER": str(ledger)}
    people = {"ada": elsewhere(ANSWERING, **where), "bob": elsewhere(ANSWERING, **where)}
    for number in range(times):
        run_id = f"run-{number}"
        who = await answer_at_once(agent, run_id, people)
        ended = await agent.await_run(run_id, timeout=20, until="end")
        assert ended is not None
        assert ended.status is RunStatus.completed, ended.error
        made = ledger.read_text().split().count(run_id)
        assert made == (who == "ada"), f"the answer of {who} counts"
        assert ("refunded" in str(ended.tools[0].result)) == (who == "ada")
    for process in people.values():
        process.tell("")
    assert await asyncio.gather(*(each.ended() for each in people.values())) == [0, 0]


@pytest.mark.timeout(240)
async def test_of_two_answers_at_once_one_counts(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    await play(10, shared_db, model, server, elsewhere, tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_of_two_answers_at_once_one_counts_a_thousand_times(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    await play(500, shared_db, model, server, elsewhere, tmp_path)
