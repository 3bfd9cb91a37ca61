"""What SQLite is asked about runs, an operation a transaction."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from kern.db.erasing import IS_SEEN, POSITION
from kern.db.listing import (
    BEGINNING,
    CONTENT,
    IDS,
    NEAR_RUNS,
    NEAR_VALUES,
    SEARCHED,
    Load,
    RunFilter,
    is_no_child,
    sought,
)
from kern.db.retention import NEWEST
from kern.db.sqlite.budgets import is_budgeted
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.tables import LIVE, Tables
from kern.run.base import RunStatus
from kern.run.codec import dump
from kern.run.record import PARENT, RunRecord

_LISTED = """run_id, session_id, agent_id, user_id, status, attempt, created_at, started_at,
    finished_at, metadata, error, priority, run_at, timeout, max_attempts, failures, webhook,
    parent_run_id, executor, journal_version, refusal, requirements, error_kind,
    usage_limits, output_schema, lineage, foreground, replaced_by, unstored,
    waiting OR concurrency_key IS NOT NULL AS waiting"""

_RECORD = f"{_LISTED}, output"


class Reading:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._runs = tables.runs
        # What who executes a run needs to know of it.
        self.claimed = f"""{_RECORD}, input, streamed, traceparent,
    timeout - (:now - started_at) AS remaining, :now AS claimed_at,
    (SELECT coalesce(max(seq), 0) FROM {tables.journal} WHERE run_id = :run_id) AS last_seq,
    {is_budgeted(tables)} AS budgeted"""

    def held(self, transaction: Transaction, run_id: str, executor: str) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.held`."""
        row = transaction.one(
            f"SELECT {self.claimed} FROM {self._runs} "
            "WHERE run_id = :run_id AND status = 'RUNNING' AND executor = :executor",
            run_id=run_id,
            executor=executor,
        )
        return record(row) if row else None

    def get(self, transaction: Transaction, run_id: str, with_input: bool) -> RunRecord | None:
        """See :meth:`kern.db.base.Store.get`."""
        columns = f"{_RECORD}, input" if with_input else _RECORD
        row = transaction.one(
            f"SELECT {columns} FROM {self._runs} WHERE run_id = :run_id "
            f"AND session_id IS NOT NULL AND {IS_SEEN}",
            run_id=run_id,
        )
        return record(row) if row else None

    def find(
        self, transaction: Transaction, wanted: RunFilter, limit: int, before: str | None
    ) -> list[RunRecord]:
        """See :meth:`kern.db.base.Store.find`."""
        if wanted.text is not None:
            found = self._search(transaction, wanted, limit, before)
        else:
            found = self._each(transaction, wanted, limit, before)
        return [record(row) for row in found]

    def _search(
        self, transaction: Transaction, wanted: RunFilter, limit: int, before: str | None
    ) -> list[sqlite3.Row]:
        """Return the runs in which a text is found, each once."""
        text, said = sought(wanted.text or "")
        wanted, runs = replace(wanted, text=None), self._runs
        begins = "{0} >= :text AND {0} < :text || char(1114111)"
        found = self._each(
            transaction,
            wanted,
            limit,
            before,
            f"run_id IN (SELECT run_id FROM {runs} WHERE {begins.format('run_id')} "
            f"ORDER BY run_id LIMIT {NEAR_RUNS})",
            text,
        )
        for column in IDS:
            values = transaction.execute(
                f"SELECT DISTINCT {column} AS value FROM {runs} WHERE {begins.format(column)} "
                f"ORDER BY {column} LIMIT {NEAR_VALUES}",
                text=text,
            )
            for row in values.fetchall():
                one = replace(wanted, **{column: row["value"]})
                if getattr(wanted, column) not in (None, row["value"]):
                    continue
                if column == "agent_id" and wanted.agents:
                    if one.agent_id not in wanted.agents:
                        continue
                    one = replace(one, agents=())
                found += self._each(transaction, one, limit, before)
        for row in self._each(transaction, wanted, SEARCHED, before):
            _, _, content = (row["beginning"] or "").partition(CONTENT)
            if said.lower() in content.lower():
                found.append(row)
        each = {row["position"]: row for row in found}
        return [each[position] for position in sorted(each, reverse=True)[:limit]]

    def _each(
        self,
        transaction: Transaction,
        wanted: RunFilter,
        limit: int,
        before: str | None,
        condition: str = "true",
        text: str = "",
    ) -> list[sqlite3.Row]:
        found: list[sqlite3.Row] = []
        # A status at a time, and an agent: its index has the runs in their order.
        statuses: list[RunStatus | None] = [*dict.fromkeys(wanted.statuses)]
        each_agent = [wanted]
        if wanted.agents and not (wanted.session_id or wanted.user_id or wanted.parent_run_id):
            each_agent = [replace(wanted, agent_id=each, agents=()) for each in wanted.agents]
        for one in each_agent:
            for status in statuses or [None]:
                found += self._find(transaction, one, status, limit, before, condition, text)
        found.sort(key=lambda row: -row["position"])
        return found[:limit]

    def _find(
        self,
        transaction: Transaction,
        wanted: RunFilter,
        status: RunStatus | None,
        limit: int,
        before: str | None,
        condition: str,
        text: str,
    ) -> list[sqlite3.Row]:
        values = {
            "parent_run_id": wanted.parent_run_id,
            "session_id": wanted.session_id,
            "status": None if status in (None, RunStatus.regenerated) else status.value,
            "user_id": wanted.user_id,
            "agent_id": wanted.agent_id,
        }
        given = [name for name, value in values.items() if value is not None]
        if status is RunStatus.completed:  # Most runs are; the others are found by it sooner.
            given.sort(key=lambda name: name == "status")
        chosen = self._conditions(wanted, status, before, given)
        return transaction.execute(
            f"""
SELECT {_LISTED}, usage, substr(input, 1, {BEGINNING}) AS beginning, position
FROM {self._runs}
WHERE {" AND ".join(["+session_id IS NOT NULL", IS_SEEN, condition, *chosen])}
ORDER BY position DESC LIMIT :limit""",
            **values,
            agents=dump(wanted.agents),
            seen_by=wanted.seen_by,
            since=None if wanted.since is None else wanted.since.timestamp(),
            until=None if wanted.until is None else wanted.until.timestamp(),
            before=before,
            limit=limit,
            text=text,
        ).fetchall()

    def _conditions(
        self, wanted: RunFilter, status: RunStatus | None, before: str | None, given: Sequence[str]
    ) -> list[str]:
        """Return what is asked for, first of all that columns have the given values."""
        is_replaced = status is RunStatus.regenerated
        # The first one finds them by its index; a plus keeps SQLite from taking another.
        chosen = [f"{'+' if number else ''}{name} = :{name}" for number, name in enumerate(given)]
        if is_replaced or (status is not None and status.is_terminal):
            chosen.append(f"replaced_by IS {'NOT ' if is_replaced else ''}NULL")
        if wanted.agents:
            chosen.append("+agent_id IN (SELECT value FROM json_each(:agents))")
        if wanted.seen_by is not None:
            chosen.append("coalesce(user_id = :seen_by, true)")
        if wanted.without_children:
            chosen.append(is_no_child(self._runs))
        if wanted.since is not None:
            chosen.append("+created_at >= :since")
            chosen.append(
                "position >= " + self._accepted("min", "created_at >= :since", "position > 0", "")
            )
        else:  # SQLite takes one bound.
            chosen.append("position > 0")
        if wanted.until is not None:
            chosen.append("+created_at < :until")
            chosen.append(
                "position <= "
                + self._accepted("max", "created_at < :until", "position < 0", "DESC")
            )
        if before is not None:
            chosen.append(
                f"position < (SELECT {POSITION} FROM {self._runs} WHERE run_id = :before)"
            )
        return chosen

    def _accepted(self, end: str, condition: str, others: str, order: str) -> str:
        """Return the expression of the position of the first or last run in a span of time.

        Of those of one moment it may be a run or an erased one, whichever was accepted there: in
        their order by position, which the index has, the erased ones come first.

        Args:
            end: ``min`` or ``max``.
            condition: says which span it is.
            others: which runs come after the first one in the order.
            order: the direction of the order.
        """
        runs = self._runs
        at_the_end = f"""SELECT {POSITION} FROM {runs}
    WHERE created_at = (SELECT {end}(created_at) FROM {runs} WHERE {condition})"""
        last = f"ORDER BY position {order} LIMIT 1"
        return f"""(SELECT {end}(coalesce(other, first), first) FROM (SELECT
    ({at_the_end} {last}) AS first, ({at_the_end} AND {others} {last}) AS other))"""

    def load(self, transaction: Transaction) -> Load:
        """See :meth:`kern.db.base.Store.load`."""
        row = transaction.sole(
            f"""
SELECT (SELECT count(*) FROM {self._runs} WHERE status = 'RUNNING'),
    total(due_at <= :now), total(due_at IS NULL), total(due_at > :now),
    (SELECT count(*) FROM {self._runs})
FROM {self._runs} WHERE status = 'PENDING'"""
        )
        return Load(*map(int, row))

    def queued(self, transaction: Transaction, agent_id: str) -> int:
        """See :meth:`kern.db.base.Store.queued`."""
        row = transaction.sole(
            f"SELECT count(*) AS queued FROM {self._runs} WHERE status = 'PENDING' "
            "AND agent_id = :agent_id AND (due_at IS NULL OR due_at <= :now)",
            agent_id=agent_id,
        )
        queued: int = row["queued"]
        return queued

    def queued_of_user(self, transaction: Transaction, user_id: str) -> int:
        """See :meth:`kern.db.base.Store.queued_of_user`."""
        row = transaction.sole(
            f"SELECT count(*) AS queued FROM {self._runs} "
            "WHERE status = 'PENDING' AND user_id = :user_id",
            user_id=user_id,
        )
        queued: int = row["queued"]
        return queued

    def children(self, transaction: Transaction, run_id: str) -> list[str]:
        """See :meth:`kern.db.base.Store.children`."""
        rows = transaction.execute(
            f"{self._below('status')} SELECT run_id FROM below WHERE status IN {LIVE}",
            run_id=run_id,
        )
        return [row["run_id"] for row in rows]

    def ended_children(self, transaction: Transaction, run_id: str) -> list[tuple[str, int]]:
        """See :meth:`kern.db.base.Store.ended_children`."""
        rows = transaction.execute(
            f"SELECT run_id, attempt FROM {self._runs} WHERE parent_run_id = :run_id "
            f"AND webhook = '{PARENT}' AND status NOT IN {LIVE} AND {IS_SEEN} ORDER BY position",
            run_id=run_id,
        )
        return [(row["run_id"], row["attempt"]) for row in rows]

    def usage_of_children(self, transaction: Transaction, run_id: str) -> list[str]:
        """See :meth:`kern.db.base.Store.usage_of_children`."""
        rows = transaction.execute(
            f"{self._below('usage')} SELECT usage FROM below WHERE usage IS NOT NULL",
            run_id=run_id,
        )
        return [row["usage"] for row in rows]

    def usage_of_session(
        self, transaction: Transaction, session_id: str
    ) -> list[tuple[str, float]]:
        """See :meth:`kern.db.base.Store.usage_of_session`."""
        rows = transaction.execute(
            f"SELECT key, total(each.value) AS value FROM {self._runs}, json_each(usage) AS each "
            "WHERE session_id = :session_id AND usage IS NOT NULL "
            "AND each.type IN ('integer', 'real') GROUP BY key",
            session_id=session_id,
        )
        return [(row["key"], row["value"]) for row in rows]

    def _below(self, column: str) -> str:
        """Return the common table expression of what a run's calls have started, and theirs."""
        return f"""
WITH RECURSIVE below (run_id, {column}) AS (
    SELECT run_id, {column} FROM {self._runs} WHERE parent_run_id = :run_id
    UNION SELECT run.run_id, run.{column} FROM {self._runs} AS run
    JOIN below ON run.parent_run_id = below.run_id)"""

    def wanted(
        self, transaction: Transaction, run_ids: Sequence[str]
    ) -> list[tuple[str, bool, bool]]:
        """See :meth:`kern.db.base.Store.wanted`."""
        statement = (
            "SELECT run_id, cancel_requested_at IS NOT NULL AS cancelled, streamed "
            f"FROM {self._runs} WHERE run_id = :run_id AND status = 'RUNNING' "
            "AND (cancel_requested_at IS NOT NULL OR streamed)"
        )
        found = [transaction.one(statement, run_id=run_id) for run_id in run_ids]
        return [(row[0], bool(row[1]), bool(row[2])) for row in found if row is not None]

    def history(
        self,
        transaction: Transaction,
        session_id: str,
        before: str,
        limit: int,
        agent_id: str | None,
        user_id: str | None,
    ) -> list[tuple[str, str]]:
        """See :meth:`kern.db.base.Store.history`."""
        # Of a session in which others have many runs only the last ones are looked at.
        rows = transaction.execute(
            "SELECT run_id, status = 'COMPLETED' AND replaced_by IS NULL "
            "AND coalesce(agent_id = :agent_id, true) "
            f"AND (:agent_id IS NOT NULL OR {is_no_child(self._runs)}) "
            f"AND coalesce(user_id = :user_id, true) AS is_shown FROM {self._runs} "
            f"WHERE session_id = :session_id AND position > 0 AND {IS_SEEN} "
            f"AND position < (SELECT {POSITION} FROM {self._runs} WHERE run_id = :before) "
            f"ORDER BY position DESC LIMIT {NEWEST}",
            session_id=session_id,
            before=before,
            agent_id=agent_id,
            user_id=user_id,
        )
        shown = list(islice((row["run_id"] for row in rows if row["is_shown"]), limit))
        rows.close()
        return self.outputs(transaction, shown)

    def outputs(self, transaction: Transaction, run_ids: Sequence[str]) -> list[tuple[str, str]]:
        """See :meth:`kern.db.base.Store.outputs`."""
        statement = (
            f"SELECT position, run_id, output FROM {self._runs} "
            f"WHERE run_id = :run_id AND output IS NOT NULL AND {IS_SEEN}"
        )
        found = [transaction.one(statement, run_id=run_id) for run_id in set(run_ids)]
        rows = sorted((row for row in found if row is not None), key=lambda row: row["position"])
        return [(row["run_id"], row["output"]) for row in rows]


def moment(seconds: float | None) -> datetime | None:
    """Return a stored moment as kern has it."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def record(row: sqlite3.Row) -> RunRecord:
    """Return a row of the table of runs as kern has it."""
    values = dict(row)
    values.pop("position", None)
    values["status"] = RunStatus(values["status"])
    for column in ("created_at", "started_at", "finished_at", "run_at"):
        values[column] = moment(values[column])
    for column in ("streamed", "waiting", "budgeted", "foreground", "unstored"):
        if column in values:
            values[column] = bool(values[column])
    return RunRecord(**values)
