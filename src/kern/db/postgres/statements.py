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
        runs, sessions, channel = names.runs, names.sessions, names.channel

        # An intent is a row without a session: the primary key makes a cancel and the submit
        # that it comes before meet, whichever commits first.
        self.submit = f"""
WITH input AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::json[], $6::json[],
        $7::boolean[], $8::float8[]) WITH ORDINALITY
        AS t (run_id, session_id, agent_id, user_id, input, metadata, cancelled, lease, number)
), session AS (
    INSERT INTO {sessions} (session_id, agent_id, user_id)
    SELECT DISTINCT ON (session_id) session_id, agent_id, user_id FROM input
    ORDER BY session_id, number
    ON CONFLICT (session_id) DO NOTHING
), run AS (
    INSERT INTO {runs} (run_id, session_id, agent_id, user_id, input, metadata, status, attempt,
        started_at, finished_at, lease_until)
    SELECT run_id, session_id, agent_id, user_id, input, metadata,
        CASE WHEN cancelled THEN 'CANCELLED' WHEN lease IS NULL THEN 'PENDING' ELSE 'RUNNING' END,
        CASE WHEN cancelled OR lease IS NULL THEN 0 ELSE 1 END,
        CASE WHEN cancelled OR lease IS NULL THEN NULL ELSE now() END,
        CASE WHEN cancelled THEN now() END,
        CASE WHEN cancelled THEN NULL ELSE now() + make_interval(secs => lease) END
    FROM input ORDER BY number
    ON CONFLICT (run_id) DO UPDATE SET
        session_id = excluded.session_id, agent_id = excluded.agent_id,
        user_id = excluded.user_id, input = excluded.input, metadata = excluded.metadata,
        created_at = now(), finished_at = now()
    WHERE runs.session_id IS NULL
    RETURNING run_id, agent_id, status, created_at
), job AS (
    INSERT INTO {names.queue} (priority, entrypoint, payload, dedupe_key, status)
    SELECT 0, '{names.session_table}/' || agent_id, convert_to(run_id, 'UTF8'),
        '{names.session_table}/' || run_id, 'queued'
    FROM run WHERE status = 'PENDING'
)
SELECT run_id, status, created_at FROM run""".replace("WHERE runs.", f"WHERE {runs}.")

        self.claim = f"""
WITH claimed AS (
    UPDATE {runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NULL THEN 'RUNNING' ELSE 'CANCELLED' END,
        attempt = attempt + 1,
        started_at = coalesce(started_at, now()),
        finished_at = CASE WHEN cancel_requested_at IS NULL THEN NULL ELSE now() END,
        lease_until = now() + make_interval(secs => input.lease)
    FROM unnest($1::text[], $2::float8[]) AS input (wanted, lease)
    WHERE run_id = wanted
        AND (status = 'PENDING' OR status = 'RUNNING' AND lease_until < now())
    RETURNING {_RECORD}, input, watched
)
SELECT {_RECORD}, input, CASE WHEN watched AND status = 'CANCELLED'
    THEN pg_notify('{channel}', 'end ' || run_id)::text END AS told
FROM claimed"""

        self.extend = f"""
UPDATE {runs} AS runs SET lease_until = now() + make_interval(secs => $3)
FROM unnest($1::text[], $2::integer[]) AS mine (claimed, number)
WHERE run_id = claimed AND attempt = number AND status = 'RUNNING'
RETURNING run_id, cancel_requested_at IS NOT NULL AS cancelled"""

        self.settle = f"""
WITH settled AS (
    UPDATE {runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NULL THEN ending ELSE 'CANCELLED' END,
        output = end_output, error = end_error, usage = end_usage,
        finished_at = now(), lease_until = NULL
    FROM unnest($1::text[], $2::integer[], $3::text[], $4::json[], $5::json[], $6::json[])
        AS input (ended, number, ending, end_output, end_error, end_usage)
    WHERE run_id = ended AND attempt = number AND status = 'RUNNING'
    RETURNING run_id, attempt, status, watched
)
SELECT run_id, attempt, status,
    CASE WHEN watched THEN pg_notify('{channel}', 'end ' || run_id)::text END
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
    THEN pg_notify('{channel}', 'end ' || run_id)::text END
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
    WHEN watched THEN pg_notify('{channel}', 'end ' || run_id)::text END
FROM cancelled"""

        self.cancelled = f"""
SELECT run_id FROM {runs}
WHERE run_id = ANY($1) AND status = 'RUNNING' AND cancel_requested_at IS NOT NULL"""

        self.get = f"""
SELECT {_RECORD} FROM {runs} WHERE run_id = $1 AND session_id IS NOT NULL"""

        self.get_with_input = f"""
SELECT {_RECORD}, input FROM {runs} WHERE run_id = $1 AND session_id IS NOT NULL"""

        self.watch = f"""
UPDATE {runs} SET watched = true WHERE run_id = $1 AND NOT watched"""

        self.history = f"""
SELECT output FROM {runs}
WHERE session_id = $1 AND status = 'COMPLETED'
    AND position < (SELECT position FROM {runs} WHERE run_id = $2)
ORDER BY position DESC LIMIT $3"""

        self.unfinished = f"""
SELECT run_id, agent_id FROM {runs}
WHERE agent_id = ANY($1)
    AND (status = 'PENDING' OR status = 'RUNNING' AND lease_until < now())
ORDER BY position"""
