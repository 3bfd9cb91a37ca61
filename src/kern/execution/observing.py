"""Who is told of what happens to runs beside what middleware is around: nobody, unless asked for.

``kern.telemetry`` asks for it. Where there is no observer, the places that would tell one look at
an empty list.
"""

from collections.abc import Awaitable, Sequence

from msgspec.structs import replace

from kern.execution.middleware import Middleware
from kern.models.base import Model, ModelRequest, ModelResponse
from kern.run.base import RunInfo, RunStatus
from kern.run.record import NewRun, RunRecord
from kern.run.steps import AnyStep


class Observer(Middleware):
    """Middleware that is also told of what happens where no middleware is; it must not raise.

    As middleware of an agent it is told of that agent's runs, here; in :data:`everywhere` of all
    runs, and of what this process does for them beside their attempts.
    """

    def trace(self) -> str | None:
        """Return the trace of the code that runs now, as W3C Trace Context writes it, if any."""
        return None

    def goes_on(self, run: RunInfo, first: str | None, last: AnyStep | None) -> None:
        """Take in that an attempt goes on from the journal of others.

        Args:
            run: the run.
            first: the trace that the first attempt was observed in, if it was.
            last: the last step of the journal; None where there is none.
        """

    async def model_answer(
        self,
        run: RunInfo,
        model: Model,
        request: ModelRequest,
        answer: Awaitable[ModelResponse],
        *,
        streamed: bool,
    ) -> ModelResponse:
        """Wait for the answer of one model, and return it.

        Args:
            run: the run.
            model: who is asked: the agent's model, a fallback or a secondary one.
            request: what it is asked.
            answer: the answer, with what it cost; it begins as this waits for it.
            streamed: whether it comes piece by piece.
        """
        return await answer

    def claimed(self, record: RunRecord) -> None:
        """Take in that a run was claimed here, and is RUNNING."""

    def ended(self, record: RunRecord) -> None:
        """Take in that a run has ended without an attempt: it was cancelled while it waited."""

    def lost(self, run: RunInfo, status: RunStatus) -> None:
        """Take in that the lease of an attempt has expired, as the sweep of this process saw.

        Args:
            run: the run, with that attempt.
            status: what the run is since then.
        """


everywhere: list[Observer] = []
"""The observers of all runs of this process whose agents have none of their own."""


def observed_by(middleware: Sequence[Middleware]) -> list[Observer]:
    """Return the observers among middleware."""
    return [each for each in middleware if isinstance(each, Observer)]


def with_observers(own: Sequence[Middleware]) -> Sequence[Middleware]:
    """Return an agent's middleware, within the observers of all runs unless it has its own."""
    return own if not everywhere or observed_by(own) else (*everywhere, *own)


def traced(run: NewRun, own: Sequence[Middleware]) -> NewRun:
    """Return a run with the trace of the code that submits it, if an observer knows of one.

    Args:
        run: the run.
        own: the middleware of its agent.
    """
    for each in observed_by(with_observers(own)):
        if (trace := each.trace()) is not None:
            return replace(run, traceparent=trace)
    return run


def around_answer(
    middleware: Sequence[Middleware],
    run: RunInfo,
    model: Model,
    request: ModelRequest,
    answer: Awaitable[ModelResponse],
    *,
    streamed: bool = False,
) -> Awaitable[ModelResponse]:
    """Return the answer of a model, with the observers among the middleware around it."""
    for each in reversed(observed_by(middleware)):
        answer = each.model_answer(run, model, request, answer, streamed=streamed)
    return answer
