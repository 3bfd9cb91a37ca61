"""An agent's methods for keeping versions of itself in a database."""

from collections.abc import Mapping
from typing import Self, cast

from kern.agent.serialization import Serialization
from kern.db.components import Stage
from kern.db.database import Database
from kern.errors import ComponentNotFoundError, ConfigurationError
from kern.registry import Registry
from kern.run.agent import Output
from kern.run.base import Deps


class Saving(Serialization[Deps, Output]):
    """What an agent can do to be kept, and found again."""

    async def asave(
        self,
        *,
        db: Database | None = None,
        stage: Stage = "published",
        label: str | None = None,
        notes: str | None = None,
        registry: Registry | None = None,
    ) -> int:
        """Keep the agent in a database, as the next version of its id.

        What is saved is what :meth:`to_dict` returns: no keys, and no code.

        Args:
            db: the database; by default the agent's own.
            stage: ``"published"`` makes it the version that is loaded; a ``"draft"`` is loaded by
                its number or label only.
            label: a name for the version, which another one loses then.
            notes: what there is to say of it.
            registry: what has a name there is kept by it.

        Returns:
            The number of the version, from 1 on.

        Raises:
            ConfigurationError: something that the agent was given cannot be kept, and the text
                names it; or there is no database.
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be stored.
        """
        kept = await _in(self.db if db is None else db, "save").aupsert_config(
            self.id, self.to_dict(registry), None, label, stage, notes, self.component_type
        )
        return cast("int", kept["version"])

    @classmethod
    async def aload(
        cls,
        id: str,
        *,
        db: Database | None = None,
        registry: Registry | None = None,
        label: str | None = None,
        version: int | None = None,
    ) -> Self:
        """Return an agent that was saved. Its database is the one in which it is.

        Where it was saved with a database of the registry, it has that one.

        Args:
            id: the id of the agent.
            db: the database in which it is.
            registry: what it may name.
            label: the label of the version.
            version: its number; by default the current version.

        Raises:
            ComponentNotFoundError: there is no such version.
            ConfigurationError: it names what is not at hand.
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be read.
        """
        database = _in(db, "load")
        kept = await database.aget_config(id, version, label)
        if kept is None:
            which = "" if version is None else f" of the version {version}"
            which = which if label is None else f" with the label {label!r}"
            raise ComponentNotFoundError(
                f"There is no {cls.component_type} {id!r:.100}{which} in {database!r}. "
                f"list_configs({id!r:.100}) returns its versions, drafts too."
            )
        made = cls._of(cast("Mapping[str, object]", kept["config"]), registry, database)
        if made.db is None:
            made.db = database
        return made

    async def adelete(self, *, db: Database | None = None, hard_delete: bool = False) -> bool:
        """Delete the agent's versions; its sessions and runs stay.

        Args:
            db: the database in which they are; by default the agent's own.
            hard_delete: keep nothing of them. Else ``db.set_current_version`` has one back.

        Returns:
            Whether there were any.

        Raises:
            ConfigurationError: there is no database.
            DatabaseError: they could not be deleted.
        """
        database = _in(self.db if db is None else db, "delete")
        return await database.adelete_component(self.id, hard_delete)


def _in(db: Database | None, verb: str) -> Database:
    if isinstance(db, Database):
        return db
    raise ConfigurationError(f"Which database? Write {verb}(db=...), as in db=SqliteDb('kern.db').")
