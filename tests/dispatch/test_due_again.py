"""A run that is due again while its attempt here is coming to its end begins at once after that."""

import asyncio
from functools import partial

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.db.values import Settled
from kern.run.record import Settlement
from kern.testing import Reply, ScriptedModel
from kern.tools import tool


@tool(requires_confirmation=True)
def pay() -> str:
    """Pay."""
    return "paid"


async def test_what_is_answered_before_its_attempt_has_ended_here_goes_on_at_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = Agent("Payer", ScriptedModel([Reply.tool_calls(("pay", {})), "Done"]), db=db)
    agent.add_tool(pay)
    store = await db.store()
    settle = store.settle

    async def settle_and_answer(settlement: Settlement) -> Settled | None:
        """The answer comes between the commit of the pause and the end of its attempt."""
        settled = await settle(settlement)
        monkeypatch.setattr(store, "settle", settle)
        run = await agent.aget_run_output(settlement.run_id)
        assert run is not None
        run.active_requirements[0].confirm()
        await agent.acontinue_run(run)
        await asyncio.sleep(0.2)  # The queue hands it over meanwhile.
        return settled

    monkeypatch.setattr(store, "settle", partial(settle_and_answer))
    submitted = await agent.arun("Go", background=True)
    run = await agent.await_run(submitted.run_id, 10, until="end")
    assert run is not None
    assert run.content == "Done"
