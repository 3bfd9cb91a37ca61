"""What PostgreSQL is asked about runs, and for whom it is to write what it would not write else."""

from kern.db.listing import BEGINNING, RunFilter
from kern.db.postgres.names import Names

RECORD = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, output, error, priority, run_at, timeout, max_attempts, failures,
    webhook"""

_LISTED = RECORD.replace(" output,", "")


class Reading:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        self._names = names
        runs, events, queue = names.runs, names.events, names.queue
        table, channel = names.session_table, names.channel

        self.get = f"""
SELECT {RECORD}, waiting OR lane IS NOT NULL AS waiting FROM {runs}
WHERE run_id = ANY($1) AND session_id IS NOT NULL"""

        self.get_with_input = f"""
SELECT {RECORD}, waiting OR lane IS NOT NULL AS waiting, input FROM {runs}
WHERE run_id = $1 AND session_id IS NOT NULL"""

        self.begun = f"""
SELECT created_at FROM {runs}
WHERE run_id = $1 AND executor = $2 AND attempt = 1 AND status = 'RUNNING'"""

        self.events = f"""
SELECT run_id, seq, type, payload, extract(epoch FROM created_at)::float8 AS created_at
FROM {events} WHERE run_id = $1 AND seq > $2 ORDER BY seq"""

        self.last_seq = f"""
SELECT run_id, max(seq) AS last_seq FROM {events} WHERE run_id = ANY($1) GROUP BY run_id"""

        self.history = f"""
SELECT run_id, output FROM {runs}
WHERE session_id = $1 AND status = 'COMPLETED'
    AND position < (SELECT position FROM {runs} WHERE run_id = $2)
ORDER BY position DESC LIMIT $3"""

        self.outputs = f"""
SELECT run_id, output FROM {runs} WHERE run_id = ANY($1) AND output IS NOT NULL
ORDER BY position"""

        self.children = f"""
SELECT run_id FROM {runs}
WHERE parent_run_id = $1 AND status IN ('PENDING', 'RUNNING', 'PAUSED')"""

        self.asked = f"""
SELECT run_id, cancel_requested_at IS NOT NULL AS cancelled, streamed FROM {runs}
WHERE run_id = ANY($1) AND status = 'RUNNING' AND (cancel_requested_at IS NOT NULL OR streamed)"""

        self.watch = f"""
WITH watched AS (UPDATE {runs} SET watched = true WHERE run_id = $1 AND NOT watched)
SELECT run_id FROM {runs} WHERE run_id = $1"""

        self.read = f"""
WITH read AS (
    UPDATE {runs} SET streamed = true, watched = true WHERE run_id = $1 AND NOT streamed
        AND status IN ('PENDING', 'RUNNING', 'PAUSED')
    RETURNING run_id
)
SELECT run_id,
    CASE WHEN EXISTS (SELECT FROM read) THEN pg_notify('{channel}', 'read ' || run_id)::text END
FROM {runs} WHERE run_id = $1"""

        self.queued = f"""
SELECT (SELECT count(*) FROM {queue} WHERE entrypoint = '{table}/' || $1 AND status = 'queued'
        AND execute_after <= now())
    + (SELECT count(*) FROM {runs} WHERE waiting AND agent_id = $1)
    + (SELECT count(*) FROM {runs} WHERE lane IS NOT NULL AND agent_id = $1) AS queued"""

        # Every run that is pending or running has an entry in the queue, or waits for one.
        self._is_live = f"""run_id = ANY(ARRAY(
    SELECT convert_from(payload, 'UTF8') COLLATE "default" FROM {queue}
    WHERE starts_with(entrypoint, '{table}/')
    UNION SELECT run_id FROM {runs} WHERE waiting
    UNION SELECT run_id FROM {runs} WHERE lane IS NOT NULL))"""

        self.load = f"""
WITH live AS (
    SELECT status, waiting OR lane IS NOT NULL AS waits, coalesce(run_at > now(), false) AS later
    FROM {runs} WHERE {self._is_live}
)
SELECT count(*) FILTER (WHERE status = 'RUNNING') AS running,
    count(*) FILTER (WHERE status = 'PENDING' AND NOT waits AND NOT later) AS due,
    count(*) FILTER (WHERE status = 'PENDING' AND waits) AS waiting,
    count(*) FILTER (WHERE status = 'PENDING' AND NOT waits AND later) AS delayed,
    (SELECT nullif(reltuples, -1)::bigint FROM pg_class WHERE oid = '{runs}'::regclass) AS total
FROM live"""

    def find(self, wanted: RunFilter, limit: int, before: str | None) -> tuple[str, list[object]]:
        """Return the statement that lists runs, with its values.

        It holds only the conditions that are asked for, so that each finds its index.
        """
        runs, values = self._names.runs, list[object]()
        conditions = ["session_id IS NOT NULL"]
        for condition, value in (
            ("agent_id = {}", wanted.agent_id),
            ("status = ANY({})", [each.value for each in wanted.statuses] or None),
            ("session_id = {}", wanted.session_id),
            ("user_id = {}", wanted.user_id),
            ("created_at >= {}", wanted.since),
            (f"position < (SELECT position FROM {runs} WHERE run_id = {{}})", before),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(f"${len(values)}"))
        if wanted.is_live:
            conditions.append(self._is_live)
        values.append(limit)
        statement = f"""
SELECT {_LISTED}, waiting OR lane IS NOT NULL AS waiting, usage,
    left(input::text, {BEGINNING}) AS beginning
FROM {runs} WHERE {" AND ".join(conditions)} ORDER BY position DESC LIMIT ${len(values)}"""
        return statement, values
