"""The sweep: making good what lost processes have left undone, in statements with a bound each.

What is looked at page by page goes on from where the last page ended.
"""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import (
    IS_WAITING,
    LIVE,
    STATUS,
    enqueued,
    enqueued_if_due,
    following,
    notified,
)
from kern.db.postgres.statements.steps import HAS_LOST_ENOUGH, LOST, NOT_REFUSED

EXPIRED, SESSIONS, KEYS = 500, 1000, 50
"""How many expired runs, sessions, and keys of limits a statement looks at."""

DUE, ENQUEUED = 10_000, 1000
"""How many due runs a statement looks at, and enqueues."""

# How many seconds a run may be due before it is enqueued again.
_UNTAKEN = 30

_QUIET_TIMES = 3


class Sweeping:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        self.advance = _advance(names)
        self.expire = _expire(names)
        self.enqueue_again = _enqueue_again(names)
        self.locks_of_ended = _locks_of_ended(names)
        self.try_limits = _try_limits(names)


def _advance(names: Names) -> str:
    """Return the statement that advances the tick if it is due."""
    # Every process looks each third of a heartbeat, up to a quarter sooner or later. The tick is
    # due after the shortest such time: else one that looks too soon, and next time late, would
    # leave a gap, as if the database had been away.
    # A gap in the ticks, in which leases may have expired, shows that the database was away
    # for everybody. Then nothing expires for one heartbeat, and the living extend first.
    gap = "coalesce(now() - swept_at > make_interval(secs => $1::float8 * 2 / 3), true)"
    left = f"SELECT FROM {names.runs} WHERE unstored AND finished_at IS NOT NULL"
    return f"""
UPDATE {names.tick} SET
    swept_at = now(),
    quiet_until = CASE WHEN {gap} AND quiet_times < {_QUIET_TIMES}
        THEN now() + make_interval(secs => $1) ELSE quiet_until END,
    quiet_times = CASE WHEN {gap} THEN least(quiet_times + 1, {_QUIET_TIMES})
        WHEN quiet_until > now() THEN quiet_times ELSE 0 END
WHERE swept_at IS NULL OR now() - swept_at >= make_interval(secs => $1::float8 / 4)
RETURNING coalesce(quiet_until <= now(), true) AS may_expire, EXISTS ({left}) AS may_erase"""


def _expire(names: Names) -> str:
    """Return the statement that makes runs due again whose lease has expired."""
    # An unstored run was its caller's alone: nobody could read what another executor makes of it.
    is_cancelled = "(cancel_requested_at IS NOT NULL OR unstored AND foreground)"
    has_lost_enough = f"NOT {is_cancelled} AND {HAS_LOST_ENOUGH}"
    return f"""
WITH expired AS MATERIALIZED (
    SELECT run_id FROM {names.runs} WHERE {STATUS} = 'RUNNING' AND lease_until < now()
    ORDER BY run_id LIMIT {EXPIRED} FOR NO KEY UPDATE SKIP LOCKED
), swept AS (
    UPDATE {names.runs} AS runs SET
        status = CASE WHEN {is_cancelled} THEN 'CANCELLED'
            WHEN {HAS_LOST_ENOUGH} THEN 'ERROR' ELSE 'PENDING' END,
        error = CASE WHEN {has_lost_enough} THEN {LOST} END,
        error_kind = CASE WHEN {has_lost_enough} THEN 'LostAttemptsError' END,
        finished_at = CASE WHEN {is_cancelled} OR {HAS_LOST_ENOUGH} THEN now() END,
        due_at = CASE WHEN NOT {is_cancelled} AND NOT ({HAS_LOST_ENOUGH}) THEN now() END,
        failures = failures + 1, lease_until = NULL, counted = false, {NOT_REFUSED}
    FROM expired WHERE runs.run_id = expired.run_id
    RETURNING runs.run_id, session_id, agent_id, parent_run_id, attempt, status, watched, webhook,
        priority, position, due_at
), enqueued AS (
    SELECT {enqueued(names, "swept")} FROM swept WHERE due_at IS NOT NULL HAVING count(*) > 0
), ended AS (
    SELECT run_id, session_id, attempt, webhook FROM swept WHERE status <> 'PENDING'
), {following(names, "ended")}
SELECT run_id, unfinished, holder, CASE WHEN watched AND status <> 'PENDING'
    THEN {notified(names, "changed")} END
FROM swept LEFT JOIN unfinished USING (run_id), (SELECT count(*) FROM enqueued) AS all_enqueued"""


