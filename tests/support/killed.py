"""An agent whose runs leave a secret everywhere, and a process that dies beside one of them."""

import asyncio
import os
from typing import Any

from elsewhere import processes, set_environment

from kern.agent import Agent
from kern.db.database import Database
from kern.db.postgres import PostgresDb
from kern.db.postgres.connections import Connections
from kern.db.sqlite import SqliteDb
from kern.db.sqlite.file import SqliteFile
from kern.media import File
from kern.testing import Reply, ScriptedModel

SECRET = "what nobody may keep"
LARGE = f"{SECRET}. " * 60_000


def secretive(db: Database, *replies: Reply, **options: Any) -> Agent:
    """Return an agent whose runs have a journal, a blob, a child and an answer with the secret."""

    def read() -> str:
        return LARGE

    helper = Agent("Helper", ScriptedModel([Reply.text(f"Helped: {SECRET}")]))
    script = replies or (
        Reply.tool_calls(("read", {}), ("helper", {"input": SECRET})),
        Reply.text(f"Done: {SECRET}"),
    )
    return Agent(
        "Tester", ScriptedModel([*script]), db=db, tools=[read, helper.as_tool()], **options
    )


def is_killed_after(statements: int, db: Database, run_id: str, *, erases: bool) -> bool:
    """Have a process die after so many of its statements, and say whether it came that far.

    Args:
        statements: how many.
        db: the database, which other processes can use.
        run_id: the run that it erases; or that it executes, and that is not to be stored.
        erases: whether it erases it.
    """
    assert isinstance(db, PostgresDb | SqliteDb)
    where = db._dsn if isinstance(db, PostgresDb) else db._file.path
    process = processes.Process(
        target=_execute, args=(statements, where, db.session_table, run_id, erases)
    )
    process.start()
    process.join()
    exit_code = process.exitcode
    process.close()
    assert exit_code in (0, 9)
    return exit_code == 9


def _execute(statements: int, where: str, table: str, run_id: str, erases: bool) -> None:
    set_environment({})
    db = PostgresDb(where, table) if "://" in where else SqliteDb(where, table)
    asyncio.run(_until(statements, db, run_id, erases))


async def _until(statements: int, db: Database, run_id: str, erases: bool) -> None:
    left = statements

    async def fetch(self: Connections, statement: str, *values: object) -> Any:
        return count(await sent(self, statement, *values))

    async def write(self: SqliteFile, *given: Any, **named: Any) -> Any:
        return count(await written(self, *given, **named))

    def count(result: object) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(9)
        return result

    sent, written = Connections.fetch, SqliteFile.write
    agent = secretive(db)
    await (await db.store()).ping()
    Connections.fetch = fetch  # type: ignore[method-assign] # in a process of its own
    SqliteFile.write = write  # type: ignore[method-assign] # likewise
    if erases:
        await agent.aerase_run(run_id)
    else:
        file = File(content=SECRET, filename="secret.txt")
        await agent.arun(SECRET, store=False, run_id=run_id, files=[file])
