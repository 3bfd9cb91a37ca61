"""The journals of runs in SQLite."""

from collections.abc import Sequence

from kern.db.sqlite.budgets import Spendings
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.states import StateChanges
from kern.db.sqlite.tables import Tables
from kern.run.record import JournalRow
from kern.run.steps import PIECE_KINDS

_COLUMNS = "seq, event, type, skippable, payload, created_at"

_PIECES = f"({', '.join(repr(kind) for kind in PIECE_KINDS)})"


class Journals:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._journal = tables.journal
        self._spendings = Spendings(tables)
        self._states = StateChanges(tables)

    def write(self, transaction: Transaction, rows: Sequence[JournalRow]) -> tuple[str, ...]:
        """Write rows; those that are there already stay as they are.

        Returns:
            The keys of the session's state that they change in vain.
        """
        self._spendings.charge(transaction, rows)
        lost = self._states.apply(transaction, rows)
        transaction.execute_many(
            f"INSERT OR IGNORE INTO {self._journal} (run_id, {_COLUMNS}) "
            "VALUES (:run_id, :seq, :event, :type, :skippable, :payload, :now)",
            [
                {
                    "run_id": row.run_id,
                    "seq": row.seq,
                    "event": row.event,
                    "type": row.type,
                    "skippable": row.skippable,
                    "payload": row.payload,
                }
                for row in rows
            ],
        )
        return lost

    def copy(self, transaction: Transaction, run_id: str, origin: str, seq: int) -> None:
        """Have a journal begin as another's does, but for what a later row holds too."""
        transaction.execute(
            f"INSERT INTO {self._journal} (run_id, {_COLUMNS}) SELECT :run_id, {_COLUMNS} "
            f"FROM {self._journal} WHERE run_id = :origin AND seq <= :seq "
            f"AND type NOT IN {_PIECES}",
            run_id=run_id,
            origin=origin,
            seq=seq,
        )

    def fold(self, transaction: Transaction, run_id: str, before: int) -> None:
        """Delete the pieces of streamed text that are there as a whole."""
        transaction.execute(
            f"DELETE FROM {self._journal} WHERE run_id = :run_id AND seq < :before "
            f"AND type IN {_PIECES}",
            run_id=run_id,
            before=before,
        )

    def events(self, transaction: Transaction, run_id: str, after: int) -> list[JournalRow]:
        """See :meth:`kern.db.base.Store.events`."""
        rows = transaction.execute(
            f"SELECT run_id, {_COLUMNS} FROM {self._journal} "
            "WHERE run_id = :run_id AND seq > :after ORDER BY seq",
            run_id=run_id,
            after=after,
        )
        return [
            JournalRow(run_id, seq, event, type, bool(skippable), payload, created_at)
            for run_id, seq, event, type, skippable, payload, created_at in rows
        ]
