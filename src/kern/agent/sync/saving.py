"""Generated from ``kern/agent/saving.py`` by ``scripts/generate_sync.py``."""

from typing import Self

from kern.agent.blocking import blocking
from kern.agent.saving import Saving
from kern.db.components import Stage
from kern.db.database import Database
from kern.registry import Registry
from kern.run.agent import Output
from kern.run.base import Deps


class SyncSaving(Saving[Deps, Output]):
    """The methods of :class:`Saving`, for code without an event loop."""

    def save(
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
        return blocking("await agent.asave(...)").call(
            self.asave(db=db, stage=stage, label=label, notes=notes, registry=registry)
        )

    @classmethod
    def load(
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
        return blocking("await agent.aload(...)").call(
            cls.aload(id, db=db, registry=registry, label=label, version=version)
        )

    def delete(self, *, db: Database | None = None, hard_delete: bool = False) -> bool:
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
        return blocking("await agent.adelete(...)").call(
            self.adelete(db=db, hard_delete=hard_delete)
        )
