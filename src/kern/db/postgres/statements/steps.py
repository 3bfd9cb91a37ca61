"""A run's steps, from its claim to its end."""

from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import (
    CHANGES,
    CLAIMED_AT,
    FEW,
    GIVEN,
    JOURNAL,
    PIECES,
    RECORD,
    REMAINING,
    changed,
    charged,
    enqueued_if_due,
    following,
    is_budgeted,
    notified,
)
from kern.db.values import LOST_ATTEMPTS, LOST_ATTEMPTS_MESSAGE, UNSERVED_MESSAGE
from kern.run.steps import PAUSE_VERSION

HAS_LOST_ENOUGH = f"failures + 1 >= coalesce(max_attempts, {LOST_ATTEMPTS})"

LOST = f"json_build_object('message', format('{LOST_ATTEMPTS_MESSAGE}', failures + 1))"

# An attempt that was not refused ends the row of refusals.
NOT_REFUSED = "refusals = 0, refused_at = NULL, refusal = NULL"

_IS_UNSERVED = "(now() - coalesce(refused_at, now()) >= make_interval(secs => $5))"

_UNSERVED = f"""json_build_object('message', format('{UNSERVED_MESSAGE}', to_char(
            coalesce(refused_at, now()) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"'),
            $3::text))"""

# What the rows have used that one attempt writes as it gives up its run.
_USED_BY_ONE = """(SELECT $1::text AS run_id, $2::integer AS attempt, *
        FROM unnest($4::integer[], $9::float8[], $10::bigint[]) AS t (seq, cost, tokens)) AS used"""


class Steps:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        self.claim = _claim(names)
        self.append = _append(names)
        self.append_counting = _append(names, counting=True)
        self.append_changing = _append(names, counting=True, changing=True)
        self.replace_input = f"""
UPDATE {names.runs} SET input = $3 WHERE run_id = $1 AND attempt = $2 AND status = 'RUNNING'
RETURNING run_id"""
        self.extend = extend(names)
        self.settle = _settle(names)
        self.settle_counting = _settle(names, counting=True)
        self.settle_changing = _settle(names, counting=True, changing=True)
        self.release = _give_up(names, "now()", NOT_REFUSED)
        self.postpone = _give_up(
            names,
            "now() + make_interval(secs => $3)",
            f"""failures = failures + $11::integer, run_at = now() + make_interval(secs => $3),
        {NOT_REFUSED}""",
            more=f"""written AS (
    INSERT INTO {names.events} (run_id, {JOURNAL})
    SELECT run_id, {JOURNAL}
    FROM given_up, unnest($4::integer[], $5::integer[], $6::text[], $7::boolean[], $8::json[])
        AS row ({JOURNAL})
    ON CONFLICT (run_id, seq) DO NOTHING
    RETURNING run_id, seq
), {charged(names, "given_up", _USED_BY_ONE)}, """,
        )
        self.refuse = _give_up(
            names,
            "now() + make_interval(secs => $4)",
            f"""refusals = refusals + 1, refused_at = coalesce(refused_at, now()), refusal = $3,
        error = CASE WHEN cancel_requested_at IS NULL AND {_IS_UNSERVED} THEN {_UNSERVED} END,
        error_kind = CASE WHEN cancel_requested_at IS NULL AND {_IS_UNSERVED}
            THEN 'UnservedError' END""",
            is_failed=_IS_UNSERVED,
        )


