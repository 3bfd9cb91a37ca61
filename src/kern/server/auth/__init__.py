"""How callers are known: by API keys, by JSON Web Tokens, or not at all."""

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from kern.agent.agent import Agent
from kern.db.key_methods import KeyMethods
from kern.errors import ConfigurationError
from kern.extras import extra
from kern.server.caller import Authenticator, NoAuthentication

Auth: TypeAlias = Authenticator | Literal["none", "keys", "jwt"]
"""How callers are known, by name, or as an object."""


def authenticator_of(
    auth: Auth, agents: Sequence[Agent[Any, Any]], origins: Sequence[str]
) -> Authenticator:
    """Return what knows callers.

    Args:
        auth: how.
        agents: the agents, in whose database API keys are.
        origins: the origins whose pages may ask where callers are not known.

    Raises:
        ConfigurationError: there is no such way, or it is not set up.
    """
    if isinstance(auth, Authenticator):
        return auth
    if auth == "none":
        return NoAuthentication(origins=origins)
    if auth == "jwt":  # To import what reads them takes a while.
        with extra("server"):
            from kern.server.auth.jwt import JWTs
        return JWTs.from_environment()
    if auth == "keys":
        from kern.server.auth.keys import Keys

        return Keys(_database_of(agents))
    raise ConfigurationError(
        f"auth must be 'none', 'keys', 'jwt' or an Authenticator, not {auth!r:.80}."
    )


def _database_of(agents: Sequence[Agent[Any, Any]]) -> KeyMethods:
    found = {each.db for each in agents if isinstance(each.db, KeyMethods)}
    if len(found) != 1:
        raise ConfigurationError(
            "The agents have several databases. Say which one has the API keys: auth=Keys(db)."
        )
    return found.pop()
