"""Memories of users in PostgreSQL."""

from collections.abc import Mapping, Sequence

import asyncpg
from typing_extensions import override

from kern.db.memories import Memories, Remembered
from kern.db.postgres.connections import Connection, Connections
from kern.db.postgres.names import Names
from kern.db.postgres.writing import Append, Writing
from kern.db.values import Appended
from kern.memory.changes import MemoryChange, MemoryChanges, MemoryFilter
from kern.memory.user_memory import UserMemory
from kern.memory.words import found_by
from kern.run.codec import encode, parse
from kern.run.record import JournalRow

_UPDATED = "extract(epoch FROM updated_at)::float8"

_COLUMNS = f"""memory, memory_id, topics, user_id, input,
    extract(epoch FROM created_at)::float8 AS created_at, {_UPDATED} AS updated_at,
    feedback, agent_id"""


class PostgresMemories(Memories):
    """The memories beside one session table."""

    def __init__(self, connections: Connections, names: Names, writing: Writing) -> None:
        """Write the statements for ``names``."""
        self._connections = connections
        self._writing = writing
        table = self._table = names.memories
        self._select = f"SELECT {_COLUMNS} FROM {table}"
        # The time of the statement, not of its transaction: so those that come together are in
        # their order.
        self._insert = f"""
INSERT INTO {table} AS memory (memory_id, user_id, agent_id, memory, topics, input, feedback,
    run_id, words, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, array_to_tsvector($9::text[]), statement_timestamp(),
    statement_timestamp())
ON CONFLICT (memory_id) DO """
        self._put = f"""{self._insert} UPDATE SET agent_id = $3, memory = $4, topics = $5,
    input = $6, feedback = $7, run_id = NULL, words = EXCLUDED.words, updated_at = now()
WHERE memory.user_id = $2 RETURNING {_COLUMNS}"""
        self._update = f"""
UPDATE {table} SET memory = $3, topics = $4, input = $5, agent_id = coalesce($6, agent_id),
    run_id = $7, words = array_to_tsvector($8::text[]), updated_at = clock_timestamp()
WHERE memory_id = $1 AND user_id = $2 AND ($9::float8 IS NULL OR {_UPDATED} = $9)
RETURNING memory_id"""
        self._known = f"SELECT FROM {table} WHERE memory_id = $1 AND user_id = $2"
        self._delete = f"""
DELETE FROM {table} WHERE memory_id = ANY($1) AND ($2::text IS NULL OR user_id = $2)
    AND ($3::float8 IS NULL OR {_UPDATED} = $3) RETURNING memory_id"""
        self._lock = f"""
SELECT FROM {table} WHERE user_id = $1 AND ($2::text[] IS NULL OR memory_id = ANY($2))
ORDER BY memory_id FOR UPDATE"""
        self._written = f"SELECT seq FROM {names.events} WHERE run_id = $1 AND seq = ANY($2)"

    @override
    async def get(self, memory_id: str) -> UserMemory | None:
        rows = await self._connections.fetch(f"{self._select} WHERE memory_id = $1", memory_id)
        return _memory(rows[0]) if rows else None

    @override
    async def find(
        self,
        wanted: MemoryFilter,
        limit: int | None,
        offset: int = 0,
        *,
        oldest_first: bool = False,
    ) -> list[UserMemory]:
        where, values = conditions(wanted)
        order = "" if oldest_first else " DESC"
        # By the columns, for which there is an index; what is selected has other values.
        statement = f"""{self._select}{where}
ORDER BY {self._table}.updated_at{order}, memory_id{order} LIMIT {limit or "ALL"} OFFSET {offset}"""
        return [_memory(row) for row in await self._connections.fetch(statement, *values)]

    @override
    async def count(self, wanted: MemoryFilter) -> int:
        where, values = conditions(wanted)
        statement = f"SELECT count(*) AS found FROM {self._table}{where}"
        found: int = (await self._connections.fetch(statement, *values))[0]["found"]
        return found

    @override
    async def put(self, memory: UserMemory) -> UserMemory | None:
        assert memory.memory_id is not None
        assert memory.user_id is not None
        values = self._new(memory.memory_id, memory, None)
        rows = await self._connections.fetch(self._put, *values)
        return _memory(rows[0]) if rows else None

    @override
    async def apply(self, changes: MemoryChanges) -> None:
        async with self._connections.transaction() as connection:
            await self._apply(connection, changes)

    @override
    async def append(
        self,
        run_id: str,
        attempt: int,
        rows: Sequence[JournalRow],
        streamed: bool,
        changes: Mapping[int, MemoryChanges],
    ) -> Appended | None:
        async with self._connections.transaction() as connection:
            found = await connection.fetch(self._written, run_id, [*changes])
            written = {row["seq"] for row in found}
            append = Append(run_id, attempt, rows, streamed)
            [appended] = await self._writing.append_all([append], connection.fetch)
            for seq, each in changes.items() if appended is not None else ():
                if seq not in written:
                    await self._apply(connection, each)
        return appended

    @override
    async def delete(self, memory_ids: Sequence[str], user_id: str | None = None) -> int:
        ids = [*memory_ids]
        return len(await self._connections.fetch(self._delete, ids, user_id, None))

    @override
    async def clear(self, user_id: str | None) -> int:
        where, values = conditions(MemoryFilter(user_id))
        statement = f"DELETE FROM {self._table}{where} RETURNING memory_id"
        return len(await self._connections.fetch(statement, *values))

    @override
    async def topics(self, user_id: str | None) -> list[str]:
        where, values = conditions(MemoryFilter(user_id))
        statement = f"""
SELECT DISTINCT topic COLLATE "C" AS topic
FROM (SELECT topics FROM {self._table}{where}) AS memory, json_array_elements_text(topics) AS topic
ORDER BY topic"""
        return [row["topic"] for row in await self._connections.fetch(statement, *values)]

    @override
    async def stats(
        self, user_id: str | None, limit: int | None, offset: int
    ) -> tuple[list[Remembered], int]:
        where, values = conditions(MemoryFilter(user_id))
        statement = f"""
SELECT user_id, count(*) AS total, extract(epoch FROM max(updated_at))::float8 AS last
FROM {self._table}{where} GROUP BY user_id ORDER BY last DESC, user_id
LIMIT {limit or "ALL"} OFFSET {offset}"""
        rows = await self._connections.fetch(statement, *values)
        counting = f"SELECT count(DISTINCT user_id) AS users FROM {self._table}{where}"
        users: int = (await self._connections.fetch(counting, *values))[0]["users"]
        return [Remembered(*row) for row in rows], users

    async def _apply(self, connection: Connection, changes: MemoryChanges) -> None:
        seen = [each.memory_id for each in changes.changes if each.operation != "add"]
        if seen:  # In one order, or two who change the same would wait for each other.
            is_all = any(each.operation == "clear" for each in changes.changes)
            await connection.fetch(self._lock, changes.user_id, None if is_all else seen)
        for change in changes.changes:
            match change.operation:
                case "add":
                    await self._add(connection, changes, change, change.memory_id)
                case "update":
                    await self._change(connection, changes, change)
                case "delete":
                    values = [change.memory_id], changes.user_id, change.seen
                    await connection.fetch(self._delete, *values)
                case "clear":
                    everything = f"DELETE FROM {self._table} WHERE user_id = $1"
                    await connection.execute(everything, changes.user_id)

    async def _change(
        self, connection: Connection, changes: MemoryChanges, change: MemoryChange
    ) -> None:
        topics = [*change.topics]
        updated = await connection.fetch(
            self._update,
            change.memory_id,
            changes.user_id,
            change.memory,
            encode(topics, "topics"),
            changes.input,
            changes.agent_id,
            changes.run_id,
            _lexemes(changes.user_id, change.memory, topics),
            change.seen,
        )
        if not updated and await connection.fetch(self._known, change.memory_id, changes.user_id):
            await self._add(connection, changes, change, change.otherwise)

    async def _add(
        self, connection: Connection, changes: MemoryChanges, change: MemoryChange, memory_id: str
    ) -> None:
        memory = UserMemory(
            change.memory,
            memory_id,
            [*change.topics],
            changes.user_id,
            changes.input,
            agent_id=changes.agent_id,
        )
        values = self._new(memory_id, memory, changes.run_id)
        await connection.fetch(f"{self._insert} NOTHING", *values)

    def _new(self, memory_id: str, memory: UserMemory, run_id: str | None) -> tuple[object, ...]:
        """Return the values of a row."""
        assert memory.user_id is not None
        return (
            memory_id,
            memory.user_id,
            memory.agent_id,
            memory.memory,
            encode(memory.topics, "topics"),
            memory.input,
            memory.feedback,
            run_id,
            _lexemes(memory.user_id, memory.memory, memory.topics),
        )


