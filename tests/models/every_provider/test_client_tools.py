"""Calls of a client, and their results in a later run, as every provider takes them."""

import json

from providers import Provider

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.models.base import Model
from kern.run.message import Message
from kern.run.overrides import ClientTool, Overrides
from kern.testing import ProtocolServer, Reply

OWN = Overrides(
    tools=(ClientTool("open_door", "Opens a door.", {"type": "object", "properties": {"no": {}}}),),
    instructions="Be brief.",
)


async def test_results_of_both_sides_are_told_as_those_of_one_answer(
    provider: Provider, model: Model, server: ProtocolServer
) -> None:
    def work() -> str:
        return "own result"

    agent = Agent("Host", model, tools=[work], db=InMemoryDb(), add_history_to_context=True)
    calls = [("open_door", {"no": 1}), ("work", {}), ("open_door", {"no": 2})]
    for goes_on_by_id in (True, False):
        server.script += [Reply.text("One moment.").calling(*calls), Reply.text("Come in.")]
        run = await agent.arun("Let me in.", overrides=OWN)
        texts = [f"opened {each.tool_args['no']}" for each in run.client_calls]
        given = [
            Message("tool", text, tool_call_id=each.tool_call_id)
            for text, each in zip(texts, run.client_calls, strict=True)
        ]
        if goes_on_by_id:
            then = await agent.acontinue_run(run.run_id, input=given, overrides=OWN)
        else:
            then = await agent.arun(given, session_id=run.session_id, overrides=OWN)
        assert then.content == "Come in."
        asked = server.requests[-1].body
        said = asked.get("messages") or asked.get("input") or asked["contents"]
        told = [json.dumps(each) for each in said]
        results = [at for at, each in enumerate(told) if "opened" in each or "own result" in each]
        last = len(told) - 1
        first = last if provider.name in ("Claude", "Gemini") else last - 2  # Each its own, or one.
        assert results == [*range(first, last + 1)]
        assert all(text in "".join(told) for text in (*texts, "own result", "One moment."))
        assert "Be brief." in json.dumps(asked)
