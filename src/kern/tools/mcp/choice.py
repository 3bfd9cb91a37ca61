"""Which tools of a server a model is offered, under which names, and with which rules."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

from kern.errors import ConfigurationError
from kern.keywords import explanation, nearest
from kern.run.numbers import check_seconds
from kern.run.tool import ToolSchema
from kern.tools.mcp.tool import Connect, MCPTool
from kern.tools.rules import Interrupt, ToolRules, checked

if TYPE_CHECKING:
    from mcp.types import LoggingLevel, Tool

_OTHER = re.compile(r"[^A-Za-z0-9_-]")


class MCPOptions(TypedDict, total=False):
    """The keywords that ``MCPTools`` and ``MultiMCPTools`` share.

    Attributes:
        timeout_seconds: in which a call has to end, or its server to tell of its progress; 10 by
            default, None for any time. That the server starts is not counted.
        include_tools: only the tools of these names, as the server has them.
        exclude_tools: all but those of these names.
        rename_tools: other names, by the server's own.
        tool_name_prefix: what the name of each tool begins with, before an underscore.
        headers: what is sent with every request, where servers are reached over HTTP.
        header_provider: a function that returns further headers, as a dict, for an attempt at a
            run; it may ask for values of the run, such as ``run_context`` or ``user_id``. Runs with
            other headers never share a session.
        requires_confirmation_tools: those whose calls a person has to confirm.
        external_execution_required_tools: those whose calls are made elsewhere.
        stop_after_tool_call_tools: those whose result ends the run.
        show_result_tools: those whose result is a part of the answer.
        on_interrupt: what becomes of a call that was under way when this process or the server was
            lost, ``"retry"`` (the default), ``"fail"`` or ``"pause"``; a tool that the server
            calls read-only or idempotent is always called once more.
        log_level: from which level on a server is to tell what it logs, which is told to those who
            read the run; ``"info"`` by default, None for nothing.
        protocol: ``"legacy"`` for the one until 2025, also with servers that know the newest: some
            of these ask their user only in that one. By default ``"auto"``: the newest there is.
        refresh_connection: of no effect: a run asks the server which tools there are, and a session
            that was lost is opened again.
    """

    timeout_seconds: float | None
    include_tools: Sequence[str] | None
    exclude_tools: Sequence[str] | None
    rename_tools: Mapping[str, str] | None
    tool_name_prefix: str | None
    headers: Mapping[str, str] | None
    header_provider: Callable[..., object] | None
    requires_confirmation_tools: Sequence[str] | None
    external_execution_required_tools: Sequence[str] | None
    stop_after_tool_call_tools: Sequence[str] | None
    show_result_tools: Sequence[str] | None
    on_interrupt: Interrupt
    log_level: "LoggingLevel | None"
    protocol: Literal["auto", "legacy"]
    refresh_connection: bool


@dataclass(frozen=True)
class Choice:
    """Which tools there are, by the names that the server gives them.

    Attributes:
        include: only these; None for all.
        exclude: all but these.
        prefix: what the names begin with, before an underscore.
        renamed: other names, by the server's own.
        flags: rules, each with the tools that it holds for.
        on_interrupt: what becomes of an interrupted call that may have changed something.
        timeout: seconds in which a call has to end, or its server to tell of its progress.
    """

    include: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    prefix: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Sequence[str]] = field(default_factory=dict)
    on_interrupt: Interrupt = "retry"
    timeout: float | None = None

    def tools(self, listed: "Sequence[tuple[Tool, Connect]]", whose: str) -> dict[str, MCPTool]:
        """Return the tools that a model is offered, by their names.

        Args:
            listed: what servers have, each with what gives the session of a call.
            whose: whose they are, for errors.

        Raises:
            ConfigurationError: there is no tool of a name that was given, two have one name, or one
                has a name that no model can call.
        """
        known = [each.name for each, _ in listed]
        named = [name for names in self.flags.values() for name in names]
        for name in (*(self.include or ()), *self.exclude, *self.renamed, *named):
            if name not in known:
                raise ConfigurationError(
                    f"{whose} has no tool {name!r}. {nearest(name, sorted(known))}"
                )
        found: dict[str, MCPTool] = {}
        for about, connect in listed:
            if self._is_left_out(about.name):
                continue
            tool = self._tool(about, connect)
            if found.setdefault(tool.name, tool) is not tool:
                raise ConfigurationError(
                    f"{whose} has two tools of the name {tool.name!r}; rename_tools gives one of "
                    "them another."
                )
        return found

    def _is_left_out(self, name: str) -> bool:
        return (self.include is not None and name not in self.include) or name in self.exclude

    def _tool(self, about: "Tool", connect: Connect) -> MCPTool:
        name = self.renamed.get(about.name) or _OTHER.sub("_", about.name)[:64]
        if self.prefix:
            name = f"{self.prefix}_{name}"
        # Some models refuse an object without properties.
        schema = {"properties": {}, **about.input_schema}
        described = ToolSchema(name, about.description or "", schema)
        return MCPTool(described, about.name, connect, **self._rules(about))

    def _rules(self, about: "Tool") -> ToolRules:
        hints = about.annotations
        is_repeatable = hints is not None and bool(hints.read_only_hint or hints.idempotent_hint)
        rules = ToolRules(
            on_interrupt="retry" if is_repeatable else self.on_interrupt, timeout=self.timeout
        )
        if title := about.title or (hints.title if hints is not None else None):
            rules["title"] = title
        if hints is not None:
            rules["annotations"] = hints.model_dump(by_alias=True, exclude_none=True)
        for flag in self._flags_of(about.name):
            rules[flag] = True  # type: ignore[literal-required] # They are names of rules.
        return rules

    def _flags_of(self, name: str) -> Iterator[str]:
        return (flag for flag, names in self.flags.items() if name in names)


def choice_of(function: str, options: MCPOptions) -> Choice:
    """Return the choice that options say.

    Args:
        function: who was given them, for errors.
        options: the keywords.

    Raises:
        ConfigurationError: one cannot be used.
        TypeError: there is no such keyword; the text names the nearest one.
    """
    for name in options:
        if name not in MCPOptions.__annotations__:
            raise TypeError(explanation(function, name, [*MCPOptions.__annotations__]))
    timeout = options.get("timeout_seconds", 10.0)
    if timeout is not None:
        check_seconds("timeout_seconds", timeout, ConfigurationError)
    on_interrupt = options.get("on_interrupt", "retry")
    checked(function, {"on_interrupt": on_interrupt})
    ends = options.get("stop_after_tool_call_tools") or ()
    return Choice(
        options.get("include_tools"),
        options.get("exclude_tools") or (),
        options.get("tool_name_prefix"),
        options.get("rename_tools") or {},
        {
            "requires_confirmation": options.get("requires_confirmation_tools") or (),
            "external_execution": options.get("external_execution_required_tools") or (),
            "stop_after_tool_call": ends,
            "show_result": [*(options.get("show_result_tools") or ()), *ends],
        },
        on_interrupt,
        timeout,
    )
