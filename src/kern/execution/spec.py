"""What an attempt executes: an agent as it was when its run was submitted, or served."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from kern.execution.middleware import Middleware
from kern.models.base import Model
from kern.run.usage import UsageLimits
from kern.tools import Tool


class Definition(Protocol):
    """An agent, as far as its execution goes."""

    @property
    def id(self) -> str:
        """Its identity across processes."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def model(self) -> Model:
        """Who answers."""

    @property
    def system_message(self) -> str | None:
        """What the model is told before the conversation."""

    @property
    def history_runs(self) -> int:
        """How many of the session's earlier runs the model is shown."""

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What the model can have called, by name."""

    @property
    def tool_call_limit(self) -> int | None:
        """How many calls a run may make, or None for any number."""

    @property
    def max_turns(self) -> int | None:
        """How often a run may ask the model, or None for any number."""

    @property
    def usage_limits(self) -> UsageLimits | None:
        """How much a run may use, or None for any amount."""

    @property
    def middleware(self) -> Sequence[Middleware]:
        """What is done around its runs, model calls and tool calls, the first outermost."""

    @property
    def dependencies(self) -> Mapping[str, object]:
        """What the tools are given."""

    @property
    def max_concurrent_runs(self) -> int | None:
        """How many of its background runs execute at once, in all processes."""

    @property
    def max_concurrent_runs_per_user(self) -> int | None:
        """How many of a user's background runs execute at once, in all processes."""

    @property
    def max_queued_runs(self) -> int | None:
        """How many of its background runs may wait to be executed."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A definition at a moment: what is set on the agent later does not change it.

    Attributes:
        id: the agent's identity across processes.
        name: what people call it.
        model: who answers.
        system_message: what the model is told before the conversation.
        history_runs: how many of the session's earlier runs the model is shown.
        tools: what the model can have called, by name.
        tool_call_limit: how many calls a run may make, or None for any number.
        max_turns: how often a run may ask the model, or None for any number.
        usage_limits: how much a run may use, or None for any amount.
        middleware: what is done around runs, model calls and tool calls, the first outermost.
        dependencies: what the tools are given.
        agent_limit: how many of its background runs execute at once, or None for any number.
        user_limit: how many of a user's, or None for any number.
    """

    id: str
    name: str
    model: Model
    system_message: str | None
    history_runs: int
    tools: Mapping[str, Tool]
    tool_call_limit: int | None
    max_turns: int | None
    usage_limits: UsageLimits | None
    middleware: Sequence[Middleware]
    dependencies: Mapping[str, object]
    agent_limit: int | None
    user_limit: int | None

    @classmethod
    def of(cls, definition: Definition) -> "Spec":
        """Return the definition as it is now."""
        return cls(
            definition.id,
            definition.name,
            definition.model,
            definition.system_message,
            definition.history_runs,
            dict(definition.tools),
            definition.tool_call_limit,
            definition.max_turns,
            definition.usage_limits,
            tuple(definition.middleware),
            dict(definition.dependencies),
            definition.max_concurrent_runs,
            definition.max_concurrent_runs_per_user,
        )

    @property
    def is_portable(self) -> bool:
        """Whether any process that has it would execute a run in the same way.

        Dependencies, and functions that hold something of their surroundings, may belong to one
        caller; runs of others must not meet them.
        """
        return not self.dependencies and all(tool.is_portable for tool in self.tools.values())
