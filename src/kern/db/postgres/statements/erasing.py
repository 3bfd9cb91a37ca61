"""How nothing is kept of a run but a tombstone."""

from kern.db.erasing import BEHIND, EMPTIED, HAS_SUMMARY, IS_DESERTED, MANY
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import GIVEN, LIVE, deleted_with

# Nothing of it is in the way of what is to be deleted any more.
_IS_OVER = f"unstored AND status NOT IN {LIVE}"


class Erasing:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        runs = names.runs
        self.hide = f"""
WITH run AS MATERIALIZED (
    SELECT run_id, status IN {LIVE} AND cancel_requested_at IS NULL AS lives FROM {runs}
    WHERE run_id = $1 AND session_id IS NOT NULL AND erased_at IS NULL FOR NO KEY UPDATE
), hidden AS (
    UPDATE {runs} AS runs SET unstored = true, erased_at = now() FROM run
    WHERE runs.run_id = run.run_id AND NOT lives
)
SELECT lives FROM run"""
        self.erase = _erase(names)
        self.summing = f"""
SELECT later.run_id FROM {runs} AS gone JOIN {runs} AS later USING (session_id)
WHERE gone.run_id = $1 AND later.position > gone.position
    AND later.{HAS_SUMMARY.format(text="::text")}"""
        self.output = f"SELECT output, attempt FROM {runs} WHERE run_id = $1"
        self.put_output = f"""
UPDATE {runs} SET output = $2 WHERE run_id = $1 AND attempt = $3 AND erased_at IS NULL"""
        self.left = f"""
SELECT run_id FROM {runs} WHERE {_IS_OVER} AND finished_at IS NOT NULL
ORDER BY finished_at LIMIT {MANY}"""


def _erase(names: Names) -> str:
    """Return the statement that erases unstored runs that have ended, and marks their children.

    What it deletes was committed before it began: who writes rows or blobs holds the run's row,
    and finds that it has ended.
    """
    runs = names.runs
    return f"""
WITH found AS MATERIALIZED (
    SELECT run_id, erased_at IS NOT NULL AS wholly FROM {runs}
    WHERE run_id IN {GIVEN} AND {_IS_OVER}
), family AS MATERIALIZED (
    SELECT run_id FROM {runs} WHERE run_id = ANY(ARRAY(
        SELECT run_id FROM found
        UNION SELECT child.run_id FROM found CROSS JOIN LATERAL (
            SELECT run_id FROM {runs} AS runs WHERE runs.parent_run_id = found.run_id
                AND erased_at IS NULL AND (wholly OR foreground)) AS child))
    ORDER BY run_id FOR NO KEY UPDATE
), erased AS (
    UPDATE {runs} AS runs SET unstored = false, erased_at = coalesce(erased_at, now()),
        position = position - {BEHIND}, {", ".join(f"{each} = NULL" for each in EMPTIED)}
    FROM found WHERE runs.run_id = found.run_id AND {_IS_OVER}
        AND (SELECT count(*) FROM family) IS NOT NULL
    RETURNING runs.run_id, runs.session_id, runs.created_at, wholly
), children AS (
    UPDATE {runs} AS runs SET unstored = true,
        erased_at = CASE WHEN wholly AND status NOT IN {LIVE} THEN now() END,
        status = CASE WHEN {IS_DESERTED} THEN 'CANCELLED' ELSE status END,
        finished_at = CASE WHEN {IS_DESERTED} THEN now() ELSE finished_at END,
        due_at = CASE WHEN NOT ({IS_DESERTED}) THEN due_at END,
        attempt = attempt + ({IS_DESERTED})::integer
    FROM erased WHERE runs.parent_run_id = erased.run_id AND runs.erased_at IS NULL
        AND runs.run_id IN (SELECT run_id FROM family)
        AND runs.run_id NOT IN (SELECT run_id FROM found)
    RETURNING runs.run_id
), session AS (
    UPDATE {names.sessions} AS session SET summary = NULL FROM (
        SELECT session.session_id FROM {names.sessions} AS session
        WHERE session_id IN (SELECT session_id FROM erased WHERE wholly) AND summary IS NOT NULL
        ORDER BY session_id FOR NO KEY UPDATE) AS summarized
    WHERE session.session_id = summarized.session_id
), forgotten AS (
    DELETE FROM {names.memories} WHERE run_id IN (SELECT run_id FROM erased WHERE wholly)
), {deleted_with(names, "erased")}
SELECT run_id, NULL AS session_id FROM children
UNION ALL
SELECT NULL, session_id
FROM erased JOIN {names.sessions} AS session USING (session_id, created_at)"""
