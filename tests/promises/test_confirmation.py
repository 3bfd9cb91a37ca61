"""A call that asks for a person is made once a person has allowed it, and only then."""

import pytest

from kern.agent import Agent
from kern.agent.definition import runtime_of
from kern.db.database import Database
from kern.errors import RunStateError
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.run.record import JournalRow
from kern.run.requirement import RunRequirement
from kern.testing import Reply, ResponsesServer
from kern.tools import tool


class Refunds:
    """An agent with a tool that asks for a person, and one that does not."""

    def __init__(self, db: Database, model: OpenAIResponses) -> None:
        self.made: list[str] = []

        @tool(requires_confirmation=True)
        def refund(amount: int) -> str:
            self.made.append(f"refund {amount}")
            return "refunded"

        def look() -> str:
            self.made.append("look")
            return "seen"

        self.agent = Agent("Tester", model, db=db, tools=[refund, look])

    async def paused(self) -> RunOutput:
        run = await self.agent.await_run("run", timeout=20)
        assert run is not None
        assert run.is_paused
        return run

    async def ended(self) -> RunOutput:
        run = await self.agent.await_run("run", timeout=20, until="end")
        assert run is not None
        return run


@pytest.fixture
def refunds(shared_db: Database, model: OpenAIResponses, server: ResponsesServer) -> Refunds:
    calls = Reply.tool_calls(("refund", {"amount": 5}), ("look", {}))
    server.script += [calls, Reply.text("Well.")]
    return Refunds(shared_db, model)


async def test_a_run_pauses_before_the_call_with_what_it_waits_for(refunds: Refunds) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    assert refunds.made == ["look"], "the calls that need nobody are made before the pause"
    [requirement] = run.active_requirements
    assert requirement.kind == "confirmation"
    assert requirement.id == "run/1/0"
    assert requirement.tool_execution.tool_name == "refund"
    assert requirement.tool_execution.tool_args == {"amount": 5}
    assert (requirement.schema or {})["required"] == ["amount"]


async def test_a_confirmed_call_is_made_once(refunds: Refunds) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    run.requirements[0].confirm()
    await refunds.agent.acontinue_run("run", requirements=run.requirements)
    ended = await refunds.ended()
    assert (ended.status, ended.content) == (RunStatus.completed, "Well.")
    assert refunds.made == ["look", "refund 5"]
    assert ended.requirements == []


async def test_a_rejected_call_is_not_made_and_the_model_is_told_the_note(
    refunds: Refunds, server: ResponsesServer
) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    run.requirements[0].reject("Too much.")
    await refunds.agent.acontinue_run("run", requirements=run.requirements)
    assert (await refunds.ended()).status is RunStatus.completed
    assert refunds.made == ["look"]
    told = [item for item in server.requests[-1].body["input"] if "output" in item]
    assert "rejected this call. Too much." in told[0]["output"]


async def test_the_result_of_a_call_that_was_made_elsewhere_is_the_tools(
    refunds: Refunds, server: ResponsesServer
) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    run.requirements[0].set_external_execution_result("refunded by hand")
    await refunds.agent.acontinue_run("run", requirements=run.requirements)
    ended = await refunds.ended()
    assert ended.tools[0].result == "refunded by hand"
    assert refunds.made == ["look"]


async def test_a_run_pauses_again_while_nobody_has_decided(refunds: Refunds) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    await refunds.agent.acontinue_run("run", requirements=run.requirements)
    again = await refunds.paused()
    assert [each.id for each in again.active_requirements] == ["run/1/0"]
    assert refunds.made == ["look"]


async def test_what_the_run_does_not_wait_for_is_refused(refunds: Refunds) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    other = RunRequirement("run/9/9", "confirmation", run.requirements[0].tool_execution)
    other.confirm()
    with pytest.raises(RunStateError, match="run/9/9"):
        await refunds.agent.acontinue_run("run", requirements=[other])
    assert (await refunds.paused()).is_paused


async def test_an_answer_that_comes_too_late_is_refused(refunds: Refunds) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    [requirement] = run.requirements
    requirement.confirm()
    with pytest.raises(RunStateError, match="answered already"):
        requirement.reject()


async def test_a_stream_ends_at_the_pause_with_the_requirements(refunds: Refunds) -> None:
    events = [
        event
        async for event in refunds.agent.arun("Refund", background=True, run_id="run", stream=True)
    ]
    assert events[-1].event is RunEvent.run_paused
    assert [each.id for each in events[-1].requirements] == ["run/1/0"]


async def test_a_stream_goes_on_where_a_person_decides_while_it_reads(
    refunds: Refunds, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refunds.agent.arun("Refund", background=True, run_id="run")
    run = await refunds.paused()
    run.requirements[0].confirm()
    store = (await runtime_of(refunds.agent)).store
    events = store.events

    async def decided_before(run_id: str, after: int) -> list[JournalRow]:
        monkeypatch.setattr(store, "events", events)
        await refunds.agent.acontinue_run("run", requirements=run.requirements)
        return await events(run_id, after)

    monkeypatch.setattr(store, "events", decided_before)
    kinds = [event.event async for event in refunds.agent.astream_run("run")]
    assert RunEvent.run_continued in kinds
    assert kinds[-1] is RunEvent.run_completed


async def test_a_foreground_run_pauses_too(refunds: Refunds) -> None:
    run = await refunds.agent.arun("Refund", run_id="run")
    assert run.is_paused
    run.requirements[0].confirm()
    await refunds.agent.acontinue_run("run", requirements=run.requirements)
    assert (await refunds.ended()).status is RunStatus.completed
    assert refunds.made == ["look", "refund 5"]
