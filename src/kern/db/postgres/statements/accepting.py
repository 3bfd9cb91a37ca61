"""How runs are accepted."""

from kern.db.erasing import IS_SEEN
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import (
    CHANGED,
    FEW,
    JOURNAL,
    LIVE,
    PIECES,
    enqueued,
    enqueued_if_due,
    into_outbox,
    is_budgeted,
    is_over_budget,
)

# The seconds after which a batch gives up where one of its ids is held by a transaction that goes
# on for longer; each of its runs is then accepted alone, and waits for longer.
BATCH_LOCK_TIMEOUT, LOCK_TIMEOUT = 1.0, 5.0

OVER_BUDGET = "OVER BUDGET"
"""What stands in the place of a run's status where it was refused for its user's budget."""

_COLUMNS = """run_id, session_id, agent_id, user_id, input, metadata, parent_run_id, streamed,
    cancelled, lease, ordered, priority, run_at, timeout, max_attempts, webhook, executor,
    traceparent, journal_version, usage_limits, output_schema, lineage, foreground,
    unstored, session_type"""

_TYPES = """$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::boolean[], $9::boolean[], $10::float8[], $11::boolean[], $12::integer[],
        $13::timestamptz[], $14::float8[], $15::integer[], $16::text[], $17::text[],
        $18::text[], $19::integer[], $20::text[], $21::text[], $22::text[], $23::boolean[],
        $24::boolean[], $25::text[]"""

# A pending cancel is a row without a session: the primary key makes a cancel and the submit that
# it comes before meet, whichever commits first. Another user's is not for this run.
_ON_CONFLICT = """ON CONFLICT (run_id) DO UPDATE SET
        position = excluded.position, session_id = excluded.session_id,
        agent_id = excluded.agent_id, user_id = excluded.user_id, input = excluded.input,
        metadata = excluded.metadata, parent_run_id = excluded.parent_run_id,
        priority = excluded.priority, webhook = excluded.webhook,
        traceparent = excluded.traceparent, journal_version = excluded.journal_version,
        usage_limits = excluded.usage_limits, output_schema = excluded.output_schema,
        lineage = excluded.lineage, foreground = excluded.foreground,
        unstored = excluded.unstored,
        created_at = now(), finished_at = now()
    WHERE runs.session_id IS NULL AND coalesce(runs.user_id = excluded.user_id, true)"""


