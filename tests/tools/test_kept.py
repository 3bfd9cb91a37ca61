"""Results that are kept on this machine, for later calls with the same arguments."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kern.agent import Agent
from kern.media import Image
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext
from kern.testing import Reply, ResponsesServer
from kern.tools import Function, FunctionCall, ToolResult


def files(directory: Path) -> list[Path]:
    return [*directory.rglob("*.json")]


async def results(
    model: OpenAIResponses,
    server: ResponsesServer,
    used: Any,
    *calls: dict[str, Any],
    user_id: str = "me",
    **options: Any,
) -> list[str | None]:
    """Return what calls come to, each in a run of its own."""
    agent, found = Agent("Tester", model, tools=[used], **options), list[str | None]()
    for arguments in calls:
        server.script += [Reply.tool_calls((used.name, arguments)), Reply.text("Done.")]
        found.append((await agent.arun("Go", user_id=user_id)).tools[0].result)
    return found


async def test_a_result_is_kept_for_the_same_arguments(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path
) -> None:
    made: list[Any] = []

    def look(where: str, day: int = 1) -> dict[str, Any]:
        made.append(where)
        return {"where": where, "calls": len(made)}

    used = Function(look, cache_results=True, cache_dir=tmp_path)
    told = await results(
        model, server, used, {"where": "Rome"}, {"day": 1, "where": "Rome"}, {"where": "Oslo"}
    )
    assert told == ['{"where": "Rome", "calls": 1}'] * 2 + ['{"where": "Oslo", "calls": 2}']
    assert await results(model, server, used, {"where": "Rome"}, user_id="other") == told[:1]
    assert json.loads(files(tmp_path)[0].read_text())["data"]["where"] in ("Rome", "Oslo")
    assert len(made) == 2


async def test_a_tool_that_asks_for_the_run_keeps_results_for_each_user(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path
) -> None:
    def look(run_context: RunContext) -> str:
        return f"for {run_context.user_id}"

    used = Function(look, cache_results=True, cache_dir=tmp_path)
    assert await results(model, server, used, {}, user_id="ann") == ["for ann"]
    assert await results(model, server, used, {}, user_id="bob") == ["for bob"]


async def test_hooks_see_a_kept_text_as_the_tool_returned_it(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path
) -> None:
    seen: list[object] = []

    def note(fc: FunctionCall) -> None:
        seen.append(fc.result)

    def around(function_call: Callable[..., str], arguments: dict[str, Any]) -> str:
        return function_call(**arguments).upper()

    used = Function(
        lambda: "wet",
        name="soil",
        cache_results=True,
        cache_dir=tmp_path,
        post_hook=note,
        tool_hooks=[around],
    )
    assert await results(model, server, used, {}, {}) == ["WET", "WET"]
    assert seen == ["WET", "WET"]


@pytest.mark.parametrize("which", ["dependencies", "metadata", "session_state"])
async def test_a_result_is_not_kept_for_a_run_that_was_given_something_else(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path, which: str
) -> None:
    """So where a server has no users, but tenants, none is told what is another's."""

    def look(run_context: RunContext) -> str:
        return f"for {getattr(run_context, which)['tenant']}"

    def state(session_state: dict[str, str]) -> str:
        return f"for {session_state['tenant']}"

    def dependent(dependencies: dict[str, str]) -> str:
        return f"for {dependencies['tenant']}"

    functions: dict[str, list[Any]] = {
        "session_state": [look, state],
        "dependencies": [look, dependent],
    }
    for function in functions.get(which, [look]):
        used: Any = Function(function, cache_results=True, cache_dir=tmp_path)
        agent: Any = Agent("Tester", model, tools=[used])
        for tenant, is_kept in (("ann", False), ("bob", False), ("ann", True)):
            before = len(files(tmp_path))
            server.script += [Reply.tool_calls((used.name, {})), Reply.text("Done.")]
            run = await agent.arun("Go", **{which: {"tenant": tenant}})
            assert run.tools[0].result == f"for {tenant}"
            assert len(files(tmp_path)) == before + (not is_kept)


async def test_what_is_old_damaged_an_error_or_media_is_made_anew(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path, monkeypatch: Any
) -> None:
    made: list[Any] = []

    async def look(kind: str) -> object:
        made.append(kind)
        match kind:
            case "error":
                return ToolResult("no", is_error=True)
            case "raise":
                raise OSError("no")
            case "media":
                return Image(url="https://example.com/a.png")
        return kind

    used = Function(look, cache_results=True, cache_dir=tmp_path, cache_ttl=100)
    for kind in ("error", "raise", "media"):
        await results(model, server, used, {"kind": kind}, {"kind": kind})
    assert made == ["error", "error", "raise", "raise", "media", "media"]
    made.clear()
    await results(model, server, used, {"kind": "a"}, {"kind": "a"})
    [path] = files(tmp_path)
    path.write_text("{")
    await results(model, server, used, {"kind": "a"}, {"kind": "a"})
    now = time.time()
    monkeypatch.setattr("kern.tools.kept.time.time", lambda: now + 101)
    await results(model, server, used, {"kind": "a"})
    assert made == ["a", "a", "a"]


async def test_hooks_are_called_though_the_result_is_kept(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def look() -> list[int]:
        return [1, 2]

    def hook(func: Any, args: Any, user_id: str) -> Any:
        if user_id == "eve":
            raise PermissionError("not you")
        seen.append(func(**args))
        return seen[-1]

    used = Function(look, cache_results=True, cache_dir=tmp_path)
    assert await results(model, server, used, {}, {}, tool_hooks=[hook]) == ["[1, 2]"] * 2
    assert seen == [[1, 2], [1, 2]]
    told = await results(model, server, used, {}, tool_hooks=[hook], user_id="eve")
    assert told == ["PermissionError: not you"]


@pytest.mark.parametrize("streams", [False, True])
async def test_what_a_generator_yields_is_kept_whole(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path, streams: bool
) -> None:
    async def later() -> Any:
        yield "one, "
        yield "two"

    def now() -> Any:
        yield "one, "
        yield "two"

    used = Function(later if streams else now, name="w", cache_results=True, cache_dir=tmp_path)
    assert await results(model, server, used, {}, {}) == ["one, two"] * 2


async def test_a_place_that_cannot_be_written_to_costs_the_run_nothing(
    model: OpenAIResponses, server: ResponsesServer, tmp_path: Path, caplog: Any
) -> None:
    (tmp_path / "file").write_text("")
    used = Function(lambda: "a", name="look", cache_results=True, cache_dir=tmp_path / "file")
    assert await results(model, server, used, {}) == ["a"]
    assert "The result cannot be kept at" in caplog.text
