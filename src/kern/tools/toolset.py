"""The port for tools that are known only once a run executes."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

from kern.aio.tasks import see_out
from kern.errors import ToolsetError, described
from kern.run.base import RunInfo
from kern.tools.base import Tool


class Toolset(ABC):
    """Tools that are known only once a run executes, such as those of a server.

    Attributes:
        timeout: seconds that it may take to say which they are, or None for any.
        asks_for: the values of the run that :meth:`tools_for` is given, by name.

    Example:
        >>> class Remote(Toolset):
        ...     async def tools(self, run):
        ...         return await server.tools_of(run.user_id)
    """

    timeout: float | None = 60.0
    asks_for: Set[str] = frozenset()

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

    async def tools_for(self, run: RunInfo, values: Mapping[str, object]) -> Sequence[Tool]:
        """Return the tools; override it in place of :meth:`tools` to have values of the run.

        Args:
            run: the run.
            values: those in :attr:`asks_for`.
        """
        return await self.tools(run)

    async def listed(
        self, run: RunInfo, values: Mapping[str, object] = MappingProxyType({})
    ) -> Sequence[Tool]:
        """Return the tools, within the time limit.

        Args:
            run: the run.
            values: those in :attr:`asks_for`.

        Raises:
            ToolsetError: they were not known in time.
            Exception: whatever :meth:`tools` raised.
        """
        listing = asyncio.create_task(self._asked(run, values))
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

    async def _asked(self, run: RunInfo, values: Mapping[str, object]) -> Sequence[Tool]:
        try:
            return await self.tools_for(run, values)
        except SystemExit as error:  # It would end the process, and with it the runs of others.
            raise ToolsetError(f"{type(self).__name__}.tools: {described(error)}") from error
