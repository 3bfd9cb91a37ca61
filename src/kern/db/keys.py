"""What kern needs of a database for API keys: who holds one, and what it opens.

A key's secret is nowhere at rest: only its SHA-256, by which it is found. The secret has 256 random
bits, so nobody guesses it from that, and no slow hash is needed.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

import msgspec

from kern.run.codec import encode, parse

PREFIX = "kern_sk_"
"""How every secret begins, so that one that is found somewhere is known for what it is."""

SCOPES = ("runs", "approve", "read:all", "admin", "metrics")
"""What a key can allow its holder to do."""

TOUCHED = 60.0
"""The seconds in which the use of a key is noted at most once."""


class NewKey(NamedTuple):
    """A key about to be made.

    Attributes:
        key_id: its identity, by which it is revoked.
        hash: that of its secret; see :func:`hash_of`.
        user_id: on whose behalf its holder acts.
        name: what it is for, or None.
        scopes: what it allows.
        agents: the ids of the agents that it opens; None for all.
        expires_in: after how many seconds it opens nothing any more; None for never.
    """

    key_id: str
    hash: str
    user_id: str
    name: str | None = None
    scopes: tuple[str, ...] = ("runs",)
    agents: tuple[str, ...] | None = None
    expires_in: float | None = None


class Key(NamedTuple):
    """A key, without its secret.

    Attributes:
        key_id: its identity.
        user_id: on whose behalf its holder acts.
        name: what it is for, or None.
        scopes: what it allows.
        agents: the ids of the agents that it opens; None for all.
        created_at: when it was made.
        expires_at: from when on it opens nothing any more; None for never.
        revoked_at: when it was revoked, or None.
        last_used_at: when it was used last, to a minute; None for never.
    """

    key_id: str
    user_id: str
    name: str | None
    scopes: tuple[str, ...]
    agents: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def opens_at(self, now: datetime) -> bool:
        """Say whether it is neither revoked nor expired at a moment, with a time zone."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys(ABC):
    """The keys in an open database.

    Every method raises :class:`~kern.errors.DatabaseUnavailableError` where the database cannot
    be reached.
    """

    @abstractmethod
    async def create(self, key: NewKey) -> Key:
        """Keep a new key."""

    @abstractmethod
    async def find(self, hash: str) -> Key | None:
        """Return the key whose secret has this hash, also where it opens nothing any more."""

    @abstractmethod
    async def list(self, user_id: str | None = None) -> Sequence[Key]:
        """Return keys, the last made first.

        Args:
            user_id: whose they are; None for everybody's.
        """

    @abstractmethod
    async def revoke(self, key_id: str) -> bool:
        """Have a key open nothing from now on; say whether there is one that was not."""

    @abstractmethod
    async def touch(self, key_id: str) -> None:
        """Note that a key is used, unless that was noted within the last minute."""


def new_secret() -> str:
    """Return a secret that nobody can guess."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """Return that by which the key of a secret is found, in hexadecimal digits."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def to_text(values: tuple[str, ...] | None) -> str | None:
    """Return scopes, or agents, as they are stored."""
    return None if values is None else encode(values, "a key")


def of_text(text: str | None) -> tuple[str, ...] | None:
    """Return scopes, or agents, that are stored as this text."""
    return None if text is None else msgspec.convert(parse(text), tuple[str, ...])
