"""What an attempt executes: an agent as it was when its run was submitted, or served."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from kern.compression.rules import Compression
from kern.execution.answering import Answering
from kern.execution.call_rules import CallRules
from kern.execution.context_rules import ContextRules
from kern.execution.hooks import Hooks
from kern.execution.memory_rules import MemoryRules
from kern.execution.middleware import Middleware
from kern.execution.observing import with_observers
from kern.execution.reasoning_rules import Thinking
from kern.execution.retrying import Retrying
from kern.execution.session_rules import SessionRules
from kern.models.base import CallOptions, Model, ToolChoice
from kern.models.fallback import FallbackConfig
from kern.run.state import StateRules
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
    def is_team(self) -> bool:
        """Whether it leads others, to which it hands its work on."""

    @property
    def model(self) -> Model:
        """Who answers."""

    @property
    def fallback(self) -> FallbackConfig | None:
        """Who answers where it has failed."""

    @property
    def told_text(self) -> str | None:
        """What the model is told before the conversation, where that is always the same."""

    @property
    def context_rules(self) -> ContextRules | None:
        """What it is told, where that is not."""

    @property
    def session_rules(self) -> SessionRules | None:
        """What its runs leave in their session beside themselves."""

    @property
    def remembering(self) -> MemoryRules | None:
        """How memories of its users are drawn; None where they are not."""

    @property
    def session_tools(self) -> Sequence[Tool]:
        """Tools for its sessions, which come after the others."""

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
    def call_rules(self) -> CallRules | None:
        """What it has beside plain tools."""

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
    def debug_mode(self) -> bool:
        """Whether what its runs do is logged."""

    @property
    def debug_level(self) -> int:
        """1, or 2 for the whole of it."""

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
    def state_rules(self) -> StateRules | None:
        """What it says of the states of its sessions; None for nothing."""

    @property
    def answering(self) -> Answering | None:
        """What its answers have to be, and who is asked after its model; None for any text."""

    @property
    def hooks(self) -> Hooks | None:
        """What is called before and after its runs; None for nothing."""

    @property
    def thinking(self) -> Thinking | None:
        """How a model thinks before the first answer; None where none does."""

    @property
    def compression(self) -> Compression | None:
        """How what the model is told is made smaller; None for not at all."""

    @property
    def retrying(self) -> Retrying | None:
        """How a failed run is tried again; None for kern's own way."""

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
        call_rules: what it has beside plain tools, or None for nothing.
        state_rules: what it says of the states of its sessions, or None for nothing.
        agent: the agent itself, for functions of users that ask for it.
        context_rules: what the model is told, where that is no text that is always the same.
        session_rules: what its runs leave in their session beside themselves, or None.
        hooks: what is called before and after a run, or None for nothing.
        retrying: how a failed run is tried again, or None for kern's own way.
        remembering: how memories of its users are drawn, or None.
        reasoning: how a model thinks before the first answer, or None where none does.
        compression: how what the model is told is made smaller, or None for not at all.
        call_options: how one run has its model answer, or None.
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
    call_rules: CallRules | None
    state_rules: StateRules | None
    agent: Definition
    context_rules: ContextRules | None
    session_rules: SessionRules | None
    hooks: Hooks | None
    retrying: Retrying | None
    remembering: MemoryRules | None = None
    reasoning: Thinking | None = None
    compression: Compression | None = None
    call_options: CallOptions | None = None

    @classmethod
    def of(cls, definition: Definition, dependencies: Mapping[str, object] | None = None) -> "Spec":
        """Return the definition as it is now.

        Args:
            definition: an agent.
            dependencies: those of a run, over the agent's.
        """
        middleware = tuple(with_observers(definition.middleware))
        if definition.debug_mode:
            middleware = (*middleware, debug_log(definition.debug_level))
        return cls(
            definition.id,
            definition.name,
            definition.model,
            definition.told_text,
            definition.history_runs,
            definition.history_agents,
            {**definition.tools, **_beside(definition)}
            if definition.session_tools
            else dict(definition.tools),
            tuple(definition.toolsets),
            definition.tool_choice,
            definition.tool_call_limit,
            definition.max_turns,
            definition.usage_limits,
            middleware,
            definition.live,
            definition.send_media_to_model,
            definition.store_media,
            {**definition.dependencies, **(dependencies or {})},
            definition.answering,
            definition.max_concurrent_runs,
            definition.max_concurrent_runs_per_user,
            definition.fallback,
            definition.call_rules,
            definition.state_rules,
            definition,
            definition.context_rules,
            definition.session_rules,
            definition.hooks,
            definition.retrying,
            definition.remembering,
            definition.thinking,
            definition.compression,
        )

    @property
    def models(self) -> tuple[Model, ...]:
        """The models that may answer, the agent's own first."""
        return (self.model, *(() if self.fallback is None else self.fallback.models))


def debug_log(level: int) -> Middleware:
    """Return what logs what a run does; it is loaded only where somebody wants that.

    Args:
        level: 1, or 2 for the whole of it.
    """
    from kern.execution.debugging import DebugLog

    return DebugLog(level)


def debugging(spec: Spec, wanted: bool) -> Spec:
    """Return a spec whose runs log what they do, or do not.

    Args:
        spec: the agent.
        wanted: whether they do.
    """
    from kern.execution.debugging import DebugLog

    found = [each for each in spec.middleware if isinstance(each, DebugLog)]
    if bool(found) is wanted:
        return spec
    rest = tuple(each for each in spec.middleware if each not in found)
    return msgspec.structs.replace(spec, middleware=(*rest, DebugLog()) if wanted else rest)


def _beside(definition: Definition) -> dict[str, Tool]:
    """Return the tools of an agent that are kern's own; one of its own goes before."""
    own = definition.tools
    return {each.name: each for each in definition.session_tools if each.name not in own}


def is_portable(definition: Definition | Spec) -> bool:
    """Say whether any process that has a definition would execute a run in the same way.

    Dependencies, and functions that hold something of their surroundings, may belong to one caller;
    runs of others must not meet them.
    """
    rules = (definition.context_rules, definition.hooks, definition.call_rules)
    parts: list[Tool | Toolset | ContextRules | Hooks | CallRules] = [
        *definition.tools.values(),
        *definition.toolsets,
        *[each for each in rules if each is not None],
    ]
    return not definition.dependencies and all(part.is_portable for part in parts)
