"""Promise 4 for the rules of tools: what a result has done is done, wherever the process dies."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elsewhere import Elsewhere
from leases import expire

from kern.agent import Agent
from kern.db.database import Database
from kern.dispatch.opening import open_runtime
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent, RunOutput
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer
from kern.tools import FunctionTool

SCRIPT = """
import signal
from kern.execution import executor
from kern.tools import FunctionTool
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
{body}
dying = Agent("Tester", agent.model, db=db, **options)
await dying.arun("Work", background=True, run_id="run")
await asyncio.Event().wait()
"""


async def ended(agent: Agent) -> RunOutput:
    """Return the run, carried to its end by an agent of this process."""
    assert agent.db is not None
    await expire(agent.db, "run")
    (await open_runtime(agent.db)).serve(agent)
    run = await agent.await_run("run", timeout=30)
    assert run is not None
    assert run.status is RunStatus.completed, run.error
    return run


async def texts(agent: Agent) -> list[tuple[RunEvent, str | None]]:
    """Return the pieces of the answer, as a late reader sees them."""
    kinds = (RunEvent.run_content, RunEvent.run_content_voided)
    events = [each async for each in agent.astream_run("run")]
    assert [each.seq for each in events] == [*range(1, len(events) + 1)]
    return [(each.event, each.content) for each in events if each.event in kinds]


async def test_a_result_that_ends_the_run_is_kept(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script.append(Reply.tool_calls(("work", {})))
    process = elsewhere(
        SCRIPT.format(
            body="""
executor.settle = die
def work():
    return "sunny"
options = {"tools": [FunctionTool(work, stop_after_tool_call=True)]}
"""
        )
    )
    assert await process.ended() == -9
    calls: list[str] = []
    work = FunctionTool(lambda: calls.append("work"), name="work", stop_after_tool_call=True)
    agent = Agent("Tester", model, db=shared_db, tools=[work])
    run = await ended(agent)
    assert (run.content, calls, len(server.requests)) == ("sunny", [], 1)
    assert await texts(agent) == [(RunEvent.run_content, "sunny")]


async def test_a_result_that_is_shown_is_shown_once(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [
        Reply.tool_calls(("work", {})),
        Reply.text("Take ", "a hat.").slow(pause=60.0),
        Reply.text("Take a coat."),
    ]
    process = elsewhere(
        SCRIPT.format(
            body="""
def work():
    return "It is sunny."
options = {"tools": [FunctionTool(work, show_result=True)]}
"""
        )
    )
    await server.wait_for_requests(2, timeout=20)
    process.send(signal.SIGKILL)
    assert await process.ended() == -9
    calls: list[str] = []
    work = FunctionTool(lambda: calls.append("work"), name="work", show_result=True)
    agent = Agent("Tester", model, db=shared_db, tools=[work])
    run = await ended(agent)
    assert (run.content, calls) == ("It is sunny.\n\nTake a coat.", [])
    assert "".join(str(text) for _, text in await texts(agent)) == run.content


async def test_what_a_lost_call_has_yielded_is_void(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(
        SCRIPT.format(
            body="""
from kern.aio.threads import call_in_thread
async def work():
    yield "one, "
    say("yielded")
    await hear()
    die()
options = {"tools": [FunctionTool(work, show_result=True)]}
"""
        )
    )

    def work() -> Iterator[str]:
        yield from ("two, ", "three")

    agent = Agent("Tester", model, db=shared_db, tools=[FunctionTool(work, show_result=True)])
    assert await process.said() == "yielded"
    seen: list[tuple[RunEvent, str | None]] = []
    async for event in agent.astream_run("run"):
        if event.event in (RunEvent.run_content, RunEvent.run_content_voided):
            seen.append((event.event, event.content))
            if seen[-1] == (RunEvent.run_content, "one, "):
                process.tell("die")
                assert await process.ended() == -9
                await expire(shared_db, "run")
                (await open_runtime(shared_db)).serve(agent)
    assert seen[:2] == [(RunEvent.run_content, "one, "), (RunEvent.run_content_voided, "one, ")]
    assert "".join(str(text) for _, text in seen[2:]) == "two, three\n\nDone."
    run = await agent.aget_run_output("run")
    assert run is not None
    assert run.content == "two, three\n\nDone."
    assert await texts(agent) == seen


async def test_of_calls_in_order_only_the_one_under_way_is_of_unknown_outcome(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    names = [("work", {"name": each}) for each in "abc"]
    server.script += [Reply.tool_calls(*names), Reply.text("Done.")]
    process = elsewhere(
        SCRIPT.format(
            body="""
def work(name: str):
    return die() if name == "b" else name
tools = [FunctionTool(work, on_interrupt="fail")]
options = {"tools": tools, "parallel_tool_calls": False}
"""
        )
    )
    assert await process.ended() == -9
    calls: list[str] = []

    def work(name: str) -> str:
        calls.append(name)
        return name

    tools = [FunctionTool(work, on_interrupt="fail")]
    agent = Agent("Tester", model, db=shared_db, tools=tools, parallel_tool_calls=False)
    run = await ended(agent)
    told = [str(each.result)[:24] for each in run.tools]
    assert told == ["a", "The outcome of this call", "c"]
    assert calls == ["c"]


async def test_a_kept_result_is_there_though_the_call_was_lost(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    elsewhere: Elsewhere,
    tmp_path: Path,
) -> None:
    server.script += [Reply.tool_calls(("work", {"n": 1})), Reply.text("Done.")]
    process = elsewhere(
        SCRIPT.format(
            body=f"""
def work(n: int):
    return "dear"
work.__module__, work.__qualname__ = "shop", "work"
rules = dict(cache_results=True, cache_dir={str(tmp_path)!r}, post_hook=die)
options = {{"tools": [FunctionTool(work, **rules)]}}
"""
        )
    )
    assert await process.ended() == -9
    calls: list[Any] = []

    def work(n: int) -> None:
        calls.append(n)

    work.__module__, work.__qualname__ = "shop", "work"
    tools = [FunctionTool(work, cache_results=True, cache_dir=tmp_path)]
    run = await ended(Agent("Tester", model, db=shared_db, tools=tools))
    assert ([each.result for each in run.tools], calls) == (["dear"], [])


async def test_hooks_are_called_again_with_their_call(
    shared_db: Database, model: OpenAIResponses, server: ResponsesServer, elsewhere: Elsewhere
) -> None:
    server.script += [Reply.tool_calls(("work", {})), Reply.text("Done.")]
    process = elsewhere(
        SCRIPT.format(
            body="""
def work():
    return "done"
options = {"tools": [work], "tool_hooks": [die]}
"""
        )
    )
    assert await process.ended() == -9
    calls: list[str] = []

    async def hook(function_name: str, func: Any) -> Any:
        calls.append(function_name)
        return await func()

    work = FunctionTool(lambda: "done", name="work")
    run = await ended(Agent("Tester", model, db=shared_db, tools=[work], tool_hooks=[hook]))
    assert ([each.result for each in run.tools], calls) == (["done"], ["work"])
