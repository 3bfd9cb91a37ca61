"""Who sends a request, and what that one may."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import msgspec
from fastapi import Depends, Request
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


EVERYBODY = Caller(scopes=frozenset(Scope))
"""The caller of a service without authentication."""


class Authenticator(ABC):
    """Says who sends a request."""

    @abstractmethod
    async def authenticate(self, request: Request) -> Caller:
        """Return who sends a request.

        Raises:
            RequestError: it does not say, or nobody knows who that is (401).
        """


class NoAuthentication(Authenticator):
    """Takes everybody; ``Authorization`` is ignored."""

    @override
    async def authenticate(self, request: Request) -> Caller:
        return EVERYBODY


async def caller_of(request: Request) -> Caller:
    """Return who sends a request; it is asked once a request."""
    from kern.server.service import service_of

    if not hasattr(request.state, "caller"):
        request.state.caller = await service_of(request).authenticator.authenticate(request)
    caller: Caller = request.state.caller
    return caller


def needs(scope: Scope) -> Callable[[Request], object]:
    """Return the dependency of a route that only callers with a scope may use."""

    async def check(request: Request) -> Caller:
        caller = await caller_of(request)
        if caller.may(scope):
            return caller
        raise RequestError(403, f"This needs the scope {scope}.", code="insufficient_scope")

    return check


RunsCaller = Annotated[Caller, Depends(needs(Scope.runs))]
ApprovingCaller = Annotated[Caller, Depends(needs(Scope.approve))]
