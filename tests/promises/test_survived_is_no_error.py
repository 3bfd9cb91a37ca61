"""Nothing that a run survives is logged as ERROR, and no traceback is shown for it but at DEBUG."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import DatabaseError, InputCheckError
from kern.hooks import hook
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunOutput
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer, ScriptedModel


def broken() -> str:
    """Break."""
    raise ZeroDivisionError("no such number")


def failing_hook() -> None:
    """Fail."""
    raise LookupError("no such hook")


@hook(run_in_background=True)
def failing_later(run_output: RunOutput) -> None:
    """Fail beside the end."""
    raise LookupError("no such hook")


def refusing() -> None:
    """Refuse."""
    raise InputCheckError("Not this.")


def loud(records: list[logging.LogRecord]) -> list[str]:
    """Return what is louder than it may be."""
    return [
        f"{each.levelname} {each.getMessage()}"
        for each in records
        if each.levelno >= logging.ERROR
        or ((each.exc_info or each.stack_info) and each.levelno > logging.DEBUG)
    ]


async def test_what_a_run_survives_is_a_warning_at_most(
    db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    busy = Reply.http_error(503, "Busy.")
    server.script += [
        busy,  # The run is retried,
        Reply.tool_calls(("broken", {}), ("missing", {}), ("broken", {"no": "such"})),
        Reply.dropped(),  # and again,
        Reply.text("Hello."),
    ]
    agent = Agent(
        "Tester",
        model,
        db=db,
        tools=[broken],
        pre_hooks=[failing_hook],
        post_hooks=[failing_hook, failing_later],
        fallback_models=[ScriptedModel([busy, busy, busy, busy])],
        followups=True,
        followup_model=ScriptedModel(["no JSON"]),
        retries=4,
        delay_between_retries=0.01,
    )
    accepted = await agent.arun("Hi", background=True)
    run = await agent.await_run(accepted.run_id, timeout=30)
    assert run is not None
    assert run.status is RunStatus.completed
    await asyncio.sleep(0)
    assert loud(caplog.records) == []
    warned = {each.getMessage() for each in caplog.records if each.levelno == logging.WARNING}
    assert any("the tool broken failed: ZeroDivisionError" in each for each in warned)
    assert any("the pre-hook failing_hook failed" in each for each in warned)
    debugged = [each for each in caplog.records if each.exc_info and each.levelno == logging.DEBUG]
    assert {str(each.exc_info[1]) for each in debugged if each.exc_info} >= {
        "no such number",
        "no such hook",
    }


async def test_a_refused_input_is_a_warning(db: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    agent = Agent("Tester", ScriptedModel(), db=db, pre_hooks=[refusing])
    with pytest.raises(InputCheckError):
        await agent.arun("Hi")
    assert loud(caplog.records) == []
    assert "failed (agent tester, attempt 1): Not this." in caplog.text


async def test_what_a_process_survives_is_a_warning(
    db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    agent = Agent("Tester", ScriptedModel(["Hello."]), db=db)
    queue = (await db.store()).queue
    next_due = queue.next_due

    async def broken_once(agent_ids: Sequence[str]) -> float | None:
        monkeypatch.setattr(queue, "next_due", next_due)
        raise DatabaseError("on strike")

    monkeypatch.setattr(queue, "next_due", broken_once)
    accepted = await agent.arun("Hi", background=True)
    run = await agent.await_run(accepted.run_id, timeout=30)
    assert run is not None
    said = "the queue could not be read: DatabaseError: on strike"
    async with asyncio.timeout(20):
        while said not in caplog.text:  # noqa: ASYNC110 # the log tells nobody
            await asyncio.sleep(0.01)
    assert loud(caplog.records) == []
