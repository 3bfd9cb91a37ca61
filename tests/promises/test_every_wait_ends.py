"""Promise 14: every wait ends, also where the notification that would end it never comes."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import pytest
from database_proxy import Proxy, proxy_to, through
from load import ended, submit
from pgbouncer import PROGRAM, PgBouncer
from workers import NewWorker

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.sqlite import SqliteDb
from kern.local.postgres import EmbeddedPostgres
from kern.models.openai import OpenAIResponses
from kern.run.agent import RunEvent
from kern.run.base import RunStatus
from kern.testing import Reply, ResponsesServer

HEARTBEAT = 1.0
WITHIN = 20.0
"""Without another look it would be for ever."""


@pytest.fixture(autouse=True)
def _heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERN_HEARTBEAT", str(HEARTBEAT))


@pytest.fixture
def proxy(postgres: EmbeddedPostgres) -> Iterator[Proxy]:
    with proxy_to(postgres) as running:
        yield running


Wait = Callable[[Agent, str], Coroutine[object, object, str | None]]


async def by_waiting(agent: Agent, run_id: str) -> str | None:
    """Wait for the end of a run, and return what it has answered."""
    return (await ended(agent, run_id)).content


async def by_streaming(agent: Agent, run_id: str) -> str | None:
    """Read a run to its end, and return what it has answered."""
    last = None
    async for event in agent.astream_run(run_id):
        last = event
    assert last is not None
    assert last.event is RunEvent.run_completed
    return last.content


waits = pytest.mark.parametrize("wait", [by_waiting, by_streaming])


async def beginning(tasks: list[asyncio.Task[str | None]]) -> None:
    """See that nobody's wait ends yet."""
    done, _ = await asyncio.wait(tasks, timeout=0.5)
    assert not done


