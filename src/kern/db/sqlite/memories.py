"""Memories of users in SQLite, an operation a transaction."""

import sqlite3
from collections.abc import Mapping, Sequence

from typing_extensions import override

from kern.db.memories import Memories, Remembered
from kern.db.sqlite.attempts import Attempts
from kern.db.sqlite.connection import Transaction
from kern.db.sqlite.file import SqliteFile
from kern.db.sqlite.tables import Tables
from kern.db.values import Appended
from kern.memory.changes import MemoryChange, MemoryChanges, MemoryFilter
from kern.memory.user_memory import UserMemory
from kern.memory.words import found_by
from kern.run.codec import encode, parse
from kern.run.record import JournalRow

_COLUMNS = "memory, memory_id, topics, user_id, input, created_at, updated_at, feedback, agent_id"

# What comes together is in its order, though it has one time.
_STEP = 1e-6

# No word goes on with it.
_END = "\U0010ffff"


class Remembering:
    """The operations on one file's tables."""

    def __init__(self, tables: Tables) -> None:
        """Use ``tables``."""
        self._attempts = Attempts(tables)
        self._journal = tables.journal
        self._memories, self._words = tables.memories, tables.memory_words

    def get(self, transaction: Transaction, memory_id: str) -> UserMemory | None:
        """See :meth:`kern.db.memories.Memories.get`."""
        row = transaction.one(
            f"SELECT {_COLUMNS} FROM {self._memories} WHERE memory_id = :memory_id",
            memory_id=memory_id,
        )
        return None if row is None else _memory(row)

    def find(
        self,
        transaction: Transaction,
        wanted: MemoryFilter,
        limit: int | None,
        offset: int,
        oldest_first: bool,
    ) -> list[UserMemory]:
        """See :meth:`kern.db.memories.Memories.find`."""
        where, values = self.conditions(wanted)
        order = "" if oldest_first else " DESC"
        rows = transaction.execute(
            f"SELECT {_COLUMNS} FROM {self._memories}{where} "
            f"ORDER BY updated_at{order}, memory_id{order} LIMIT :limit OFFSET :offset",
            **values,
            limit=-1 if limit is None else limit,
            offset=offset,
        )
        return [_memory(row) for row in rows]

    def count(self, transaction: Transaction, wanted: MemoryFilter) -> int:
        """See :meth:`kern.db.memories.Memories.count`."""
        where, values = self.conditions(wanted)
        row = transaction.sole(f"SELECT count(*) AS n FROM {self._memories}{where}", **values)
        return int(row["n"])

    def put(self, transaction: Transaction, memory: UserMemory) -> UserMemory | None:
        """See :meth:`kern.db.memories.Memories.put`."""
        assert memory.memory_id is not None
        known = self.get(transaction, memory.memory_id)
        if known is not None and known.user_id != memory.user_id:
            return None
        if known is None:
            self._insert(transaction, memory, None)
        else:
            transaction.execute(
                f"UPDATE {self._memories} SET agent_id = :agent_id, memory = :memory, "
                "topics = :topics, input = :input, feedback = :feedback, run_id = NULL, "
                "updated_at = :now WHERE memory_id = :memory_id",
                **_values(memory),
            )
            self._index(transaction, memory)
        return self.get(transaction, memory.memory_id)

    def append(
        self,
        transaction: Transaction,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
        streamed: bool,
        changes: Mapping[int, MemoryChanges],
    ) -> Appended | None:
        """See :meth:`kern.db.memories.Memories.append`."""
        new = [seq for seq in changes if not self._is_written(transaction, run_id, seq)]
        appended = self._attempts.append(transaction, run_id, attempt, rows, streamed)
        if appended is not None:
            for seq in new:
                self.apply(transaction, changes[seq])
        return appended

    def apply(self, transaction: Transaction, changes: MemoryChanges) -> None:
        """See :meth:`kern.db.memories.Memories.apply`."""
        for place, change in enumerate(changes.changes):
            match change.operation:
                case "add":
                    self._add(transaction, changes, change, change.memory_id, place)
                case "update":
                    self._change(transaction, changes, change, place)
                case "delete":
                    ids = [change.memory_id]
                    self.delete(transaction, ids, changes.user_id, change.seen)
                case "clear":
                    self.clear(transaction, changes.user_id)

    def delete(
        self,
        transaction: Transaction,
        memory_ids: Sequence[str],
        user_id: str | None,
        seen: float | None = None,
    ) -> int:
        """See :meth:`kern.db.memories.Memories.delete`."""
        deleted = 0
        for memory_id in memory_ids:
            gone = transaction.execute(
                f"DELETE FROM {self._memories} WHERE memory_id = :memory_id "
                "AND (:user_id IS NULL OR user_id = :user_id) "
                "AND (:seen IS NULL OR updated_at = :seen)",
                memory_id=memory_id,
                user_id=user_id,
                seen=seen,
            ).rowcount
            if gone:
                self._forget(transaction, memory_id)
            deleted += gone
        return deleted

    def clear(self, transaction: Transaction, user_id: str | None) -> int:
        """See :meth:`kern.db.memories.Memories.clear`."""
        where = "" if user_id is None else " WHERE user_id = :user_id"
        transaction.execute(f"DELETE FROM {self._words}{where}", user_id=user_id)
        gone = transaction.execute(f"DELETE FROM {self._memories}{where}", user_id=user_id)
        return gone.rowcount

    def erase(self, transaction: Transaction, run_id: str) -> None:
        """Delete what was drawn from a run that somebody erases."""
        drawn = transaction.execute(
            f"SELECT memory_id FROM {self._memories} WHERE run_id = :run_id", run_id=run_id
        ).fetchall()
        self.delete(transaction, [row["memory_id"] for row in drawn], None)

    def topics(self, transaction: Transaction, user_id: str | None) -> list[str]:
        """See :meth:`kern.db.memories.Memories.topics`."""
        where, values = self.conditions(MemoryFilter(user_id))
        rows = transaction.execute(
            f"SELECT DISTINCT topic.value AS topic FROM {self._memories} AS memory, "
            f"json_each(topics) AS topic{where} ORDER BY topic",
            **values,
        )
        return [row["topic"] for row in rows]

    def stats(
        self, transaction: Transaction, user_id: str | None, limit: int | None, offset: int
    ) -> tuple[list[Remembered], int]:
        """See :meth:`kern.db.memories.Memories.stats`."""
        where, values = self.conditions(MemoryFilter(user_id))
        rows = transaction.execute(
            f"SELECT user_id, count(*) AS total, max(updated_at) AS last "
            f"FROM {self._memories}{where} GROUP BY user_id ORDER BY last DESC, user_id "
            "LIMIT :limit OFFSET :offset",
            **values,
            limit=-1 if limit is None else limit,
            offset=offset,
        ).fetchall()
        users = transaction.sole(
            f"SELECT count(DISTINCT user_id) AS n FROM {self._memories}{where}", **values
        )
        return [Remembered(*row) for row in rows], users["n"]

    def conditions(self, wanted: MemoryFilter) -> tuple[str, dict[str, object]]:
        """Return the condition that memories are wanted, and its values."""
        values: dict[str, object] = {
            name: value
            for name in ("user_id", "agent_id")
            if (value := getattr(wanted, name)) is not None
        }
        found = [f"{name} = :{name}" for name in values]
        whose = "" if wanted.user_id is None else "user_id = :user_id AND "
        having: list[str] = []
        for place, word in enumerate(wanted.words):
            values |= {f"from_{place}": word, f"to_{place}": word + _END}
            having.append(f"word >= :from_{place} AND word < :to_{place}")
        if wanted.topics:
            topics = {f"topic_{place}": topic for place, topic in enumerate(wanted.topics)}
            values |= topics
            having.append(f"word IN ({', '.join(f':{each}' for each in topics)})")
        if having:
            each = [f"SELECT memory_id FROM {self._words} WHERE {whose}{one}" for one in having]
            found.append(f"memory_id IN ({' INTERSECT '.join(each)})")
        return f" WHERE {' AND '.join(found)}" if found else "", values

    def _is_written(self, transaction: Transaction, run_id: str, seq: int) -> bool:
        found = transaction.one(
            f"SELECT 1 FROM {self._journal} WHERE run_id = :run_id AND seq = :seq",
            run_id=run_id,
            seq=seq,
        )
        return found is not None

    def _change(
        self, transaction: Transaction, changes: MemoryChanges, change: MemoryChange, place: int
    ) -> None:
        memory = _new(changes, change, change.memory_id)
        updated = transaction.execute(
            f"UPDATE {self._memories} SET memory = :memory, topics = :topics, input = :input, "
            "agent_id = coalesce(:agent_id, agent_id), run_id = :run_id, updated_at = :at "
            "WHERE memory_id = :memory_id AND user_id = :user_id "
            "AND (:seen IS NULL OR updated_at = :seen)",
            **_values(memory),
            run_id=changes.run_id,
            at=transaction.now + place * _STEP,
            seen=change.seen,
        )
        if updated.rowcount:
            self._index(transaction, memory)
            return
        known = self.get(transaction, change.memory_id)
        if known is not None and known.user_id == changes.user_id:
            self._add(transaction, changes, change, change.otherwise, place)

    def _add(
        self,
        transaction: Transaction,
        changes: MemoryChanges,
        change: MemoryChange,
        memory_id: str,
        place: int,
    ) -> None:
        memory = _new(changes, change, memory_id)
        self._insert(transaction, memory, changes.run_id, place * _STEP)

    def _insert(
        self,
        transaction: Transaction,
        memory: UserMemory,
        run_id: str | None,
        later: float = 0.0,
    ) -> None:
        made = transaction.execute(
            f"INSERT INTO {self._memories} (memory_id, user_id, agent_id, memory, topics, input, "
            "feedback, run_id, created_at, updated_at) VALUES (:memory_id, :user_id, :agent_id, "
            ":memory, :topics, :input, :feedback, :run_id, :at, :at) ON CONFLICT DO NOTHING",
            **_values(memory),
            run_id=run_id,
            at=transaction.now + later,
        )
        if made.rowcount:
            self._index(transaction, memory)

    def _index(self, transaction: Transaction, memory: UserMemory) -> None:
        """Have a memory found by its words, and by no others."""
        assert memory.memory_id is not None
        self._forget(transaction, memory.memory_id)
        transaction.execute_many(
            f"INSERT INTO {self._words} (user_id, word, memory_id) "
            "VALUES (:user_id, :word, :memory_id)",
            [
                {"user_id": memory.user_id, "word": word, "memory_id": memory.memory_id}
                for word in found_by(memory.memory, memory.topics)
            ],
        )

    def _forget(self, transaction: Transaction, memory_id: str) -> None:
        transaction.execute(
            f"DELETE FROM {self._words} WHERE memory_id = :memory_id", memory_id=memory_id
        )


