"""A cancellation manager of the program: told and asked, while kern's database stays the truth."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from typing_extensions import override

from kern.agent import Agent
from kern.db.database import Database
from kern.errors import ConfigurationError
from kern.exceptions import RunCancelledException
from kern.models.openai import OpenAIResponses
from kern.run import cancel, get_cancellation_manager, set_cancellation_manager
from kern.run.base import RunStatus
from kern.run.cancellation_management.base import BaseRunCancellationManager
from kern.testing import Reply, ResponsesServer


class Kept(BaseRunCancellationManager):
    """Keeps cancels in a dict, and notes what it is told."""

    def __init__(self) -> None:
        self.runs: dict[str, bool] = {}
        self.notes: list[str] = []
        self.cleaned = asyncio.Event()

    @override
    def register_run(self, run_id: str) -> None:
        self.notes.append(f"register {run_id}")
        self.runs.setdefault(run_id, False)

    @override
    async def aregister_run(self, run_id: str) -> None:
        self.register_run(run_id)

    @override
    def cancel_run(self, run_id: str) -> bool:
        self.notes.append(f"cancel {run_id}")
        known = run_id in self.runs
        self.runs[run_id] = True
        return known

    @override
    async def acancel_run(self, run_id: str) -> bool:
        return self.cancel_run(run_id)

    @override
    def is_cancelled(self, run_id: str) -> bool:
        return self.runs.get(run_id, False)

    @override
    async def ais_cancelled(self, run_id: str) -> bool:
        return self.is_cancelled(run_id)

    @override
    def cleanup_run(self, run_id: str) -> None:
        self.notes.append(f"cleanup {run_id}")
        self.runs.pop(run_id, None)
        self.cleaned.set()

    @override
    async def acleanup_run(self, run_id: str) -> None:
        self.cleanup_run(run_id)

    @override
    def raise_if_cancelled(self, run_id: str) -> None:
        if self.is_cancelled(run_id):
            raise RunCancelledException(run_id)

    @override
    async def araise_if_cancelled(self, run_id: str) -> None:
        self.raise_if_cancelled(run_id)

    @override
    def get_active_runs(self) -> dict[str, bool]:
        return dict(self.runs)

    @override
    async def aget_active_runs(self) -> dict[str, bool]:
        return self.get_active_runs()


@pytest.fixture
def manager() -> Iterator[Kept]:
    """A manager that is in place."""
    made = Kept()
    set_cancellation_manager(made)
    yield made
    set_cancellation_manager(None)


async def test_a_manager_is_told_of_each_run(
    db: Database, model: OpenAIResponses, server: ResponsesServer, manager: Kept
) -> None:
    server.default = Reply.text("Done.")
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hi", run_id="here")
    manager.cleaned.clear()
    await agent.arun("Hi", run_id="behind", background=True)
    await asyncio.wait_for(manager.cleaned.wait(), 20)
    assert manager.notes == [
        *("register here", "cleanup here", "register behind", "cleanup behind"),
    ]


async def test_what_a_manager_says_to_be_cancelled_ends_at_its_next_step(
    db: Database, model: OpenAIResponses, server: ResponsesServer, manager: Kept
) -> None:
    def work() -> str:
        """Work."""
        manager.cancel_run("run")  # As another process may have it there.
        return "done"

    server.script.append(Reply.tool_calls(("work", {})))
    agent = Agent("Tester", model, db=db, tools=[work])
    await agent.arun("Work.", run_id="run", background=True)
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert (run.status, [each.result for each in run.tools]) == (RunStatus.cancelled, ["done"])
    assert len(server.requests) == 1, "the model was not asked again"


async def test_a_manager_is_told_of_a_cancel_and_the_database_too(
    db: Database, model: OpenAIResponses, server: ResponsesServer, manager: Kept
) -> None:
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=db)
    await agent.arun("Hi", run_id="run", background=True)
    await server.wait_for_requests(1)
    assert await agent.acancel_run("run")
    run = await agent.await_run("run", timeout=20)
    assert run is not None
    assert run.status is RunStatus.cancelled
    assert "cancel run" in manager.notes
    await cancel.acancel_run("another")
    await asyncio.to_thread(cancel.cancel_run, "one more")
    assert {"cancel another", "cancel one more"} <= {*manager.notes}


async def test_a_manager_that_raises_changes_nothing(
    model: OpenAIResponses,
    server: ResponsesServer,
    manager: Kept,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object) -> None:
        raise OSError("gone")

    for verb in ("register_run", "is_cancelled", "cleanup_run", "cancel_run"):
        monkeypatch.setattr(manager, verb, broken)
    server.default = Reply.text("Done.")
    run = await Agent("Tester", model).arun("Hi", run_id="run")
    assert run.status is RunStatus.completed
    await cancel.acancel_run("another")
    told = [each for each in caplog.records if "cancellation manager" in each.getMessage()]
    assert {each.levelno for each in told} == {logging.WARNING}
    assert len(told) >= 4


async def test_the_own_one_knows_what_executes_here(
    model: OpenAIResponses, server: ResponsesServer
) -> None:
    assert get_cancellation_manager().get_active_runs() == {}
    server.default = Reply.hang()
    running = asyncio.create_task(Agent("Tester", model).arun("Hi", run_id="run"))
    await server.wait_for_requests(1)
    assert cancel.get_active_runs() == {"run": False}
    cancel.raise_if_cancelled("run")
    assert await cancel.acancel_run("run")
    with pytest.raises(RunCancelledException, match="run was cancelled"):
        await cancel.araise_if_cancelled("run")
    assert (await running).status is RunStatus.cancelled
    assert not cancel.is_cancelled("run")


def test_what_is_no_manager_is_refused() -> None:
    wrong: Any = BaseRunCancellationManager
    with pytest.raises(ConfigurationError, match=r"BaseRunCancellationManager; write Base"):
        set_cancellation_manager(wrong)
