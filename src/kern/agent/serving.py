"""A process that executes the runs which others submit."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from kern.agent.agent import Agent
from kern.db.base import Database
from kern.dispatch.runtime import Runtime
from kern.errors import ConfigurationError


async def serve(
    agents: Sequence[Agent],
    *,
    grace: float = 10.0,
    stopping: asyncio.Event | None = None,
    ready: Callable[[bool], None] | None = None,
) -> None:
    """Execute the background runs of agents, whoever has submitted them.

    ``kern worker`` does this in a process of its own. How many runs execute at once, and when
    an executor counts as lost, is set by ``KERN_CONCURRENCY`` and ``KERN_HEARTBEAT``. What becomes
    of the runs is told to the logger ``kern.runs``.

    Args:
        agents: the agents, each with an id of its own, and a database.
        grace: seconds that the runs in flight are given at the end; then they are let go, and go
            on elsewhere, or at the next start.
        stopping: set to end; by default it goes on until it is cancelled.
        ready: told True when the queues are listened to, False when a database is lost or the
            end has begun, and True when it is back.

    Raises:
        ConfigurationError: an agent cannot be served.
        DatabaseUnavailableError: a database cannot be reached at the start.
        SchemaVersionError: its tables are newer than this version of kern.
    """
    databases = _databases(agents)
    for agent in agents:
        # It may take a second to load the provider's SDK. Runs that were claimed before that, with
        # nothing to show that they are executed, would be taken for lost.
        await agent.model.prepare()
    runtimes = {await Runtime.of(database): agents for database, agents in databases.items()}
    lost: set[Runtime] = set()
    ending, told = False, False

    def tell() -> None:
        nonlocal told
        if told is not (is_ready := not lost and not ending):
            told = is_ready
            if ready is not None:
                ready(is_ready)

    def reached(runtime: Runtime, is_reached: bool) -> None:
        (lost.discard if is_reached else lost.add)(runtime)
        tell()

    for runtime, its_agents in runtimes.items():
        await runtime.reach(partial(reached, runtime))
        for agent in its_agents:
            runtime.serve(agent)
    tell()
    try:
        await (stopping or asyncio.Event()).wait()
    except asyncio.CancelledError:
        grace = 0.0
        raise
    finally:
        ending = True
        tell()
        await asyncio.gather(*(runtime.stop(grace) for runtime in runtimes))


def _databases(agents: Sequence[Agent]) -> dict[Database, list[Agent]]:
    """Return the agents by their databases.

    Raises:
        ConfigurationError: one cannot be served.
    """
    if not agents:
        raise ConfigurationError("There is no agent to serve.")
    databases: dict[Database, list[Agent]] = {}
    seen: dict[str, Agent] = {}
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
        if seen.setdefault(agent.id, agent) is not agent:
            raise ConfigurationError(
                f"Two agents have the id {agent.id!r}: {seen[agent.id]!r} and {agent!r}. Give one "
                "of them another name or id."
            )
        if agent not in databases.setdefault(agent.db, []):
            databases[agent.db].append(agent)
    return databases
