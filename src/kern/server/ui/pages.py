"""All pages, and the files that they load."""

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import Scope
from typing_extensions import override

from kern.server.ui import (
    acting,
    approvals,
    overview,
    run,
    runs,
    schedules,
    sessions,
    signing,
    texts,
    workers,
)
from kern.server.ui.live import Renders
from kern.server.ui.paths import root_of
from kern.server.ui.route import go, pages_router
from kern.server.ui.viewing import Viewing

router = pages_router()


class _Static(StaticFiles):
    """The files that pages load; their addresses change with them."""

    @override
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def add_pages(app: FastAPI) -> None:
    """Have an application show itself in a browser, at ``/ui``.

    Args:
        app: the application, whose service is in its state.
    """
    app.state.kern_renders = Renders()
    app.mount("/ui/static", _Static(packages=[("kern.server.ui", "static")]))
    shown = (overview, runs, run, texts, acting, approvals, sessions, schedules, workers)
    for each in (signing, *shown):
        app.include_router(each.router)
    app.include_router(router)


@router.get("/{path:path}")
async def nothing(request: Request, viewer: Viewing, path: str) -> Response:
    """Say that there is no such page."""
    if not path:
        return go(root_of(request))
    raise HTTPException(404)
