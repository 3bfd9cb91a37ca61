"""What PostgreSQL is asked about runs, and for whom it is to write what it would not write else."""

from collections.abc import Callable

from kern.db.erasing import IS_SEEN, POSITION
from kern.db.listing import (
    BEGINNING,
    CONTENT,
    IDS,
    LARGE,
    NEAR_RUNS,
    NEAR_VALUES,
    SEARCHED,
    RunFilter,
    is_no_child,
    sought,
)
from kern.db.postgres.names import Names
from kern.db.postgres.statements.parts import (
    CLAIMED_AT,
    GIVEN,
    JOURNAL,
    LIVE,
    RECORD,
    REMAINING,
    STATUS,
    is_budgeted,
)
from kern.db.retention import NEWEST
from kern.run.base import RunStatus
from kern.run.record import PARENT

_LISTED = RECORD.replace(" output,", "")

# How many runs may have been accepted between the position of a run and its moment.
_OVERLAPPING = 1000

# Finds nothing, but makes a plan for all values dear, so that PostgreSQL plans each list for its
# own, for which this is left out. In a plan for all values every agent has many runs, which are
# looked for among all runs.
_PLANNED_ANEW = "SELECT 0 FROM generate_series(1, 1000000000) WHERE $1 < 0"

_WAITING = "waiting OR concurrency_key IS NOT NULL AS waiting"


