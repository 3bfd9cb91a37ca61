"""Generated from ``kern/db/key_methods.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Sequence
from datetime import timedelta

from kern.aio.portal import finished
from kern.db.key_methods import KeyMethods
from kern.db.keys import Key


class SyncKeyMethods(KeyMethods):
    """The methods of :class:`KeyMethods`, for code without an event loop."""

    def create_key(
        self,
        user_id: str,
        *,
        name: str | None = None,
        scopes: Sequence[str] = ("runs",),
        agents: Sequence[str] | None = None,
        expires_in: timedelta | float | None = None,
    ) -> tuple[Key, str]:
        """Make an API key, with which its holder acts on behalf of a user.

        Args:
            user_id: the user.
            name: what it is for, to tell it from others.
            scopes: what it allows: ``"runs"``, ``"approve"``, ``"read:all"``, ``"admin"`` and
                ``"metrics"``.
            agents: the ids of the agents that it opens; by default all.
            expires_in: the time, or the seconds, after which it opens nothing any more; by default
                never.

        Returns:
            The key, and its secret: nobody can read that again.

        Raises:
            InvalidInputError: an argument cannot be used.
            DatabaseError: it could not be stored.
        """
        return finished(
            self.acreate_key(
                user_id, name=name, scopes=scopes, agents=agents, expires_in=expires_in
            )
        )

    def list_keys(self, user_id: str | None = None) -> list[Key]:
        """Return API keys, the last made first, also those that open nothing any more.

        Args:
            user_id: whose they are; by default everybody's.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be read.
        """
        return finished(self.alist_keys(user_id))

    def revoke_key(self, key_id: str) -> bool:
        """Have an API key open nothing from now on.

        Args:
            key_id: the key.

        Returns:
            Whether there is such a key that was not revoked.

        Raises:
            InvalidInputError: ``key_id`` cannot be an id.
            DatabaseError: it could not be stored.
        """
        return finished(self.arevoke_key(key_id))

    def find_key(self, secret: str) -> Key | None:
        """Return the API key of a secret, and note, at most once a minute, that it is used.

        Args:
            secret: what its holder shows.

        Returns:
            The key; None where there is none, or it is revoked or expired.

        Raises:
            DatabaseError: it could not be looked for.
        """
        return finished(self.afind_key(secret))
