"""How runs go on that stand still: by an answer, a retry, or as their pause has expired."""

from kern.db.erasing import IS_SEEN
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import (
    CLAIMED_AT,
    JOURNAL,
    RECORD,
    STATUS,
    enqueued,
    enqueued_if_due,
    is_budgeted,
)
from kern.db.postgres.statements.steps import NOT_REFUSED

# What is over as a run goes on; its failures and its time begin anew.
_ANEW = f"""error = NULL, error_kind = NULL, requirements = NULL, expires_at = NULL,
        finished_at = NULL, failures = 0, run_at = NULL, counted = false, waiting = false,
        concurrency_key = NULL, {NOT_REFUSED}"""

_DUE = f"status = 'PENDING', due_at = now(), started_at = NULL, {_ANEW}"

# An executor has to know the version of the journal. What is erased goes on no more.
_MAY_GO_ON = (
    f"status = $2 AND attempt = $3 AND ($9::text IS NULL OR journal_version <= $13) AND {IS_SEEN}"
)


class Resuming:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        self.resume = _resume(names)
        self.wake = _wake(names)
        self.wake_parent = _wake(names, _parent(names))
        self.expire = _expire(names)
        # The last row is the run itself.
        self.lock = f"""
WITH RECURSIVE {locked_line(names, "true")}
SELECT run_id, status, metadata, foreground FROM locked ORDER BY run_id = $1"""


def _resume(names: Names) -> str:
    """Return the statement that has a run go on, and with it the paused runs that wait for it."""
    runs = names.runs
    # A run goes on at once where an executor asks for that, and it need not wait for the session
    # lock.
    return f"""
WITH RECURSIVE {locked_line(names, _MAY_GO_ON)}, run AS (
    UPDATE {runs} AS runs SET {_ANEW},
        status = CASE WHEN begins THEN 'RUNNING' ELSE 'PENDING' END,
        attempt = attempt + begins::integer,
        executor = CASE WHEN begins THEN $9 ELSE executor END,
        started_at = CASE WHEN begins THEN now() END,
        dispatched_at = CASE WHEN begins THEN now() ELSE dispatched_at END,
        lease_until = CASE WHEN begins THEN now() + make_interval(secs => $10) END,
        due_at = CASE WHEN NOT begins THEN now() END,
        foreground = coalesce($11, foreground), metadata = coalesce($12::json, metadata)
    FROM (
        SELECT $9::text IS NOT NULL AND (NOT ordered OR EXISTS (
            SELECT FROM {names.sessions} AS session
            WHERE session.session_id = held.session_id AND session.lock_run_id = $1)) AS begins
        FROM {runs} AS held WHERE run_id = $1 AND (SELECT count(*) FROM locked) > 0
    ) AS how
    WHERE run_id = $1 AND {_MAY_GO_ON}
    RETURNING {RECORD}, input, streamed, traceparent, timeout AS remaining, {CLAIMED_AT},
        {is_budgeted(names, "runs.user_id")} AS budgeted, {enqueued_if_due(names, "runs")}
), {ancestors_due(names, "run")}, added AS (
    INSERT INTO {names.events} (run_id, {JOURNAL})
    SELECT run_id, {JOURNAL}
    FROM run, unnest($4::integer[], $5::integer[], $6::text[], $7::boolean[], $8::json[])
        AS row ({JOURNAL})
)
SELECT {RECORD}, input, streamed, traceparent, remaining, claimed_at, budgeted,
    greatest((SELECT max(seq) FROM unnest($4::integer[]) AS seq),
        (SELECT max(seq) FROM {names.events} WHERE run_id = $1), 0) AS last_seq
FROM run"""


def ancestors_due(names: Names, gone_on: str) -> str:
    """Return the common table expression that makes the paused ancestors of a run due.

    Args:
        names: the tables.
        gone_on: the expression with the run, if they have to wait for it no longer; their rows are
            locked by :func:`locked_line`.
    """
    return f"""ancestors AS (
    UPDATE {names.runs} AS runs SET {_DUE}
    WHERE {_IN_LINE} AND run_id <> $1 AND status = 'PAUSED' AND NOT foreground
        AND EXISTS (SELECT FROM {gone_on})
    RETURNING {enqueued_if_due(names, "runs")}
)"""


def _wake(names: Names, run_id: str = "$1") -> str:
    """Return the statement that makes a paused run due, and the paused runs that wait for it.

    Args:
        names: the tables.
        run_id: which run.
    """
    return f"""
WITH RECURSIVE {locked_line(names, "status = 'PAUSED' AND NOT foreground", run_id)}, due AS (
    UPDATE {names.runs} AS runs SET {_DUE}
    WHERE {_IN_LINE} AND status = 'PAUSED' AND NOT foreground
        AND (SELECT count(*) FROM locked) > 0
    RETURNING run_id, {enqueued_if_due(names, "runs")}
)
SELECT run_id FROM due"""


def _parent(names: Names) -> str:
    """Return the expression for the run that waits for a child in its session."""
    # The child is only read, so that nothing is locked before the parent.
    return f"""(SELECT parent.run_id FROM {names.runs} AS child JOIN {names.runs} AS parent
        ON parent.run_id = child.parent_run_id AND parent.session_id = child.session_id
    WHERE child.run_id = $1)"""


def locked_line(names: Names, condition: str, run_id: str = "$1") -> str:
    """Return the common table expressions that lock a run and its paused ancestors.

    The rows are locked in the order of their ids, as those of runs that are claimed or settled
    together: a family may be among them. An ancestor that belongs to a caller is left out: it
    waits for that one, who is told by its call what has become of the child.

    Args:
        names: the tables.
        condition: which run it has to be, beside its id.
        run_id: its id.
    """
    # PostgreSQL knows nothing of how long a line is. A look-up that has a limit, and an array,
    # leave it no choice but the primary key.
    return f"""line (run_id, parent_run_id) AS (
    SELECT run_id, parent_run_id FROM {names.runs} WHERE run_id = {run_id} AND {condition}
    UNION ALL
    SELECT parent.run_id, parent.parent_run_id
    FROM line CROSS JOIN LATERAL (
        SELECT run_id, parent_run_id FROM {names.runs} AS runs
        WHERE runs.run_id = line.parent_run_id AND status = 'PAUSED' AND NOT foreground LIMIT 1
    ) AS parent
), ids AS MATERIALIZED (
    SELECT array_agg(run_id) AS run_ids FROM line
), locked AS MATERIALIZED (
    SELECT run_id, status, metadata, foreground FROM {names.runs} AS runs WHERE {_IN_LINE}
    ORDER BY run_id FOR NO KEY UPDATE
)"""


_IN_LINE = "runs.run_id = ANY((SELECT run_ids FROM ids)::text[])"


def _expire(names: Names) -> str:
    """Return the statement that makes paused runs due that nobody has answered in time."""
    # Of those that belong to callers the settlement writes no expiry: they do not stay in the way.
    return f"""
WITH expired AS MATERIALIZED (
    SELECT run_id FROM {names.runs}
    WHERE {STATUS} = 'PAUSED' AND expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
), due AS (
    UPDATE {names.runs} AS runs SET {_DUE} FROM expired
    WHERE runs.run_id = expired.run_id
    RETURNING runs.run_id, agent_id, parent_run_id, priority, position, due_at
), enqueued AS (
    SELECT {enqueued(names, "due")} FROM due HAVING count(*) > 0
)
SELECT run_id FROM due, (SELECT count(*) FROM enqueued) AS all_enqueued"""
