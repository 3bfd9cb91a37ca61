"""The agent, for users with an event loop and for those without one."""

from collections.abc import Iterator
from typing import Literal, Unpack, overload

from kern.agent.listing import ListingVerbs
from kern.agent.options import RunOptions
from kern.agent.schedules import ScheduleVerbs
from kern.agent.verbs import Input
from kern.aio.portal import portal
from kern.run.agent import RunOutput, RunOutputEvent


class Agent(ScheduleVerbs, ListingVerbs):
    """A model with a task, and the verbs to run it.

    An agent holds no state of its runs: one object can serve any number of them at a time, in
    any number of event loops. Every verb has a synchronous twin without the leading ``a``, which
    needs no event loop.

    Attributes:
        id: the agent's identity across processes; every process that uses an agent of this id on
            the same database shares its background runs.
        name: what people call it.
        model: who answers.
        tools: what the model can have called, by name.
        tool_call_limit: how many calls a run may make, or None for any number.
        dependencies: what the tools find in their context.
        db: where its sessions and runs are kept; None for nowhere.
    """

    @overload
    def run(
        self,
        input: Input,
        *,
        stream: Literal[False] = False,
        background: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunOutput: ...

    @overload
    def run(
        self,
        input: Input,
        *,
        stream: Literal[True],
        stream_events: bool = False,
        background: bool = False,
        **options: Unpack[RunOptions],
    ) -> Iterator[RunOutputEvent]: ...

    def run(
        self,
        input: Input,
        *,
        stream: bool = False,
        stream_events: bool = False,
        background: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunOutput | Iterator[RunOutputEvent]:
        """Run the agent from synchronous code; see :meth:`arun`.

        Background runs execute in a thread of their own for as long as the interpreter lives,
        and are taken up again at the next start.
        """
        asked = self._ask(input, background, options)
        if stream:
            return portal().iterate(self._stream(asked, stream_events))
        return portal().call(self._submit(asked) if background else self._execute(asked.run, None))

    def get_run_output(self, run_id: str, session_id: str | None = None) -> RunOutput | None:
        """Return a run as it stands; see :meth:`aget_run_output`."""
        return portal().call(self.aget_run_output(run_id, session_id))

    def cancel_run(self, run_id: str) -> bool:
        """Cancel a run; see :meth:`acancel_run`."""
        return portal().call(self.acancel_run(run_id))

    def wait_run(self, run_id: str, timeout: float | None = None) -> RunOutput | None:
        """Wait for a background run's end; see :meth:`await_run`."""
        return portal().call(self.await_run(run_id, timeout))

    def stream_run(self, run_id: str, after: int = 0) -> Iterator[RunOutputEvent]:
        """Yield the events of a run; see :meth:`astream_run`."""
        return portal().iterate(self.astream_run(run_id, after))

    def retry_run(self, run_id: str) -> RunOutput:
        """Have a run that ended in ERROR go on; see :meth:`aretry_run`."""
        return portal().call(self.aretry_run(run_id))

    def continue_run(
        self,
        run_id: str,
        *,
        results: dict[str, str] | None = None,
        from_seq: int | None = None,
        new_run_id: str | None = None,
        session_id: str | None = None,
    ) -> RunOutput:
        """Have a PAUSED run go on, or branch off a new one; see :meth:`acontinue_run`."""
        return portal().call(
            self.acontinue_run(
                run_id,
                results=results,
                from_seq=from_seq,
                new_run_id=new_run_id,
                session_id=session_id,
            )
        )

    def print_response(
        self,
        input: Input,
        *,
        stream: bool = True,
        session_id: str | None = None,
        user_id: str | None = None,
    ) -> None:
        """Run the agent and show its answer in the terminal; see :meth:`aprint_response`."""
        portal().call(
            self.aprint_response(input, stream=stream, session_id=session_id, user_id=user_id)
        )
