"""What happened in each minute and hour, in SQLite."""

import sqlite3
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from typing_extensions import override

from kern.db.figures import (
    BOUNDS,
    CAUGHT_UP,
    COUNTED,
    GRACE,
    HOUR,
    MINUTE,
    MINUTES,
    NUMBERS,
    SAMPLED,
    Figures,
    Tally,
)
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.run.codec import decode_object, dump, parse

_ENDED = {"COMPLETED": "completed", "ERROR": "failed", "CANCELLED": "cancelled"}


class _Row:
    """What is added to the rows of an agent."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = dict.fromkeys(NUMBERS, 0)
        self.waits = [0] * (len(BOUNDS) + 1)
        self.durations = [0] * (len(BOUNDS) + 1)

    def add(self, row: sqlite3.Row) -> None:
        """Add what is in the table."""
        for each in NUMBERS:
            self.numbers[each] += row[each]
        for mine, stored in ((self.waits, row["waits"]), (self.durations, row["durations"])):
            if stored is not None:
                mine[:] = map(int.__add__, mine, cast(list[int], parse(stored)))


class SqliteFigures(Figures):
    """The figures beside one session table."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._runs, self._tick = file.tables.runs, file.tables.tick
        self._figures = file.tables.figures

    @override
    async def count(self) -> int:
        return await self._file.write(self._count)

    @override
    async def _between(
        self, span: int, step: int, first: int, until: float, agents: Sequence[str] | None
    ) -> tuple[float, list[Tally]]:
        return await self._file.read(self._find, span, step, first, until, agents)

    def _count(self, transaction: Transaction) -> int:
        counted = 0
        while counted < MINUTES and (minute := self._next(transaction)) is not None:
            transaction.execute(
                f"UPDATE {self._tick} SET counted_until = :until", until=minute + MINUTE
            )
            self._write(transaction, minute, self._happened(transaction, minute))
            counted += 1
        if counted:
            self._write(transaction, int(transaction.now), self._sampled(transaction))
        return counted

    def _next(self, transaction: Transaction) -> int | None:
        """Return the next minute in which anything has happened, or the last one, if it is over."""
        passed = transaction.now - MINUTE - GRACE
        [until] = self._fetch(transaction, f"SELECT counted_until FROM {self._tick}")[0]
        if until > passed:
            return None
        earliest = max(until, transaction.now // MINUTE * MINUTE - CAUGHT_UP.total_seconds())
        found = self._fetch(
            transaction,
            " UNION ALL ".join(
                f"SELECT min({each}) FROM {self._runs} WHERE {each} >= :earliest"
                for each in ("created_at", "finished_at")
            ),
            earliest=earliest,
        )
        first = min([passed, *(row[0] for row in found if row[0] is not None)])
        return int(max(earliest, first)) // MINUTE * MINUTE

    def _happened(self, transaction: Transaction, minute: int) -> dict[str, _Row]:
        found = defaultdict[str, _Row](_Row)
        within = (
            f"FROM {self._runs} WHERE {{0}} >= :minute AND {{0}} < :minute + {MINUTE} "
            f"AND +session_id IS NOT NULL LIMIT {COUNTED}"
        )
        for agent_id, submitted in self._fetch(
            transaction,
            f"SELECT agent_id, count(*) FROM (SELECT agent_id {within.format('created_at')}) "
            "GROUP BY agent_id",
            minute=minute,
        ):
            found[agent_id].numbers["submitted"] = submitted
        for row in self._fetch(
            transaction,
            f"""
SELECT agent_id, status, started_at - max(created_at, coalesce(run_at, 0)) AS wait,
    finished_at - started_at AS duration,
    CASE WHEN json_valid(usage) AND json_type(usage) = 'object' THEN usage ELSE '{{}}' END AS usage
{within.format("finished_at")}""",
            minute=minute,
        ):
            agent = found[row["agent_id"]]
            agent.numbers[_ENDED[row["status"]]] += 1
            usage = decode_object(row["usage"])
            for each in ("input_tokens", "output_tokens", "cost"):
                agent.numbers[each] += cast(float, usage.get(each) or 0)
            if row["wait"] is not None:
                agent.waits[bisect_right(BOUNDS, row["wait"])] += 1
                agent.durations[bisect_right(BOUNDS, row["duration"])] += 1
        return found

    def _sampled(self, transaction: Transaction) -> dict[str, _Row]:
        found = defaultdict[str, _Row](_Row)
        found[""].numbers["samples"] = 1
        for column, condition in (
            ("executing", "status = 'RUNNING'"),
            ("due", "status = 'PENDING' AND due_at <= :now"),
            ("waiting", "status = 'PENDING' AND due_at IS NULL"),
        ):
            for agent_id, runs in self._fetch(
                transaction,
                f"SELECT agent_id, count(*) FROM (SELECT agent_id FROM {self._runs} "
                f"WHERE {condition} AND +session_id IS NOT NULL LIMIT {SAMPLED}) GROUP BY agent_id",
            ):
                found[agent_id].numbers[column] = runs
        return found

    def _write(self, transaction: Transaction, moment: int, found: dict[str, _Row]) -> None:
        """Add to the rows of the minute and the hour in which a moment is."""
        columns = ("span", "begins_at", "agent_id", *NUMBERS, "waits", "durations")
        for span in (MINUTE, HOUR):
            for agent_id, added in found.items():
                key = {"span": span, "begins_at": moment // span * span, "agent_id": agent_id}
                row = _Row()
                before = transaction.one(
                    f"SELECT * FROM {self._figures} WHERE span = :span "
                    "AND begins_at = :begins_at AND agent_id = :agent_id",
                    **key,
                )
                if before is not None:
                    row.add(before)
                for each in NUMBERS:
                    row.numbers[each] += added.numbers[each]
                waits, durations = (
                    dump(list(map(int.__add__, *both)))
                    for both in ((row.waits, added.waits), (row.durations, added.durations))
                )
                transaction.execute(
                    f"INSERT OR REPLACE INTO {self._figures} ({', '.join(columns)}) "
                    f"VALUES ({', '.join(f':{each}' for each in columns)})",
                    **key,
                    **row.numbers,
                    waits=waits,
                    durations=durations,
                )

    def _find(
        self,
        transaction: Transaction,
        span: int,
        step: int,
        first: int,
        until: float,
        agents: Sequence[str] | None,
    ) -> tuple[float, list[Tally]]:
        found = defaultdict[int, _Row](_Row)
        of_agents = ""
        if agents is not None:
            of_agents = "AND (agent_id = '' OR agent_id IN (SELECT value FROM json_each(:agents)))"
        for row in self._fetch(
            transaction,
            f"SELECT * FROM {self._figures} WHERE span = :span AND begins_at >= :first "
            f"AND begins_at < min(:until, (SELECT counted_until FROM {self._tick})) {of_agents} "
            "ORDER BY begins_at",
            span=span,
            first=first,
            until=until,
            agents=dump(agents),
        ):
            found[int(row["begins_at"]) // step * step].add(row)
        [counted] = self._fetch(transaction, f"SELECT counted_until FROM {self._tick}")[0]
        tallies = [
            Tally(
                datetime.fromtimestamp(at, UTC),
                step,
                **cast(dict[str, int], row.numbers),
                waits=tuple(row.waits),
                durations=tuple(row.durations),
            )
            for at, row in found.items()
        ]
        return min(until, counted), tallies

    def _fetch(
        self, transaction: Transaction, statement: str, **values: object
    ) -> list[sqlite3.Row]:
        return transaction.execute(statement, **values).fetchall()
