"""Who goes next: the turn in a session, and the slots of a user.

The turn is in the session's row. Whoever asks for it is counted there, and whoever ends hands it
on; both hold the row's lock, so that one sees the other. A run that does not get the turn waits
without an entry in the queue, and is given one with the turn.
"""

from kern.db.postgres.names import Names

LIVE = "('PENDING', 'RUNNING', 'PAUSED')"


def passing_on(names: Names, ended: str) -> str:
    """Return the common table expressions that follow from the end of runs.

    The turn goes to the first run that waits in the session, and the webhook is put into the
    queue. Where the session's row shows that somebody has asked whom this statement, begun
    before, cannot see, the turn stays where it is; where the run that gets it has just ended as
    well, it goes no further. Either is in ``stuck``, and :attr:`Order.advance` has to be sent.

    Args:
        names: the tables.
        ended: the expression with the runs: run_id, session_id, attempt and webhook.
    """
    return f"""passed AS (
    UPDATE {names.sessions} AS session SET turn = CASE
        WHEN first.run_id IS NOT NULL THEN first.run_id
        WHEN session.asked = seen.asked THEN NULL
        ELSE session.turn END
    FROM {ended} AS ended
    JOIN {names.sessions} AS seen ON seen.session_id = ended.session_id
    LEFT JOIN LATERAL (
        SELECT run_id FROM {names.runs} AS waiting
        WHERE waiting.session_id = ended.session_id AND waiting.waiting
        ORDER BY position LIMIT 1
    ) AS first ON true
    WHERE session.session_id = ended.session_id AND session.turn IS NOT DISTINCT FROM ended.run_id
    RETURNING session.session_id, session.turn AS holder, ended.run_id
), next AS (
    UPDATE {names.runs} AS runs SET waiting = false FROM passed
    WHERE runs.run_id = passed.holder AND runs.waiting
    RETURNING runs.run_id, runs.agent_id, runs.priority
), entry_of_next AS (
    INSERT INTO {names.queue} (priority, entrypoint, payload, status)
    SELECT priority, '{names.session_table}/' || agent_id, convert_to(run_id, 'UTF8'), 'queued'
    FROM next
), entry_of_webhook AS (
    INSERT INTO {names.queue} (priority, entrypoint, payload, status)
    SELECT 0, '{names.session_table}!webhook', convert_to(run_id, 'UTF8'), 'queued'
    FROM {ended} AS ended WHERE webhook IS NOT NULL
), stuck AS (
    SELECT run_id, session_id AS stuck, holder FROM passed
    WHERE holder IS NOT NULL AND holder NOT IN (SELECT run_id FROM next)
)"""


class Order:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        runs, sessions, slots = names.runs, names.sessions, names.slots

        # For a run that had no turn when it was accepted: it was not due then, or is retried.
        self.ask = f"""
WITH run AS (
    SELECT run_id, session_id FROM {runs} WHERE run_id = $1 AND status = 'PENDING' AND ordered
        AND NOT waiting AND lane IS NULL AND (run_at IS NULL OR run_at <= now())
), asked AS (
    UPDATE {sessions} AS session
    SET turn = coalesce(session.turn, run.run_id), asked = asked + 1
    FROM run WHERE session.session_id = run.session_id
    RETURNING session.session_id, session.turn
), parked AS (
    UPDATE {runs} AS runs SET waiting = true FROM asked
    WHERE runs.run_id = $1 AND runs.status = 'PENDING' AND asked.turn <> $1
)
SELECT session_id FROM asked WHERE turn = $1"""

        self.advance = f"""
WITH ended AS (
    SELECT $2::text AS run_id, $1::text AS session_id, 0 AS attempt, NULL::text AS webhook
    WHERE NOT EXISTS (SELECT FROM {runs} WHERE run_id = $2 AND session_id = $1
        AND status IN {LIVE} AND NOT waiting)
), {passing_on(names, "ended")}
SELECT stuck, holder FROM stuck"""

        # Only where a process was lost between two statements.
        self.stale_turns = f"""
SELECT session.session_id AS stuck, session.turn AS holder
FROM (SELECT DISTINCT session_id FROM {runs} WHERE waiting) AS waiting
JOIN {sessions} AS session USING (session_id)
LEFT JOIN {runs} AS holder ON holder.run_id = session.turn AND holder.status IN {LIVE}
    AND NOT holder.waiting
WHERE holder.run_id IS NULL"""

        self.withdraw = f"""
DELETE FROM {runs} WHERE run_id = $1 AND status = 'PENDING' AND waiting RETURNING run_id"""

        self.before = f"""
WITH run AS (SELECT session_id, position FROM {runs} WHERE run_id = $1)
SELECT run_id FROM (
    SELECT waiting.run_id, waiting.position FROM {runs} AS waiting, run
    WHERE waiting.session_id = run.session_id AND waiting.waiting
        AND waiting.position < run.position
    UNION ALL
    SELECT holder.run_id, 0 FROM run JOIN {sessions} AS session USING (session_id)
    JOIN {runs} AS holder ON holder.run_id = session.turn
    WHERE holder.run_id <> $1 AND holder.status IN {LIVE}
) AS before ORDER BY position DESC"""

        self.user_of = f"""
SELECT agent_id, user_id FROM {runs} WHERE run_id = $1 AND user_id IS NOT NULL"""

        self.lock_lane = """
SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"""

        self.clear_slots = f"""
DELETE FROM {slots} AS slots WHERE lane = $1 AND NOT EXISTS (
    SELECT FROM {runs} AS runs WHERE runs.run_id = slots.run_id AND runs.status = 'RUNNING')"""

        self.taken_slots = f"""
SELECT count(*) AS taken FROM {slots} WHERE lane = $1 AND run_id <> $2"""

        self.take_slot = f"""
INSERT INTO {slots} (lane, run_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"""

        # Who could not begin anyway would be admitted in place of others, and keep them waiting.
        self.park = f"""
UPDATE {runs} AS runs SET lane = $2
WHERE run_id = $1 AND status = 'PENDING' AND (run_at IS NULL OR run_at <= now())
    AND (NOT ordered OR EXISTS (SELECT FROM {sessions} AS session
        WHERE session.session_id = runs.session_id AND session.turn = runs.run_id))"""

        self.admit = f"""
WITH admitted AS (
    UPDATE {runs} SET lane = NULL WHERE run_id IN (
        SELECT run_id FROM {runs} WHERE lane = $1 ORDER BY priority DESC, position LIMIT $2)
    RETURNING run_id, agent_id, priority
)
INSERT INTO {names.queue} (priority, entrypoint, payload, status)
SELECT priority, '{names.session_table}/' || agent_id, convert_to(run_id, 'UTF8'), 'queued'
FROM admitted"""

        # What a worker could neither finish nor give back, because the database was away.
        self.requeue = f"""
UPDATE {names.queue} SET status = 'queued', execute_after = now(), queue_manager_id = NULL
WHERE status = 'failed' AND (starts_with(entrypoint, '{names.session_table}/')
    OR starts_with(entrypoint, '{names.session_table}!'))"""

        self.lanes = f"""
SELECT DISTINCT agent_id, user_id FROM {runs} WHERE lane IS NOT NULL"""
