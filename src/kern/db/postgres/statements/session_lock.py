"""The session lock: which run of a session executes, and who waits for it.

The lock is in the session's row. Each request for it is counted there, and what ends a run hands
it off; both hold the row's lock, so that one sees the other. A run that does not get the session
lock waits without an entry in the queue, and is enqueued when the lock is handed off to it.
"""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import IS_WAITING, LIVE, following


class SessionLock:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        runs, sessions = names.runs, names.sessions

        # For a run that did not request the lock when it was accepted: it was not due then, or
        # was accepted in a caller's transaction, or is retried.
        self.request = f"""
WITH run AS (
    SELECT run_id, session_id, agent_id, user_id FROM {runs}
    WHERE run_id = $1 AND status = 'PENDING' AND ordered AND due_at <= now()
), requested AS (
    INSERT INTO {sessions} AS session (session_id, agent_id, user_id, lock_run_id, lock_requests)
    SELECT session_id, agent_id, user_id, run_id, 1 FROM run
    ON CONFLICT (session_id) DO UPDATE SET
        lock_run_id = coalesce(session.lock_run_id, excluded.lock_run_id),
        lock_requests = session.lock_requests + 1
    RETURNING session_id, lock_run_id
), made_to_wait AS (
    UPDATE {runs} AS runs SET waiting = true, due_at = NULL FROM requested
    WHERE runs.run_id = $1 AND runs.status = 'PENDING' AND requested.lock_run_id <> $1
)
SELECT session_id FROM requested WHERE lock_run_id = $1"""

        self.hand_off = f"""
WITH ended AS (
    SELECT $2::text AS run_id, $1::text AS session_id, 0 AS attempt, NULL::text AS webhook
    WHERE NOT EXISTS (SELECT FROM {runs} WHERE run_id = $2 AND session_id = $1
        AND status IN {LIVE} AND NOT waiting)
), {following(names, "ended")}
SELECT unfinished, holder FROM unfinished"""

        self.withdraw = f"""
WITH run AS (
    DELETE FROM {runs} WHERE run_id = $1 AND status = 'PENDING' AND waiting
    RETURNING run_id, lineage->>'regenerated_from' AS origin
), blobs AS (
    DELETE FROM {names.blobs} WHERE run_id IN (SELECT run_id FROM run)
), copied AS (
    DELETE FROM {names.events} WHERE run_id IN (SELECT run_id FROM run)
), replaced AS (
    UPDATE {runs} AS runs SET replaced_by = NULL FROM run
    WHERE runs.run_id = run.origin AND replaced_by = run.run_id
)
SELECT run_id FROM run"""

        self.before = f"""
WITH run AS (SELECT session_id, position FROM {runs} WHERE run_id = $1)
SELECT run_id FROM (
    SELECT waiter.run_id, waiter.position FROM {runs} AS waiter, run
    WHERE waiter.session_id = run.session_id AND waiter.{IS_WAITING}
        AND waiter.position < run.position
    UNION ALL
    SELECT holder.run_id, 0 FROM run JOIN {sessions} AS session USING (session_id)
    JOIN {runs} AS holder ON holder.run_id = session.lock_run_id
    WHERE holder.run_id <> $1 AND holder.status IN {LIVE}
) AS before ORDER BY position DESC"""
