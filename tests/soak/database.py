"""The database's own record of the runs, which a trigger keeps of every committed change."""

from typing import NamedTuple

import asyncpg

from kern.db.postgres.names import Names
from kern.db.postgres.schema import migrate
from kern.run.steps import ModelAnswered
from kern.run.tool_steps import ToolEnded
from tests.soak.plan import TABLE

NAMES = Names("kern", TABLE)

# The moment is that of the change, which is after every lock that it had to wait for, and before
# its commit.
_OBSERVE = f"""
CREATE TABLE soak_changes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    run_id text NOT NULL,
    status text NOT NULL,
    attempt integer NOT NULL
);
CREATE FUNCTION soak_observe() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.soak_changes (run_id, status, attempt)
    VALUES (NEW.run_id, CASE WHEN NEW.session_id IS NULL THEN 'PENDING CANCEL' ELSE NEW.status END,
        NEW.attempt);
    RETURN NULL;
END $$;
CREATE TRIGGER soak_insert AFTER INSERT ON {NAMES.runs}
    FOR EACH ROW EXECUTE FUNCTION soak_observe();
CREATE TRIGGER soak_update AFTER UPDATE ON {NAMES.runs} FOR EACH ROW
    WHEN ((OLD.status, OLD.attempt, OLD.session_id)
        IS DISTINCT FROM (NEW.status, NEW.attempt, NEW.session_id))
    EXECUTE FUNCTION soak_observe();
"""


class Change(NamedTuple):
    """A run's status, or its attempt, has changed.

    Attributes:
        at: when; seconds since the epoch.
        status: what to.
        attempt: the attempt that it has then.
    """

    at: float
    status: str
    attempt: int


class Commit(NamedTuple):
    """A step's end is in the journal.

    Attributes:
        at: when the statement began that wrote it.
        turn: the model's turn.
        place: the tool call's place in it, or None for the model's answer.
    """

    at: float
    turn: int
    place: int | None


class Stored(NamedTuple):
    """What became of a run in the end."""

    position: int
    status: str
    attempt: int
    content: str | None
    error: str | None


async def prepare(url: str) -> None:
    """Make the tables, and observe them."""
    connection = await asyncpg.connect(url)
    await migrate(connection, NAMES)
    await connection.execute(_OBSERVE)
    await connection.close()


async def changes(connection: asyncpg.Connection) -> dict[str, list[Change]]:
    """Return the changes of each run in their order: each had to wait for the one before."""
    found: dict[str, list[Change]] = {}
    for row in await connection.fetch("SELECT * FROM soak_changes ORDER BY number"):
        change = Change(row["at"], row["status"], row["attempt"])
        found.setdefault(row["run_id"], []).append(change)
    return found


async def commits(connection: asyncpg.Connection) -> dict[str, list[Commit]]:
    """Return the finished steps in each run's journal."""
    rows = await connection.fetch(
        f"SELECT run_id, type, (payload ->> 'place')::integer AS place, "
        f"extract(epoch FROM created_at)::double precision AS at FROM {NAMES.events} "
        "WHERE type = ANY($1) ORDER BY run_id, seq",
        [ModelAnswered.__name__, ToolEnded.__name__],
    )
    found: dict[str, list[Commit]] = {}
    turns: dict[str, int] = {}
    for run_id, kind, place, at in rows:
        if kind == ModelAnswered.__name__:
            turns[run_id] = turns.get(run_id, 0) + 1
        found.setdefault(run_id, []).append(Commit(at, turns[run_id], place))
    return found


async def stored(connection: asyncpg.Connection) -> dict[str, Stored]:
    """Return what the table of runs says of each."""
    rows = await connection.fetch(
        f"SELECT run_id, position, status, attempt, output ->> 'content' AS content, "
        f"error ->> 'message' AS error FROM {NAMES.runs}"
    )
    return {row["run_id"]: Stored(*list(row)[1:]) for row in rows}


async def leftovers(connection: asyncpg.Connection) -> list[str]:
    """Return what still waits for somebody, or is held by somebody."""
    found = []
    for what, statement in {
        "live run": f"SELECT run_id || ' ' || status FROM {NAMES.runs} "
        "WHERE status IN ('PENDING', 'RUNNING', 'PAUSED')",
        "run that waits for its session": f"SELECT run_id FROM {NAMES.runs} WHERE waiting",
        "run that waits for a limit": f"SELECT run_id FROM {NAMES.runs} "
        "WHERE concurrency_key IS NOT NULL",
        "session lock that is held": f"SELECT session_id || ' by ' || lock_run_id "
        f"FROM {NAMES.sessions} WHERE lock_run_id IS NOT NULL",
        "webhook to be sent": f"SELECT delivery_id FROM {NAMES.webhooks} WHERE due_at IS NOT NULL",
        "queue entry": f"SELECT id || ' ' || entrypoint || ' ' || status || ' ' || "
        f"convert_from(payload, 'UTF8') FROM {NAMES.queue}",
    }.items():
        rows = await connection.fetch(statement)
        found += [f"left over: {what}: {row[0]}" for row in rows]
    return found
