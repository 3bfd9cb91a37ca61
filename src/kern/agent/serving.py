"""A process, or a part of one, that executes the runs which others submit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from kern.agent.agent import Agent
from kern.agent.blocking import blocking
from kern.aio.portal import close_portal
from kern.aio.retry import until_available
from kern.aio.survived import survived
from kern.aio.threads import limit_threads
from kern.db.database import Database
from kern.dispatch.opening import configure, open_runtime
from kern.dispatch.runtime import Runtime
from kern.dispatch.settings import Settings
from kern.dispatch.shutdown import handle_sigterm, in_charge, release_here
from kern.errors import ConfigurationError, DatabaseUnavailableError
from kern.execution.child import with_sub_agents
from kern.execution.spec import Definition
from kern.keywords import explained
from kern.run.numbers import check_count, check_seconds

logger = logging.getLogger("kern")

__all__ = ["handle_sigterm", "lifespan", "release", "serve", "serve_in_thread"]

# What the runs in flight may take beyond the grace to be released, in seconds.
_HAND_OVER = 10.0


@explained
async def serve(
    agents: Sequence[Agent[Any, Any]],
    *,
    grace: float = 10.0,
    stopping: asyncio.Event | None = None,
    ready: Callable[[bool], None] | None = None,
    heartbeat: float | None = None,
    concurrency: int | None = None,
    retention: timedelta | str | None = None,
    max_loop_block: float | None = None,
    unserved_timeout: timedelta | str | None = None,
    max_threads: int | None = None,
    database_wait: float | None = 0.0,
) -> None:
    """Execute the background runs of agents, whichever process has submitted them.

    ``kern worker`` does this in a process of its own. What becomes of the runs is told to the
    logger ``kern.runs``. A setting that is not given is what the environment says.

    Args:
        agents: the agents, each with an id of its own, and a database.
        grace: seconds that the runs in flight are given at the end; then they are released, and
            go on elsewhere, or at the next start.
        stopping: set to end; by default it ends at SIGTERM, or where it is cancelled.
        ready: told True when the queues are listened to, False when a database is lost or the
            end has begun, and True when it is back. What it raises is logged.
        heartbeat: seconds without a sign of life after which a run's executor counts as lost
            (``KERN_HEARTBEAT``, default 15).
        concurrency: how many background runs execute at once for each database
            (``KERN_CONCURRENCY``, default 1,000).
        retention: how long runs that have ended are kept, such as ``"30d"``
            (``KERN_RETENTION``, by default for any time).
        max_loop_block: seconds for which user code may block the event loop before the runs that
            execute there count as lost (``KERN_MAX_LOOP_BLOCK``, default 300).
        unserved_timeout: how long a run that no worker can execute is kept waiting
            (``KERN_UNSERVED_TIMEOUT``, default ``"24h"``).
        max_threads: how many threads the process may have for synchronous functions
            (``KERN_MAX_THREADS``, default 1,000).
        database_wait: seconds for which the start waits for a database that cannot be reached
            yet; None for any time.

    Raises:
        ConfigurationError: an agent cannot be served, or a setting cannot be used.
        DatabaseUnavailableError: a database could not be reached in this time.
        SchemaVersionError: its tables are newer than this version of kern.
    """
    settings = _settings(
        heartbeat, concurrency, retention, max_loop_block, unserved_timeout, max_threads
    )
    if not agents:
        raise ConfigurationError("There is no agent to serve.")
    check_seconds("grace", grace, ConfigurationError, from_zero=True)
    if database_wait is not None:
        check_seconds("database_wait", database_wait, ConfigurationError, from_zero=True)
    serving = _Serving(agents, settings, ready)
    end = partial(serving.end, grace) if stopping is None else None
    with in_charge(end, grace + _HAND_OVER):
        stopping = stopping or asyncio.Event()
        try:
            if await _has_begun(serving, database_wait, stopping):
                await stopping.wait()
        except asyncio.CancelledError:
            grace = 0.0
            raise
        finally:
            await serving.end(grace)


@explained
def lifespan(
    agents: Sequence[Agent[Any, Any]] = (),
    *,
    grace: float = 10.0,
    heartbeat: float | None = None,
    concurrency: int | None = None,
    retention: timedelta | str | None = None,
    max_loop_block: float | None = None,
    unserved_timeout: timedelta | str | None = None,
    max_threads: int | None = None,
) -> Callable[[object], AbstractAsyncContextManager[None]]:
    """Return the lifespan of an ASGI application that executes background runs.

    ``Starlette(lifespan=lifespan())``, or ``FastAPI(lifespan=lifespan([agent]))``. When the
    server shuts down, the runs in flight are given time to end, and then released. A lifespan of
    your own writes ``async with lifespan([agent])(app): yield``.

    Args:
        agents: the agents that are served for others, as :func:`serve` does; the runs that the
            application itself begins need none.
        grace: as for :func:`serve`, and so are the settings that follow.
        heartbeat: see :func:`serve`.
        concurrency: see :func:`serve`.
        retention: see :func:`serve`.
        max_loop_block: see :func:`serve`.
        unserved_timeout: see :func:`serve`.
        max_threads: see :func:`serve`.

    Raises:
        ConfigurationError: a setting cannot be used.
    """
    settings = _settings(
        heartbeat, concurrency, retention, max_loop_block, unserved_timeout, max_threads
    )

    check_seconds("grace", grace, ConfigurationError, from_zero=True)

    @asynccontextmanager
    async def within(app: object) -> AsyncIterator[None]:
        serving = _Serving(agents, settings)
        with in_charge():
            await serving.begin()
            try:
                yield
            finally:
                await serving.end(grace)
                await release_here()
                await asyncio.to_thread(close_portal)

    return within


async def _has_begun(
    serving: "_Serving", database_wait: float | None, stopping: asyncio.Event
) -> bool:
    """Begin to serve, unless the end comes first; say whether it has begun."""
    beginning = asyncio.create_task(serving.begin_within(database_wait))
    ending = asyncio.create_task(stopping.wait())
    tasks = {beginning, ending}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not beginning.done():
            return False
        beginning.result()
        return True
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def serve_in_thread(agents: Sequence[Agent[Any, Any]]) -> None:
    """Execute the background runs of agents beside the synchronous code of this process.

    For processes without an event loop of their own, such as those of a WSGI server or of
    Celery's pool: what an earlier process has left goes on from the start, and not only once this
    one submits a run. Call it in the main thread, and after the fork where the process has one.
    The runs are released at the end of the process, as those of synchronous methods are.

    Args:
        agents: the agents, each with an id of its own, and a database.

    Raises:
        ConfigurationError: an agent cannot be served, or the environment cannot be used.
        DatabaseUnavailableError: a database cannot be reached.
        SchemaVersionError: its tables are newer than this version of kern.
        SyncInLoopError: it would block an event loop that executes runs: use :func:`serve`.
    """
    if not agents:
        raise ConfigurationError("There is no agent to serve.")
    blocking("await serve(...)").call(_Serving(agents, None).begin())


def release() -> None:
    """Release the background runs that synchronous methods have begun in this process.

    For a process that ends without Python's exit handlers: call it where its framework says that
    the process ends. See ``docs/guides/deploy.md``.
    """
    close_portal()


class _Serving:
    """Agents that are served on the running event loop."""

    def __init__(
        self,
        agents: Sequence[Agent[Any, Any]],
        settings: Settings | None,
        ready: Callable[[bool], None] | None = None,
    ) -> None:
        self._agents = agents
        self._databases = databases_of(agents)
        self._settings = settings
        self._ready = ready
        self._is_ready = False
        self._runtimes: list[Runtime] = []
        self._lost: set[Runtime] = set()
        self._ending = False
        # At once, so that nothing else opens a database here without its settings.
        if settings is not None:
            for database in self._databases:
                configure(database, settings)

    async def begin_within(self, seconds: float | None) -> None:
        """Begin as soon as the databases can be reached.

        Args:
            seconds: how long to wait for them; None for any time.

        Raises:
            DatabaseUnavailableError: one could not be reached in this time.
        """
        if seconds == 0:
            return await self.begin()
        last: DatabaseUnavailableError | None = None

        async def begin() -> None:
            nonlocal last
            try:
                await self.begin()
            except DatabaseUnavailableError as error:
                last = error
                if self._ready is not None:
                    self._ready(False)
                raise

        try:
            async with asyncio.timeout(seconds) as limit:
                await until_available(begin)
        except TimeoutError:
            if not limit.expired():
                raise
            raise last or DatabaseUnavailableError(
                f"The agents' databases did not answer within {seconds:g} s."
            ) from None

    async def begin(self) -> None:
        self._runtimes = [await open_runtime(each, self._settings) for each in self._databases]
        for agent in self._agents:
            # It may take a second to load the provider's SDK. Runs that were claimed before that,
            # with nothing to show that they are executed, would be taken for lost.
            secondary = () if agent.answering is None else agent.answering.models
            rules = agent.session_rules
            how = None if rules is None else rules.summarizing
            summary = () if how is None or how.model is None else (how.model,)
            for model in (*agent.models, *secondary, *summary):
                await model.prepare()
        for runtime in self._runtimes:
            await runtime.reach(partial(self._reached, runtime))
        for runtime, agents in zip(self._runtimes, self._databases.values(), strict=True):
            for agent in agents:
                runtime.serve(agent)
        self._tell()

    async def end(self, grace: float) -> None:
        self._ending = True
        self._tell()
        await asyncio.gather(*(runtime.stop(grace) for runtime in self._runtimes))

    def _reached(self, runtime: Runtime, is_reached: bool) -> None:
        (self._lost.discard if is_reached else self._lost.add)(runtime)
        self._tell()

    def _tell(self) -> None:
        is_ready = not self._lost and not self._ending
        if is_ready is not self._is_ready:
            self._is_ready = is_ready
            if self._ready is not None:
                try:
                    self._ready(is_ready)
                except Exception as error:  # The runs are not to suffer from it.
                    survived(logger, error, "ready(%s) raised", is_ready)


def _settings(
    heartbeat: float | None,
    concurrency: int | None,
    retention: timedelta | str | None,
    max_loop_block: float | None,
    unserved_timeout: timedelta | str | None,
    max_threads: int | None,
) -> Settings | None:
    """Return the settings where one is given; the number of threads is set."""
    if max_threads is not None:
        limit_threads(check_count("max_threads", max_threads, ConfigurationError))
    given = (heartbeat, concurrency, retention, max_loop_block, unserved_timeout)
    if all(each is None for each in given):
        return None
    return Settings.of(
        heartbeat=heartbeat,
        concurrency=concurrency,
        retention=retention,
        max_loop_block=max_loop_block,
        unserved_timeout=unserved_timeout,
    )


def databases_of(agents: Sequence[Agent[Any, Any]]) -> dict[Database, list[Agent[Any, Any]]]:
    """Return agents by their databases.

    Args:
        agents: those that are served.

    Raises:
        ConfigurationError: one cannot be served.
    """
    databases: dict[Database, list[Agent[Any, Any]]] = {}
    seen: dict[str, Definition] = {}
    known: dict[tuple[Database, str], Definition] = {}
    for agent in agents:
        if not agent.is_named:
            raise ConfigurationError(
                f"{agent!r} has neither a name nor an id, by which its runs are found. Give it one."
            )
        if agent.db is None:
            raise ConfigurationError(
                f"{agent!r} has no database, from which its runs come: Agent(..., "
                "db=PostgresDb(db_url=...))."
            )
        _tell_apart(seen.setdefault(agent.id, agent), agent)
        for each in with_sub_agents(agent):
            if getattr(each, "is_named", True):  # Else its own parent alone executes its runs.
                _tell_apart(known.setdefault((agent.db, each.id), each), each)
        if agent not in databases.setdefault(agent.db, []):
            databases[agent.db].append(agent)
    return databases


def _tell_apart(known: Definition, other: Definition) -> None:
    if known is not other:
        raise ConfigurationError(
            f"Two agents have the id {other.id!r}: {known!r} and {other!r}. Give one of them "
            "another name or id: by it a process knows what executes their runs."
        )
