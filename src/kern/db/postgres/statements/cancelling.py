"""How runs are cancelled, with what follows for those that wait for them."""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import LIVE, following, notified
from kern.db.postgres.statements.resuming import ancestors_due, locked_line

_IS_PATIENT = "(SELECT lock_timeout FROM patience) IS NOT NULL"


def stop(names: Names, lock_timeout: float) -> str:
    """Return the statement that asks what executes a run for its end, if something does.

    It is a part of :func:`cancel`, which it spares a run in flight: PostgreSQL takes longer to
    plan and to begin that than all else takes until the connection to the model is closed.

    Args:
        names: the names of the tables.
        lock_timeout: the seconds for which it waits for a transaction that holds the run.
    """
    return f"""
WITH {_patience(lock_timeout)}, stopped AS (
    UPDATE {names.runs} AS runs SET
        cancel_requested_at = coalesce(cancel_requested_at, now()),
        waiting = false, concurrency_key = NULL, due_at = NULL
    WHERE run_id = $1 AND status = 'RUNNING' AND lease_until >= now() AND {_IS_PATIENT}
        AND coalesce(user_id = $2::text, true)
    RETURNING run_id
), {_unasked(names, "stopped")}
SELECT {notified(names, "cancel")} FROM stopped"""


def cancel(names: Names, lock_timeout: float) -> str:
    """Return the statement that asks for the end of a run, or keeps a pending cancel.

    Args:
        names: the names of the tables.
        lock_timeout: the seconds for which it waits for a transaction that holds the run.
    """
    # A run whose lease has expired has no executor that would stop it, so it ends here; the
    # raised attempt shuts out an executor that was only asleep. One that seems not to have the
    # session lock may have been handed it, and one that seems not to be paused may have paused,
    # while the statement waited for the run's row: whose parent that is cannot be locked any more.
    line = locked_line(names, f"{_IS_PATIENT} AND status = 'PAUSED'")
    return f"""
WITH RECURSIVE {_patience(lock_timeout)}, {line}, cancelled AS (
    INSERT INTO {names.runs} AS runs (run_id, user_id, status, cancel_requested_at)
    SELECT $1, $2::text, 'CANCELLED', now()
    WHERE {_IS_PATIENT} AND (SELECT count(*) FROM locked) IS NOT NULL
    ON CONFLICT (run_id) DO UPDATE SET
        cancel_requested_at = coalesce(runs.cancel_requested_at, now()),
        status = CASE WHEN runs.status = 'RUNNING' AND runs.lease_until >= now()
            THEN 'RUNNING' ELSE 'CANCELLED' END,
        attempt = runs.attempt + CASE WHEN runs.status = 'RUNNING' AND runs.lease_until >= now()
            THEN 0 ELSE 1 END,
        finished_at = CASE WHEN runs.status = 'RUNNING' AND runs.lease_until >= now()
            THEN NULL ELSE now() END,
        counted = runs.counted AND runs.lease_until >= now(),
        waiting = false, concurrency_key = NULL, due_at = NULL
    WHERE runs.status IN {LIVE} AND coalesce(runs.user_id = $2::text, true)
    RETURNING run_id, session_id, attempt, status, watched, webhook, ordered,
        requirements IS NOT NULL AND parent_run_id IS NOT NULL AS was_awaited
), {ancestors_due(names, "cancelled WHERE status = 'CANCELLED'")}, {_unasked(names, "cancelled")},
ended AS (
    SELECT run_id, session_id, attempt, webhook FROM cancelled WHERE status = 'CANCELLED'
), {following(names, "ended")}
SELECT session_id IS NOT NULL AS known, coalesce(holder, run_id) AS holder,
    coalesce(unfinished, CASE WHEN ordered AND status = 'CANCELLED'
        AND NOT EXISTS (SELECT FROM handed) THEN session_id END) AS unfinished,
    was_awaited AND status = 'CANCELLED' AND NOT EXISTS (SELECT FROM line) AS is_awaited, CASE
    WHEN status = 'RUNNING' THEN {notified(names, "cancel")}
    WHEN watched THEN {notified(names, "changed")} END
FROM cancelled LEFT JOIN unfinished USING (run_id)"""


def _patience(lock_timeout: float) -> str:
    """Return the common table expression that limits how long the statement waits for a lock."""
    return f"""patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', '{round(1000 * lock_timeout)}', true) AS lock_timeout
)"""


def _unasked(names: Names, cancelled: str) -> str:
    """Return the common table expression that ends the approvals that ``cancelled`` runs want."""
    return f"""unasked AS (
    UPDATE {names.approvals} AS approval SET status = 'cancelled', updated_at = now()
    FROM {cancelled} WHERE approval.run_id = {cancelled}.run_id AND approval.status = 'pending'
)"""
