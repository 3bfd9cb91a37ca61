"""What the server saw, and how to wait for it."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One request as the server saw it. Times are those of ``time.monotonic()``, in seconds.

    Attributes:
        method: the HTTP method.
        path: the path, without the query.
        query: the query's parameters.
        headers: by lower-case name, ``authorization`` among them; left out of the repr.
        body: the parsed JSON body; empty where there is none.
        arrived: when the request was complete.
        started: when the first byte of the reply was sent.
        finished: when the server had done all that the reply says.
        sent: when the last piece of the reply was handed over; who reads it may act on it before
            the server has finished.
        disconnected: when the client closed the connection with the reply not complete.
        response_id: the id of the response that answers it.

    Example:
        >>> from kern.agent import Agent
        >>> from kern.models.openai import OpenAIResponses
        >>> from kern.testing import ProtocolServer, Reply
        >>> with ProtocolServer([Reply.text("Paris.")]) as server:
        ...     model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
        ...     _ = Agent("Guide", model).run("What is the capital of France?")
        ...     print(server.requests[0].path, server.requests[0].body["model"])
        /v1/responses any
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    arrived: float
    body: Mapping[str, Any] = field(default_factory=dict)
    started: float | None = None
    finished: float | None = None
    sent: float | None = None
    disconnected: float | None = None
    response_id: str | None = None


class Watch:
    """Lets any thread and any loop wait for a condition, with no polling.

    Code that changes what a condition reads calls :meth:`changed` after it.
    """

    def __init__(self, describe: Callable[[], str]) -> None:
        """Begin with nobody waiting.

        Args:
            describe: says for a timeout what there is.
        """
        self._describe = describe
        self._lock = threading.Lock()
        self._waiting: list[tuple[Callable[[], bool], Future[None]]] = []

    def changed(self) -> None:
        """Wake those whose condition holds now."""
        if not self._waiting:
            return
        with self._lock:
            self._waiting = [one for one in self._waiting if not _settle(*one)]

    async def wait(self, condition: Callable[[], bool], timeout: float) -> None:
        """Wait until the condition holds.

        Args:
            condition: is called on the thread that changes something; must be quick.
            timeout: seconds.

        Raises:
            TimeoutError: it did not hold in time.
            Exception: what the condition raised.
        """
        future = asyncio.wrap_future(self._join(condition))
        try:
            done, _ = await asyncio.wait([future], timeout=timeout)
        finally:
            future.cancel()  # Without effect once it is done.
        if not done:
            raise self._timeout(timeout)
        future.result()

    def wait_sync(self, condition: Callable[[], bool], timeout: float) -> None:
        """Do what :meth:`wait` does, blocking the calling thread."""
        future = self._join(condition)
        try:
            done, _ = concurrent.futures.wait([future], timeout)
        finally:
            future.cancel()
        if not done:
            raise self._timeout(timeout)
        future.result()

    def _join(self, condition: Callable[[], bool]) -> Future[None]:
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((condition, future))
        self.changed()
        return future

    def _timeout(self, seconds: float) -> TimeoutError:
        return TimeoutError(f"Waited {seconds} s; there were {self._describe()}.")


def _settle(condition: Callable[[], bool], future: Future[None]) -> bool:
    """Tell whether nobody needs to wait for this condition any more."""
    try:
        if not (future.cancelled() or condition()):
            return False
    except Exception as error:
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
        return True
    if not future.cancelled() and future.set_running_or_notify_cancel():
        future.set_result(None)
    return True
