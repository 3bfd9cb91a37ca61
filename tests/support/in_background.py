"""A boss who starts a researcher in the background, and how often an end was told."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from elsewhere import processes, set_environment

from kern.agent import Agent
from kern.agent.background import BackgroundAgents
from kern.db.base import Store
from kern.db.database import Database
from kern.db.listing import RunFilter
from kern.db.postgres import PostgresDb
from kern.db.postgres.connections import Connections
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.file import SqliteFile
from kern.execution.reports import follow_up_id
from kern.models.base import ModelRequest
from kern.run.agent import RunOutput
from kern.run.fold import fold
from kern.run.record import RunRecord
from kern.testing import FunctionModel, Reply

START = Reply.tool_calls(("start_researcher", {"input": "How high is it?"}))
STARTED, TOLD = "It is being looked up.", "Told: "


def reports_in(request: ModelRequest) -> list[str]:
    """Return what a model is told of ends, in the order in which it is."""
    said = [each.text for each in request.messages if each.role == "user"]
    return [each for each in said if "<background_run " in each]


def boss_says(request: ModelRequest) -> Reply | str:
    """Have the researcher started, say so, and say what one is told of it."""
    if reports := reports_in(request):
        answers = [each.split("<answer>\n")[1].split("\n</answer>")[0] for each in reports]
        return TOLD + ", ".join(answers)
    return STARTED if any(each.role == "tool" for each in request.messages) else START


class Company:
    """A boss, and a researcher who answers once that is allowed.

    Attributes:
        boss: starts the researcher.
        researcher: answers.
        may_answer: set where the researcher may answer.
        may_end: set where the boss may give an answer without calls.
        answers: how many answers without calls the boss has been asked for.
    """

    def __init__(self, db: Database, *, answer: str = "29 m", **options: Any) -> None:
        self.may_answer, self.may_end = asyncio.Event(), asyncio.Event()
        self.may_end.set()
        self.answers = 0
        self._answer = answer
        self.researcher = Agent("Researcher", FunctionModel(self._research), db=db)
        self.boss = Agent(
            "Boss",
            FunctionModel(self._direct),
            db=db,
            tools=[BackgroundAgents([self.researcher])],
            **options,
        )

    async def _research(self, _: ModelRequest) -> str:
        await self.may_answer.wait()
        return self._answer

    async def _direct(self, request: ModelRequest) -> Reply | str:
        said = boss_says(request)
        if isinstance(said, str):
            self.answers += 1
            await self.may_end.wait()
        return said


async def children_of(store: Store, run_id: str) -> list[RunRecord]:
    """Return the runs that a run has started."""
    found = [await store.get(each.run_id) for each in await store.find(_children(run_id), 100)]
    return [each for each in found if each is not None]


async def child_of(store: Store, run_id: str, timeout: float = 20.0) -> RunRecord:
    """Return the one run that a run has started, once it has ended."""
    async with asyncio.timeout(timeout):
        while True:
            found = await children_of(store, run_id)
            if found and found[0].status.is_terminal:
                assert len(found) == 1, found
                return found[0]
            await asyncio.sleep(0.02)


async def times_told(store: Store, child: RunRecord) -> tuple[int, int]:
    """Return how often an end was told: by the run that has started it, and by one that follows."""
    assert child.parent_run_id is not None
    state = fold(await store.events(child.parent_run_id, 0))
    messages = [each for turn in state.turns for each in turn.messages if each.role == "user"]
    here = sum(f'run_id="{child.run_id}"' in each.text for each in messages)
    follower = await store.get(follow_up_id(child.run_id, child.attempt))
    return here, int(follower is not None)


async def follower_of(
    agent: Agent, store: Store, child: RunRecord, timeout: float = 20.0
) -> RunOutput:
    """Return the run that tells of an end, once it has ended."""
    run_id = follow_up_id(child.run_id, child.attempt)
    async with asyncio.timeout(timeout):
        while await store.get(run_id) is None:  # noqa: ASYNC110 # nobody tells of it before
            await asyncio.sleep(0.02)
        found = await agent.await_run(run_id, timeout)
    assert found is not None
    return found


async def delivered(store: Store, timeout: float = 20.0) -> None:
    """Wait until nothing is left to be told."""
    async with asyncio.timeout(timeout):
        while await store.outbox.next_at() is not None:  # noqa: ASYNC110 # nobody tells of it
            await asyncio.sleep(0.05)


def _children(run_id: str) -> RunFilter:
    return RunFilter(parent_run_id=run_id)


def is_killed_after(
    statements: int, run_id: str, *, db: Database, is_late: bool, foreground: bool
) -> bool:
    """Have a process die after so many of its statements, and say whether it came that far.

    It has the boss do something, and goes on until all is told and done.

    Args:
        statements: how many.
        run_id: the boss's run.
        db: the database, which other processes can use.
        is_late: whether the researcher answers once the boss's run has ended.
        foreground: whether the process waits for the boss's answer itself.
    """
    assert isinstance(db, PostgresDb | SqliteDb)
    where = db._dsn if isinstance(db, PostgresDb) else db._file.path
    process = processes.Process(
        target=_execute, args=(statements, where, db.session_table, run_id, is_late, foreground)
    )
    process.start()
    process.join()
    exit_code = process.exitcode
    process.close()
    assert exit_code in (0, 9)
    return exit_code == 9


def _execute(
    statements: int, where: str, table: str, run_id: str, is_late: bool, foreground: bool
) -> None:
    set_environment({"KERN_HEARTBEAT": "1"})
    db = PostgresDb(where, table) if "://" in where else SqliteDb(where, table)
    asyncio.run(_until(statements, db, run_id, is_late, foreground))


async def _until(
    statements: int, db: Database, run_id: str, is_late: bool, foreground: bool
) -> None:
    company, store = Company(db), await db.store()
    if not is_late:
        company.may_answer.set()
    await store.ping()
    _count(statements)
    run = await company.boss.arun("Go", run_id=run_id, background=not foreground)
    if not foreground:
        await company.boss.await_run(run.run_id)
    company.may_answer.set()
    await child_of(store, run_id)
    await delivered(store)


def _count(statements: int) -> None:
    left = statements

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*given: Any, **named: Any) -> Any:
            nonlocal left
            result = await method(*given, **named)
            left -= 1
            if left < 0:
                os._exit(9)
            return result

        return call

    Connections.fetch = counted(Connections.fetch)  # type: ignore[method-assign] # in a process
    SqliteFile.write = counted(SqliteFile.write)  # type: ignore[method-assign] # of its own