def _enqueue_again(names: Names) -> str:
    """Return the statement that enqueues due runs which nobody has taken for long."""
    # The queue is only read here, so that no worker is woken where nothing is missing.
    return f"""
WITH looked_at AS MATERIALIZED (
    SELECT run_id, agent_id, parent_run_id, priority, due_at, position FROM {names.runs}
    WHERE {STATUS} = 'PENDING' AND due_at < now() - interval '{_UNTAKEN} s'
        AND (due_at, position) > ($1, $2)
    ORDER BY due_at, position LIMIT {DUE}
), missing AS MATERIALIZED (
    SELECT * FROM looked_at WHERE NOT EXISTS (
        SELECT FROM {names.queue} WHERE status IN ('queued', 'picked')
            AND dedupe_key = '{names.session_table}/' || run_id || '/'
                || (extract(epoch FROM due_at) * 1000000)::bigint)
    ORDER BY due_at, position LIMIT {ENQUEUED}
), enqueued AS (
    SELECT {enqueued(names, "missing")} AS number FROM missing HAVING count(*) > 0
), last AS (
    (SELECT due_at, position FROM missing ORDER BY due_at, position OFFSET {ENQUEUED - 1})
    UNION ALL
    (SELECT due_at, position FROM looked_at ORDER BY due_at, position OFFSET {DUE - 1})
)
SELECT coalesce((SELECT number FROM enqueued), 0) AS enqueued, due_at, position
FROM (SELECT) AS one LEFT JOIN last ON true ORDER BY due_at, position LIMIT 1"""


def _locks_of_ended(names: Names) -> str:
    """Return the statement that finds the session locks for which runs wait."""
    # Only where a process was lost between two statements.
    return f"""
WITH RECURSIVE waited_for (session_id) AS (
    (SELECT session_id FROM {names.runs} WHERE {IS_WAITING} AND session_id > $1
        ORDER BY session_id LIMIT 1)
    UNION ALL
    SELECT (SELECT runs.session_id FROM {names.runs} AS runs
        WHERE runs.{IS_WAITING} AND runs.session_id > waited_for.session_id
        ORDER BY runs.session_id LIMIT 1)
    FROM waited_for WHERE waited_for.session_id IS NOT NULL
), looked_at AS (
    SELECT session_id FROM waited_for WHERE session_id IS NOT NULL LIMIT {SESSIONS}
)
SELECT looked_at.session_id, session.lock_run_id AS holder, holder.run_id IS NULL AS has_ended
FROM looked_at LEFT JOIN {names.sessions} AS session USING (session_id)
LEFT JOIN {names.runs} AS holder ON holder.run_id = session.lock_run_id AND holder.status IN {LIVE}
    AND NOT holder.waiting
ORDER BY looked_at.session_id"""


def _try_limits(names: Names) -> str:
    """Return the statement that makes the first waiter for each limit due."""
    # Who made room may be lost before it made the next run due, whose claim finds out.
    return f"""
WITH RECURSIVE waited_for (key) AS (
    (SELECT concurrency_key FROM {names.runs} WHERE concurrency_key > $1
        ORDER BY concurrency_key LIMIT 1)
    UNION ALL
    SELECT (SELECT runs.concurrency_key FROM {names.runs} AS runs
        WHERE runs.concurrency_key > waited_for.key ORDER BY runs.concurrency_key LIMIT 1)
    FROM waited_for WHERE waited_for.key IS NOT NULL
), first AS MATERIALIZED (
    SELECT key, (SELECT run_id FROM {names.runs} AS runs WHERE runs.concurrency_key = key
        ORDER BY (parent_run_id IS NULL), priority DESC, position LIMIT 1) AS run_id
    FROM waited_for WHERE key IS NOT NULL LIMIT {KEYS}
), waiters AS MATERIALIZED (
    SELECT runs.run_id FROM {names.runs} AS runs JOIN first ON runs.run_id = first.run_id
    WHERE runs.concurrency_key = key ORDER BY runs.run_id FOR NO KEY UPDATE OF runs SKIP LOCKED
), tried AS (
    UPDATE {names.runs} AS runs SET concurrency_key = NULL, due_at = now() FROM waiters
    WHERE runs.run_id = waiters.run_id
    RETURNING {enqueued_if_due(names, "runs")}
)
SELECT key FROM first ORDER BY key"""
