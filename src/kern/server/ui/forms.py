"""Forms: what a browser sends to have something done, and where it goes from there."""

from secrets import compare_digest
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Response
from starlette.datastructures import FormData

from kern.server.problems import RequestError
from kern.server.ui.flash import flash
from kern.server.ui.paths import page_path
from kern.server.ui.route import go
from kern.server.ui.viewing import Viewer, csrf_of, viewer_of

# A form has a few fields; what is large is sent to the API.
_FIELDS = 200


class Actor(Viewer):
    """Who has sent a form of one of the pages.

    Attributes:
        form: its fields.
    """

    form: FormData

    def text(self, name: str) -> str:
        """Return what was written into a field; nothing where it is not there."""
        value = self.form.get(name, "")
        return value.replace("\r\n", "\n") if isinstance(value, str) else ""


async def acting(request: Request) -> Actor:
    """Return who has sent a form; the dependency of every route that changes something.

    What goes wrong from now on is told on the page that the form was on.

    Raises:
        RequestError: nobody knows who that is (401), or it was no form of that one's pages (403).
    """
    form = await form_of(request)
    viewer = await viewer_of(request)
    actor = Actor(request, viewer.caller)
    actor.form = form
    actor.here = request.state.back = page_path(request, form.get("back"))
    request.state.viewer = actor
    return actor


Acting = Annotated[Actor, Depends(acting)]
"""Who has sent a form of a page."""


async def form_of(request: Request) -> FormData:
    """Return the fields of a form, which one of this browser's own pages had.

    Raises:
        RequestError: it comes from elsewhere, or its page is an old one (403).
    """
    if not _is_of_a_page(request):
        raise RequestError(403, "This was sent by another site's page.", code="origin_refused")
    form = await request.form(max_files=0, max_fields=_FIELDS)
    token = form.get("csrf", request.headers.get("x-csrf", ""))
    if not isinstance(token, str) or not compare_digest(token.encode(), csrf_of(request).encode()):
        raise RequestError(
            403, "The page was too old to send this. Open it again, and repeat.", code="csrf"
        )
    return form


def done(actor: Actor, text: str, *, path: str | None = None) -> Response:
    """Return the answer to a form: the page that it was on, which says what was done.

    Args:
        actor: who has sent it.
        text: what was done.
        path: another page to go to, such as ``actor.url("runs", run_id)``.
    """
    response = go(path or actor.here)
    flash(actor.request, response, text)
    return response


def _is_of_a_page(request: Request) -> bool:
    """Say whether a request is one of this site's own pages, as far as the browser tells."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
