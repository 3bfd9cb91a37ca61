"""Handing a conversation over: what the other agent is told, and whose answer the run's is."""

import asyncio
from typing import Any

import pytest
from locally import LOCALLY
from pydantic import BaseModel

from kern.agent import Agent, Handoff
from kern.db.database import Database
from kern.db.in_memory import InMemoryDb
from kern.errors import ConfigurationError
from kern.models.base import ModelRequest
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.run.message import Message
from kern.testing import FunctionModel, Reply, ScriptedModel


def transferring(*names: str) -> ScriptedModel:
    """Return a model that hands over at once."""
    return ScriptedModel([Reply.tool_calls(*((f"transfer_to_{name}", {}) for name in names))])


def said(request: ModelRequest) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in request.messages]


async def carried_out(agent: Agent, background: bool, text: str = "A refund!") -> RunOutput:
    if not background:
        return await agent.arun(text)
    submitted = await agent.arun(text, background=True)
    run = await agent.await_run(submitted.run_id, 20)
    assert run is not None
    return run


@LOCALLY
@pytest.mark.parametrize("background", [False, True], ids=["foreground", "background"])
async def test_the_answer_of_the_other_agent_is_the_runs(db: Database, background: bool) -> None:
    model = ScriptedModel(["You get it."])
    refunds = Agent("Refunds", model, instructions="Be kind.", description="Gives refunds.")
    triage = Agent(
        "Triage", transferring("refunds"), instructions="Choose.", handoffs=[refunds], db=db
    )
    run = await carried_out(triage, background)
    assert (run.status, run.content) == (RunStatus.completed, "You get it.")
    assert said(model.requests[0]) == [
        ("system", "Gives refunds.\n\nBe kind."),
        ("user", "A refund!"),
    ]
    child = await triage.aget_run_output(run.tools[0].child_run_id or "")
    assert child is not None
    assert (child.agent_id, child.parent_run_id) == ("refunds", run.run_id)


async def test_the_model_is_offered_whom_there_is() -> None:
    refunds = Agent("Refund Desk", ScriptedModel(), description="Gives refunds.")
    named = Handoff(Agent("Sales", ScriptedModel()), name="sell", description="To sell.")
    triage = Agent("Triage", ScriptedModel(), handoffs=[refunds, named])
    assert {name: each.schema.description for name, each in triage.tools.items()} == {
        "transfer_to_refund_desk": "Hands the conversation over to Refund Desk. Gives refunds.",
        "sell": "To sell.",
    }
    assert [*triage.deep_copy().tools] == [*triage.tools]
    triage.add_tool(_look)
    triage.handoffs = [refunds]
    assert [*triage.tools] == ["_look", "transfer_to_refund_desk"]


def _look() -> str:
    """Look."""
    return "seen"


async def test_what_was_said_before_is_handed_over_with_it() -> None:
    model = ScriptedModel(["You get it."])
    script = ["Hello!", Reply.tool_calls(("_look", {})), *transferring("refunds").script]
    triage = Agent(
        "Triage",
        ScriptedModel(script),
        tools=[_look],
        handoffs=[Agent("Refunds", model)],
        db=InMemoryDb(),
        add_history_to_context=True,
    )
    await triage.arun("Hi", session_id="talk")
    await triage.arun("A refund!", session_id="talk")
    assert said(model.requests[0]) == [
        *(("user", "Hi"), ("assistant", "Hello!"), ("user", "A refund!")),
        *(("assistant", ""), ("tool", "seen")),
    ]


def only_last(messages: list[Message]) -> list[Message]:
    return messages[-1:]


async def only_last_later(messages: list[Message]) -> list[Message]:
    await asyncio.sleep(0)
    return messages[-1:]


@pytest.mark.parametrize("input_filter", [only_last, only_last_later])
async def test_a_filter_says_what_is_handed_over(input_filter: Any) -> None:
    model = ScriptedModel(["You get it."])
    handoff = Handoff(Agent("Refunds", model), input_filter=input_filter)
    triage = Agent("Triage", transferring("refunds"), handoffs=[handoff])
    told = [Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "A refund!")]
    assert (await triage.arun(told)).content == "You get it."
    assert said(model.requests[0]) == [("user", "A refund!")]


@pytest.mark.parametrize("returned", [None, "text", ["text"], []])
async def test_what_a_filter_returns_has_to_be_messages(returned: Any) -> None:
    model = ScriptedModel(["never"])
    handoff = Handoff(Agent("Refunds", model), input_filter=lambda _: returned)
    triage = transferring("refunds")
    triage.script.append("Alone.")
    run = await Agent("Triage", triage, handoffs=[handoff]).arun("A refund!")
    assert run.content == "Alone."
    assert run.tools[0].tool_call_error
    assert model.requests == []


async def test_a_conversation_is_handed_over_once() -> None:
    other = ScriptedModel(["never"])
    triage = Agent(
        "Triage",
        transferring("refunds", "sales"),
        handoffs=[Agent("Refunds", ScriptedModel(["You get it."])), Agent("Sales", other)],
        db=InMemoryDb(),
    )
    run = await triage.arun("A refund!")
    assert run.content == "You get it."
    assert other.requests == []
    assert run.tools[1].tool_call_error


async def test_where_the_other_agent_fails_the_first_one_may_answer() -> None:
    triage = transferring("refunds")
    triage.script.append("Alone.")
    refunds = Agent("Refunds", ScriptedModel([Reply.failed()]))
    run = await Agent("Triage", triage, handoffs=[refunds], db=InMemoryDb()).arun("A refund!")
    assert run.content == "Alone."
    assert "Refunds failed" in (run.tools[0].result or "")


async def test_agents_may_hand_over_to_each_other() -> None:
    def reply(request: ModelRequest) -> Reply | str:
        return "Back." if "back" in request.messages[-1].text else "Forth."

    triage = Agent("Triage", transferring("refunds"), db=InMemoryDb())
    refunds = Agent("Refunds", FunctionModel(reply), handoffs=[triage])
    triage.handoffs = [refunds]
    assert (await carried_out(triage, background=True)).content == "Forth."


class Order(BaseModel):
    """What was ordered."""

    item: str


@pytest.mark.parametrize(
    ("handoffs", "said"),
    [
        ("Refunds", "a list"),
        (["Refunds"], "must be agents"),
        ([Agent("Typed", ScriptedModel(), input_schema=Order)], "input_schema"),
        ([Agent(model=ScriptedModel())], "needs a name"),
        ([Handoff(Agent("Refunds", ScriptedModel()), input_filter=7)], "input_filter"),  # type: ignore[arg-type]
        ([Agent("A b", ScriptedModel()), Agent("A-b", ScriptedModel(), id="x")], None),
    ],
)
def test_handoffs_that_cannot_be_used_are_refused(handoffs: Any, said: str | None) -> None:
    if said is None:
        assert len(Agent("Triage", ScriptedModel(), handoffs=handoffs).tools) == 2
        return
    with pytest.raises(ConfigurationError, match=said):
        Agent("Triage", ScriptedModel(), handoffs=handoffs)
