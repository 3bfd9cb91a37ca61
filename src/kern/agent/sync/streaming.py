"""Generated from ``kern/agent/streaming.py`` by ``scripts/generate_sync.py``."""

from collections.abc import Iterator

from kern.agent.blocking import blocking
from kern.agent.streaming import Streaming
from kern.run.agent import Output
from kern.run.base import Deps
from kern.run.event import RunOutputEvent


class SyncStreaming(Streaming[Deps, Output]):
    """The methods of :class:`Streaming`, for code without an event loop."""

    def stream_run(
        self, run_id: str, after: int = 0, *, user_id: str | None = None
    ) -> Iterator[RunOutputEvent]:
        """Yield the events of a run, live while it executes, in whichever process that is.

        The events are numbered, the same in every process and at every time: a reader that was
        interrupted goes on after the last number it has. Where a model call is made again, a
        RunContentVoided says that the last pieces, whose text it has, are void. Where the answer
        has a type, pieces have what there is of it (``partial``), and the end an instance. A run
        that ends in ERROR ends with a RunError; nothing is raised for it.

        Where tool calls are runs of other agents (:meth:`s_tool`), the events of these are among
        those of the run, each with the ``run_id`` and numbers of its own and its
        ``parent_run_id``: they come before the result of the call. A reader that goes on gets
        those of calls without a result from their beginning.

        Args:
            run_id: the run.
            after: the number of the last event that the reader has, or 0.
            user_id: the user whose run it must be; by default any.

        Yields:
            The events, until the run ends or pauses.

        Raises:
            RunNotFoundError: there is no such run.
            ConfigurationError: the agent has no db.
            JournalError: what is stored of the run cannot be read.
            InvalidInputError: an argument cannot be used.
        """
        return blocking("async for ... in agent.astream_run(...)").iterate(
            self.astream_run(run_id, after, user_id=user_id)
        )