class Accepting:
    """The statements, with the names of the tables filled in.

    Attributes:
        lock_timeout: the seconds for which a run that is accepted alone waits for a transaction.
    """

    def __init__(self, names: Names, lock_timeout: float) -> None:
        """Write the statements for ``names``.

        Args:
            names: the names of the tables.
            lock_timeout: the seconds that a statement may wait for a lock.
        """
        self._names = names
        self.lock_timeout = min(LOCK_TIMEOUT, lock_timeout)
        self.submit = self._accept(min(BATCH_LOCK_TIMEOUT, lock_timeout), "")
        self.submit_alone = self._accept(self.lock_timeout, "")
        self.follow = self._accept(
            self.lock_timeout,
            "",
            # Who has it go on waits until this is committed, or is seen by it.
            condition=f"""EXISTS (
                SELECT FROM {names.runs} WHERE run_id = $26 AND attempt = $27
                    AND status NOT IN {LIVE} AND {IS_SEEN} FOR SHARE)""",
        )
        self.fork = self._accept(
            self.lock_timeout,
            f"""copied AS (
    INSERT INTO {names.events} (run_id, {JOURNAL})
    SELECT run.run_id, {JOURNAL} FROM run, {names.events} AS origin
    WHERE origin.run_id = $26 AND seq <= $27 AND type NOT IN {PIECES}
), copied_blobs AS (
    INSERT INTO {names.blobs} (run_id, hash, chunk, data)
    SELECT run.run_id, hash, chunk, data FROM run, {names.blobs} AS origin
    WHERE origin.run_id = $26
    ON CONFLICT DO NOTHING
), changed AS (
    INSERT INTO {names.states} AS state (session_id, key, value, position)
    SELECT session_id, key, value, CASE WHEN begins THEN 0 ELSE position END
    FROM run, unnest($28::text[], $29::json[], $30::boolean[]) AS t (key, value, begins)
    ORDER BY key
    {CHANGED}
), replaced AS (
    UPDATE {names.runs} AS origin SET replaced_by = run.run_id
    FROM run WHERE $31 AND origin.run_id = $26 AND run.status <> 'CANCELLED'
), """,
            # Of two that are to stand in another's place the second one is not accepted.
            condition=f"""NOT $31::boolean OR EXISTS (
                SELECT FROM {names.runs} WHERE run_id = $26 AND replaced_by IS NULL
                FOR NO KEY UPDATE)""",
        )

        # In a caller's transaction, which may go on for long: so it locks no row of others.
        self.submit_within = f"""
WITH given AS MATERIALIZED (
    SELECT * FROM unnest({_TYPES}) AS t ({_COLUMNS})
), over AS MATERIALIZED (
    SELECT run_id FROM given WHERE {is_over_budget(names, "given.user_id")} AND NOT EXISTS (
        SELECT FROM {names.runs} AS runs
        WHERE runs.run_id = given.run_id AND runs.session_id IS NOT NULL)
), input AS (
    SELECT * FROM given WHERE run_id NOT IN (SELECT run_id FROM over)
), session AS (
    INSERT INTO {names.sessions} (session_id, agent_id, user_id, session_type)
    SELECT session_id, agent_id, user_id, session_type FROM input
    ON CONFLICT (session_id) DO NOTHING
), run AS (
    INSERT INTO {names.runs} AS runs (run_id, session_id, agent_id, user_id, input, metadata,
        parent_run_id, streamed, watched, status, finished_at, ordered, priority, run_at, due_at,
        timeout, max_attempts, webhook, traceparent, journal_version, usage_limits,
        output_schema, lineage, foreground, unstored)
    SELECT run_id, session_id, agent_id, user_id, input::json, metadata::json,
        parent_run_id, streamed, streamed,
        CASE WHEN cancelled THEN 'CANCELLED' ELSE 'PENDING' END,
        CASE WHEN cancelled THEN now() END, ordered, priority, run_at,
        CASE WHEN NOT cancelled THEN greatest(run_at, now()) END,
        timeout, max_attempts, webhook, traceparent, journal_version, usage_limits::json,
        output_schema::json, lineage::json, foreground, unstored OR EXISTS (
            SELECT FROM {names.runs} AS parent
            WHERE parent.run_id = input.parent_run_id AND NOT ({IS_SEEN}))
    FROM input
    {_ON_CONFLICT}
    RETURNING run_id, attempt, status, created_at, webhook, {enqueued_if_due(names, "runs")}
), ended AS (
    SELECT run_id, attempt, webhook FROM run WHERE status = 'CANCELLED'
), {into_outbox(names, "ended")}
SELECT status, created_at, false AS waiting, false AS budgeted,
    pg_current_xact_id()::text AS transaction
FROM run
UNION ALL SELECT '{OVER_BUDGET}', NULL, false, true, NULL FROM over"""

    def _accept(self, lock_timeout: float, more: str, condition: str = "true") -> str:
        """Return the statement that accepts runs; ``more`` is done with the ``run`` it has made.

        A run whose id is in use is left out at once, so that nothing is locked for it. A run that
        begins here and now has no entry in the queue: its lease protects it, and the sweep.
        """
        names = self._names
        return f"""
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', '{round(1000 * lock_timeout)}', true) AS lock_timeout
), given AS MATERIALIZED (
    SELECT * FROM unnest({_TYPES}) WITH ORDINALITY AS t ({_COLUMNS}, number) {FEW}
), parent AS MATERIALIZED (
    SELECT run_id, status = 'CANCELLED' OR cancel_requested_at IS NOT NULL AS is_cancelled,
        NOT ({IS_SEEN}) AS is_erased
    FROM {names.runs} WHERE run_id IN (SELECT parent_run_id FROM given) ORDER BY run_id FOR SHARE
), known AS MATERIALIZED (
    SELECT run_id, session_id FROM {names.runs} WHERE run_id IN (SELECT run_id FROM given)
), over AS MATERIALIZED (
    SELECT given.run_id FROM given LEFT JOIN known USING (run_id)
    WHERE known.session_id IS NULL AND {is_over_budget(names, "given.user_id")}
), input AS MATERIALIZED (
    SELECT given.*, given.cancelled OR coalesce(parent.is_cancelled, false) AS is_cancelled,
        given.unstored OR coalesce(parent.is_erased, false) AS is_unstored,
        given.ordered AND NOT given.cancelled AND parent.is_cancelled IS NOT true
        AND (given.run_at IS NULL OR given.run_at <= now()) AND known.run_id IS NULL AS requests
    FROM given
    LEFT JOIN parent ON parent.run_id = given.parent_run_id
    LEFT JOIN known ON known.run_id = given.run_id
    WHERE known.session_id IS NULL AND given.run_id NOT IN (SELECT run_id FROM over)
        AND (SELECT lock_timeout FROM patience) IS NOT NULL AND ({condition})
), session AS (
    INSERT INTO {names.sessions} AS session
        (session_id, agent_id, user_id, session_type, lock_run_id, lock_requests)
    SELECT session_id, (array_agg(agent_id ORDER BY number))[1],
        (array_agg(user_id ORDER BY number))[1],
        (array_agg(session_type ORDER BY number))[1],
        (array_agg(run_id ORDER BY number) FILTER (WHERE requests))[1],
        count(*) FILTER (WHERE requests)
    FROM input GROUP BY session_id ORDER BY session_id
    ON CONFLICT (session_id) DO UPDATE SET
        lock_run_id = coalesce(session.lock_run_id, excluded.lock_run_id),
        lock_requests = session.lock_requests + excluded.lock_requests,
        updated_at = now()
    WHERE excluded.lock_run_id IS NOT NULL
    RETURNING session_id, lock_run_id
), placed AS (
    SELECT *, nextval('{names.positions}') AS position, NOT is_cancelled AND NOT waiting
        AND lease IS NOT NULL AS begins
    FROM (SELECT *, requests AND run_id NOT IN (SELECT lock_run_id FROM session) AS waiting
        FROM input) AS input
    ORDER BY number
), run AS (
    INSERT INTO {names.runs} AS runs (run_id, position, session_id, agent_id, user_id, input,
        metadata, parent_run_id, streamed, watched, status, attempt, started_at, dispatched_at,
        finished_at, lease_until, ordered, waiting, priority, run_at, due_at, timeout,
        max_attempts, webhook, executor, traceparent, journal_version, usage_limits,
        output_schema, lineage, foreground, unstored)
    SELECT run_id, position, session_id, agent_id, user_id, input::json,
        metadata::json, parent_run_id, streamed, streamed,
        CASE WHEN is_cancelled THEN 'CANCELLED' WHEN begins THEN 'RUNNING' ELSE 'PENDING' END,
        begins::integer, CASE WHEN begins THEN now() END, CASE WHEN begins THEN now() END,
        CASE WHEN is_cancelled THEN now() END,
        CASE WHEN begins THEN now() + make_interval(secs => lease) END,
        ordered, waiting, priority, run_at,
        CASE WHEN NOT is_cancelled AND NOT begins AND NOT waiting
            THEN greatest(run_at, now()) END,
        timeout, max_attempts, webhook, CASE WHEN begins THEN executor END, traceparent,
        journal_version, usage_limits::json, output_schema::json, lineage::json, foreground,
        is_unstored
    FROM placed ORDER BY run_id
    {_ON_CONFLICT}
    RETURNING run_id, session_id, agent_id, parent_run_id, attempt, status, created_at, waiting,
        webhook, priority, position, due_at, {is_budgeted(names, "runs.user_id")} AS budgeted
), enqueued AS (
    SELECT {enqueued(names, "run")} FROM run WHERE due_at IS NOT NULL HAVING count(*) > 0
), {more}ended AS (
    SELECT run_id, attempt, webhook FROM run WHERE status = 'CANCELLED'
), {into_outbox(names, "ended")}
SELECT run_id, status, created_at, waiting, budgeted, CASE WHEN status = 'CANCELLED'
    AND run_id IN (SELECT lock_run_id FROM session) THEN session_id END AS unfinished,
    run_id AS holder
FROM run, (SELECT count(*) FROM enqueued) AS all_enqueued
UNION ALL
SELECT lock_run_id, NULL, NULL, NULL, NULL, session_id, lock_run_id FROM session
WHERE lock_run_id IN (SELECT run_id FROM input WHERE requests)
    AND lock_run_id NOT IN (SELECT run_id FROM run)
UNION ALL
SELECT run_id, '{OVER_BUDGET}', NULL, NULL, true, NULL, NULL FROM over"""
