"""A database as a user names it: what opens a store for each event loop."""

import logging
import re
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Self

from typing_extensions import override

from kern.aio.per_loop import PerLoop
from kern.db.base import Store
from kern.db.component_methods import ComponentMethods
from kern.db.heart import Heart
from kern.db.key_methods import KeyMethods
from kern.db.users import Erased
from kern.db.values import TablesVersion
from kern.errors import ConfigurationError
from kern.run.budget import Budget, Period, Spending, check_period
from kern.run.codec import check_id
from kern.run.numbers import check_seconds

logger = logging.getLogger("kern.tables")

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")


class Database(KeyMethods, ComponentMethods):
    """A database as a user names it. Opened once for each event loop, on first use."""

    def __init__(self, session_table: str) -> None:
        """Name the tables.

        Args:
            session_table: the table of the sessions; the others are named after it.

        Raises:
            ConfigurationError: the name is not an identifier.
        """
        self.session_table: str = check_identifier("session_table", session_table)
        self._stores = PerLoop(self._open)

    def to_dict(self) -> dict[str, object]:
        """Return which database it is, as JSON values: without users and passwords."""
        return {"type": type(self).__name__, "session_table": self.session_table}

    @abstractmethod
    def _open(self) -> AsyncGenerator[Store, None]:
        """Yield the open database once, and close it after that."""

    @abstractmethod
    def open_heart(self) -> Heart:
        """Return what extends leases from a thread of its own; it opens on its first beat."""

    def set_heartbeat(self, seconds: float) -> None:
        """Have what is opened of it from now on notice silence in time for leases this long.

        Args:
            seconds: the heartbeat with which this process executes its runs. A heartbeat that
                the database was given itself goes first.
        """

    @override
    async def store(self) -> Store:
        """Return the database, open for the running event loop.

        Raises:
            DatabaseUnavailableError: it cannot be reached.
            SchemaVersionError: its tables are newer than this version of kern.
        """
        return await self._stores.get()

    async def aset_budget(self, budget: Budget) -> None:
        """Set how much a user may use in a period, in the place of the user's last such budget.

        It holds for runs that are accepted or claimed from now on; they are counted from then on.
        What was counted in the current period stays.

        Args:
            budget: the budget; without a user it is everybody's who has none for the period.

        Raises:
            ConfigurationError: it is no budget.
            DatabaseError: the database refused, or is away.
        """
        if not isinstance(budget, Budget):
            raise ConfigurationError(
                f"Pass a Budget, as in Budget('ada', cost=5), not {budget!r:.80}."
            )
        await (await self.store()).budgets.put(budget)

    async def adelete_budget(self, user_id: str | None = None, per: Period = "day") -> bool:
        """Delete a budget; everybody's holds for the user then, if there is one.

        Args:
            user_id: whose it is; None for everybody's.
            per: its period.

        Returns:
            Whether there was one.

        Raises:
            ConfigurationError: there is no such period.
            DatabaseError: the database refused, or is away.
        """
        return await (await self.store()).budgets.delete(user_id, check_period(per))

    async def alist_budgets(self) -> list[Budget]:
        """Return the budgets that are set, everybody's first."""
        return await (await self.store()).budgets.find()

    async def aget_spending(self, user_id: str) -> list[Spending]:
        """Return the budgets that hold for a user, with what the user has used of each by now.

        Args:
            user_id: the user.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: the database refused, or is away.
        """
        check_id("user_id", user_id)
        return await (await self.store()).budgets.spending(user_id)

    async def adelete_user(self, user_id: str, *, timeout: float = 60.0) -> Erased:
        """Cancel a user's runs, and delete everything that belongs to the user.

        These are runs with their journals, blobs, webhooks and entries in the queue, pending
        cancels, sessions, schedules, budgets, approvals, API keys and memories; also runs without a
        user in the user's sessions.
        Begin no new runs for the user meanwhile.

        Args:
            user_id: the user.
            timeout: the seconds for which to wait until running runs have stopped.

        Returns:
            How much was deleted.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id, or ``timeout`` is no number of seconds
                from 0 on.
            RunStateError: some runs had not stopped in time; they are kept, and cancelled.
            DatabaseError: the database refused, or is away; delete the user again.
        """
        check_id("user_id", user_id)
        timeout = check_seconds("timeout", timeout, from_zero=True)
        store = await self.store()
        return await store.users.erase(user_id, store.cancel, timeout)

    async def aexport_user(self, user_id: str) -> AsyncGenerator[dict[str, object], None]:
        """Yield everything that belongs to a user, as :meth:`adelete_user` would delete it.

        Args:
            user_id: the user.

        Yields:
            JSON values of one row each: its ``kind`` (``"schedule"``, ``"budget"``, ``"key"``,
            ``"memory"``, ``"approval"``, ``"session"``, ``"state"``, ``"run"``, ``"event"``,
            ``"blob"``, ``"webhook"``) and its columns; moments as ISO 8601, bytes as base64. What
            belongs to a run follows it.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: the database refused, or is away.
        """
        check_id("user_id", user_id)
        async with aclosing((await self.store()).users.export(user_id)) as rows:
            async for row in rows:
                yield row

    async def aclose(self) -> None:
        """Close what is open of it on the running event loop; the next use opens it again.

        What another object of the same database uses stays open.
        """
        await self._stores.aclose()

    def close(self) -> None:
        """Close what synchronous code, or a loop in another thread, has opened of it.

        Raises:
            ConfigurationError: it was called on an event loop that uses it: await
                :meth:`aclose` there.
        """
        self._stores.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    async def version(self) -> TablesVersion:
        """Return the version of the tables, which are neither made nor migrated for it.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """

    @abstractmethod
    def migration_sql(self) -> str:
        """Return the SQL that makes the tables where there are none, in one transaction."""

    async def damage(self) -> list[str]:
        """Return what is broken in the tables, a sentence each, with what to do about it.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
        """
        return []


def log_tables(database: str, version: TablesVersion) -> None:
    """Log that the tables of a database were made, or migrated, on its first use.

    Args:
        database: the database, as people know it.
        version: the version that was found, and that which they have now.
    """
    if version.found is None:
        logger.info("made the tables of %s, version %d", database, version.known)
    elif version.found != version.known:
        logger.info("brought the tables of %s from version %d to %d", database, *version)


def check_identifier(name: str, value: object) -> str:
    """Return ``value`` if it can name a table or schema.

    Args:
        name: the argument's name, for the error.
        value: a letter or underscore, then at most 39 letters, digits and underscores.

    Raises:
        ConfigurationError: it is anything else.
    """
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    raise ConfigurationError(
        f"{name} {value!r} is not an identifier: use a letter or underscore, then at most 39 "
        "letters, digits and underscores."
    )
