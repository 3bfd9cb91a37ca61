"""The queue in SQLite: due runs are looked up in their table, so there are no entries."""

from collections.abc import Callable, Sequence

from typing_extensions import override

from kern.db.queue import Entry, Queue
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.listener import Listener


class SqliteQueue(Queue):
    """The due runs of one session table.

    What is handed out stays due until it is claimed, and is handed out to others as well.
    """

    def __init__(self, file: SqliteFile, listener: Listener) -> None:
        """Use ``file``, and be notified by ``listener``."""
        self._file = file
        self._listener = listener
        self._runs = file.tables.runs

    @override
    async def listen(self, on_due: Callable[[], None]) -> None:
        await self._listener.listen_due(on_due)

    @override
    async def dequeue(
        self, agent_ids: Sequence[str], limit: int, *, children_only: bool = False
    ) -> list[Entry]:
        return await self._file.read(self._dequeue, agent_ids, limit, children_only)

    @override
    async def acknowledge(self, entry: Entry) -> None:
        """Do nothing: there is no entry."""

    @override
    async def put_back(self, entry: Entry, delay: float) -> None:
        await self._file.write(self._put_back, entry.run_id, delay)

    @override
    async def next_due(self, agent_ids: Sequence[str]) -> float | None:
        return await self._file.read(self._next_due, agent_ids)

    def _dequeue(
        self,
        transaction: Transaction,
        agent_ids: Sequence[str],
        limit: int,
        children_only: bool,
    ) -> list[Entry]:
        if self._next_due(transaction, agent_ids) != 0.0:
            return []  # Many may be due later, which the index of the queue holds as well.
        # That index has each agent's runs in this order; the plus keeps SQLite from another one.
        which, order = "", "parent_run_id IS NULL, priority DESC, position"
        if children_only:
            which, order = "AND (parent_run_id IS NULL) = 0", "priority DESC, position"
        statement = f"""
SELECT run_id, agent_id, parent_run_id IS NULL AS is_root, priority, position FROM {self._runs}
WHERE status = 'PENDING' AND agent_id = :agent_id AND due_at IS NOT NULL AND +due_at <= :now {which}
ORDER BY {order} LIMIT :limit"""
        found = [
            row
            for agent_id in dict.fromkeys(agent_ids)
            for row in transaction.execute(statement, agent_id=agent_id, limit=limit).fetchall()
        ]
        found.sort(key=lambda row: (row["is_root"], -row["priority"], row["position"]))
        return [Entry(row["run_id"], row["agent_id"]) for row in found[:limit]]

    def _put_back(self, transaction: Transaction, run_id: str, delay: float) -> None:
        transaction.makes_due = True
        transaction.execute(
            f"UPDATE {self._runs} SET due_at = :now + :delay "
            "WHERE run_id = :run_id AND status = 'PENDING' AND due_at <= :now",
            run_id=run_id,
            delay=delay,
        )

    def _next_due(self, transaction: Transaction, agent_ids: Sequence[str]) -> float | None:
        statement = (
            f"SELECT min(due_at) AS due_at FROM {self._runs} "
            "WHERE status = 'PENDING' AND agent_id = :agent_id AND due_at IS NOT NULL"
        )
        found = [transaction.one(statement, agent_id=agent_id) for agent_id in agent_ids]
        moments = [row["due_at"] for row in found if row is not None and row["due_at"] is not None]
        return max(0.0, min(moments) - transaction.now) if moments else None
