"""Who sends a request, and what that one may."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

import msgspec
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from typing_extensions import override

from kern.server.problems import RequestError


class Scope(StrEnum):
    """What a caller may do.

    Attributes:
        runs: submit runs, and see and steer its own.
        approve: answer what runs wait for.
        read_all: see those of all users.
        admin: everything.
        metrics: read ``/metrics``.

    Example:
        >>> Scope("read:all") is Scope.read_all
        True
    """

    runs = "runs"
    approve = "approve"
    read_all = "read:all"
    admin = "admin"
    metrics = "metrics"


class Caller(msgspec.Struct, frozen=True):
    """Who sends a request.

    Attributes:
        user_id: on whose behalf; None for nobody's, who sees everything: trusted code.
        scopes: what it may do.
        agents: the ids of the agents that it may see; None for all.

    Example:
        >>> ada = Caller("ada", frozenset({Scope.runs}), agents=frozenset({"poet"}))
        >>> ada.may(Scope.approve), ada.sees("poet"), ada.reads
        (False, True, 'ada')
    """

    user_id: str | None = None
    scopes: frozenset[Scope] = frozenset({Scope.runs})
    agents: frozenset[str] | None = None

    def may(self, scope: Scope) -> bool:
        """Say whether it has a scope."""
        return scope in self.scopes or Scope.admin in self.scopes

    def sees(self, agent_id: str) -> bool:
        """Say whether it may use an agent; one that it may not is not found."""
        return self.agents is None or agent_id in self.agents

    @property
    def reads(self) -> str | None:
        """The user whose runs, sessions and approvals it sees; None for those of all."""
        return None if self.may(Scope.read_all) else self.user_id


def scopes_of(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes that have these names; others are nobody's here."""
    known = {each.value: each for each in Scope}
    return frozenset(known[name] for name in names if name in known)


EVERYBODY = Caller(scopes=frozenset(Scope))
"""The caller of a service without authentication."""


class Authenticator(ABC):
    """Says who sends a request.

    Example:
        >>> class Proxy(Authenticator):  # for a proxy in front that has signed people in
        ...     async def authenticate(self, request: Request) -> Caller:
        ...         if user := request.headers.get("x-user"):
        ...             return Caller(user)
        ...         raise RequestError(401, "Sign in first.", code="not_signed_in")
    """

    @abstractmethod
    async def authenticate(self, request: Request) -> Caller:
        """Return who sends a request.

        Raises:
            RequestError: it does not say, or nobody knows who that is (401).
        """


class NoAuthentication(Authenticator):
    """Takes everybody on this machine, or everybody; ``Authorization`` is ignored.

    A browser on this machine may be shown pages of strangers, so what a page of another origin
    asks for is refused, and so is what comes by a name that is not this machine's own.
    """

    def __init__(self, *, anywhere: bool = False, origins: Collection[str] = ()) -> None:
        """Take everybody.

        Args:
            anywhere: whether those on other machines are taken, too.
            origins: the origins whose pages may ask; ``"*"`` is any.
        """
        self._anywhere = anywhere
        self._origins = origins

    @override
    async def authenticate(self, request: Request) -> Caller:
        host = request.headers.get("host", "")
        client = request.client  # None at a socket in the file system.
        if not self._anywhere and not (
            is_local(_name_of(host)) and (client is None or is_local(client.host))
        ):
            raise RequestError(
                403,
                "This server knows no callers, so it serves only those on its own machine, by the "
                "name localhost or an address. Set up authentication (auth='keys' or 'jwt').",
                code="not_local",
            )
        origin = request.headers.get("origin")
        if origin is None or {origin, "*"} & {*self._origins} or origin.partition("://")[2] == host:
            return EVERYBODY
        raise RequestError(
            403, f"Pages of {origin!r:.100} may not ask this server.", code="origin_refused"
        )


def _name_of(host: str) -> str:
    """Return the name in a ``Host`` header, which may be any text."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    return name.removeprefix("[").removesuffix("]")


def is_local(name: str) -> bool:
    """Say whether a name or an address is this machine's own."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name.lower() == "localhost"


async def caller_of(request: Request) -> Caller:
    """Return who sends a request; it is asked once a request."""
    if not hasattr(request.state, "caller"):
        request.state.caller = await request.app.state.kern.caller(request)
    caller: Caller = request.state.caller
    return caller


# Says in the OpenAPI document what a request is to show; it is looked at above.
_SHOWN = HTTPBearer(auto_error=False, description="An API key, or a JSON Web Token.")


def needs(scope: Scope, *others: Scope) -> Callable[..., object]:
    """Return the dependency of a route that only callers with a scope may use, or one of several.

    Args:
        scope: the scope that a caller who has none of them is told.
        others: those that will do as well.
    """

    async def check(request: Request, _: Annotated[object, Depends(_SHOWN)]) -> Caller:
        caller = await caller_of(request)
        if any(map(caller.may, (scope, *others))):
            return caller
        raise RequestError(403, f"This needs the scope {scope}.", code="insufficient_scope")

    return check


RunsCaller = Annotated[Caller, Depends(needs(Scope.runs))]
ApprovingCaller = Annotated[Caller, Depends(needs(Scope.approve))]
