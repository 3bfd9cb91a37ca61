"""The states of sessions in SQLite, changed within the transactions of runs."""

from collections.abc import Iterable

from typing_extensions import override

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.tables import Tables
from kern.db.states import States, StoredState
from kern.run.record import JournalRow
from kern.run.state import StatePatch, changes_of, stored_key


class StateChanges:
    """What is changed in states, within the transactions of runs."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._states, self._sessions = tables.states, tables.sessions
        self._runs, self._journal = tables.runs, tables.journal

    def apply(self, transaction: Transaction, rows: Iterable[JournalRow]) -> tuple[str, ...]:
        """Change what rows change that are about to be written, but for those there are.

        Returns:
            The keys that a run has changed before which was accepted later.
        """
        lost: list[str] = []
        for row in rows:
            if row.state is None or transaction.one(
                f"SELECT 1 FROM {self._journal} WHERE run_id = :run_id AND seq = :seq",
                run_id=row.run_id,
                seq=row.seq,
            ):
                continue
            lost += self.change_by(transaction, row.run_id, row.state)
        return tuple(dict.fromkeys(lost))

    def forget(self, transaction: Transaction, session_id: str) -> None:
        """Delete the state of a session, if there is no such session any more."""
        transaction.execute(
            f"DELETE FROM {self._states} WHERE session_id = :session_id AND NOT EXISTS "
            f"(SELECT 1 FROM {self._sessions} AS session WHERE session.session_id = :session_id)",
            session_id=session_id,
        )

    def change_by(self, transaction: Transaction, run_id: str, patch: StatePatch) -> list[str]:
        """Change what a run changes in the state of its session; return the lost keys."""
        run = transaction.sole(
            f"SELECT session_id, position FROM {self._runs} WHERE run_id = :run_id", run_id=run_id
        )
        return self.change(transaction, run["session_id"], run["position"], patch)

    def change(
        self, transaction: Transaction, session_id: str, position: int, patch: StatePatch
    ) -> list[str]:
        """Change a state, in the place of a run; return the lost keys."""
        lost: list[str] = []
        for key, value, begins in changes_of(patch):
            written = transaction.execute(
                f"INSERT INTO {self._states} AS state (session_id, key, value, position) "
                "VALUES (:session_id, :key, :value, :position) ON CONFLICT (session_id, key) "
                "DO UPDATE SET value = :value, position = :position, version = version + 1 "
                "WHERE :position > 0 AND :position >= state.position",
                session_id=session_id,
                key=key,
                value=value,
                position=0 if begins else position,
            )
            if not begins and not written.rowcount:
                lost.append(stored_key(key))
        return lost


class SqliteStates(States):
    """The states beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._tables = file.tables
        self._changes = StateChanges(file.tables)

    @override
    async def of(self, session_id: str) -> StoredState:
        return await self._file.read(self._read, session_id)

    @override
    async def change(self, session_id: str, patch: StatePatch) -> bool:
        return await self._file.write(self._change, session_id, patch)

    def _read(self, transaction: Transaction, session_id: str) -> StoredState:
        rows = transaction.execute(
            f"SELECT key, value, version FROM {self._tables.states} WHERE session_id = :session_id "
            "ORDER BY key",
            session_id=session_id,
        ).fetchall()
        session = transaction.one(
            f"SELECT state_version FROM {self._tables.sessions} WHERE session_id = :session_id",
            session_id=session_id,
        )
        keys = [(stored_key(row["key"]), row["value"]) for row in rows]
        return StoredState(
            {key: value for key, value in keys if value is not None},
            frozenset(key for key, value in keys if value is None),
            sum(row["version"] for row in rows)
            + (0 if session is None else session["state_version"]),
        )

    def _change(self, transaction: Transaction, session_id: str, patch: StatePatch) -> bool:
        # The next run that is accepted has this position, and so may change it.
        session = transaction.one(
            "SELECT 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = :runs), 0) "
            f"AS position FROM {self._tables.sessions} WHERE session_id = :session_id",
            runs=self._tables.runs.strip('"'),
            session_id=session_id,
        )
        if session is None:
            return False
        self._changes.change(transaction, session_id, session["position"], patch)
        return True