def conditions(wanted: MemoryFilter) -> tuple[str, list[object]]:
    """Return the condition that memories are wanted, and its values.

    Args:
        wanted: which.
    """
    found: list[str] = []
    values: list[object] = []
    for column in ("user_id", "agent_id"):
        if (value := getattr(wanted, column)) is not None:
            values.append(value)
            found.append(f"{column} = ${len(values)}")
    if query := _query(wanted):
        values.append(query)
        found.append(f"words @@ ${len(values)}::text::tsquery")
    return f" WHERE {' AND '.join(found)}" if found else "", values


def _query(wanted: MemoryFilter) -> str:
    """Return what to look for, in PostgreSQL's form.

    The user is one of the words, so that the index finds no others' memories.
    """
    every = [f"{_quoted(each)}:*" for each in wanted.words]
    if wanted.topics:
        every.append(f"({' | '.join(map(_quoted, wanted.topics))})")
    if every and wanted.user_id is not None:
        every.append(_quoted(f"@{wanted.user_id}"))
    return " & ".join(every)


def _quoted(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _lexemes(user_id: str, memory: str, topics: Sequence[str]) -> list[str]:
    return [f"@{user_id}", *found_by(memory, topics)]


def _memory(row: asyncpg.Record) -> UserMemory:
    values = dict(row)
    topics = parse(values["topics"] or "[]")
    values["topics"] = topics if isinstance(topics, list) else []
    return UserMemory(**values)
