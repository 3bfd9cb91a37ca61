"""Callers known by a JSON Web Token, signed with a shared secret or by an identity provider."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from fastapi import Request
from typing_extensions import override

from kern.errors import ConfigurationError, InvalidInputError
from kern.run.codec import check_id
from kern.server.auth.bearer import bearer, unauthorized
from kern.server.caller import Authenticator, Caller, Scope, is_local, scopes_of
from kern.server.problems import RequestError

logger = logging.getLogger("kern.server")

# HMAC with SHA-256 needs a secret of as many bytes as it has.
_SHORTEST = 32

# How far the clocks of who issues tokens and of this machine may be apart, in seconds.
_LEEWAY = 10

# Seconds after which the provider's keys are fetched again; for which the last ones are relied on
# where that fails; and between two fetches, also where a token names a key that nobody knows.
_FRESH, _LONGEST, _PAUSE = 300.0, 3600.0, 10.0

_TIMEOUT = 5.0


class JWTs(Authenticator):
    """Knows callers by JSON Web Tokens.

    The claim ``sub`` is the user; ``scope`` (words, or a list) holds the scopes, without it there
    is ``runs``; ``agents`` (words, or a list) the ids of the agents that may be used, without it
    all. ``exp`` is required. Other algorithms than the one that is set up are refused.
    """

    def __init__(
        self,
        *,
        secret: str | None = None,
        jwks_url: str | None = None,
        audience: str | None = None,
        issuer: str | None = None,
    ) -> None:
        """Know callers by tokens.

        Args:
            secret: what tokens are signed with (HS256): at least 32 bytes.
            jwks_url: where the provider has its public keys (RS256).
            audience: whom tokens must be for; needed with ``jwks_url``, as a provider issues
                tokens for other services, too.
            issuer: who must have issued them.

        Raises:
            ConfigurationError: that is not enough to tell a good token from a bad one.
        """
        if (secret is None) == (jwks_url is None):
            raise ConfigurationError(
                "JSON Web Tokens need either a secret (KERN_JWT_SECRET) or the URL of the "
                "provider's keys (KERN_JWT_JWKS_URL)."
            )
        if secret is not None and len(secret.encode()) < _SHORTEST:
            raise ConfigurationError(
                f"The secret of JSON Web Tokens must have at least {_SHORTEST} bytes. "
                "Make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if jwks_url is not None and audience is None:
            raise ConfigurationError(
                "Say for whom tokens must be (audience, or KERN_JWT_AUDIENCE): the provider "
                "issues tokens for other services, too."
            )
        self._secret = secret
        self._provider = None if jwks_url is None else _Provider(jwks_url)
        self._audience = audience
        self._issuer = issuer

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "JWTs":
        """Return what the environment says.

        ``KERN_JWT_SECRET`` or ``KERN_JWT_JWKS_URL``, ``KERN_JWT_AUDIENCE`` and
        ``KERN_JWT_ISSUER`` are the arguments of the same names.

        Args:
            environment: where the variables are.

        Raises:
            ConfigurationError: they are not enough to tell a good token from a bad one.
        """
        return cls(
            secret=environment.get("KERN_JWT_SECRET") or None,
            jwks_url=environment.get("KERN_JWT_JWKS_URL") or None,
            audience=environment.get("KERN_JWT_AUDIENCE") or None,
            issuer=environment.get("KERN_JWT_ISSUER") or None,
        )

    @override
    async def authenticate(self, request: Request) -> Caller:
        token = bearer(request)
        try:
            claims = jwt.decode(
                token,
                await self._key_of(token),
                algorithms=["RS256" if self._secret is None else "HS256"],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY,
                options={"require": self._required},
            )
            return _caller_of(claims)
        except (jwt.PyJWTError, InvalidInputError) as error:
            raise unauthorized(f"The token is refused: {error}", "invalid_token") from error

    async def _key_of(self, token: str) -> Any:
        """Return what a token must be signed with."""
        if self._provider is None:
            return self._secret
        return await self._provider.key(jwt.get_unverified_header(token).get("kid"))

    @property
    def _required(self) -> list[str]:
        named = {"aud": self._audience, "iss": self._issuer}
        return ["exp", "sub", *(claim for claim, value in named.items() if value is not None)]


class _Provider:
    """The public keys of an identity provider, as it had them lately."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not is_local(parts.hostname or ""):
            raise ConfigurationError(
                "The keys of JSON Web Tokens must come over https: who can change them on their "
                "way can sign tokens."
            )
        self._client = jwt.PyJWKClient(url, cache_jwk_set=False, timeout=_TIMEOUT)
        self._keys: dict[object, Any] = {}
        self._fetched = self._tried = -_LONGEST
        self._fetching = asyncio.Lock()

    async def key(self, kid: object) -> Any:
        """Return the key of an id.

        Raises:
            RequestError: the provider does not answer, and has not for long (503).
            jwt.InvalidKeyError: it has no such key, or none is named.
        """
        if not isinstance(kid, str):
            raise jwt.InvalidKeyError("It does not name the key that it is signed with.")
        if kid not in self._keys or time.monotonic() - self._fetched > _FRESH:
            async with self._fetching:
                if time.monotonic() - self._tried > _PAUSE:
                    await self._fetch()
        if time.monotonic() - self._fetched > _LONGEST:
            raise RequestError(
                503,
                "The identity provider does not answer, so nobody can be known. Try again.",
                code="unavailable",
                headers={"Retry-After": "5"},
            )
        if kid not in self._keys:
            raise jwt.InvalidKeyError("The provider has no key of the name that it says.")
        return self._keys[kid]

    async def _fetch(self) -> None:
        """Fetch the keys, in a thread; where that fails the last ones stay."""
        try:
            keys = await asyncio.to_thread(self._client.get_signing_keys)
        except (jwt.PyJWTError, OSError, ValueError) as error:
            logger.warning("The identity provider's keys cannot be fetched: %s", error)
        else:
            self._keys = {each.key_id: each.key for each in keys}
            self._fetched = time.monotonic()
        self._tried = time.monotonic()


def _caller_of(claims: Mapping[str, object]) -> Caller:
    """Return whom claims name."""
    scopes, agents = _words(claims, "scope"), _words(claims, "agents")
    return Caller(
        check_id("sub", claims["sub"]),
        frozenset({Scope.runs}) if scopes is None else scopes_of(scopes),
        None if agents is None else frozenset(agents),
    )


def _words(claims: Mapping[str, object], name: str) -> list[str] | None:
    """Return the words of a claim, or None where it is not there."""
    claim = claims.get(name)
    if claim is None:
        return None
    if isinstance(claim, str):
        return claim.split()
    if isinstance(claim, list) and all(isinstance(each, str) for each in claim):
        return claim
    raise jwt.InvalidTokenError(f"the claim {name} must be words, or a list of them")
