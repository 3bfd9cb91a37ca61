"""Every statement that kern sends to PostgreSQL, one for each step of a run.

Statements that many runs share take arrays, an element for each run.
"""

from dataclasses import dataclass
from hashlib import blake2s

_RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error"""


@dataclass(frozen=True)
class Names:
    """The quoted names of kern's tables in one schema, for one session table."""

    schema: str
    session_table: str

    @property
    def sessions(self) -> str:
        """The table of the sessions."""
        return f'"{self.schema}"."{self.session_table}"'

    @property
    def runs(self) -> str:
        """The table of the runs."""
        return f'"{self.schema}"."{self.session_table}_runs"'

    @property
    def events(self) -> str:
        """The table of the runs' journals."""
        return f'"{self.schema}"."{self.session_table}_run_events"'

    @property
    def versions(self) -> str:
        """The table that holds the version of the others."""
        return f'"{self.schema}"."kern_versions"'

    @property
    def queue(self) -> str:
        """PgQueuer's queue, which all session tables of the schema share."""
        return f'"{self.schema}"."pgqueuer"'

    @property
    def channel(self) -> str:
        """The channel on which processes that share the tables notify each other."""
        name = f"{self.schema}.{self.session_table}".encode()
        return f"kern_{blake2s(name, digest_size=12).hexdigest()}"


class Statements:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        runs, events, sessions = names.runs, names.events, names.sessions
        queue, table, channel = names.queue, names.session_table, names.channel

        # An intent is a row without a session: the primary key makes a cancel and the submit
        # that it comes before meet, whichever commits first. A run that its caller executes has
        # an entry in the queue as well, not due before its lease has run out.
        self.submit = f"""
WITH input AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::json[], $6::json[],
        $7::text[], $8::boolean[], $9::boolean[], $10::float8[]) WITH ORDINALITY
        AS t (run_id, session_id, agent_id, user_id, input, metadata, parent_run_id, streamed,
            cancelled, lease, number)
), session AS (
    INSERT INTO {sessions} (session_id, agent_id, user_id)
    SELECT DISTINCT ON (session_id) session_id, agent_id, user_id FROM input
    ORDER BY session_id, number
    ON CONFLICT (session_id) DO NOTHING
), run AS (
    INSERT INTO {runs} AS runs (run_id, session_id, agent_id, user_id, input, metadata,
        parent_run_id, streamed, watched, status, attempt, started_at, finished_at, lease_until)
    SELECT run_id, session_id, agent_id, user_id, input, metadata,
        parent_run_id, streamed, streamed,
        CASE WHEN cancelled THEN 'CANCELLED' WHEN lease IS NULL THEN 'PENDING' ELSE 'RUNNING' END,
        CASE WHEN cancelled OR lease IS NULL THEN 0 ELSE 1 END,
        CASE WHEN cancelled OR lease IS NULL THEN NULL ELSE now() END,
        CASE WHEN cancelled THEN now() END,
        CASE WHEN cancelled THEN NULL ELSE now() + make_interval(secs => lease) END
    FROM input ORDER BY number
    ON CONFLICT (run_id) DO UPDATE SET
        session_id = excluded.session_id, agent_id = excluded.agent_id,
        user_id = excluded.user_id, input = excluded.input, metadata = excluded.metadata,
        parent_run_id = excluded.parent_run_id, created_at = now(), finished_at = now()
    WHERE runs.session_id IS NULL
    RETURNING run_id, agent_id, status, created_at, coalesce(lease_until, now()) AS due
), job AS (
    INSERT INTO {queue} (priority, entrypoint, payload, dedupe_key, execute_after, status)
    SELECT 0, '{table}/' || agent_id, convert_to(run_id, 'UTF8'), '{table}/' || run_id, due,
        'queued'
    FROM run WHERE status IN ('PENDING', 'RUNNING')
)
SELECT run_id, status, created_at FROM run"""

        self.claim = f"""
WITH claimed AS (
    UPDATE {runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NULL THEN 'RUNNING' ELSE 'CANCELLED' END,
        attempt = attempt + 1,
        started_at = coalesce(started_at, now()),
        finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
        lease_until = now() + make_interval(secs => input.lease)
    FROM unnest($1::text[], $2::float8[]) AS input (claiming, lease)
    WHERE run_id = claiming
        AND (status = 'PENDING' OR status = 'RUNNING' AND lease_until < now())
    RETURNING {_RECORD}, input, streamed, watched, coalesce(
        (SELECT max(seq) FROM {events} AS events WHERE events.run_id = runs.run_id), 0) AS last_seq
)
SELECT {_RECORD}, input, streamed, last_seq, CASE WHEN watched AND status = 'CANCELLED'
    THEN pg_notify('{channel}', 'news ' || run_id)::text END AS told
FROM claimed"""

        self.last_seq = f"""
SELECT run_id, max(seq) AS last_seq FROM {events} WHERE run_id = ANY($1) GROUP BY run_id"""

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

        # A run that its caller executes is also protected by its entry in the queue, which is
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
        $7::integer[], $8::boolean[])
        AS input (ended, number, ending, end_output, end_error, end_usage, fold_before, foreground)
    WHERE run_id = ended AND attempt = number AND status = 'RUNNING'
    RETURNING run_id, attempt, status, watched, fold_before, foreground
), written AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run_id, seq, type, payload
    FROM unnest($9::text[], $10::integer[], $11::integer[], $12::text[], $13::json[])
        AS row (run_id, attempt, seq, type, payload) JOIN settled USING (run_id, attempt)
    ON CONFLICT (run_id, seq) DO NOTHING
), folded AS (
    DELETE FROM {events} AS events USING settled
    WHERE fold_before > 0 AND events.run_id = settled.run_id AND seq < fold_before
        AND type = 'RunContent'
), entry AS (
    DELETE FROM {queue} AS queue USING settled
    WHERE foreground AND dedupe_key = '{table}/' || run_id AND queue.status = 'queued'
)
SELECT run_id, attempt, status,
    CASE WHEN watched THEN pg_notify('{channel}', 'news ' || run_id)::text END