class Reading:
    """The statements, with the names of the tables filled in."""

    def __init__(self, names: Names) -> None:
        """Write the statements for ``names``."""
        self._names = names
        runs, events, channel = names.runs, names.events, names.channel

        self.get = f"""
SELECT {RECORD}, {_WAITING} FROM {runs}
WHERE run_id IN {GIVEN} AND session_id IS NOT NULL AND {IS_SEEN}"""

        self.get_with_input = f"""
SELECT {RECORD}, {_WAITING}, input FROM {runs}
WHERE run_id = $1 AND session_id IS NOT NULL AND {IS_SEEN}"""

        self.held = f"""
SELECT {RECORD}, input, streamed, traceparent, {REMAINING}, {CLAIMED_AT},
    coalesce((SELECT max(seq) FROM {events} WHERE run_id = $1), 0) AS last_seq,
    {is_budgeted(names, "runs.user_id")} AS budgeted
FROM {runs} AS runs WHERE run_id = $1 AND executor = $2 AND status = 'RUNNING'"""

        # By one snapshot: a transaction that commits meanwhile is not seen, and nor is its end.
        self.rolled_back = f"""
SELECT run_id, transaction FROM unnest($1::text[], $2::text[]) AS t (run_id, transaction)
WHERE pg_visible_in_snapshot(transaction::xid8, pg_current_snapshot())
    AND NOT EXISTS (SELECT FROM {runs} AS runs WHERE runs.run_id = t.run_id)"""

        self.events = f"""
SELECT run_id, {JOURNAL}, extract(epoch FROM created_at)::float8 AS created_at
FROM {events} WHERE run_id = $1 AND seq > $2 ORDER BY seq"""

        self.last_seq = f"""
SELECT run_id, max(seq) AS last_seq FROM {events} WHERE run_id = ANY($1) GROUP BY run_id"""

        # Of a session in which others have many runs only the last ones are looked at.
        self.history = f"""
SELECT run_id, output FROM (
    SELECT run_id, output, status, replaced_by, agent_id, user_id, position, parent_run_id,
        session_id
    FROM {runs} WHERE session_id = $1 AND position > 0 AND {IS_SEEN}
        AND position < (SELECT {POSITION} FROM {runs} WHERE run_id = $2)
    ORDER BY position DESC LIMIT {NEWEST}
) AS earlier
WHERE status = 'COMPLETED' AND replaced_by IS NULL
    AND CASE WHEN $4::text IS NULL THEN {is_no_child(runs, "earlier")} ELSE agent_id = $4 END
    AND ($5::text IS NULL OR coalesce(user_id = $5, true))
ORDER BY position DESC LIMIT $3"""

        self.outputs = f"""
SELECT run_id, output FROM {runs} WHERE run_id = ANY($1) AND output IS NOT NULL AND {IS_SEEN}
ORDER BY position"""

        self.children = _below(runs, "status") + f"SELECT run_id FROM below WHERE status IN {LIVE}"
        self.usage_of_children = (
            _below(runs, "usage::text") + "SELECT usage FROM below WHERE usage IS NOT NULL"
        )

        self.ended_children = f"""
SELECT run_id, attempt FROM {runs}
WHERE parent_run_id = $1 AND webhook = '{PARENT}' AND status NOT IN {LIVE} AND {IS_SEEN}
ORDER BY position"""

        self.usage_of_session = f"""
SELECT key, sum(value::text::float8) AS value
FROM {runs} CROSS JOIN LATERAL json_each(usage)
WHERE session_id = $1 AND usage IS NOT NULL AND json_typeof(value) = 'number'
GROUP BY key"""

        self.wanted = f"""
SELECT run_id, cancel_requested_at IS NOT NULL AS cancelled, streamed FROM {runs}
WHERE run_id = ANY($1) AND status = 'RUNNING' AND (cancel_requested_at IS NOT NULL OR streamed)"""

        # What is written is returned as it is then, so that no end is missed in between. Of what
        # was watched before, or has ended, only the id is returned.
        self.watch = f"""
WITH unwatched AS MATERIALIZED (
    SELECT run_id AS watching FROM {runs}
    WHERE run_id IN {GIVEN} AND NOT watched AND status IN {LIVE}
    ORDER BY run_id FOR NO KEY UPDATE
), watched AS (
    UPDATE {runs} SET watched = true FROM unwatched WHERE run_id = watching
    RETURNING {RECORD}, {_WAITING}
)
SELECT known_id, watched.* FROM watched RIGHT JOIN (
    SELECT run_id AS known_id FROM {runs}
    WHERE run_id IN {GIVEN} AND session_id IS NOT NULL AND {IS_SEEN}
) AS known ON run_id = known_id"""

        self.read = f"""
WITH read AS (
    UPDATE {runs} SET streamed = true, watched = true WHERE run_id = $1 AND NOT streamed
        AND status IN {LIVE}
    RETURNING run_id
)
SELECT run_id,
    CASE WHEN EXISTS (SELECT FROM read) THEN pg_notify('{channel}', 'read ' || run_id)::text END
FROM {runs} WHERE run_id = $1 AND {IS_SEEN}"""

        self.queued = f"""
SELECT count(*) AS queued FROM {runs}
WHERE agent_id = $1 AND {STATUS} = 'PENDING' AND (due_at IS NULL OR due_at <= now())"""

        self.queued_of_user = f"""
SELECT count(*) AS queued FROM {runs} WHERE user_id = $1 AND {STATUS} = 'PENDING'"""

        self.load = f"""
SELECT count(*) FILTER (WHERE status = 'RUNNING') AS running,
    count(*) FILTER (WHERE status = 'PENDING' AND due_at <= now()) AS due,
    count(*) FILTER (WHERE status = 'PENDING' AND due_at IS NULL) AS waiting,
    count(*) FILTER (WHERE status = 'PENDING' AND due_at > now()) AS delayed,
    (SELECT nullif(reltuples, -1)::bigint FROM pg_class WHERE oid = '{runs}'::regclass) AS total
FROM {runs} WHERE {STATUS} IN ('PENDING', 'RUNNING')"""

    def find(self, wanted: RunFilter, limit: int, before: str | None) -> tuple[str, list[object]]:
        """Return the statement that lists runs, with its values.

        It holds only the conditions that are asked for, and looks for each status by itself, so
        that it finds its index; likewise for each agent, where neither a session nor a user says
        where to look. The array keeps the planner from reading all runs in their order.
        """
        runs, values, agents = self._names.runs, list[object]([limit]), wanted.agents

        def given(value: object) -> str:
            values.append(value)
            return f"${len(values)}"

        conditions = self._conditions(wanted, before, given)
        if agents and (wanted.session_id or wanted.user_id or wanted.parent_run_id):
            conditions.append(f"agent_id = ANY({given([*agents])})")
            agents = ()
        each_status = [self._has(each, given) for each in wanted.statuses] or ["true"]
        each_agent = [f"agent_id = {given(each)}" for each in agents] or ["true"]
        limit_of_each = "$1" if wanted.text is None else SEARCHED
        found = " UNION ALL ".join(
            f"(SELECT position FROM {runs} WHERE {' AND '.join([*conditions, status, agent])} "
            f"ORDER BY position DESC LIMIT {limit_of_each})"
            for status in each_status
            for agent in each_agent
        )
        if wanted.text is not None:
            either = [f"({' OR '.join(each)})" for each in (each_status, each_agent)]
            text, said = map(given, sought(wanted.text))
            all_of = " AND ".join([*conditions, *either])
            is_narrow = wanted.session_id is not None or wanted.user_id is not None
            found = _search(runs, text, said, all_of, found, is_narrow)
        statement = f"""
SELECT {_LISTED}, {_WAITING}, usage, left(input::text, {BEGINNING}) AS beginning
FROM {runs} WHERE position = ANY(ARRAY({found} UNION ALL {_PLANNED_ANEW}))
ORDER BY position DESC LIMIT $1"""
        return statement, values

    def _conditions(
        self, wanted: RunFilter, before: str | None, given: Callable[[object], str]
    ) -> list[str]:
        """Return what is asked for, but for statuses and several agents."""
        runs = self._names.runs
        conditions = ["session_id IS NOT NULL", "position > 0", IS_SEEN]
        if wanted.without_children:
            conditions.append(is_no_child(runs))
        for condition, value in (
            ("agent_id = {}", wanted.agent_id),
            ("session_id = {}", wanted.session_id),
            ("user_id = {}", wanted.user_id),
            ("coalesce(user_id = {}, true)", wanted.seen_by),
            # The second conditions bound where the search ends, and begins. Positions follow the
            # moments of acceptance, but for transactions that overlap.
            (
                f"created_at >= {{0}} AND position >= (SELECT min({POSITION}) FROM ("
                f"SELECT position FROM {runs} WHERE created_at >= {{0}} "
                f"ORDER BY created_at LIMIT {_OVERLAPPING}) AS later)",
                wanted.since,
            ),
            (
                f"created_at < {{0}} AND position <= (SELECT max({POSITION}) FROM ("
                f"SELECT position FROM {runs} WHERE created_at < {{0}} "
                f"ORDER BY created_at DESC LIMIT {_OVERLAPPING}) AS earlier)",
                wanted.until,
            ),
            (f"position < (SELECT {POSITION} FROM {runs} WHERE run_id = {{}})", before),
            # Likewise: the index of children, whatever else is asked for.
            (
                f"position = ANY(ARRAY(SELECT position FROM {runs} WHERE parent_run_id = {{}}))",
                wanted.parent_run_id,
            ),
        ):
            if value is not None:
                conditions.append(condition.format(given(value)))
        return conditions

    def _has(self, status: RunStatus, given: Callable[[object], str]) -> str:
        """Return the condition that a run has a status; a replaced one has that alone."""
        if status is RunStatus.regenerated:
            return "replaced_by IS NOT NULL"
        ended = " AND replaced_by IS NULL" if status.is_terminal else ""
        return f"{STATUS} = {given(status.value)}{ended}"


