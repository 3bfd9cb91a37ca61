"""Parts of a page that are sent anew when they change."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from fastapi import Request

from kern.errors import KernError
from kern.server.problems import problem_of
from kern.server.streaming import EventStream
from kern.server.ui.viewing import Viewer

Render = Callable[[], Awaitable[Mapping[str, str]]]
"""Renders the parts of a page: the HTML of each, by the id of its element."""

# After it the browser does not ask again, as it does where a stream breaks off.
_END = b"event: kern:end\ndata:\n\n"

_RELOAD = b"event: kern:reload\ndata:\n\n"

_LINE = re.compile(r"\r\n|\r|\n")


class Renders:
    """What the pages show that are open now: those who look at the same are shown one rendering."""

    def __init__(self) -> None:
        """Have none open."""
        self._shared: dict[object, _Shared] = {}

    async def parts(
        self, viewer: Viewer, render: Render, changes: AsyncIterator[object]
    ) -> AsyncIterator[Mapping[str, str]]:
        """Yield the parts of a page, at first and after each change.

        Args:
            viewer: who looks.
            render: renders them.
            changes: yields whenever they may have changed.
        """
        caller = viewer.caller
        key = viewer.here, caller.user_id, caller.scopes, caller.agents
        shared = self._shared.setdefault(key, _Shared())
        shared.viewers += 1
        try:
            yield await shared.rendered(viewer, render)
            async for _ in changes:
                yield await shared.rendered(viewer, render)
        finally:
            shared.viewers -= 1
            if not shared.viewers:
                del self._shared[key]
            if (close := getattr(changes, "aclose", None)) is not None:
                await close()


class _Shared:
    """The newest rendering of a page, and who look at it."""

    def __init__(self) -> None:
        self.viewers = 0
        self._lock = asyncio.Lock()
        self._began = float("-inf")
        self._csrf = ""
        self._parts: Mapping[str, str] = {}

    async def rendered(self, viewer: Viewer, render: Render) -> Mapping[str, str]:
        """Return a rendering that was begun after this was called."""
        clock = asyncio.get_running_loop().time
        asked = clock()
        async with self._lock:
            if self._began < asked:
                await asyncio.sleep(0)  # Others whose clocks have struck as well ask now, too.
                began = clock()
                self._parts = await render()
                self._began, self._csrf = began, viewer.csrf
            if self._csrf == viewer.csrf:
                return self._parts
            # Nobody can have written it into a text: it is a hash of a secret.
            return {
                name: html.replace(self._csrf, viewer.csrf) for name, html in self._parts.items()
            }


def live(
    request: Request, viewer: Viewer, render: Render, changes: AsyncIterator[object]
) -> EventStream:
    """Return the stream of a page's parts.

    The page, whose template says ``{% set live = true %}``, opens it some time after it is loaded.

    Args:
        request: the request for it.
        viewer: who looks; is asked again who that is before each part is sent.
        render: renders the parts: the HTML of each, with one element, by the id of that.
        changes: yields whenever they may have changed; ends where they will not any more.

    Raises:
        RequestError: the viewer's user has too many streams open (429).
    """
    service = viewer.service
    service.streams.check(viewer.caller.user_id)
    parts: Renders = request.app.state.kern_renders
    events = _events(viewer, parts.parts(viewer, render, changes))
    return EventStream(events, service.streams, user_id=viewer.caller.user_id)


async def every(seconds: float) -> AsyncIterator[None]:
    """Yield by the clock, at the same moments for all, and at most half of the time is spent.

    Args:
        seconds: how often.
    """
    clock = asyncio.get_running_loop().time
    took = 0.0
    while True:
        strike = (clock() + took) // seconds * seconds + seconds
        await asyncio.sleep(strike - clock())
        began = clock()
        yield
        took = clock() - began


async def _events(viewer: Viewer, found: AsyncIterator[Mapping[str, str]]) -> AsyncIterator[bytes]:
    sent: dict[str, str] = {}
    try:
        async for parts in found:
            await viewer.check()
            changed = {name: html for name, html in parts.items() if sent.get(name) != html}
            sent |= changed
            if changed:
                yield _event(changed)
        yield _END
    except KernError as error:
        if problem_of(error).status in (401, 403, 404):
            yield _RELOAD  # The page says why.
        # Else the browser asks again.
    finally:
        if (close := getattr(found, "aclose", None)) is not None:
            await close()


def _event(parts: Mapping[str, str]) -> bytes:
    partials = "\n".join(
        f'<hx-partial hx-target="#{name}" hx-swap="outerMorph">{html}</hx-partial>'
        for name, html in parts.items()
    )
    return "".join(f"data: {line}\n" for line in _LINE.split(partials)).encode() + b"\n"
