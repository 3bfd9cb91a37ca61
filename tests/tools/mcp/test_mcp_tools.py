"""The tools of a server that is made with the official SDK, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from mcp import Client
from mcp_service import PNG, Legacy, noted, serving_mcp
from ports import free_port
from starlette.types import ASGIApp

from kern.agent import Agent
from kern.errors import ConfigurationError, ToolsetError
from kern.run.base import RunContext, RunStatus
from kern.run.content import ImagePart, Inline, TextPart
from kern.run.message import Message
from kern.testing import Reply, ScriptedModel
from kern.tools import ToolResult
from kern.tools.mcp import (
    MCPLogEvent,
    MCPProgressEvent,
    MCPTools,
    MultiMCPTools,
    StreamableHTTPClientParams,
)

pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with serving_mcp() as url:
        yield url


def agent_with(tools: MCPTools | MultiMCPTools, *calls: tuple[str, dict[str, object]]) -> Agent:
    model = ScriptedModel([Reply.tool_calls(*calls), "Done."])
    return Agent("Traveller", model, tools=[tools])


def results_of(messages: list[Message] | None) -> list[str]:
    return [each.text for each in messages or () if each.role == "tool"]


async def called(tools: MCPTools, name: str, arguments: str = "{}") -> ToolResult:
    context = RunContext("run", "session", idempotency_key="run/1/0")
    return await tools.functions[name].call(arguments, context)


async def test_a_run_calls_the_tools_of_a_server_that_nobody_has_opened(url: str) -> None:
    agent = agent_with(MCPTools(url=url), ("add", {"a": 1, "b": 2}), ("fail", {}), ("add", {}))
    run = await agent.arun("Add.")
    added, failed, unfit = results_of(run.messages)
    assert (run.status, run.content, added) == (RunStatus.completed, "Done.", "3")
    assert "fail" in failed
    assert "validation error" in unfit


async def test_a_model_is_told_of_tools_as_the_server_describes_them(url: str) -> None:
    async with MCPTools(url=url) as tools:
        add = tools.functions["add"]
    assert add.schema.description == "Add two numbers."
    assert add.schema.parameters["required"] == ["a", "b"]
    assert add.title == "Adds"
    assert add.annotations == {"title": "Adds", "readOnlyHint": True}


async def test_what_only_reads_may_be_retried_and_all_else_follows_the_rule(url: str) -> None:
    async with MCPTools(url=url, on_interrupt="pause") as tools:
        rules = {name: each.on_interrupt for name, each in tools.functions.items()}
    assert (rules["add"], rules["pay"]) == ("retry", "pause")


async def test_tools_are_included_excluded_prefixed_and_renamed(url: str) -> None:
    async with MCPTools(
        url=url,
        include_tools=["add", "who", "pay"],
        exclude_tools=["pay"],
        rename_tools={"who": "whoami"},
        tool_name_prefix="shop",
        requires_confirmation_tools=["who"],
        stop_after_tool_call_tools=["add"],
    ) as tools:
        assert [*tools.functions] == ["shop_add", "shop_whoami"]
        assert tools.functions["shop_whoami"].requires_confirmation
        assert tools.functions["shop_add"].show_result
        assert (await called(tools, "shop_add", '{"a": 1, "b": 1}')).content == "2"


async def test_a_rule_for_a_tool_that_the_server_does_not_have_is_refused(url: str) -> None:
    tools = MCPTools(url=url, requires_confirmation_tools=["ad"])
    with pytest.raises(ConfigurationError, match=r"has no tool 'ad'.*add"):
        await tools.connect()
    await tools.close()


async def test_media_and_structured_values_are_parts_of_a_result(url: str) -> None:
    async with MCPTools(url=url) as tools:
        picture = await called(tools, "picture")
        added = await called(tools, "add", '{"a": 1, "b": 2}')
    assert picture.content == (TextPart("Here it is:"), ImagePart(Inline(PNG), "image/png"))
    assert (added.content, added.data) == ("3", {"result": 3})


async def test_progress_and_log_messages_are_events_of_the_run(url: str) -> None:
    agent = agent_with(MCPTools(url=url), ("work", {}))
    events = [each async for each in agent.arun("Work.", stream=True, stream_events=True)]
    progress = [each for each in events if isinstance(each, MCPProgressEvent)]
    [log] = [each for each in events if isinstance(each, MCPLogEvent)]
    assert [(each.progress, each.total, each.message) for each in progress] == [
        (1.0, 2.0, "half"),
        (2.0, 2.0, "done"),
    ]
    assert (log.level, log.data) == ("info", "Nearly there.")
    assert log.tool_call_id == progress[0].tool_call_id is not None


async def test_each_run_has_the_headers_of_its_user(url: str) -> None:
    def headers(run_context: RunContext) -> dict[str, str]:
        return {"X-User": run_context.user_id or "?"}

    tools = MCPTools(url=url, headers={"X-Other": "1"}, header_provider=headers)
    agents = [agent_with(tools, ("who", {})) for _ in range(2)]
    runs = await asyncio.gather(
        *(
            each.arun("Who?", user_id=user)
            for each, user in zip(agents, ("ann", "bob"), strict=True)
        )
    )
    assert [results_of(run.messages) for run in runs] == [["ann"], ["bob"]]
    assert not tools.is_portable
    await tools.close()


async def test_headers_that_are_no_texts_fail_the_run_and_are_not_told(url: str) -> None:
    tools = MCPTools(url=url, header_provider=lambda: {"Authorization": 12345})
    with pytest.raises(ToolsetError, match="must return texts") as raised:
        await agent_with(tools, ("who", {})).arun("Who?")
    assert "12345" not in str(raised.value)


async def test_several_servers_are_one_toolset_and_may_lack_one(url: str) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/mcp"
    params = [StreamableHTTPClientParams(nowhere)]
    several = MultiMCPTools(
        urls=[url], server_params_list=params, allow_partial_failure=True, include_tools=["add"]
    )
    run = await agent_with(several, ("add", {"a": 2, "b": 2})).arun("Add.")
    assert results_of(run.messages) == ["4"]
    strict = MultiMCPTools(urls=[url, nowhere])
    with pytest.raises(ToolsetError, match="cannot be used: ConnectError"):
        await agent_with(strict, ("add", {})).arun("Add.")


async def test_two_servers_with_tools_of_one_name_are_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="two tools of the name 'add'"):
        await MultiMCPTools(urls=[url, url]).connect()


async def test_a_call_that_takes_too_long_is_cancelled_at_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = tmp_path / "notes"
    monkeypatch.setenv("MCP_NOTES", str(notes))
    async with serving_mcp() as url, MCPTools(url=url, timeout_seconds=0.3) as tools:
        while not noted(notes):  # It may be given up before it has come, on a slow machine.
            result = await called(tools, "slow", '{"seconds": 60}')
            assert result.is_error
            assert "did not return within 0.3 s" in str(result.content)
        async with asyncio.timeout(20):
            while "slow cancelled" not in noted(notes):  # noqa: ASYNC110 # another task notes it
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("around", [lambda app: app, Legacy], ids=["newest", "older"])
async def test_a_server_that_was_started_anew_is_found_again(
    around: Callable[[ASGIApp], ASGIApp],
) -> None:
    port = free_port()
    async with serving_mcp(port=port, around=around) as url:
        tools = MCPTools(url=url)
        await tools.connect()
    async with serving_mcp(port=port, around=around):
        assert (await called(tools, "add", '{"a": 1, "b": 2}')).content == "3"
    await tools.close()


async def test_the_model_is_told_of_a_server_that_stays_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kern.tools.mcp.tool._PAUSES", (0.01,))
    async with serving_mcp() as url:
        tools = MCPTools(url=url)
        await tools.connect()
    result = await called(tools, "add", '{"a": 1, "b": 2}')
    assert result.is_error
    assert "ToolsetError" in str(result.content)
    await tools.close()


async def test_a_session_that_its_user_has_opened_is_used_and_left_open(url: str) -> None:
    async with Client(url) as client:
        tools = MCPTools(session=client.session)
        run = await agent_with(tools, ("add", {"a": 1, "b": 2})).arun("Add.")
        assert results_of(run.messages) == ["3"]
        assert not tools.is_portable
        await tools.close()
        assert (await client.list_tools()).tools


async def test_a_function_may_give_a_run_its_server(url: str) -> None:
    def tools_of(user_id: str) -> list[MCPTools]:
        return [MCPTools(url=url, headers={"X-User": user_id})]

    model = ScriptedModel([Reply.tool_calls(("who", {})), "Done."])
    run = await Agent("Traveller", model, tools=tools_of).arun("Who?", user_id="ann")
    assert results_of(run.messages) == ["ann"]


async def test_a_server_is_used_by_synchronous_runs_too(url: str) -> None:
    agent = agent_with(MCPTools(url=url), ("add", {"a": 1, "b": 2}))
    run = await asyncio.to_thread(agent.run, "Add.")
    assert results_of(run.messages) == ["3"]


async def test_a_session_with_the_headers_of_a_run_closes_once_it_is_idle(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kern.tools.mcp.pool._IDLE", 0.05)
    tools = MCPTools(url=url, header_provider=lambda user_id: {"X-User": user_id})
    await agent_with(tools, ("who", {})).arun("Who?", user_id="ann")
    [(_, shared)] = tools._pools
    pool = await shared.get()
    async with asyncio.timeout(20):
        while pool._open:  # noqa: ASYNC110 # it closes by itself
            await asyncio.sleep(0.01)
    await tools.close()
