"""Routes of pages: what all their answers have in common, and how they are refused."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from typing_extensions import override

from kern.server.problems import RequestError, refusal_of
from kern.server.ui.flash import flash, set_cookie
from kern.server.ui.paths import here_of, part_of, path_of, root_of
from kern.server.ui.rendering import page
from kern.server.ui.viewing import VISIT, Viewer

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    # With no-referrer browsers would not say either which origin a form is from.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# What is told where the form was, so that it can be sent again.
_BACK = (400, 409, 422, 429, 502, 503, 504)


class _Route(APIRoute):
    """A route whose errors are pages, too."""

    @override
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handling(request: Request) -> Response:
            given: dict[str, str] = request.path_params
            request.scope["path_params"] = {name: part_of(each) for name, each in given.items()}
            try:
                response = await handle(request)
            except Exception as error:  # Who looks is told on a page, too.
                response = _refused(request, refusal_of(request, error))
            for name, value in _HEADERS.items():
                response.headers[name] = value
            visit = getattr(request.state, "visit", None)
            if visit is not None:
                set_cookie(request, response, VISIT, visit)
            return response

        return handling


def pages_router() -> APIRouter:
    """Return a router for pages: its paths are below ``/ui``."""
    return APIRouter(prefix="/ui", route_class=_Route, include_in_schema=False)


def go(path: str) -> Response:
    """Return the answer that leads a browser to a page, by GET."""
    return RedirectResponse(path, 303)


def _refused(request: Request, error: RequestError) -> Response:
    if error.status == 401:
        return _sign_in(request)
    back = getattr(request.state, "back", None)
    if back is not None and error.status in _BACK:
        response = go(back)
        flash(request, response, error.detail, failed=True)
        return response
    viewer: Viewer | None = getattr(request.state, "viewer", None)
    response = page(request, viewer, "error.html", error.status, error=error)
    response.headers.update(error.headers)
    return response


def _sign_in(request: Request) -> Response:
    here = here_of(request) if request.method == "GET" else None
    path = path_of(root_of(request), "sign-in", next=here)
    if request.headers.get("hx-request") or request.url.path.endswith("/live"):
        # A script would take the page to sign in for the part that it has asked for.
        return Response(status_code=401, headers={"HX-Redirect": path})
    return go(path)
