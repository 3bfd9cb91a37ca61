"""Whatever a tool raises is the error of its call, in every kind of run; the run goes on."""

import asyncio
import logging
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import pytest
from pydantic import AfterValidator

from kern.agent import Agent
from kern.db.database import Database
from kern.models.openai import OpenAIResponses
from kern.run.base import RunContext, RunStatus
from kern.testing import Reply, ResponsesServer

WAIT = 20.0


class CustomError(BaseException):
    """Derives from what nobody catches."""


ERRORS = [
    CustomError,
    KeyboardInterrupt,
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
    LookupError,
]


def in_async_tool(error: BaseException) -> Callable[..., Any]:
    async def fail() -> None:
        raise error

    return fail


def in_sync_tool(error: BaseException) -> Callable[..., Any]:
    def fail() -> None:
        raise error

    return fail


def in_validator(error: BaseException) -> Callable[..., Any]:
    def check(_: int) -> NoReturn:
        raise error

    def fail(number: Annotated[int, AfterValidator(check)] = 1) -> None:
        raise AssertionError("called")

    return fail


def in_result(error: BaseException) -> Callable[..., Any]:
    class Result:
        def __str__(self) -> str:
            raise error

    def fail() -> Result:
        return Result()

    return fail


PLACES = [in_async_tool, in_sync_tool, in_validator, in_result]


def failing(place: Callable[[BaseException], Callable[..., Any]], error: BaseException) -> Any:
    """Return a tool that is named after the place where it fails."""
    fail = place(error)
    fail.__name__ = place.__name__
    return fail


@pytest.mark.parametrize("error", ERRORS)
async def test_what_a_tool_raises_is_told_to_the_model_in_the_first_attempt(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
    error: type[BaseException],
) -> None:
    attempts: list[int] = []

    async def work(context: RunContext) -> str:
        attempts.append(context.attempt)
        await asyncio.sleep(0)
        return "worked"

    calls = [(place.__name__, {"number": 1} if place is in_validator else {}) for place in PLACES]
    server.script.append(Reply.tool_calls(("work", {}), *calls))
    tools = [failing(place, error("it broke")) for place in PLACES]
    agent = Agent("Tester", model, db=db, tools=[work, *tools])
    with caplog.at_level(logging.WARNING):
        run = await agent.arun("Go", background=True)
        ended = await agent.await_run(run.run_id, timeout=WAIT)

    assert ended is not None
    assert ended.status is RunStatus.completed
    assert attempts == [1]
    worked, *failed = ended.tools
    assert (worked.tool_call_error, {each.tool_call_error for each in failed}) == (False, {True})
    assert all("it broke" in str(each.result) for each in failed)
    told = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    about = f"run {run.run_id} (agent tester): the tool"
    assert sorted(told) == sorted(
        f"{about} {each.tool_name} failed: {each.result}" for each in failed
    )
    assert not any(each.exc_info for each in caplog.records)


async def test_a_tool_that_cancels_its_own_task_cancels_nothing_else(
    db: Database, model: OpenAIResponses, server: ResponsesServer
) -> None:
    async def leave() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(WAIT)

    server.script.append(Reply.tool_calls(("leave", {})))
    agent = Agent("Tester", model, db=db, tools=[leave])
    run = await agent.arun("Go", background=True)
    ended = await agent.await_run(run.run_id, timeout=WAIT)

    assert ended is not None
    assert ended.status is RunStatus.completed
    assert [each.result for each in ended.tools] == ["CancelledError"]


@pytest.mark.parametrize("cleanup", [LookupError, CustomError, KeyboardInterrupt])
async def test_a_cancel_of_the_run_passes_on_whatever_the_tool_raises_on_it(
    db: Database, model: OpenAIResponses, server: ResponsesServer, cleanup: type[BaseException]
) -> None:
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.sleep(WAIT)
        finally:
            raise cleanup

    server.script.append(Reply.tool_calls(("work", {})))
    agent = Agent("Tester", model, db=db, tools=[work])
    run = await agent.arun("Go", background=True)
    async with asyncio.timeout(WAIT):
        await began.wait()
        assert await agent.acancel_run(run.run_id)
        ended = await agent.await_run(run.run_id)

    assert ended is not None
    assert ended.status is RunStatus.cancelled
    assert ended.tools == []