FROM settled"""

        self.release = f"""
WITH released AS (
    UPDATE {runs} SET
        status = CASE WHEN cancel_requested_at IS NULL THEN 'PENDING' ELSE 'CANCELLED' END,
        finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
        lease_until = NULL
    WHERE run_id = $1 AND attempt = $2 AND status = 'RUNNING'
    RETURNING run_id, status, watched
)
SELECT CASE WHEN watched AND status = 'CANCELLED'
    THEN pg_notify('{channel}', 'news ' || run_id)::text END
FROM released"""

        # A run whose lease has run out has no executor to hear of it, so it ends here; the raised
        # attempt shuts out an executor that was only asleep.
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
            THEN NULL ELSE now() END
    WHERE runs.status IN ('PENDING', 'RUNNING', 'PAUSED')
    RETURNING run_id, session_id IS NOT NULL AS known, status, watched
)
SELECT known, CASE
    WHEN status = 'RUNNING' THEN pg_notify('{channel}', 'cancel ' || run_id)::text
    WHEN watched THEN pg_notify('{channel}', 'news ' || run_id)::text END
FROM cancelled"""

        self.children = f"""
SELECT run_id FROM {runs}
WHERE parent_run_id = $1 AND status IN ('PENDING', 'RUNNING', 'PAUSED')"""

        self.asked = f"""
SELECT run_id, cancel_requested_at IS NOT NULL AS cancelled, streamed FROM {runs}
WHERE run_id = ANY($1) AND status = 'RUNNING' AND (cancel_requested_at IS NOT NULL OR streamed)"""

        self.get = f"""
SELECT {_RECORD} FROM {runs} WHERE run_id = $1 AND session_id IS NOT NULL"""

        self.get_with_input = f"""
SELECT {_RECORD}, input FROM {runs} WHERE run_id = $1 AND session_id IS NOT NULL"""

        self.events = f"""
SELECT run_id, seq, type, payload, extract(epoch FROM created_at)::float8 AS created_at
FROM {events} WHERE run_id = $1 AND seq > $2 ORDER BY seq"""

        self.watch = f"""
UPDATE {runs} SET watched = true WHERE run_id = $1 AND NOT watched"""

        self.read = f"""
WITH read AS (
    UPDATE {runs} SET streamed = true, watched = true WHERE run_id = $1 AND NOT streamed
        AND status IN ('PENDING', 'RUNNING', 'PAUSED')
    RETURNING run_id
)
SELECT pg_notify('{channel}', 'read ' || run_id)::text FROM read"""

        self.history = f"""
SELECT run_id, output FROM {runs}
WHERE session_id = $1 AND status = 'COMPLETED'
    AND position < (SELECT position FROM {runs} WHERE run_id = $2)
ORDER BY position DESC LIMIT $3"""

        self.outputs = f"""
SELECT run_id, output FROM {runs} WHERE run_id = ANY($1) AND output IS NOT NULL
ORDER BY position"""

        # The entry of the delivery that stood still may be on its way out: this one is another.
        self.take_up = f"""
WITH run AS (
    UPDATE {runs} SET status = 'PENDING', error = NULL, finished_at = NULL
    WHERE run_id = $1 AND status = $2
    RETURNING run_id, agent_id, attempt
), added AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run_id, number + coalesce(
        (SELECT max(seq) FROM {events} AS events WHERE events.run_id = run.run_id), 0),
        type, payload
    FROM run, unnest($3::text[], $4::json[]) WITH ORDINALITY AS row (type, payload, number)
), job AS (
    INSERT INTO {queue} (priority, entrypoint, payload, dedupe_key, status)
    SELECT 0, '{table}/' || agent_id, convert_to(run_id, 'UTF8'),
        '{table}#' || attempt || '/' || run_id, 'queued'
    FROM run
    ON CONFLICT DO NOTHING
)
SELECT run_id FROM run"""

        self.fork = f"""
WITH run AS (
    INSERT INTO {runs} AS runs (run_id, session_id, agent_id, user_id, input, metadata, status)
    VALUES ($1, $2, $3, $4, $5, $6, 'PENDING')
    ON CONFLICT (run_id) DO UPDATE SET
        session_id = excluded.session_id, agent_id = excluded.agent_id,
        user_id = excluded.user_id, input = excluded.input, metadata = excluded.metadata,
        created_at = now(), finished_at = now()
    WHERE runs.session_id IS NULL
    RETURNING run_id, agent_id, status
), session AS (
    INSERT INTO {sessions} (session_id, agent_id, user_id) VALUES ($2, $3, $4)
    ON CONFLICT (session_id) DO NOTHING
), copied AS (
    INSERT INTO {events} (run_id, seq, type, payload)
    SELECT run.run_id, seq, type, payload FROM run, {events} AS origin
    WHERE origin.run_id = $7 AND seq <= $8
        AND type NOT IN ('RunContent', 'ToolCallStarted', 'ModelRequestStarted')
), job AS (
    INSERT INTO {queue} (priority, entrypoint, payload, dedupe_key, status)
    SELECT 0, '{table}/' || agent_id, convert_to(run_id, 'UTF8'), '{table}/' || run_id, 'queued'
    FROM run WHERE status = 'PENDING'
)
SELECT run_id FROM run"""