class SqliteMemories(Memories):
    """The memories beside one session table of a file."""

    def __init__(self, file: SqliteFile) -> None:
        """Use ``file``."""
        self._file = file
        self._operations = Remembering(file.tables)

    @override
    async def get(self, memory_id: str) -> UserMemory | None:
        return await self._file.read(self._operations.get, memory_id)

    @override
    async def find(
        self,
        wanted: MemoryFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool = False,
    ) -> list[UserMemory]:
        return await self._file.read(self._operations.find, wanted, limit, offset, oldest_first)

    @override
    async def count(self, wanted: MemoryFilter) -> int:
        return await self._file.read(self._operations.count, wanted)

    @override
    async def put(self, memory: UserMemory) -> UserMemory | None:
        return await self._file.write(self._operations.put, memory)

    @override
    async def apply(self, changes: MemoryChanges) -> None:
        await self._file.write(self._operations.apply, changes)

    @override
    async def append(
        self,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
        streamed: bool,
        changes: Mapping[int, MemoryChanges],
    ) -> Appended | None:
        return await self._file.write(
            self._operations.append, run_id, attempt, rows, streamed, changes
        )

    @override
    async def delete(self, memory_ids: Sequence[str], user_id: str | None = None) -> int:
        return await self._file.write(self._operations.delete, memory_ids, user_id)

    @override
    async def clear(self, user_id: str | None) -> int:
        return await self._file.write(self._operations.clear, user_id)

    @override
    async def topics(self, user_id: str | None) -> list[str]:
        return await self._file.read(self._operations.topics, user_id)

    @override
    async def stats(
        self, user_id: str | None, limit: int | None, offset: int
    ) -> tuple[list[Remembered], int]:
        return await self._file.read(self._operations.stats, user_id, limit, offset)


def _new(changes: MemoryChanges, change: MemoryChange, memory_id: str) -> UserMemory:
    return UserMemory(
        change.memory,
        memory_id,
        [*change.topics],
        changes.user_id,
        changes.input,
        agent_id=changes.agent_id,
    )


def _values(memory: UserMemory) -> dict[str, object]:
    return {
        "memory_id": memory.memory_id,
        "user_id": memory.user_id,
        "agent_id": memory.agent_id,
        "memory": memory.memory,
        "topics": encode(memory.topics, "topics"),
        "input": memory.input,
        "feedback": memory.feedback,
    }


def _memory(row: sqlite3.Row) -> UserMemory:
    values = dict(row)
    topics = parse(values["topics"] or "[]")
    values["topics"] = topics if isinstance(topics, list) else []
    return UserMemory(**values)
