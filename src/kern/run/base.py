"""The status of a run, and what its tools are told of it."""

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event
from typing import Generic

from typing_extensions import TypeVar

from kern.media import Media


class RunStatus(StrEnum):
    """Where a run is in its life.

    ``PENDING → RUNNING → COMPLETED | ERROR | CANCELLED``; a run that waits for a person is
    ``PAUSED``, and one whose executor released it or was lost is ``PENDING`` again. ``REGENERATED``
    is one in whose place another stands: later runs are not shown it.
    """

    pending = "PENDING"
    running = "RUNNING"
    paused = "PAUSED"
    completed = "COMPLETED"
    error = "ERROR"
    cancelled = "CANCELLED"
    regenerated = "REGENERATED"

    @property
    def is_terminal(self) -> bool:
        """Whether a run in this status has ended for good."""
        return self in _TERMINAL


class CancellationStage(StrEnum):
    """Where a cancel has met a run."""

    before_start = "before_start"
    model = "model"
    tool = "tool"
    after_end = "after_end"


_TERMINAL = frozenset(
    {RunStatus.completed, RunStatus.error, RunStatus.cancelled, RunStatus.regenerated}
)


@dataclass(frozen=True, slots=True)
class RunInfo:
    """Which attempt at which run something happens in.

    Attributes:
        run_id: the run.
        session_id: its conversation.
        agent_id: its agent.
        user_id: on whose behalf it runs.
        attempt: which attempt at the run this is, from 1 on.
        parent_run_id: the run whose tool started it.
    """

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    attempt: int
    parent_run_id: str | None


Deps = TypeVar("Deps", bound=Mapping[str, object], default=Mapping[str, object], covariant=True)
"""The type of an agent's dependencies."""


@dataclass(frozen=True, slots=True)
class RunContext(Generic[Deps]):
    """What a tool is told of the run that calls it: give the tool a parameter of this type.

    Attributes:
        run_id: the run.
        session_id: its conversation.
        agent_id: its agent.
        user_id: on whose behalf it runs.
        metadata: what the caller attached to it.
        attempt: which attempt at the run this is, from 1 on.
        tool_call_id: the provider's id of this call.
        idempotency_key: names this call, the same on every attempt; hand it to services that can
            recognise a request made twice.
        dependencies: what the agent was given for its tools; it is stored nowhere.
        media: what the run was given, and what its tools have made before this turn, where the tool
            has a parameter for it.
    """

    run_id: str
    session_id: str
    agent_id: str
    user_id: str | None
    metadata: Mapping[str, object] | None
    attempt: int
    tool_call_id: str
    idempotency_key: str
    dependencies: Deps = field(repr=False)
    media: tuple[Media, ...] = field(default=(), repr=False)
    _stopped: Event = field(default_factory=Event, repr=False)

    @property
    def cancelled(self) -> bool:
        """Whether the run has been stopped: what the tool returns from now on is thrown away."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let :attr:`cancelled` say True."""
        self._stopped.set()


current_run: ContextVar[str | None] = ContextVar("current_run", default=None)
"""The id of the run whose tool is executing; the runs that it starts are its children."""

current_user: ContextVar[str | None] = ContextVar("current_user", default=None)
"""The user of that run; the runs that it starts are for the same user."""