def _claim(names: Names) -> str:
    """Return the statement that begins the next attempt at runs that are due."""
    # A run that is due and is not begun has to request the session lock first.
    return f"""
WITH input AS MATERIALIZED (
    SELECT DISTINCT ON (run_id) run_id, lease, executor, counted, known
    FROM unnest($1::text[], $2::float8[], $3::text[], $4::boolean[], $5::integer[])
        WITH ORDINALITY AS t (run_id, lease, executor, counted, known, number)
    ORDER BY run_id, number {FEW}
), due AS MATERIALIZED (
    SELECT runs.run_id AS due_run_id, input.lease, input.executor AS claiming,
        input.counted AS counting, runs.journal_version > known AS is_newer,
        runs.cancel_requested_at IS NOT NULL OR coalesce(parent.status = 'CANCELLED'
            OR parent.cancel_requested_at IS NOT NULL, false) AS is_cancelled
    FROM {names.runs} AS runs JOIN input ON input.run_id = runs.run_id
    LEFT JOIN {names.runs} AS parent ON parent.run_id = runs.parent_run_id
    WHERE runs.status = 'PENDING' AND runs.due_at <= now()
    ORDER BY runs.run_id FOR NO KEY UPDATE OF runs
), claimed AS (
    UPDATE {names.runs} AS runs SET
        status = CASE WHEN is_cancelled THEN 'CANCELLED' ELSE 'RUNNING' END,
        attempt = attempt + 1,
        due_at = NULL,
        counted = counting AND NOT is_cancelled,
        executor = CASE WHEN is_cancelled THEN runs.executor ELSE claiming END,
        dispatched_at = now(),
        started_at = coalesce(started_at, now()),
        finished_at = CASE WHEN is_cancelled THEN now() END,
        lease_until = CASE WHEN NOT is_cancelled THEN now() + make_interval(secs => lease) END
    FROM due
    WHERE runs.run_id = due_run_id AND (is_cancelled OR NOT is_newer AND (NOT ordered OR EXISTS (
        SELECT FROM {names.sessions} AS session
        WHERE session.session_id = runs.session_id AND session.lock_run_id = runs.run_id)))
    RETURNING {RECORD.replace("run_id,", "runs.run_id,", 1)}, input, streamed, traceparent, watched,
        {REMAINING}, {CLAIMED_AT}, coalesce((SELECT max(seq) FROM {names.events} AS events
            WHERE events.run_id = runs.run_id), 0) AS last_seq,
        {is_budgeted(names, "runs.user_id")} AS budgeted
), ended AS (
    SELECT run_id, session_id, attempt, webhook FROM claimed WHERE status <> 'RUNNING'
), {following(names, "ended")}
SELECT due_run_id, is_newer, {RECORD}, input, streamed, traceparent, remaining, claimed_at,
    last_seq, budgeted, unfinished, holder, CASE WHEN watched AND status <> 'RUNNING'
        THEN {notified(names, "changed")} END AS notified
FROM due LEFT JOIN (claimed LEFT JOIN unfinished USING (run_id)) ON run_id = due_run_id"""


def _append(names: Names, *, counting: bool = False, changing: bool = False) -> str:
    """Return the statement that adds rows to the journals of attempts.

    Args:
        names: the names of the tables.
        counting: whether it counts what the rows have used of budgets.
        changing: whether the rows change the states of sessions.
    """
    changes = f"""unnest($13::text[], $14::integer[], $15::integer[], $16::text[], $17::json[],
        $18::boolean[])
        AS row ({CHANGES})"""
    used = """unnest($4::text[], $5::integer[], $6::integer[], $11::float8[], $12::bigint[])
        AS used (run_id, attempt, seq, cost, tokens)"""
    # The lock makes a sweep wait for rows that an attempt is writing, and makes those wait
    # that come after it, and find that they are stale. A row belongs to its attempt: several
    # attempts at a run may be in one batch.
    return f"""
WITH mine AS MATERIALIZED (
    SELECT run_id, attempt, user_id, input.streamed{", session_id, position" if changing else ""}
    FROM {names.runs} AS runs
    JOIN (
        SELECT * FROM unnest($1::text[], $2::integer[], $3::boolean[])
            AS t (writing, number, streamed) {FEW}
    ) AS input ON run_id = writing AND attempt = number AND status = 'RUNNING'
    ORDER BY run_id FOR SHARE OF runs
), written AS (
    INSERT INTO {names.events} (run_id, {JOURNAL})
    SELECT run_id, {JOURNAL}
    FROM unnest($4::text[], $5::integer[], $6::integer[], $7::integer[], $8::text[], $9::boolean[],
        $10::json[]) AS row (run_id, attempt, {JOURNAL}) JOIN mine USING (run_id, attempt)
    ON CONFLICT (run_id, seq) DO NOTHING
    RETURNING run_id, seq
){f", {charged(names, 'mine', used)}" if counting else ""}{
        f", {changed(names, 'mine', changes)}" if changing else ""
    }
SELECT run_id, attempt, CASE WHEN streamed THEN {notified(names, "changed")} END{
        ", lost FROM mine LEFT JOIN lost USING (run_id)" if changing else " FROM mine"
    }"""


def extend(names: Names) -> str:
    """Return the statement that protects attempts for longer."""
    return f"""
WITH mine AS MATERIALIZED (
    SELECT run_id FROM {names.runs} AS runs
    JOIN unnest($1::text[], $2::integer[]) AS input (executing, number)
        ON run_id = executing AND attempt = number AND status = 'RUNNING'
    WHERE run_id = ANY($1::text[]) ORDER BY run_id FOR NO KEY UPDATE OF runs
)
UPDATE {names.runs} AS runs SET lease_until = now() + make_interval(secs => $3)
FROM mine WHERE runs.run_id = mine.run_id
RETURNING runs.run_id, cancel_requested_at IS NOT NULL AS cancelled"""


