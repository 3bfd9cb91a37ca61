"""The limits of agents and users: how many of their background runs execute at once.

A run that meets a full limit waits for its key without an entry in the queue. Who counts, lets a
run wait or makes one due holds the key's advisory lock, so that one sees the other.
"""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import enqueued_if_due


class Limits:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        runs, sessions = names.runs, names.sessions

        self.owner = f"""
SELECT agent_id, user_id, ordered AND NOT EXISTS (SELECT FROM {sessions} AS session
    WHERE session.session_id = runs.session_id AND session.lock_run_id = runs.run_id
) AS needs_lock, EXISTS (SELECT FROM {runs} AS parent WHERE parent.run_id = runs.parent_run_id
    AND (parent.status = 'CANCELLED' OR parent.cancel_requested_at IS NOT NULL)
) AS is_orphan, ARRAY(
    WITH RECURSIVE above (run_id) AS (
        SELECT runs.parent_run_id
        UNION SELECT (SELECT parent_run_id FROM {runs} WHERE run_id = above.run_id) FROM above)
    SELECT run_id FROM above WHERE run_id IS NOT NULL) AS ancestors
FROM {runs} AS runs WHERE run_id = $1 AND status = 'PENDING' AND due_at <= now()"""

        self.lock_key = """
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"""

        self.counted = f"""
SELECT count(*) FROM {runs} WHERE agent_id = $2 AND counted AND run_id <> ALL($1)"""

        self.counted_of_user = f"""
SELECT count(*) FROM {runs}
WHERE agent_id = $2 AND user_id = $3 AND counted AND run_id <> ALL($1)"""

        self.wait = f"""
UPDATE {runs} SET concurrency_key = $2, due_at = NULL
WHERE run_id = $1 AND status = 'PENDING' AND due_at <= now()"""

        self.make_due = f"""
WITH fitting AS MATERIALIZED (
    SELECT run_id FROM {runs} WHERE concurrency_key = $1
    ORDER BY (parent_run_id IS NULL), priority DESC, position LIMIT $2 FOR NO KEY UPDATE
)
UPDATE {runs} AS runs SET concurrency_key = NULL, due_at = now() FROM fitting
WHERE runs.run_id = fitting.run_id
RETURNING {enqueued_if_due(names, "runs")}"""

        self.set_counted = f"""
UPDATE {runs} SET counted = $3 WHERE run_id = $1 AND attempt = $2 AND status = 'RUNNING'"""
