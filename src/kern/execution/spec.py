"""What an attempt executes: an agent as it was when its run was submitted, or served."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from kern.execution.answering import Answering
from kern.execution.middleware import Middleware
from kern.models.base import Model, ToolChoice
from kern.models.fallback import FallbackConfig
from kern.run.usage import UsageLimits
from kern.tools import Tool, Toolset

HistoryAgents: TypeAlias = Literal["own", "all"]
"""Whose earlier runs of a session an agent is shown."""


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
    def fallback(self) -> FallbackConfig | None:
        """Who answers where it has failed."""

    @property
    def told_text(self) -> str | None:
        """What the model is told before the conversation."""

    @property
    def history_runs(self) -> int:
        """How many of the session's earlier runs the model is shown."""

    @property
    def history_agents(self) -> HistoryAgents:
        """Whose they are: the agent's own, or those of all agents."""

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What the model can have called, by name."""

    @property
    def toolsets(self) -> Sequence[Toolset]:
        """Tools that are known only once a run executes."""

    @property
    def tool_choice(self) -> ToolChoice | None:
        """Whether the model is to call tools, or None where the provider decides."""

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
    def live(self) -> bool:
        """Whether answers come piece by piece from the provider though nobody reads them yet."""

    @property
    def send_media_to_model(self) -> bool:
        """Whether the model is shown media; tools see it anyway."""

    @property
    def store_media(self) -> bool:
        """Whether media is kept with a run that has ended."""

    @property
    def dependencies(self) -> Mapping[str, object]:
        """What the tools are given."""

    @property
    def answering(self) -> Answering | None:
        """What its answers have to be, and who is asked after its model; None for any text."""

    @property
    def max_concurrent_runs(self) -> int | None:
        """How many of its background runs execute at once, in all processes."""

    @property
    def max_concurrent_runs_per_user(self) -> int | None:
        """How many of a user's background runs execute at once, in all processes."""

    @property
    def max_queued_runs(self) -> int | None:
        """How many of its background runs may wait to be executed."""


class Spec(msgspec.Struct, frozen=True):
    """A definition at a moment: what is set on the agent later does not change it.

    Attributes:
        id: the agent's identity across processes.
        name: what people call it.
        model: who answers.
        system_message: what the model is told before the conversation.
        history_runs: how many of the session's earlier runs the model is shown.
        history_agents: whose they are: the agent's own, or those of all agents.
        tools: what the model can have called, by name.
        toolsets: tools that are known only once a run executes.
        tool_choice: whether the model is to call tools, or None where the provider decides.
        tool_call_limit: how many calls a run may make, or None for any number.
        max_turns: how often a run may ask the model, or None for any number.
        usage_limits: how much a run may use, or None for any amount.
        middleware: what is done around runs, model calls and tool calls, the first outermost.
        live: whether answers come piece by piece from the provider though nobody reads them yet.
        send_media_to_model: whether the model is shown media; tools see it anyway.
        store_media: whether media is kept with a run that has ended.
        dependencies: what the tools are given.
        answering: what its answers have to be, and who is asked after its model.
        agent_limit: how many of its background runs execute at once, or None for any number.
        user_limit: how many of a user's, or None for any number.
        fallback: who answers where the model has failed, or None for nobody.
    """

    id: str
    name: str
    model: Model
    system_message: str | None
    history_runs: int
    history_agents: HistoryAgents
    tools: Mapping[str, Tool]
    toolsets: Sequence[Toolset]
    tool_choice: ToolChoice | None
    tool_call_limit: int | None
    max_turns: int | None
    usage_limits: UsageLimits | None
    middleware: Sequence[Middleware]
    live: bool
    send_media_to_model: bool
    store_media: bool
    dependencies: Mapping[str, object]
    answering: Answering | None
    agent_limit: int | None
    user_limit: int | None
    fallback: FallbackConfig | None

    @classmethod
    def of(cls, definition: Definition, dependencies: Mapping[str, object] | None = None) -> "Spec":
        """Return the definition as it is now.

        Args:
            definition: an agent.
            dependencies: those of a run, over the agent's.
        """
        return cls(
            definition.id,
            definition.name,
            definition.model,
            definition.told_text,
            definition.history_runs,
            definition.history_agents,
            dict(definition.tools),
            tuple(definition.toolsets),
            definition.tool_choice,
            definition.tool_call_limit,
            definition.max_turns,
            definition.usage_limits,
            tuple(definition.middleware),
            definition.live,
            definition.send_media_to_model,
            definition.store_media,
            {**definition.dependencies, **(dependencies or {})},
            definition.answering,
            definition.max_concurrent_runs,
            definition.max_concurrent_runs_per_user,
            definition.fallback,
        )

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that may answer, the agent's own first."""
        return (self.model, *(() if self.fallback is None else self.fallback.models))


def is_portable(definition: Definition | Spec) -> bool:
    """Say whether any process that has a definition would execute a run in the same way.

    Dependencies, and tools that hold something of their surroundings, may belong to one caller;
    runs of others must not meet them.
    """
    parts: tuple[Tool | Toolset, ...] = (*definition.tools.values(), *definition.toolsets)
    return not definition.dependencies and all(part.is_portable for part in parts)