def _settle(names: Names, *, counting: bool = False, changing: bool = False) -> str:
    """Return the statement that ends or pauses attempts.

    Args:
        names: the names of the tables.
        counting: whether it counts what the rows of their journals have used of budgets.
        changing: whether these rows change the states of sessions.
    """
    changes = f"""unnest($21::text[], $22::integer[], $23::integer[], $24::text[], $25::json[],
        $26::boolean[])
        AS row ({CHANGES})"""
    used = """unnest($12::text[], $13::integer[], $14::integer[], $19::float8[], $20::bigint[])
        AS used (run_id, attempt, seq, cost, tokens)"""
    return f"""
WITH locked AS MATERIALIZED (
    SELECT run_id FROM {names.runs} WHERE run_id IN {GIVEN} AND status = 'RUNNING'
    ORDER BY run_id FOR NO KEY UPDATE
), settled AS (
    UPDATE {names.runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NULL THEN ending ELSE 'CANCELLED' END,
        output = end_output, error = end_error, usage = end_usage, error_kind = end_error_kind,
        model = coalesce(end_model, model), requirements = end_requirements,
        finished_at = CASE WHEN ending = 'PAUSED' AND cancel_requested_at IS NULL
            THEN NULL ELSE now() END,
        journal_version = CASE WHEN ending = 'PAUSED'
            THEN greatest(journal_version, {PAUSE_VERSION}) ELSE journal_version END,
        expires_at = CASE WHEN ending = 'PAUSED' AND NOT foreground
            THEN to_timestamp(end_expires_at) END,
        lease_until = NULL, counted = false, {NOT_REFUSED}
    FROM locked JOIN unnest($1::text[], $2::integer[], $3::text[], $4::json[], $5::json[],
        $6::json[], $7::integer[], $8::text[], $9::text[], $10::json[], $11::float8[])
        AS input (ended, number, ending, end_output, end_error, end_usage, fold_before,
            end_error_kind, end_model, end_requirements, end_expires_at)
            ON ended = locked.run_id
    WHERE runs.run_id = locked.run_id AND attempt = number AND status = 'RUNNING'
    RETURNING runs.run_id, session_id, user_id, attempt, status, finished_at, watched, webhook,
        unstored, fold_before{", runs.position" if changing else ""}
), written AS (
    INSERT INTO {names.events} (run_id, {JOURNAL})
    SELECT run_id, {JOURNAL}
    FROM unnest($12::text[], $13::integer[], $14::integer[], $15::integer[], $16::text[],
        $17::boolean[], $18::json[])
        AS row (run_id, attempt, {JOURNAL}) JOIN settled USING (run_id, attempt)
    ON CONFLICT (run_id, seq) DO NOTHING
    RETURNING run_id, seq
), {f"{charged(names, 'settled', used)}, " if counting else ""}folded AS (
    DELETE FROM {names.events} AS events USING settled
    WHERE fold_before > 0 AND events.run_id = settled.run_id AND seq < fold_before
        AND type IN {PIECES}
), ended AS (
    SELECT run_id, session_id, attempt, webhook FROM settled WHERE status <> 'PAUSED'
), {following(names, "ended", reported="settled")}{
        f", {changed(names, 'settled', changes, after='held')}" if changing else ""
    }
SELECT run_id, attempt, status, finished_at, unstored, unfinished, holder,
    CASE WHEN watched THEN {notified(names, "changed")} END{", lost" if changing else ""}
FROM settled LEFT JOIN unfinished USING (run_id){
        " LEFT JOIN lost USING (run_id)" if changing else ""
    }"""


def _give_up(
    names: Names, due: str, columns: str, *, is_failed: str = "false", more: str = ""
) -> str:
    """Return the statement with which an attempt at a run gives it up for a later one.

    Args:
        names: the names of the tables.
        due: when that one may begin.
        columns: what else is set in the run's row.
        is_failed: whether there is to be none.
        more: what else is done with the run that was ``given_up``.
    """
    return f"""
WITH given_up AS (
    UPDATE {names.runs} AS runs SET
        status = CASE WHEN cancel_requested_at IS NOT NULL THEN 'CANCELLED'
            WHEN {is_failed} THEN 'ERROR' ELSE 'PENDING' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR {is_failed} THEN now() END,
        due_at = CASE WHEN cancel_requested_at IS NULL AND NOT {is_failed} THEN {due} END,
        lease_until = NULL, counted = false, {columns}
    WHERE run_id = $1 AND attempt = $2 AND status = 'RUNNING'
    RETURNING run_id, session_id, user_id, attempt, status, watched, webhook,
        {enqueued_if_due(names, "runs")}
), {more}ended AS (
    SELECT run_id, session_id, attempt, webhook FROM given_up WHERE status <> 'PENDING'
), {following(names, "ended")}
SELECT status, unfinished, holder, CASE WHEN watched AND status <> 'PENDING'
    THEN {notified(names, "changed")} END
FROM given_up LEFT JOIN unfinished USING (run_id)"""
