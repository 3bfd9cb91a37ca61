"""What a database answers who makes API keys, and who is shown one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from kern.db.base import Store
from kern.db.keys import SCOPES, TOUCHED, Key, NewKey, hash_of, new_secret
from kern.errors import InvalidInputError
from kern.keywords import nearest
from kern.run.codec import check_id
from kern.run.identity import new_id
from kern.run.numbers import check_seconds


class Openable(ABC):
    """What opens a store for each event loop."""

    @abstractmethod
    async def store(self) -> Store:
        """Return the database, open for the running event loop."""


class KeyMethods(Openable):
    """The API keys in a database."""

    async def acreate_key(
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
        secret = new_secret()
        if isinstance(expires_in, timedelta):
            expires_in = expires_in.total_seconds()
        new = NewKey(
            new_id(),
            hash_of(secret),
            check_id("user_id", user_id),
            None if name is None else check_id("name", name),
            _checked_scopes(scopes),
            None if agents is None else _texts("agents", agents),
            None if expires_in is None else check_seconds("expires_in", expires_in),
        )
        return await (await self.store()).keys.create(new), secret

    async def alist_keys(self, user_id: str | None = None) -> list[Key]:
        """Return API keys, the last made first, also those that open nothing any more.

        Args:
            user_id: whose they are; by default everybody's.

        Raises:
            InvalidInputError: ``user_id`` cannot be an id.
            DatabaseError: they could not be read.
        """
        if user_id is not None:
            check_id("user_id", user_id)
        return [*await (await self.store()).keys.list(user_id)]

    async def arevoke_key(self, key_id: str) -> bool:
        """Have an API key open nothing from now on.

        Args:
            key_id: the key.

        Returns:
            Whether there is such a key that was not revoked.

        Raises:
            InvalidInputError: ``key_id`` cannot be an id.
            DatabaseError: it could not be stored.
        """
        return await (await self.store()).keys.revoke(check_id("key_id", key_id))

    async def afind_key(self, secret: str) -> Key | None:
        """Return the API key of a secret, and note, at most once a minute, that it is used.

        Args:
            secret: what its holder shows.

        Returns:
            The key; None where there is none, or it is revoked or expired.

        Raises:
            DatabaseError: it could not be looked for.
        """
        keys = (await self.store()).keys
        key, now = await keys.find(hash_of(secret)), datetime.now(UTC)
        if key is None or not key.opens_at(now):
            return None
        if key.last_used_at is None or now - key.last_used_at >= timedelta(seconds=TOUCHED):
            await keys.touch(key.key_id)
        return key


def _checked_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    found = _texts("scopes", scopes)
    for scope in found:
        if scope not in SCOPES:
            raise InvalidInputError(f"There is no scope {scope!r:.50}. {nearest(scope, SCOPES)}")
    return found


def _texts(name: str, values: Sequence[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidInputError(f"{name} must be a list, as in [{values!r:.50}].")
    found = tuple(dict.fromkeys(check_id(name, each) for each in values))
    if not found:
        raise InvalidInputError(f"{name}: there is nothing in it, so the key would open nothing.")
    return found
