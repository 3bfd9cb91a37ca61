"""Who looks at a page, and what that one reaches."""

from hashlib import sha256
from secrets import token_urlsafe
from typing import Annotated, Protocol

from fastapi import Depends, Request
from starlette.datastructures import Headers, MutableHeaders

from kern.run.ownership import may_see
from kern.server.caller import Caller, Scope
from kern.server.problems import RequestError
from kern.server.runs.reach import Reach
from kern.server.service import Service, service_of
from kern.server.ui.paths import here_of, path_of, root_of

TOKEN = "kern_token"
"""The cookie with the API key or JSON Web Token of who has signed in."""

VISIT = "kern_visit"
"""The cookie that tells one browser from others where nobody has to sign in."""

_LOOKING = (Scope.runs, Scope.approve, Scope.read_all)


class Owned(Protocol):
    """What belongs to a user: a run, a session, a schedule, an approval."""

    @property
    def user_id(self) -> str | None:
        """The user to whom it belongs; None for nobody."""
        ...


class Viewer:
    """Who looks at a page.

    Attributes:
        request: what was asked for.
        service: the agents that are served, and the event streams.
        caller: who looks, as the API knows it.
        reach: what that one reaches.
        csrf: what a form has to hold to be taken for one of this viewer's pages.
        root: the path of the page, such as ``/ui``.
        here: the path and query of the page that is shown, also where a part of it is asked for.
        is_signed_in: whether there is something to sign out of.
    """

    def __init__(self, request: Request, caller: Caller) -> None:
        """Look as a caller.

        Args:
            request: what is asked for.
            caller: who asks.
        """
        self.request = request
        self.service: Service = service_of(request)
        self.caller = caller
        self.reach = Reach(caller, self.service.visible(caller))
        self.csrf = csrf_of(request)
        self.root = root_of(request)
        self.here = here_of(request)
        self.is_signed_in = TOKEN in request.cookies

    @property
    def live(self) -> str:
        """The path and query of the stream of the page's parts."""
        path, _, query = self.here.partition("?")
        return f"{path}/live?{query}" if query else f"{path}/live"

    def url(self, *parts: str, **query: object) -> str:
        """Return the path of a page.

        Args:
            *parts: the parts of the path below the root, such as ``"runs", run_id``.
            **query: the query; what is None or empty is left out.
        """
        return path_of(self.root, *parts, **query)

    def is_team(self, agent_id: str) -> bool:
        """Say whether an agent leads a team, as far as that is known here."""
        agent = self.reach.agents.get(agent_id)
        return agent is not None and agent.is_team

    def may_steer(self, owned: Owned) -> bool:
        """Say whether this one may stop, retry and fork a run, or change what else is owned."""
        return self.caller.may(Scope.runs) and may_see(self.reach.steers, owned.user_id)

    def may_approve(self, owned: Owned) -> bool:
        """Say whether this one may answer what a run waits for."""
        return self.caller.may(Scope.approve) and may_see(self.reach.reads, owned.user_id)

    async def check(self) -> None:
        """Check that this one may still look: a key may be revoked while a page is open.

        Raises:
            RequestError: it may not, or may something else now (401).
        """
        if await self.service.known(_shown(self.request)) != self.caller:
            raise RequestError(401, "The key has changed. Sign in again.", code="invalid_api_key")
        self.reach = Reach(self.caller, self.service.visible(self.caller))


async def viewer_of(request: Request) -> Viewer:
    """Return who looks.

    Raises:
        RequestError: nobody knows who that is (401), that one may see nothing of this (403), or
            has asked too often (429); or the address holds what no id or text has (400).
    """
    if any("\0" in each for each in (request.url.path, *request.query_params.values())):
        raise RequestError(400, "There is a NUL in the address.", code="invalid_request")
    caller = await service_of(request).caller(_shown(request))
    if not any(map(caller.may, _LOOKING)):
        raise RequestError(
            403, f"The page needs the scope {Scope.runs}.", code="insufficient_scope"
        )
    return Viewer(request, caller)


async def viewing(request: Request) -> Viewer:
    """Return who looks; the dependency of every page."""
    viewer = request.state.viewer = await viewer_of(request)
    return viewer


Viewing = Annotated[Viewer, Depends(viewing)]
"""Who looks at a page. Nobody who is not known gets further than to the page to sign in."""


def csrf_of(request: Request) -> str:
    """Return what the forms of a browser's pages hold; other sites cannot know it."""
    secret = request.cookies.get(TOKEN) or visit_of(request)
    return sha256(b"kern csrf " + secret.encode()).hexdigest()


def visit_of(request: Request) -> str:
    """Return what tells a browser from others; the answer to its first request sets it."""
    visit: str | None = request.cookies.get(VISIT) or getattr(request.state, "visit", None)
    if visit is None:
        visit = request.state.visit = token_urlsafe(32)
    return visit


def _shown(request: Request) -> Request:
    """Return a request in which what the browser keeps is shown as API clients show theirs."""
    token = request.cookies.get(TOKEN)
    return request if token is None else showing(request, token)


def showing(request: Request, token: str) -> Request:
    """Return a request that shows a key or token, whatever else it showed."""
    headers = MutableHeaders(Headers(scope=request.scope))
    headers["authorization"] = f"Bearer {token}"
    return Request({**request.scope, "headers": headers.raw}, request.receive)
