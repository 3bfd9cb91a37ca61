"""Callers known by an API key, which ``kern keys create`` makes."""

import time
from collections import OrderedDict
from datetime import UTC, datetime

from fastapi import Request
from typing_extensions import override

from kern.db.key_methods import KeyMethods
from kern.db.keys import Key, hash_of
from kern.errors import ConfigurationError
from kern.run.numbers import check_seconds
from kern.server.auth.bearer import bearer, unauthorized
from kern.server.caller import Authenticator, Caller, scopes_of

# How many keys are kept at most.
_KEPT = 10_000


class Keys(Authenticator):
    """Knows callers by their API keys.

    A key is looked up by the hash of its secret, so that the time that takes says nothing about
    the secrets that there are. Keys that open something are kept for a few seconds: for that long
    a process takes one that was revoked.
    """

    def __init__(self, db: KeyMethods, *, kept: float = 5.0) -> None:
        """Know callers by the keys in a database.

        Args:
            db: where the keys are.
            kept: seconds for which a key is not looked up again.

        Raises:
            ConfigurationError: ``kept`` is no number of seconds.
        """
        self._db = db
        self._kept = check_seconds("kept", kept, ConfigurationError, from_zero=True)
        self._found: OrderedDict[str, tuple[Key, float]] = OrderedDict()

    @override
    async def authenticate(self, request: Request) -> Caller:
        key = await self._find(bearer(request))
        if key is None:
            raise unauthorized(
                "There is no such API key, or it was revoked, or has expired.", "invalid_api_key"
            )
        agents = None if key.agents is None else frozenset(key.agents)
        return Caller(key.user_id, scopes_of(key.scopes), agents)

    async def _find(self, secret: str) -> Key | None:
        """Return the key of a secret, if it opens anything now."""
        hash = hash_of(secret)
        key, until = self._found.get(hash, (None, 0.0))
        if key is None or time.monotonic() > until or not key.opens_at(datetime.now(UTC)):
            self._found.pop(hash, None)
            key = await self._db.afind_key(secret)
            if key is not None:
                self._found[hash] = key, time.monotonic() + self._kept
                if len(self._found) > _KEPT:
                    self._found.popitem(last=False)
        return key
