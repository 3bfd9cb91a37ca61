"""What the model of an agent can have called."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from kern.agent.as_tool import SubAgent
from kern.agent.checks import check_flag, check_tool_choice
from kern.agent.handoff import Handoff, handoff_tools
from kern.agent.parts.part import Part
from kern.binder import Binder, name_of
from kern.errors import ConfigurationError
from kern.execution.call_rules import CallRules
from kern.execution.child import BackgroundTool
from kern.models.base import ToolChoice
from kern.run.base import RUN_VALUES
from kern.run.numbers import check_count
from kern.tools import Tool, Toolset
from kern.tools.collect import AnyTool, Collected, collect
from kern.tools.rules import hooks_around


class ToolsPart(Part):
    """What the model can have called.

    Attributes:
        tools: functions, what ``@tool`` made of them, other tools, toolkits, toolsets, and dicts
            that name a tool of the provider (``{"type": "web_search"}``); or a function that
            returns such a list, which is called for each attempt at a run. To read, the tools by
            name that are known before a run.
        tool_choice: whether the model is to call tools: ``"auto"``, ``"none"``, ``"required"``, the
            name of a tool, or a dict in the provider's form; by default the provider decides. What
            makes the model call a tool holds for its first answer in a run; after that it is free,
            or it could never end.
        tool_call_limit: how many tool calls a run may make; by default any number. A model that
            asks for more is told so once, and may answer; if it goes on, the run ends in ERROR.
        tool_hooks: functions around each tool call, the first outermost.
        parallel_tool_calls: False to make the calls of one answer one after another, in the order
            in which the model asks for them.
        send_media_to_model: False to show the run's media to tools only, as parameters of types
            such as ``list[Image]``.
        handoffs: agents to which the model may hand the conversation over, or
            :class:`~kern.agent.handoff.Handoff` to say how: their answer is the run's then.
        delegation: what hands work on to the members of a team, beside the tools.
    """

    tools: Mapping[str, Tool]
    tool_choice: ToolChoice | None = None
    tool_call_limit: int | None = None
    tool_hooks: Sequence[Callable[..., object]] | None = None
    parallel_tool_calls: bool = True
    send_media_to_model: bool = True
    handoffs: Sequence[SubAgent | Handoff] | None = None

    starts_runs: bool = False
    toolsets: tuple[Toolset, ...] = ()
    call_rules: CallRules | None = None
    delegation: Sequence[Tool | Toolset] = ()

    def _build(self) -> None:
        if self.tool_call_limit is not None:
            check_count("tool_call_limit", self.tool_call_limit, ConfigurationError, least=0)
        check_flag("parallel_tool_calls", self.parallel_tool_calls)
        check_flag("send_media_to_model", self.send_media_to_model)
        given = self.__dict__
        if given.get("tools") is not given.get("_listed"):
            given["_given"] = given["tools"]
        tools = given.get("_given") or ()
        if isinstance(tools, Mapping) and not tools.get("type"):
            tools = [*tools.values()]
        factory = None if isinstance(tools, Iterable) or not callable(tools) else tools
        found = collect(() if factory else tools)
        if self.handoffs is not None or self.delegation:
            handoffs = () if self.handoffs is None else handoff_tools(self.handoffs)
            found = collect([*(() if factory else tools), *handoffs, *self.delegation])
        given["tools"] = given["_listed"] = found.tools
        given["toolsets"] = found.toolsets
        given["starts_runs"] = bool(found.tools) and any(
            isinstance(each, BackgroundTool) for each in found.tools.values()
        )
        given["call_rules"] = self._call_rules(found, factory)
        is_late = factory is not None or found.toolsets or found.provided
        given["tool_choice"] = check_tool_choice(self.tool_choice, None if is_late else self.tools)

    def add_tool(self, tool: AnyTool) -> None:
        """Give the agent another tool; runs that have begun are without it.

        Args:
            tool: a function, or anything else that ``tools`` takes.

        Raises:
            ConfigurationError: it cannot be a tool, there is one of its name, or the agent's tools
                are given by a function.
        """
        if self.call_rules is not None and self.call_rules.factory is not None:
            raise ConfigurationError(
                "The agent's tools are given by a function, which is called for each run. Add the "
                "tool to what that returns, or give the agent a list: set_tools([...])."
            )
        self.set_tools([*(self.__dict__.get("_given") or ()), tool])

    def set_tools(self, tools: Sequence[AnyTool] | Callable[..., object]) -> None:
        """Give the agent other tools; runs that have begun keep theirs.

        Args:
            tools: see the keyword.

        Raises:
            ConfigurationError: one cannot be used, or two have one name.
        """
        setattr(self, "tools", tools)  # noqa: B010 # what is read of it has another type

    def get_tools(self) -> list[Tool]:
        """Return the tools that are known before a run."""
        return [*self.tools.values()]

    def clear_callable_cache(self, kind: str | None = None) -> None:
        """Do nothing: a function that gives the tools of a run is called for each attempt.

        Args:
            kind: of what, such as ``"tools"``.
        """

    def _call_rules(
        self, found: Collected, factory: Callable[..., object] | None
    ) -> CallRules | None:
        """Return what there is beside plain tools; None for nothing."""
        rules = CallRules(
            hooks_around(self.tool_hooks, "the agent"),
            self.parallel_tool_calls,
            None
            if factory is None
            else Binder(factory, RUN_VALUES, what=f"The function of tools {name_of(factory)}"),
            found.toolkits,
            found.provided,
            found.instructions,
        )
        return None if rules == CallRules() else rules
