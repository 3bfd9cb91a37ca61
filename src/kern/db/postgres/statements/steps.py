"""A run's steps, from its acceptance to its end."""

from kern.db.base import LOST_ATTEMPTS, LOST_ATTEMPTS_MESSAGE
from kern.db.postgres.names import Names
from kern.db.postgres.statements.order import LIVE, passing_on
from kern.db.postgres.statements.reading import RECORD

_HAS_LOST_ENOUGH = f"""(status = 'RUNNING' AND failures + 1 >= coalesce(max_attempts,
    {LOST_ATTEMPTS}))"""

_LOST = f"json_build_object('message', format('{LOST_ATTEMPTS_MESSAGE}', failures + 1))"

# A lease that ran out while the database was away is renewed by whoever is still there.
_LAPSED = """status = 'RUNNING' AND lease_until < now() AND (
    lease_until > pg_postmaster_start_time() + interval '2 s'
    OR now() > pg_postmaster_start_time() + make_interval(secs => lease))"""


class Steps:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        self._names = names
        runs, events = names.runs, names.events
        queue, table, channel = names.queue, names.session_table, names.channel

        self.submit = self._accept("")
        self.fork = self._accept(f"""copied AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run.run_id, seq, type, payload FROM run, {events} AS origin
    WHERE origin.run_id = $18 AND seq <= $19
        AND type NOT IN ('RunContent', 'ToolCallStarted', 'ModelRequestStarted')
), """)

        self.claim = f"""
WITH claimed AS (
    UPDATE {runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'CANCELLED'
            WHEN {_HAS_LOST_ENOUGH} THEN 'ERROR' ELSE 'RUNNING' END,
        attempt = attempt + 1,
        failures = failures + (status = 'RUNNING')::integer,
        error = CASE WHEN cancel_requested_at IS NULL AND {_HAS_LOST_ENOUGH} THEN {_LOST} END,
        started_at = coalesce(started_at, now()),
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR {_HAS_LOST_ENOUGH}
            THEN now() END,
        lease_until = now() + make_interval(secs => lease)
    FROM unnest($1::text[], $2::float8[]) AS input (claiming, lease)
    WHERE run_id = claiming AND (
            status = 'PENDING' AND (run_at IS NULL OR run_at <= now()) AND lane IS NULL
            OR {_LAPSED})
        AND (NOT ordered OR EXISTS (SELECT FROM {names.sessions} AS session
            WHERE session.session_id = runs.session_id AND session.turn = runs.run_id))
    RETURNING {RECORD}, input, streamed, watched, coalesce(
        (SELECT max(seq) FROM {events} AS events WHERE events.run_id = runs.run_id), 0) AS last_seq
), ended AS (
    SELECT run_id, session_id, attempt, webhook FROM claimed WHERE status <> 'RUNNING'
), {passing_on(names, "ended")}
SELECT {RECORD}, input, streamed, last_seq, stuck, holder,
    CASE WHEN watched AND status <> 'RUNNING'
        THEN pg_notify('{channel}', 'news ' || run_id)::text END AS told
FROM claimed LEFT JOIN stuck USING (run_id)"""

        # The lock makes a claim wait for rows that its predecessor is writing, and makes those
        # wait that come after it, and find that they were overtaken. A row belongs to its attempt:
        # several attempts at a run may be in one batch.
        self.append = f"""
WITH mine AS (
    SELECT run_id, attempt, input.streamed FROM {runs} AS runs
    JOIN unnest($1::text[], $2::integer[], $3::boolean[]) AS input (writing, number, streamed)
        ON run_id = writing AND attempt = number AND status = 'RUNNING'
    FOR SHARE OF runs
), written AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run_id, seq, type, payload
    FROM unnest($4::text[], $5::integer[], $6::integer[], $7::text[], $8::json[])
        AS row (run_id, attempt, seq, type, payload) JOIN mine USING (run_id, attempt)
    ON CONFLICT (run_id, seq) DO NOTHING
)
SELECT run_id, attempt,
    CASE WHEN streamed THEN pg_notify('{channel}', 'news ' || run_id)::text END
FROM mine"""

        # A run that was not taken from the queue is also protected by its entry there, which is
        # not due before the lease has run out.
        self.extend = f"""
WITH mine AS (
    UPDATE {runs} AS runs SET lease_until = now() + make_interval(secs => $3)
    FROM unnest($1::text[], $2::integer[]) AS input (claimed, number)
    WHERE run_id = claimed AND attempt = number AND status = 'RUNNING'
    RETURNING run_id, cancel_requested_at IS NOT NULL AS cancelled, lease_until
), entry AS (
    UPDATE {queue} AS queue SET execute_after = lease_until FROM mine
    WHERE dedupe_key = '{table}/' || run_id AND queue.status = 'queued'
)
SELECT run_id, cancelled FROM mine"""

        self.settle = f"""
WITH settled AS (
    UPDATE {runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NULL THEN ending ELSE 'CANCELLED' END,
        output = end_output, error = end_error, usage = end_usage,
        finished_at = CASE WHEN ending = 'PAUSED' AND cancel_requested_at IS NULL
            THEN NULL ELSE now() END,
        lease_until = NULL
    FROM unnest($1::text[], $2::integer[], $3::text[], $4::json[], $5::json[], $6::json[],
        $7::integer[])
        AS input (ended, number, ending, end_output, end_error, end_usage, fold_before)
    WHERE run_id = ended AND attempt = number AND status = 'RUNNING'
    RETURNING run_id, session_id, attempt, status, watched, webhook, fold_before
), written AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run_id, seq, type, payload
    FROM unnest($8::text[], $9::integer[], $10::integer[], $11::text[], $12::json[])
        AS row (run_id, attempt, seq, type, payload) JOIN settled USING (run_id, attempt)
    ON CONFLICT (run_id, seq) DO NOTHING
), folded AS (
    DELETE FROM {events} AS events USING settled
    WHERE fold_before > 0 AND events.run_id = settled.run_id AND seq < fold_before
        AND type = 'RunContent'
), entry AS (
    DELETE FROM {queue} AS queue USING settled
    WHERE dedupe_key = '{table}/' || run_id AND queue.status = 'queued'
), ended AS (
    SELECT run_id, session_id, attempt, webhook FROM settled WHERE status <> 'PAUSED'
), {passing_on(names, "ended")}
SELECT run_id, attempt, status, stuck, holder,
    CASE WHEN watched THEN pg_notify('{channel}', 'news ' || run_id)::text END
FROM settled LEFT JOIN stuck USING (run_id)"""

        self.release = self._let_go("now()", "", "")
        self.postpone = self._let_go(
            "now() + make_interval(secs => $3)",
            ", failures = failures + 1, run_at = now() + make_interval(secs => $3)",
            f"""written AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run_id, seq, type, payload
    FROM released, unnest($4::integer[], $5::text[], $6::json[]) AS row (seq, type, payload)
    ON CONFLICT (run_id, seq) DO NOTHING
), """,
        )

        # A run whose lease has run out has no executor to hear of it, so it ends here; the raised
        # attempt shuts out an executor that was only asleep. One that seems not to have the turn
        # may have been given it while the statement waited for the run's row.
        self.cancel = f"""
WITH cancelled AS (
    INSERT INTO {runs} AS runs (run_id, status, cancel_requested_at)
    VALUES ($1, 'CANCELLED', now())
    ON CONFLICT (run_id) DO UPDATE SET
        cancel_requested_at = coalesce(runs.cancel_requested_at, now()),
        status = CASE WHEN runs.status = 'RUNNING' AND runs.lease_until >= now()
            THEN 'RUNNING' ELSE 'CANCELLED' END,
        attempt = runs.attempt + CASE WHEN runs.status = 'RUNNING' AND runs.lease_until >= now()
            THEN 0 ELSE 1 END,
        finished_at = CASE WHEN runs.status = 'RUNNING' AND runs.lease_until >= now()
            THEN NULL ELSE now() END,
        waiting = false, lane = NULL
    WHERE runs.status IN {LIVE}
    RETURNING run_id, session_id, attempt, status, watched, webhook, ordered
), ended AS (
    SELECT run_id, session_id, attempt, webhook FROM cancelled WHERE status = 'CANCELLED'
), {passing_on(names, "ended")}
SELECT session_id IS NOT NULL AS known, coalesce(holder, run_id) AS holder,
    coalesce(stuck, CASE WHEN ordered AND status = 'CANCELLED' AND NOT EXISTS (SELECT FROM passed)
        THEN session_id END) AS stuck, CASE
    WHEN status = 'RUNNING' THEN pg_notify('{channel}', 'cancel ' || run_id)::text
    WHEN watched THEN pg_notify('{channel}', 'news ' || run_id)::text END
FROM cancelled LEFT JOIN stuck USING (run_id)"""

        # The entry of the delivery that stood still may be on its way out: this one is another.
        self.take_up = f"""
WITH run AS (
    UPDATE {runs} SET status = 'PENDING', error = NULL, finished_at = NULL, started_at = NULL,
        failures = 0, run_at = NULL, webhook_delivered_at = NULL
    WHERE run_id = $1 AND status = $2
    RETURNING run_id, agent_id, priority
), added AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run_id, number + coalesce(
        (SELECT max(seq) FROM {events} AS events WHERE events.run_id = run.run_id), 0),
        type, payload
    FROM run, unnest($3::text[], $4::json[]) WITH ORDINALITY AS row (type, payload, number)
), job AS (
    INSERT INTO {queue} (priority, entrypoint, payload, status)
    SELECT priority, '{table}/' || agent_id, convert_to(run_id, 'UTF8'), 'queued' FROM run
)
SELECT run_id FROM run"""

        self.webhook_delivered = f"""
UPDATE {runs} SET webhook_delivered_at = now() WHERE run_id = $1 AND attempt = $2"""

    def _accept(self, more: str) -> str:
        """Return the statement that accepts runs; ``more`` is done with the ``run`` it has made.

        An intent is a row without a session: the primary key makes a cancel and the submit that
        it comes before meet, whichever commits first. A run that begins here and now has an
        entry in the queue as well, not due before its lease has run out.
        """
        names = self._names
        return f"""
WITH input AS (
    SELECT *, ordered AND NOT cancelled AND (run_at IS NULL OR run_at <= now())
        AND NOT EXISTS (SELECT FROM {names.runs} AS known WHERE known.run_id = t.run_id) AS asks
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::json[], $6::json[],
        $7::text[], $8::boolean[], $9::boolean[], $10::float8[], $11::boolean[], $12::integer[],
        $13::timestamptz[], $14::float8[], $15::integer[], $16::text[], $17::text[])
        WITH ORDINALITY
        AS t (run_id, session_id, agent_id, user_id, input, metadata, parent_run_id, streamed,
            cancelled, lease, ordered, priority, run_at, timeout, max_attempts, webhook, executor,
            number)
), session AS (
    INSERT INTO {names.sessions} AS session (session_id, agent_id, user_id, turn, asked)
    SELECT session_id, (array_agg(agent_id ORDER BY number))[1],
        (array_agg(user_id ORDER BY number))[1],
        (array_agg(run_id ORDER BY number) FILTER (WHERE asks))[1],
        count(*) FILTER (WHERE asks)
    FROM input GROUP BY session_id ORDER BY session_id
    ON CONFLICT (session_id) DO UPDATE SET
        turn = coalesce(session.turn, excluded.turn), asked = session.asked + excluded.asked,
        updated_at = now()
    WHERE excluded.turn IS NOT NULL
    RETURNING session_id, turn
), placed AS (
    SELECT input.*, asks AND turn IS DISTINCT FROM run_id AS waiting, lease IS NOT NULL
        AND NOT cancelled AND NOT (asks AND turn IS DISTINCT FROM run_id) AS begins
    FROM input LEFT JOIN session USING (session_id)
), run AS (
    INSERT INTO {names.runs} AS runs (run_id, session_id, agent_id, user_id, input, metadata,
        parent_run_id, streamed, watched, status, attempt, started_at, finished_at, lease_until,
        ordered, waiting, priority, run_at, timeout, max_attempts, webhook, executor)
    SELECT run_id, session_id, agent_id, user_id, input, metadata,
        parent_run_id, streamed, streamed,
        CASE WHEN cancelled THEN 'CANCELLED' WHEN begins THEN 'RUNNING' ELSE 'PENDING' END,
        begins::integer, CASE WHEN begins THEN now() END, CASE WHEN cancelled THEN now() END,
        CASE WHEN begins THEN now() + make_interval(secs => lease) END,
        ordered, waiting, priority, run_at, timeout, max_attempts, webhook, executor
    FROM placed ORDER BY number
    ON CONFLICT (run_id) DO UPDATE SET
        session_id = excluded.session_id, agent_id = excluded.agent_id,
        user_id = excluded.user_id, input = excluded.input, metadata = excluded.metadata,
        parent_run_id = excluded.parent_run_id, priority = excluded.priority,
        webhook = excluded.webhook, created_at = now(), finished_at = now()
    WHERE runs.session_id IS NULL
    RETURNING run_id, agent_id, status, created_at, waiting, priority, webhook,
        coalesce(lease_until, run_at, now()) AS due
), {more}job AS (
    INSERT INTO {names.queue} (priority, entrypoint, payload, dedupe_key, execute_after, status)
    SELECT priority, '{names.session_table}/' || agent_id, convert_to(run_id, 'UTF8'),
        '{names.session_table}/' || run_id, due, 'queued'
    FROM run WHERE status IN ('PENDING', 'RUNNING') AND NOT waiting
), entry_of_webhook AS (
    INSERT INTO {names.queue} (priority, entrypoint, payload, status)
    SELECT 0, '{names.session_table}!webhook', convert_to(run_id, 'UTF8'), 'queued'
    FROM run WHERE status = 'CANCELLED' AND webhook IS NOT NULL
)
SELECT input.run_id, status, created_at, waiting,
    CASE WHEN turn = input.run_id AND (status IS NULL OR status = 'CANCELLED')
        THEN input.session_id END AS stuck, turn AS holder
FROM input LEFT JOIN run USING (run_id) LEFT JOIN session USING (session_id)"""

    def _let_go(self, due: str, more_columns: str, more: str) -> str:
        """Return the statement with which an attempt at a run gives it up for a later one.

        Args:
            due: when that one may begin.
            more_columns: what else is set in the run's row.
            more: what else is done with the ``released`` run.
        """
        names = self._names
        return f"""
WITH released AS (
    UPDATE {names.runs} SET
        status = CASE WHEN cancel_requested_at IS NULL THEN 'PENDING' ELSE 'CANCELLED' END,
        finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
        lease_until = NULL{more_columns}
    WHERE run_id = $1 AND attempt = $2 AND status = 'RUNNING'
    RETURNING run_id, session_id, attempt, status, watched, webhook
), entry AS (
    UPDATE {names.queue} AS queue SET execute_after = {due} FROM released
    WHERE dedupe_key = '{names.session_table}/' || run_id AND queue.status = 'queued'
), {more}ended AS (
    SELECT run_id, session_id, attempt, webhook FROM released WHERE status = 'CANCELLED'
), {passing_on(names, "ended")}
SELECT status, stuck, holder, CASE WHEN watched AND status = 'CANCELLED'
    THEN pg_notify('{names.channel}', 'news ' || run_id)::text END
FROM released LEFT JOIN stuck USING (run_id)"""
