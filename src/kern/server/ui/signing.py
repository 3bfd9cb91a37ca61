"""To sign in with an API key or a JSON Web Token, and out again."""

from typing import Annotated

from fastapi import Query, Request, Response

from kern.server.problems import RequestError
from kern.server.service import service_of
from kern.server.ui.flash import set_cookie
from kern.server.ui.forms import form_of
from kern.server.ui.paths import page_path, path_of, root_of
from kern.server.ui.rendering import page
from kern.server.ui.route import go, pages_router
from kern.server.ui.viewing import TOKEN, csrf_of, showing, viewer_of

router = pages_router()

# Browsers drop cookies that are larger than 4 kB.
_MOST = 3800


@router.get("/sign-in")
async def sign_in_page(request: Request, next: Annotated[str, Query()] = "") -> Response:
    """Ask for a key; who is known already goes on."""
    try:
        await viewer_of(request)
    except RequestError as error:
        if error.status not in (401, 403):
            raise
        return _page(request, next)
    return go(page_path(request, next))


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Keep a key in the browser if it opens anything."""
    form = await form_of(request)
    token, following = form.get("token"), form.get("next", "")
    token = token.strip() if isinstance(token, str) else ""
    try:
        if len(token) > _MOST:
            raise RequestError(
                401,
                f"The token has more characters than browsers keep ({_MOST:,}): sign in with one "
                "of fewer claims, or with an API key.",
                code="invalid_token",
            )
        if not token.isascii() or not token.isprintable():
            raise RequestError(401, "This can be no key or token.", code="invalid_api_key")
        await service_of(request).known(showing(request, token))
    except RequestError as error:
        return _page(request, following, error)
    response = go(page_path(request, following))
    set_cookie(request, response, TOKEN, token)
    return response


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """Forget the key in the browser."""
    await form_of(request)
    response = go(path_of(root_of(request), "sign-in"))
    set_cookie(request, response, TOKEN, "", age=0)
    return response


def _page(request: Request, following: object, error: RequestError | None = None) -> Response:
    response = page(
        request,
        None,
        "sign_in.html",
        200 if error is None else error.status,
        next=page_path(request, following),
        csrf=csrf_of(request),
        error=error,
    )
    if error is not None:
        response.headers.update(error.headers)
    return response