@waits
async def test_a_wait_ends_though_the_connection_that_would_tell_of_it_is_frozen(
    proxy: Proxy,
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    postgres_db: PostgresDb,
    monkeypatch: pytest.MonkeyPatch,
    wait: Wait,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.default = held = Reply.text("Hello.").held()
    await new_worker(postgres_db, KERN_HEARTBEAT=str(HEARTBEAT)).ready()
    agent = Agent("Tester", model, db=through(proxy, table))
    await submit(agent, ["run"])
    waiting = [asyncio.create_task(wait(agent, "run")) for _ in range(3)]
    await server.wait_for_requests(1)
    await beginning(waiting)
    proxy.freeze_listeners()
    held.release()
    async with asyncio.timeout(WITHIN):
        assert await asyncio.gather(*waiting) == ["Hello."] * 3


async def test_a_worker_whose_listening_connections_are_frozen_still_begins_and_cancels_runs(
    proxy: Proxy,
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    postgres_db: PostgresDb,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.default = Reply.hang()
    await new_worker(through(proxy, table), KERN_HEARTBEAT=str(HEARTBEAT)).ready()
    agent = Agent("Tester", model, db=postgres_db)
    proxy.freeze_listeners()
    await submit(agent, ["run"])
    await server.wait_for_requests(1, timeout=WITHIN)
    assert await agent.acancel_run("run")
    await server.wait_for_disconnects(1, timeout=WITHIN)
    assert (await ended(agent, "run", WITHIN)).status is RunStatus.cancelled


def notifications(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings that notifications do not come."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and "notification" in record.getMessage()
    ]


@pytest.fixture
def pooled(postgres: EmbeddedPostgres, table: str) -> Iterator[PostgresDb]:
    """The database as it is reached through a PgBouncer in transaction mode."""
    if PROGRAM is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    with PgBouncer(postgres) as bouncer:
        yield PostgresDb(bouncer.url, session_table=table)


@waits
async def test_a_wait_through_pgbouncer_in_transaction_mode_ends(
    pooled: PostgresDb,
    postgres_db: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
    wait: Wait,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.default = held = Reply.text("Hello.").held()
    await new_worker(postgres_db, KERN_HEARTBEAT=str(HEARTBEAT)).ready()
    agent = Agent("Tester", model, db=pooled)
    await submit(agent, ["run"])
    waiting = asyncio.create_task(wait(agent, "run"))
    await server.wait_for_requests(1)
    await beginning([waiting])
    held.release()
    async with asyncio.timeout(WITHIN):
        assert await waiting == "Hello."


async def test_a_worker_behind_pgbouncer_in_transaction_mode_executes_and_cancels(
    pooled: PostgresDb, model: OpenAIResponses, server: ResponsesServer
) -> None:
    server.script += [Reply.text("Hello.") for _ in range(12)]
    server.default = Reply.hang()
    agent = Agent("Tester", model, db=pooled)
    names = [f"run-{number}" for number in range(12)]
    for number, name in enumerate(names):
        await submit(agent, [name], f"session-{number % 6}")
    for name in names:
        assert (await ended(agent, name, WITHIN)).status is RunStatus.completed
    await submit(agent, ["stopped"])
    await server.wait_for_requests(13)
    assert await agent.acancel_run("stopped")
    await server.wait_for_disconnects(1, timeout=WITHIN)
    assert (await ended(agent, "stopped", 20)).status is RunStatus.cancelled


async def test_notifications_that_do_not_arrive_are_reported_once(
    pooled: PostgresDb,
    model: OpenAIResponses,
    server: ResponsesServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = Agent("Tester", model, db=pooled)
    await submit(agent, ["run"])
    await ended(agent, "run")
    async with asyncio.timeout(WITHIN):
        while not notifications(caplog):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    server.default = Reply.hang()
    await submit(agent, ["next"])
    with pytest.raises(TimeoutError):
        await agent.await_run("next", timeout=2 * HEARTBEAT)
    assert len(notifications(caplog)) == 1


class Loop:
    """A second event loop of this process, on a thread of its own."""

    def __init__(self) -> None:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        started.wait(10)

    async def call(self, work: Coroutine[object, object, str | None]) -> str | None:
        """Return what work on the other loop gives."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await self._stopped.wait()


@pytest.fixture
async def other_loop() -> AsyncIterator[Loop]:
    loop = Loop()
    yield loop
    await asyncio.to_thread(loop.close)


@pytest.mark.parametrize(
    ("wait", "same_object"),
    [(by_waiting, True), (by_streaming, False)],
    ids=["waiting, one object", "streaming, two objects"],
)
async def test_two_loops_of_a_process_wait_for_each_others_runs(
    shared_db: Database,
    server: ResponsesServer,
    other_loop: Loop,
    wait: Wait,
    same_object: bool,
) -> None:
    replies = [Reply.text("Hello.").held() for _ in range(6)]
    server.script += replies
    agent = agent_of(shared_db, server)
    other = agent if same_object else agent_of(again(shared_db), server)
    waiting: list[asyncio.Task[str | None]] = []
    for number in range(6):
        run_id = f"run-{number}"
        if number % 2:
            await submit(agent, [run_id])
            waiting.append(asyncio.create_task(other_loop.call(wait(other, run_id))))
        else:
            await other_loop.call(submit_one(other, run_id))
            waiting.append(asyncio.create_task(wait(agent, run_id)))
    await server.wait_for_requests(6)
    await beginning(waiting)
    for reply in replies:
        reply.release()
    async with asyncio.timeout(WITHIN):
        assert await asyncio.gather(*waiting) == ["Hello."] * 6


async def until_the_end(agent: Agent, run_id: str) -> str | None:
    return (await ended(agent, run_id)).status


async def events_to_the_end(agent: Agent, run_id: str) -> str | None:
    events = [event async for event in agent.astream_run(run_id)]
    return {RunEvent.run_cancelled: RunStatus.cancelled}.get(events[-1].event)


@pytest.mark.parametrize("wait", [until_the_end, events_to_the_end])
async def test_two_loops_of_a_process_wait_for_a_run_that_one_of_them_cancels(
    shared_db: Database,
    server: ResponsesServer,
    other_loop: Loop,
    monkeypatch: pytest.MonkeyPatch,
    wait: Wait,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agent = agent_of(shared_db, server)
    await submit(agent, ["here", "there"])
    waiting = [
        asyncio.create_task(wait(agent, "here")),
        asyncio.create_task(other_loop.call(wait(agent, "there"))),
    ]
    await beginning(waiting)
    await other_loop.call(cancel_one(agent, "here"))
    await cancel_one(agent, "there")
    async with asyncio.timeout(WITHIN):
        assert await asyncio.gather(*waiting) == [RunStatus.cancelled] * 2


def agent_of(db: Database, server: ResponsesServer) -> Agent:
    model = OpenAIResponses("test-model", base_url=server.base_url, api_key="sk-test")
    return Agent("Tester", model, db=db)


def again(db: Database) -> Database:
    """Return another object for the same database."""
    if isinstance(db, PostgresDb):
        return PostgresDb(db._dsn, db.session_table)
    assert isinstance(db, SqliteDb)
    return SqliteDb(db._file.path, db.session_table)


async def submit_one(agent: Agent, run_id: str) -> str | None:
    await submit(agent, [run_id])
    return None


async def cancel_one(agent: Agent, run_id: str) -> str | None:
    assert await agent.acancel_run(run_id)
    return None


async def test_a_wait_returns_at_a_pause_and_can_wait_for_the_end_instead(
    shared_db: Database,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    server.script.append(Reply.tool_calls(("risk", {})))
    settings = {"KERN_HEARTBEAT": "0.5"}
    dying = await new_worker(shared_db, tools=("risk",), **settings).ready()
    agent = Agent("Tester", model, db=shared_db)
    await submit(agent, ["run"])
    assert await dying.ended() == -9
    waiting = asyncio.create_task(agent.await_run("run", timeout=20))
    to_the_end = asyncio.create_task(agent.await_run("run", timeout=20, until="end"))
    await new_worker(shared_db, tools=("risk",), **settings).ready()
    paused = await asyncio.wait_for(waiting, WITHIN)
    assert paused is not None
    assert paused.status is RunStatus.paused
    assert (await agent.await_run("run", timeout=20)) == paused, "it is told of it later, too"
    assert not to_the_end.done()
    call = paused.messages[1].tool_calls[0].id
    await agent.acontinue_run("run", results={call: "It went well."})
    run = await asyncio.wait_for(to_the_end, WITHIN)
    assert run is not None
    assert (run.status, run.content) == (RunStatus.completed, "Hello.")


async def test_a_wait_for_a_run_that_nobody_serves_says_so(
    shared_db: Database,
    model: OpenAIResponses,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    agent = Agent("Tester", model, db=shared_db)
    await submit(agent, ["run"])
    with pytest.raises(TimeoutError) as raised:
        await agent.await_run("run", timeout=2 * HEARTBEAT)
    said = [str(raised.value), *(record.getMessage() for record in caplog.records)]
    assert [each for each in said if "serve" in each and "'tester'" in each]


@waits
async def test_a_wait_outlasts_an_outage_whichever_of_its_statements_it_hits(
    proxy: Proxy,
    table: str,
    model: OpenAIResponses,
    server: ResponsesServer,
    new_worker: NewWorker,
    postgres_db: PostgresDb,
    monkeypatch: pytest.MonkeyPatch,
    wait: Wait,
) -> None:
    monkeypatch.setenv("KERN_IN_PROCESS_WORKER", "0")
    await new_worker(postgres_db, KERN_HEARTBEAT=str(HEARTBEAT)).ready()
    agent = Agent("Tester", model, db=through(proxy, table))
    failures = []
    for statement in range(1, 7):
        held = Reply.text("Hello.").held()
        server.script.append(held)
        name = f"run-{statement}"
        await submit(agent, [name])
        proxy.cut_at(statement)
        waiting = asyncio.create_task(wait(agent, name))
        if not await proxy.was_cut(0.3):
            proxy.cut()
        held.release()
        await asyncio.wait({waiting}, timeout=0.3)
        proxy.mend()
        try:
            async with asyncio.timeout(WITHIN):
                assert await waiting == "Hello."
        except Exception as error:
            failures.append(f"{statement}: {error!r}")
        # The next one finds a database that is back.
        async with asyncio.timeout(WITHIN):
            while await is_away(agent):  # noqa: ASYNC110 # another process
                await asyncio.sleep(0.05)
    assert failures == []


async def is_away(agent: Agent) -> bool:
    try:
        await agent.aget_run_output("unknown")
    except Exception:
        return True
    return False
