"""The journals of runs in SQLite."""

from collections.abc import Sequence

from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.tables import Tables
from kern.run.record import JournalRow


class Journals:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._journal = tables.journal

    def write(self, transaction: Transaction, rows: Sequence[JournalRow]) -> None:
        """Write rows; those that are there already stay as they are."""
        transaction.execute_many(
            f"INSERT OR IGNORE INTO {self._journal} (run_id, seq, type, payload, created_at) "
            "VALUES (:run_id, :seq, :type, :payload, :now)",
            [
                {"run_id": row.run_id, "seq": row.seq, "type": row.type, "payload": row.payload}
                for row in rows
            ],
        )

    def add(self, transaction: Transaction, run_id: str, events: Sequence[tuple[str, str]]) -> None:
        """Write events, kinds and payloads, after the last row."""
        row = transaction.one(
            f"SELECT max(seq) AS last FROM {self._journal} WHERE run_id = :run_id", run_id=run_id
        )
        first = 1 + (row["last"] or 0 if row is not None else 0)
        rows = [JournalRow(run_id, seq, *event) for seq, event in enumerate(events, first)]
        self.write(transaction, rows)

    def copy(self, transaction: Transaction, run_id: str, origin: str, seq: int) -> None:
        """Have a journal begin as another's does, but for what was on its way."""
        transaction.execute(
            f"INSERT INTO {self._journal} SELECT :run_id, seq, type, payload, created_at "
            f"FROM {self._journal} WHERE run_id = :origin AND seq <= :seq "
            "AND type NOT IN ('RunContent', 'ToolCallStarted', 'ModelRequestStarted')",
            run_id=run_id,
            origin=origin,
            seq=seq,
        )

    def fold(self, transaction: Transaction, run_id: str, before: int) -> None:
        """Delete the pieces of streamed text that are there as a whole."""
        transaction.execute(
            f"DELETE FROM {self._journal} WHERE run_id = :run_id AND seq < :before "
            "AND type = 'RunContent'",
            run_id=run_id,
            before=before,
        )

    def events(self, transaction: Transaction, run_id: str, after: int) -> list[JournalRow]:
        """See :meth:`kern.db.base.Store.events`."""
        rows = transaction.execute(
            f"SELECT run_id, seq, type, payload, created_at FROM {self._journal} "
            "WHERE run_id = :run_id AND seq > :after ORDER BY seq",
            run_id=run_id,
            after=after,
        )
        return [JournalRow(*row) for row in rows]
