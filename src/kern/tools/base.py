"""The port of tools: what a model can have called, and where what a call raises is caught."""

import asyncio
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import InitVar, dataclass
from typing import Literal, TypeAlias

from kern.aio.tasks import see_out
from kern.errors import (
    ConfigurationError,
    InvalidInputError,
    ThreadLimitError,
    ToolsetError,
    described,
)
from kern.media import Audio, File, Image, Video, max_media_size
from kern.run.base import RunContext, RunInfo
from kern.run.content import Content, TextPart, is_content
from kern.run.numbers import check_seconds
from kern.run.tool import ToolSchema

logger = logging.getLogger("kern")

Interrupt: TypeAlias = Literal["retry", "fail", "pause"]

# How long a call that is stopped from outside is waited for, in seconds.
_GRACE = 1.0

# What every provider accepts.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call of a tool came to.

    Attributes:
        content: what the model is told: a text, or parts, such as an image.
        data: the same as a JSON value for programs, or None.
        is_error: whether the call failed.
        images: only when it is made: images that are added to the content, as with the next three.
        videos: videos.
        audios: recordings.
        files: documents.

    Raises:
        InvalidInputError: the content is neither a text nor a tuple of parts; or media cannot be
            read, is too large or of no known type.

    Example:
        >>> chart = Image(url="https://example.com/chart.png")
        >>> len(ToolResult("A chart:", images=[chart]).content)
        2
    """

    content: Content = ""
    data: object | None = None
    is_error: bool = False
    images: InitVar[Sequence[Image]] = ()
    videos: InitVar[Sequence[Video]] = ()
    audios: InitVar[Sequence[Audio]] = ()
    files: InitVar[Sequence[File]] = ()

    def __post_init__(
        self,
        images: Sequence[Image],
        videos: Sequence[Video],
        audios: Sequence[Audio],
        files: Sequence[File],
    ) -> None:
        if not is_content(self.content):
            raise InvalidInputError(
                "The content of a ToolResult must be a text or a tuple of parts, not "
                f"{type(self.content).__name__}; values go into data."
            )
        if media := [*images, *videos, *audios, *files]:
            said = self.content
            parts = ((TextPart(said),) if said else ()) if isinstance(said, str) else said
            limit = max_media_size()
            content = (*parts, *(each.to_part(limit) for each in media))
            object.__setattr__(self, "content", content)


class Tool(ABC):
    """What a model can have called. A subclass says in :meth:`execute` what a call does.

    Attributes:
        name: what the model calls.
        schema: what the model is told.
        on_interrupt: what becomes of a call that was under way when its process was lost.
        timeout: seconds that a call may take, or None for any.
        requires_confirmation: whether a person has to confirm each call before it is made.
        takes_media: whether its calls are given the media of the run, see :class:`RunContext`.
        takes_state: whether they are given the state of the session.

    Example:
        >>> class Shell(Tool):
        ...     def __init__(self):
        ...         super().__init__(ToolSchema("shell", "Runs a command.", {"type": "object"}))
        ...
        ...     async def execute(self, arguments, context, limit):
        ...         return ToolResult(f"ran {arguments}")
        >>> Shell()
        Shell('shell')
    """

    takes_media: bool = False
    takes_state: bool = False

    def __init__(
        self,
        schema: ToolSchema,
        *,
        on_interrupt: Interrupt = "retry",
        timeout: float | None = None,
        requires_confirmation: bool = False,
    ) -> None:
        """Check the tool's rules; the attributes are described with the class.

        Args:
            schema: what the model is told; it names the tool.
            on_interrupt: see the class.
            timeout: seconds that a call may take; by default any.
            requires_confirmation: see the class.

        Raises:
            ConfigurationError: a rule or the name cannot be used.
        """
        if not _NAME.fullmatch(schema.name):
            raise ConfigurationError(
                f"{schema.name!r} cannot name a tool: use 1 to 64 letters, digits, underscores and "
                "dashes. @tool(name=...) gives a function another name."
            )
        if on_interrupt not in ("retry", "fail", "pause"):
            raise ConfigurationError(
                f"on_interrupt must be 'retry', 'fail' or 'pause', not {on_interrupt!r}."
            )
        if timeout is not None:
            check_seconds("timeout", timeout, ConfigurationError)
        self.name = schema.name
        self.schema = schema
        self.on_interrupt: Interrupt = on_interrupt
        self.timeout = timeout
        self.requires_confirmation = requires_confirmation

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def is_portable(self) -> bool:
        """Whether the tool is the same in every process that has its agent.

        A tool that holds something of one caller says False: runs of others must not meet it.
        """
        return True

    def unfit(self, arguments: str) -> str | None:
        """Return what the model is told of arguments that cannot fit, or None.

        It is asked before a person is: nobody has to confirm what cannot be done.

        Args:
            arguments: a JSON object, as the model wrote it, so it may be none.
        """
        return None

    @abstractmethod
    async def execute(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult:
        """Do what a call of the tool does.

        Args:
            arguments: a JSON object, as the model wrote it, so it may be none.
            context: of this call.
            limit: the time limit of the call, which has begun; what should not count, such as a
                wait for a thread, reschedules it.

        Returns:
            The result.

        Raises:
            BaseException: whatever it is, it is the error of this call.
        """

    async def call(self, arguments: str, context: RunContext) -> ToolResult:
        """Make a call, within the tool's time limit.

        The tool's code is in a task of its own, which it may cancel: so a cancel of the caller's
        task is the run's. That alone passes on; whatever the code raises otherwise is its error,
        whose traceback is logged at the level DEBUG.

        At the time limit the code is cancelled, and the model is told at once: what the code does
        to clean up goes on beside the run. A cancel of the run waits a second for it.

        Args:
            arguments: a JSON object, as the model wrote it; blanks and ``null`` are an empty one.
            context: of this call; it is stopped at the end.

        Returns:
            The result, or as an error what the tool raised.

        Raises:
            asyncio.CancelledError: the caller was cancelled, and the tool did not return.
            ThreadLimitError: no thread became free for a synchronous function.
        """
        arguments = or_none(arguments)
        limit = asyncio.timeout(None)
        work = asyncio.create_task(self._outcome(arguments, context, limit))
        context.begun(work, limit)
        try:
            async with limit:
                await asyncio.wait({work})
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            await self._stopped(work, context)
        finally:
            context.stop()
            if not work.done():
                see_out(work, f"run {context.run_id}: the tool {self.name}")
        outcome: ToolResult | BaseException
        if work.cancelled():  # It was cancelled once more as it ended.
            outcome = asyncio.CancelledError()
        elif work.done():
            outcome = work.result()
        else:
            outcome = TimeoutError(f"it did not return within {self.timeout:g} s")
        if isinstance(outcome, ToolResult):
            return outcome
        logger.debug("run %s: the tool %s raised", context.run_id, self.name, exc_info=outcome)
        return ToolResult(described(outcome), is_error=True)

    async def _stopped(
        self, work: "asyncio.Task[ToolResult | BaseException]", context: RunContext
    ) -> None:
        """Stop a call whose caller was cancelled; raise that, unless the tool returns even so."""
        context.stop()
        work.cancel()
        await asyncio.wait({work}, timeout=_GRACE)
        outcome = work.result() if work.done() else None
        if not isinstance(outcome, ToolResult):
            raise asyncio.CancelledError from outcome

    async def _outcome(
        self, arguments: str, context: RunContext, limit: asyncio.Timeout
    ) -> ToolResult | BaseException:
        self._begin(limit)
        try:
            result = await self.execute(arguments, context, limit)
            if isinstance(result, ToolResult):
                return result
            return TypeError(f"it returned {type(result).__name__} in place of a ToolResult")
        except ThreadLimitError:
            raise  # The tool was not called, and there is nothing that the model could do about it.
        except BaseException as error:  # Also what would end the process of other runs.
            return error

    def _begin(self, limit: asyncio.Timeout) -> None:
        if self.timeout is not None:
            limit.reschedule(asyncio.get_running_loop().time() + self.timeout)


class Toolset(ABC):
    """Tools that are known only once a run executes, such as those of a server.

    Attributes:
        timeout: seconds that it may take to say which they are, or None for any.

    Example:
        >>> class Remote(Toolset):
        ...     async def tools(self, run):
        ...         return await server.tools_of(run.user_id)
    """

    timeout: float | None = 60.0

    @property
    def is_portable(self) -> bool:
        """Whether the toolset is the same in every process that has its agent."""
        return True

    @abstractmethod
    async def tools(self, run: RunInfo) -> Sequence[Tool]:
        """Return the tools; they are asked for once an attempt.

        Args:
            run: the run.
        """

    async def listed(self, run: RunInfo) -> Sequence[Tool]:
        """Return the tools, within the time limit.

        Args:
            run: the run.

        Raises:
            ToolsetError: they were not known in time.
            Exception: whatever :meth:`tools` raised.
        """
        listing = asyncio.ensure_future(self.tools(run))
        try:
            await asyncio.wait({listing}, timeout=self.timeout)
        finally:
            if not listing.done():
                see_out(listing, f"run {run.run_id}: {type(self).__name__}.tools")
        if not listing.done():
            raise ToolsetError(
                f"{type(self).__name__} did not say which tools it has within {self.timeout:g} s. "
                "Look whether its server answers, or raise its timeout."
            )
        return listing.result()


def or_none(arguments: str) -> str:
    """Return arguments, or an empty object if a model wrote none."""
    return "{}" if arguments.strip() in ("", "null") else arguments
