"""Parts that several statements share."""

from kern.db.postgres.names import Names
from kern.run.steps import PIECE_KINDS

LIVE = "('PENDING', 'RUNNING', 'PAUSED')"

# The conditions by which their indexes find runs; guards are written otherwise, see the schema.
STATUS, IS_WAITING = "status || ''", "waiting::integer = 1"

RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error, priority, run_at, timeout, max_attempts, failures,
    webhook, parent_run_id, executor, journal_version, refusal, requirements, error_kind,
    usage_limits, output_schema, lineage, foreground, replaced_by, unstored"""

# What a row of a journal holds, beside the run that it belongs to.
JOURNAL = "seq, event, type, skippable, payload"

PIECES = f"({', '.join(repr(kind) for kind in PIECE_KINDS)})"

# The moment of a claim, in seconds since 1970, and what is left of the run's timeout then.
CLAIMED_AT = "extract(epoch FROM now())::float8 AS claimed_at"
REMAINING = "(timeout - extract(epoch FROM now() - started_at))::float8 AS remaining"

# PostgreSQL expects ten rows of an array that it does not know, so a plan for every array seems
# dearer to it than one for this array: it would plan anew each time, which takes longer than the
# statement itself. Of what is limited by something that it does not know it expects a tenth.
FEW = "LIMIT cardinality($1::text[])"

GIVEN = f"(SELECT unnest($1::text[]) {FEW})"
"""The run ids in the first parameter, of which any plan expects one."""


def enqueued(names: Names, runs: str) -> str:
    """Return the expression that enqueues all rows of ``runs``; it says how many were not yet."""
    return f"""{names.enqueue}('{names.session_table}', array_agg({runs}.run_id ORDER BY position),
        array_agg({runs}.agent_id ORDER BY position),
        array_agg({runs}.parent_run_id IS NOT NULL ORDER BY position),
        array_agg({runs}.priority ORDER BY position), array_agg({runs}.due_at ORDER BY position))"""


def enqueued_if_due(names: Names, runs: str) -> str:
    """Return the expression that enqueues a row of ``runs`` if it has become due."""
    return f"""CASE WHEN {runs}.due_at IS NOT NULL THEN {names.enqueue}('{names.session_table}',
        ARRAY[{runs}.run_id], ARRAY[{runs}.agent_id], ARRAY[{runs}.parent_run_id IS NOT NULL],
        ARRAY[{runs}.priority], ARRAY[{runs}.due_at]) END AS enqueued"""


def notified(names: Names, kind: str) -> str:
    """Return the expression that notifies of a run."""
    return f"pg_notify('{names.channel}', '{kind} ' || run_id)::text"


def following(names: Names, ended: str, reported: str | None = None) -> str:
    """Return the common table expressions that follow from the end of runs.

    The session lock is handed off to the first run that waits for it, and that one is enqueued;
    the webhook is put into the outbox. Where the session's row shows that the lock was requested
    by a run that this statement, begun before, cannot see, the lock stays where it is; where the
    run that gets it has just ended as well, it goes no further. Either is in ``unfinished``, and
    :attr:`SessionLock.hand_off` has to be sent.

    Args:
        names: the tables.
        ended: the expression with the runs: run_id, session_id, attempt and webhook.
        reported: that with the runs of which webhooks tell; by default the same.
    """
    return f"""held AS MATERIALIZED (
    SELECT session.session_id, ended.run_id
    FROM {names.sessions} AS session JOIN {ended} AS ended
        ON session.session_id = ended.session_id
        AND session.lock_run_id IS NOT DISTINCT FROM ended.run_id
    ORDER BY session.session_id FOR NO KEY UPDATE OF session
), handed AS (
    UPDATE {names.sessions} AS session SET lock_run_id = CASE
        WHEN first.run_id IS NOT NULL THEN first.run_id
        WHEN session.lock_requests = seen.lock_requests THEN NULL
        ELSE session.lock_run_id END
    FROM held
    JOIN {names.sessions} AS seen ON seen.session_id = held.session_id
    LEFT JOIN LATERAL (
        SELECT waiter.run_id FROM {names.runs} AS waiter
        WHERE waiter.session_id = held.session_id AND waiter.{IS_WAITING}
        ORDER BY waiter.position LIMIT 1
    ) AS first ON true
    WHERE session.session_id = held.session_id
    RETURNING session.session_id, session.lock_run_id AS holder, held.run_id
), next AS (
    UPDATE {names.runs} AS runs SET waiting = false, due_at = now() FROM handed
    WHERE runs.run_id = handed.holder AND runs.waiting
    RETURNING runs.run_id, {enqueued_if_due(names, "runs")}
), unfinished AS (
    SELECT run_id, session_id AS unfinished, holder FROM handed
    WHERE holder IS NOT NULL AND holder NOT IN (SELECT run_id FROM next)
), {into_outbox(names, reported or ended)}"""


def into_outbox(names: Names, ended: str) -> str:
    """Return the common table expression that puts the webhooks of ``ended`` into the outbox."""
    return f"""webhook AS (
    INSERT INTO {names.webhooks} (delivery_id, run_id, attempt, due_at)
    SELECT run_id || '/' || attempt, run_id, attempt, now()
    FROM {ended} AS ended WHERE webhook IS NOT NULL
    ON CONFLICT (delivery_id) DO NOTHING
    RETURNING pg_notify('{names.channel}', 'webhook')::text
)"""


def is_budgeted(names: Names, user_id: str) -> str:
    """Return the condition that a user, an expression, has a budget."""
    return f"""({user_id} IS NOT NULL AND EXISTS (
        SELECT FROM {names.budgets} AS budget WHERE budget.user_id IN ({user_id}, '')))"""


def is_over_budget(names: Names, user_id: str) -> str:
    """Return the condition that a user, an expression, has used up a budget.

    It is what :func:`kern.db.budgets.spending_in` says in Python. What was used is in the user's
    own rows, so who has none has used nothing.
    """
    return f"""({user_id} IS NOT NULL AND EXISTS (
        SELECT FROM {names.budgets} AS own
        WHERE own.user_id = {user_id} AND own.starts_at >= date_trunc(own.per, now(), 'UTC')
            AND CASE WHEN own.cost IS NOT NULL OR own.tokens IS NOT NULL
                THEN own.used_cost >= own.cost OR own.used_tokens >= own.tokens
                ELSE EXISTS (SELECT FROM {names.budgets} AS everybodys
                    WHERE everybodys.user_id = '' AND everybodys.per = own.per
                        AND (own.used_cost >= everybodys.cost
                            OR own.used_tokens >= everybodys.tokens)) END))"""


def charged(names: Names, runs: str, used: str) -> str:
    """Return the common table expressions that count what rows of journals have used.

    Nothing reads them, so they come last: after the rows of runs and sessions those of budgets
    are locked, in one order.

    Args:
        names: the tables.
        runs: the expression with the attempts: run_id, attempt and user_id.
        used: what rows have used: run_id, attempt, seq, cost and tokens. Only those count that
            the statement has ``written``: run_id and seq.
    """
    return f"""spent AS (
    SELECT user_id, sum(used.cost) AS cost, sum(used.tokens) AS tokens
    FROM {used} JOIN written USING (run_id, seq) JOIN {runs} USING (run_id, attempt)
    WHERE user_id IS NOT NULL AND (used.cost > 0 OR used.tokens > 0) GROUP BY user_id
), charged AS (
    INSERT INTO {names.budgets} AS budget (user_id, per, starts_at, used_cost, used_tokens)
    SELECT spent.user_id, per, date_trunc(per, now(), 'UTC'), spent.cost, spent.tokens
    FROM spent CROSS JOIN LATERAL (
        SELECT DISTINCT per FROM {names.budgets} AS budget
        WHERE budget.user_id IN (spent.user_id, '')) AS budgeted
    ORDER BY spent.user_id, per
    ON CONFLICT (user_id, per) DO UPDATE SET
        starts_at = greatest(budget.starts_at, excluded.starts_at),
        used_cost = excluded.used_cost + CASE
            WHEN budget.starts_at >= excluded.starts_at THEN budget.used_cost ELSE 0 END,
        used_tokens = excluded.used_tokens + CASE
            WHEN budget.starts_at >= excluded.starts_at THEN budget.used_tokens ELSE 0 END
)"""


CHANGES = "run_id, attempt, seq, key, value, begins"
"""What is to be done with a key of a state; see :class:`kern.run.state.KeyChange`."""


def changed(names: Names, runs: str, changes: str, after: str = "written") -> str:
    """Return the common table expressions that change keys of states with rows of journals.

    Rows of states are locked last, after those of runs and sessions, in one order. Which keys a
    later run has changed before is in ``lost``, by run.

    Args:
        names: the tables.
        runs: the expression with the attempts: run_id, attempt, session_id and position.
        changes: what is to be done: the columns of :data:`CHANGES`. Only what belongs to rows that
            the statement has ``written`` is done.
        after: the expression that has locked what is locked before.
    """
    return f"""changes AS MATERIALIZED (
    SELECT run_id, seq, session_id, key, value, begins,
        CASE WHEN begins THEN 0 ELSE position END AS position
    FROM {changes} JOIN written USING (run_id, seq) JOIN {runs} USING (run_id, attempt)
    WHERE (SELECT count(*) FROM {after}) IS NOT NULL
), changed AS (
    INSERT INTO {names.states} AS state (session_id, key, value, position)
    SELECT DISTINCT ON (session_id, key) session_id, key, value, position FROM changes
    ORDER BY session_id, key, position DESC, seq DESC
    {CHANGED}
    RETURNING session_id, key, position
), lost AS (
    SELECT run_id, array_agg(DISTINCT key) AS lost FROM changes
    WHERE NOT begins AND NOT EXISTS (SELECT FROM changed
        WHERE (changed.session_id, changed.key, changed.position)
            = (changes.session_id, changes.key, changes.position))
    GROUP BY run_id
)"""


CHANGED = """ON CONFLICT (session_id, key) DO UPDATE SET
        value = excluded.value, position = excluded.position, version = state.version + 1
    WHERE excluded.position > 0 AND excluded.position >= state.position"""
"""What becomes of a key of a state that has a row: a later run has the last word."""


def deleted_with(names: Names, runs: str) -> str:
    """Return the common table expressions that delete all that goes with the rows of ``runs``."""
    gone = f"run_id = ANY(ARRAY(SELECT run_id FROM {runs}))"
    return f"""events AS (
    DELETE FROM {names.events} WHERE {gone}
), webhooks AS (
    DELETE FROM {names.webhooks} WHERE {gone}
), blobs AS (
    DELETE FROM {names.blobs} WHERE {gone}
), approvals AS (
    DELETE FROM {names.approvals} WHERE {gone}
)"""
