"""What kern needs of a database to keep the states of sessions: the port beside that of the runs.

A state is a row for each of its keys, so a change costs the same whatever else the state holds, and
two runs that change different keys do not meet. A row says which run has changed it last, by the
place of the run in the order of acceptance; what runs do that were accepted before changes it no
more. A deleted key keeps its row for this reason, without a value.

Runs change states with their journals: by :meth:`kern.db.base.Store.append` and its neighbours.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from kern.run.state import StatePatch, Texts, difference, texts_of


class StoredState(NamedTuple):
    """The state of a session, as it is stored.

    Attributes:
        texts: its keys, each with its value as JSON text.
        deleted: the keys that it has had.
        version: how often it was changed; it counts every key.
    """

    texts: Texts
    deleted: frozenset[str]
    version: int


class States(ABC):
    """The states of the sessions in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def of(self, session_id: str) -> StoredState:
        """Return the state of a session; an empty one where there is none."""

    async def replace(self, session_id: str, state: Mapping[str, object]) -> bool:
        """Put a state in the place of the stored one; False where there is no session.

        Raises:
            InvalidInputError: it is not JSON.
        """
        patch = difference((await self.of(session_id)).texts, texts_of(state))
        return patch is None or await self.change(session_id, patch)

    @abstractmethod
    async def change(self, session_id: str, patch: StatePatch) -> bool:
        """Change the state of a session from outside of a run; False where there is no session.

        It counts as if a run had done it that is accepted at this moment.
        """