def _search(runs: str, text: str, said: str, conditions: str, newest: str, is_narrow: bool) -> str:
    """Return the query for the positions of runs in which a text is found.

    By the database's order of texts, those that begin with one come after it, soon if not at once.
    Of a session or user it is looked for in the newest runs alone, whose ids these are: an agent's
    runs, say, may be many, and none of them in the session.

    Args:
        runs: the table.
        text: what ids begin with.
        said: what inputs say, as JSON text.
        conditions: what else must hold of the runs.
        newest: the query for the positions of those whose inputs are looked into.
        is_narrow: whether all of them are of one session or user.
    """
    looked_into = f"""SELECT position FROM {runs} WHERE position = ANY(ARRAY(
        SELECT position FROM ({newest}) AS newest ORDER BY position DESC LIMIT {SEARCHED}))"""
    says = f"""pg_column_size(input) < {LARGE}
    AND strpos(lower(substring(left(input::text, {BEGINNING}) FROM '{CONTENT}(.*)')),
        lower({said})) > 0"""
    by_id = f"""
(SELECT position FROM {runs} WHERE run_id = ANY(ARRAY(
    SELECT run_id FROM (SELECT run_id FROM {runs} WHERE run_id >= {text}
        ORDER BY run_id LIMIT {NEAR_RUNS}) AS near WHERE starts_with(run_id, {text})))
    AND {conditions} ORDER BY position DESC LIMIT $1)"""
    by_others = "".join(
        f"""
UNION ALL (
    WITH RECURSIVE near (value, n) AS (
        (SELECT {each}, 1 FROM {runs} WHERE {each} >= {text} ORDER BY {each} LIMIT 1)
        UNION ALL SELECT (SELECT {each} FROM {runs} WHERE {each} > near.value
            ORDER BY {each} LIMIT 1), n + 1 FROM near WHERE value IS NOT NULL AND n < {NEAR_VALUES})
    SELECT position FROM near CROSS JOIN LATERAL (
        SELECT position FROM {runs} WHERE {each} = near.value AND {conditions}
        ORDER BY position DESC LIMIT $1) AS run
    WHERE starts_with(value, {text}))"""
        for each in IDS
    )
    if is_narrow:
        begins = " OR ".join(f"starts_with({each}, {text})" for each in IDS)
        return f"""{by_id}
UNION ALL ({looked_into} AND ({begins} OR {says}) ORDER BY position DESC LIMIT $1)"""
    return f"""{by_id}{by_others}
UNION ALL ({looked_into} AND {says} ORDER BY position DESC LIMIT $1)"""


def _below(runs: str, column: str) -> str:
    """Return the common table expression of what a run's calls have started, and theirs."""
    return f"""
WITH RECURSIVE below (run_id, {column.partition(":")[0]}) AS (
    SELECT run_id, {column} FROM {runs} WHERE parent_run_id = $1
    UNION SELECT run.run_id, run.{column} FROM {runs} AS run
    JOIN below ON run.parent_run_id = below.run_id)
"""
