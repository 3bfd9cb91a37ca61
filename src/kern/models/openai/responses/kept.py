"""Answers that the provider keeps: it goes on with them though the connection is lost.

Source: https://platform.openai.com/docs/guides/background
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from urllib.parse import quote

from kern.errors import ModelError
from kern.models.openai.responses.pieces import CREATED, ENDS, WANTED, handle_in
from kern.models.openai.service import OpenAIService
from kern.models.retries import Retries
from kern.models.values import Json, to_object

_WANTED = WANTED | {CREATED.encode()}
_WORKING = ("queued", "in_progress")

# How long an answer may be waited for altogether, in seconds: no provider works longer at one.
_LONGEST = 86400.0

# Between two looks at an answer that is not streamed, in seconds: longer each time.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0


def path_of(handle: str) -> str:
    """Return where the provider keeps an answer."""
    return f"/responses/{quote(handle, safe='')}"


class KeptAnswer:
    """An answer at the provider, to which this process comes back until it is complete."""

    def __init__(
        self,
        service: OpenAIService,
        handle: str | None,
        body: Mapping[str, bytes],
        retries: Retries,
    ) -> None:
        """Prepare.

        Args:
            service: where it is kept.
            handle: the answer that was asked for before, or None to ask for one. It is asked for
                anew where the provider has it no more, or where it came to no good end.
            body: what to ask, each parameter as JSON.
            retries: how often to come back with nothing reached between.
        """
        self._service = service
        self._handle = handle
        self._body = body
        self._retries = retries
        self._seen = -1
        self._is_streamed = True
        self._pause = _FIRST_PAUSE

    async def events(self) -> AsyncGenerator[Json, None]:
        """Yield the events of the answer, to the one that holds the whole of it.

        Raises:
            ModelError: the provider refused, or could not be reached again. It is transient where
                the answer is gone by now.
        """
        if self._handle is not None:
            found = await self._look_back(self._handle)
            if found.get("status") == "completed":
                yield _end(found)
                return
            if found.get("status") not in _WORKING:
                self._handle = None
        is_whole, began = False, time.monotonic()
        while not is_whole:
            if time.monotonic() - began > _LONGEST:
                raise ModelError(
                    f"The provider has not completed the answer {self._handle} within "
                    f"{_LONGEST:g} s.",
                    kind="timeout",
                )
            before = self._seen
            try:
                async with aclosing(self._follow()) as events:
                    async for event in events:
                        is_whole = is_whole or event.get("type") in ENDS
                        yield event
                if self._handle is None:
                    return
                # A stream that brought nothing is not opened again.
                self._is_streamed = self._seen > before
            except ModelError as error:
                if not is_whole:
                    await self._bear(error, self._seen > before)

    def _follow(self) -> AsyncGenerator[Json, None]:
        return self._streamed() if self._is_streamed else self._polled()

    async def _streamed(self) -> AsyncGenerator[Json, None]:
        if self._handle is None:
            body = {**self._body, "background": b"true", "stream": b"true"}
            events = self._service.events("/responses", to_object(body), _WANTED)
        else:
            after = f"&starting_after={self._seen}" if self._seen >= 0 else ""
            path = f"{path_of(self._handle)}?stream=true{after}"
            events = self._service.events(path, None, _WANTED)
        async with aclosing(events):
            async for event in events:
                if self._handle is None and event.get("type") == CREATED:
                    self._handle = handle_in(event)
                if isinstance(number := event.get("sequence_number"), int):
                    self._seen = number
                    self._retries.reset()
                yield event

    async def _polled(self) -> AsyncGenerator[Json, None]:
        assert self._handle is not None, "what has no handle cannot be looked at"
        found = await self._look(self._handle)
        if found.get("status") not in _WORKING:
            yield _end(found)
            return
        self._retries.reset()
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _look(self, handle: str) -> Json:
        found = await self._service.get(path_of(handle))
        return found if isinstance(found, dict) else {}

    async def _look_back(self, handle: str) -> Json:
        """Return an answer as it stands; an empty one where the provider has it no more."""
        while True:
            try:
                return await self._look(handle)
            except ModelError as error:
                if error.status_code in (400, 404):  # It is gone, or another server has it.
                    return {}
                await self._retries.wait(error)

    async def _bear(self, error: ModelError, has_advanced: bool) -> None:
        """Be ready to come back after an error, or raise it."""
        if self._handle is None:
            raise error
        if error.status_code == 404:
            # What has been handed out of it is void, so the caller has to begin anew.
            error.transient = True
            raise error
        if error.transient:
            await self._retries.wait(error)
            self._is_streamed = self._is_streamed and has_advanced
        elif self._is_streamed:
            self._is_streamed = False  # Not to be streamed, it can still be looked at.
        else:
            raise error


def _end(response: Json) -> Json:
    return {"type": ENDS[0], "response": response}
